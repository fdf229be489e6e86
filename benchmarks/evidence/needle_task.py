"""The task: a marker and a payload of 8 bases, planted in DNA, and asked for later.

An item is 32 bases: a flag of 16 (always the same), a name of 8 (drawn for each needle) and the payload of 8. Flag and
name are the marker. When the same marker comes again, its payload has to be foretold base by base. An item whose flag
has two or more bases changed is a decoy and means nothing; one whose name has is another needle. A needle that is
planted again with another payload counts as what it was last.

    ..filler.. | flag 16 | name 8 | payload 8 | ..filler.. | flag 16 | name 8 | payload 8: foretold? | ..
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.uint8]
BASES = 4
FLAG: Ids = np.frombuffer(b"\x02\x00\x03\x01\x01\x03\x00\x02\x03\x03\x01\x02\x00\x01\x02\x03", np.uint8)
NAME_BASES, PAYLOAD_BASES = 8, 8
MARKER_BASES = len(FLAG) + NAME_BASES
ITEM_BASES = MARKER_BASES + PAYLOAD_BASES
SHARES = {"new": 0.2, "again": 0.08, "like": 0.1, "decoy": 0.25, "ask": 0.37}  # of the items of a training sequence


EASY_SHARES = {"new": 0.5, "ask": 0.5}  # while the task itself is learned


@dataclass(frozen=True)
class Needle:
    """A name and its payload, as ids."""

    name: Ids
    payload: Ids

    def item(self, flag: Ids = FLAG) -> Ids:
        """Return the 32 bases that plant it, or ask for it."""
        return np.concatenate([flag, self.name, self.payload])


@dataclass
class Row:
    """One sequence: its bases, and which of them are payloads that were asked for."""

    ids: Ids
    asked: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.asked = np.zeros(len(self.ids), bool)

    def put(self, start: int, item: Ids, ask: bool = False) -> None:
        """Write an item over the bases from ``start`` (0-based)."""
        self.ids[start : start + ITEM_BASES] = item
        self.asked[start + MARKER_BASES : start + ITEM_BASES] = ask


def draw_bases(rng: np.random.Generator, count: int) -> Ids:
    """Return random bases."""
    return rng.integers(0, BASES, count, dtype=np.uint8)


def near_miss(rng: np.random.Generator, word: Ids, least: int = 2, most: int = 3) -> Ids:
    """Return ``word`` with ``least`` to ``most`` bases changed."""
    places = rng.choice(len(word), rng.integers(least, most + 1), replace=False)
    changed = word.copy()
    changed[places] = (changed[places] + rng.integers(1, BASES, len(places))) % BASES
    return changed


def draw_needle(rng: np.random.Generator, name: Ids | None = None) -> Needle:
    """Return a needle with a random payload, and a random name if none is given."""
    return Needle(draw_bases(rng, NAME_BASES) if name is None else name, draw_bases(rng, PAYLOAD_BASES))


def draw_needles(rng: np.random.Generator, count: int) -> list[Needle]:
    """Return needles of different names."""
    names = rng.choice(BASES**NAME_BASES, count, replace=False)
    digits = names[:, None] // BASES ** np.arange(NAME_BASES) % BASES
    return [draw_needle(rng, row.astype(np.uint8)) for row in digits]


def training_row(rng: np.random.Generator, filler: Ids, items: int, shares: Mapping[str, float] = SHARES) -> Row:
    """Return ``filler`` with items of all kinds at random places; asks are for what a name was last."""
    row, known = Row(filler.copy()), {}
    gaps = np.sort(rng.integers(0, len(filler) - items * ITEM_BASES + 1, items))
    kinds = rng.choice(list(shares), items, p=list(shares.values()))
    for number, (gap, kind) in enumerate(zip(gaps, kinds, strict=True)):
        kind = kind if known else "new"
        needle = draw_needle(rng) if kind == "new" else list(known.values())[rng.integers(len(known))]
        flag = FLAG
        if kind in ("again", "decoy"):
            needle = draw_needle(rng, needle.name)
        if kind == "like":
            needle = draw_needle(rng, near_miss(rng, needle.name))
        if kind == "decoy":
            flag = near_miss(rng, FLAG)
        else:
            known[needle.name.tobytes()] = needle
        row.put(int(gap) + number * ITEM_BASES, needle.item(flag), ask=kind == "ask")
    return row


@dataclass(frozen=True)
class Trial:
    """Bases that plant needles, and the needles that will be asked for."""

    start: Ids  # ends with the last base of the last item
    asked: list[Needle]


def plant(rng: np.random.Generator, filler: Ids, items: Sequence[Ids]) -> Ids:
    """Return ``filler`` with ``items`` in their order at random places, the last one at its end."""
    row = Row(filler.copy())
    gaps = np.sort(rng.integers(0, len(filler) - len(items) * ITEM_BASES + 1, len(items)))
    gaps[-1] = len(filler) - len(items) * ITEM_BASES
    for number, (gap, item) in enumerate(zip(gaps, items, strict=True)):
        row.put(int(gap) + number * ITEM_BASES, item)
    return row.ids


def make_trial(rng: np.random.Generator, variant: str, filler: Ids, count: int = 1) -> Trial:
    """Return a trial of one of ``VARIANTS`` whose first part is as long as ``filler``.

    Parameters
    ----------
    rng
        Draws names, payloads and places.
    variant
        ``needles``: so many of them; ``overwritten``: each planted twice; ``decoys``: each followed by its own name
        and another payload behind a near-miss flag, and by a near-miss name with another payload.
    filler
        What the items are written over.
    count
        Number of needles that will be asked for.
    """
    needles = draw_needles(rng, count)
    items = [needle.item() for needle in needles]
    if variant == "overwritten":
        old = [draw_needle(rng, needle.name).item() for needle in needles]
        return Trial(plant(rng, filler, old + items), needles)
    if variant == "decoys":
        flags = [draw_needle(rng, n.name).item(near_miss(rng, FLAG, most=2)) for n in needles]
        names = [draw_needle(rng, near_miss(rng, n.name, most=2)).item() for n in needles]
        decoys = [*flags, *names]
        return Trial(plant(rng, filler, items + [decoys[i] for i in rng.permutation(len(decoys))]), needles)
    return Trial(plant(rng, filler, items), needles)


VARIANTS = ("needles", "overwritten", "decoys")
