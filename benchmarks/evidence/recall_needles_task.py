"""The task of ``recall_needles``: keys and values planted in a haystack, among decoys, and the questions for them.

A needle is a random key directly followed by a random value. A decoy is a near-duplicate of the key, with another value
behind it. The question is the key, put directly behind the haystack; the answer is the value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from needle_task import BASES, Ids, draw_bases

DEPTHS = (0.1, 0.3, 0.5, 0.7, 0.9)
NEAR = 0.01  # a needle lies so close to its depth, as a share of the haystack


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of the table: what is planted, in what, how often."""

    test: str  # what it is called in the table
    bases: int  # of a haystack
    haystacks: int
    needles: int = 1  # in each haystack
    key_bases: int = 24
    value_bases: int = 24
    decoys: int = 0  # for each needle
    distance: int = 0  # bases of its key that a decoy has otherwise
    overwritten: bool = False  # the key is planted before with another value: the newest must win
    changed: int = 0  # bases of the key that the question has otherwise
    depths: bool = True  # planted around ``DEPTHS`` in turn, else anywhere
    real: bool = True  # in real DNA, else in random bases
    read_by: str = "the copy memory"  # but for the last bases, which the network reads too

    @property
    def item_bases(self) -> int:
        """Bases of key and value."""
        return self.key_bases + self.value_bases

    @property
    def name(self) -> str:
        """Name of a file for it."""
        kind = f"{self.test} {self.needles} {'real' if self.real else 'random'} {self.bases}"
        return kind.replace(" ", "_").replace(",", "")


@dataclass(frozen=True, kw_only=True)
class Haystack:
    """A sequence with its needles, in the order in which they are asked for."""

    ids: Ids
    keys: Ids  # (needles, key) as planted
    values: Ids  # (needles, value) the right answers
    starts: np.ndarray  # (needles,) where the key of the right answer begins
    questions: Ids  # (needles, key) as asked
    decoys: np.ndarray  # (decoys,) where their keys begin


def draw_distinct(rng: np.random.Generator, rows: int, bases: int) -> Ids:
    """Return random words that differ from each other, (rows, bases)."""
    words = draw_bases(rng, rows * bases).reshape(rows, bases)
    while len(np.unique(words, axis=0)) < rows:
        words = draw_bases(rng, rows * bases).reshape(rows, bases)
    return words


def change(rng: np.random.Generator, word: Ids, count: int) -> Ids:
    """Return a word with exactly ``count`` of its bases changed."""
    changed, at = word.copy(), rng.choice(len(word), count, replace=False)
    changed[at] = (changed[at] + rng.integers(1, BASES, count)) % BASES
    return changed


def decoy_keys(rng: np.random.Generator, key: Ids, count: int, distance: int) -> Ids:
    """Return different near-duplicates of a key, (count, key)."""
    found: dict[bytes, Ids] = {}
    while len(found) < count:
        word = change(rng, key, distance)
        found[word.tobytes()] = word
    return np.array(list(found.values()), dtype=np.uint8).reshape(count, len(key))


def make_haystack(rng: np.random.Generator, cell: Cell, filler: Callable[[int], Ids], number: int) -> Haystack:
    """Return one haystack of a cell.

    Parameters
    ----------
    rng
        Draws keys, values, places and decoys.
    cell
        What to plant.
    filler
        Returns so many bases to plant in.
    number
        Of the haystack in its cell: where each has one needle, their depths take turns.
    """
    ids, free = filler(cell.bases).copy(), np.ones(cell.bases, dtype=bool)
    keys = draw_distinct(rng, cell.needles, cell.key_bases)
    older = int(cell.overwritten)
    values = draw_distinct(rng, cell.needles * (1 + older + cell.decoys), cell.value_bases)
    values = values.reshape(cell.needles, -1, cell.value_bases)

    def plant(key: Ids, value: Ids, start: int) -> None:
        ids[start : start + cell.item_bases] = np.concatenate([key, value])

    starts = np.zeros(cell.needles, dtype=np.int64)
    for row, key in enumerate(keys):
        depth = DEPTHS[(number * cell.needles + row) % len(DEPTHS)] if cell.depths else None
        *old, starts[row] = sorted(_find_room(rng, free, cell.item_bases, depth) for _ in range(1 + older))
        for start, value in zip([*old, starts[row]], values[row, older::-1], strict=True):
            plant(key, value, start)  # the first of the values is the newest
    decoys = []
    for row, key in enumerate(keys):
        for value, near in zip(values[row, 1 + older :], decoy_keys(rng, key, cell.decoys, cell.distance), strict=True):
            decoys.append(_find_room(rng, free, cell.item_bases, None))
            plant(near, value, decoys[-1])
    questions = np.stack([change(rng, key, cell.changed) for key in keys])
    return Haystack(
        ids=ids, keys=keys, values=values[:, 0], starts=starts, questions=questions, decoys=np.array(decoys, dtype=int)
    )


def _find_room(rng: np.random.Generator, free: np.ndarray, bases: int, depth: float | None) -> int:
    """Return where an item can begin without touching another, around a depth or anywhere; and take the room."""
    last = len(free) - bases
    low, high = (0, last) if depth is None else (int((depth - NEAR) * len(free)), int((depth + NEAR) * len(free)))
    while True:
        start = int(rng.integers(max(0, low), min(high, last) + 1))
        if free[start : start + bases].all():
            free[start : start + bases] = False
            return start
