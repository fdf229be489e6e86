"""Needles in a haystack of real DNA: whether a model finds again what it has read once, far back.

The task is that of Genomic-NIAH (huggingface/carbon, 2026). A needle is a random key of 24 bases directly followed by a
random value of 24, planted at 10, 30, 50, 70 and 90% of a stretch of real sequence. Behind the haystack the key is
given, and 24 bases are decoded greedily; they are exactly the value, or they are not. A decoy has a key that differs in
a few bases, and another value: it punishes a model that recalls whatever looks alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.inference.generate import decode_greedily, read_prompt
from titans_dna.inference.metrics import share_interval
from titans_dna.inference.model import SequenceModel, require_single_bases
from titans_dna.inference.windows import WHOLE_CONTIG, Context
from titans_dna.io.sequence.fasta import Genome
from titans_dna.tokenizers import NucleotideTokenizer

DEPTHS = (0.1, 0.3, 0.5, 0.7, 0.9)
NEAR = 0.01  # a needle lies so close to its depth, as a share of the haystack
KEY_BP = VALUE_BP = 24
ITEM_BP = KEY_BP + VALUE_BP
ROOM = 4  # times the bases of its items, at least, that a haystack has
ASKED_AT_ONCE = 64
WINDOW_BP = 8192  # that the network reads before the end, where a copy memory reads all
LETTERS = np.frombuffer(b"ACGT", np.uint8)
HAYSTACKS_BP = (98_304, 393_216, 786_432)  # of the published task
COLUMNS = (
    "test", "haystack_bp", "needles", "decoys", "distance", "asked", "exact", "exact_low", "exact_high", "bases_right"
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class NeedleTest:
    """What is planted, and how often.

    Raises
    ------
    ConfigError
        If a number is out of its range, or a haystack has no room.
    """

    haystack_bp: int
    haystacks: int = 4
    needles: int = len(DEPTHS)  # in each haystack; more than five lie anywhere
    decoys: int = 0  # for each needle
    distance: int = 0  # bases of its key that a decoy has otherwise

    def __post_init__(self) -> None:
        if self.haystacks < 1 or self.needles < 1 or self.decoys < 0 or not 0 <= self.distance <= KEY_BP:
            raise ConfigError(f"haystacks and needles must be 1 or more, decoys 0 or more, distances 0 to {KEY_BP}")
        if self.decoys and not self.distance:
            raise ConfigError("a decoy at distance 0 would be the needle itself; choose 1 or more")
        most = math.comb(KEY_BP, self.distance) * 3**self.distance
        if self.decoys and self.decoys > most:
            raise ConfigError(f"{self.decoys:,} decoys: only {most:,} keys differ in {self.distance}; choose fewer")
        least = ROOM * ITEM_BP * self.needles * (1 + self.decoys)
        if self.haystack_bp < least:
            raise ConfigError(f"a haystack of {self.haystack_bp:,} bases has no room; choose {least:,} or more")

    @property
    def name(self) -> str:
        """What it is called in a table."""
        return f"decoys at distance {self.distance}" if self.decoys else "plain"


@dataclass(frozen=True, kw_only=True)
class Haystack:
    """A sequence with its needles, in the order in which they are asked for."""

    ids: np.ndarray  # (bases,) uint8
    keys: np.ndarray  # (needles, KEY_BP) uint8
    values: np.ndarray  # (needles, VALUE_BP) uint8, the right answers


@dataclass(frozen=True, kw_only=True)
class Recalled:
    """How many needles were recalled."""

    asked: int
    exact: int  # values of which every base is right
    right: int  # bases that are right, of asked * VALUE_BP


def known_bases(genome: Genome, least_bp: int, wanted_bp: int) -> np.ndarray:
    """Return the known bases of a genome, contig after contig, as ids (bases,) uint8; at most about ``wanted_bp``.

    Raises
    ------
    ConfigError
        If there are fewer than ``least_bp``.
    """
    parts, total = [], 0
    for contig in genome.contigs.names:
        ids = NucleotideTokenizer().encode(genome.sequence(contig))
        parts.append(ids[ids < len(LETTERS)])
        total += len(parts[-1])
        if total >= wanted_bp:
            break
    if total < least_bp:
        raise ConfigError(
            f"{genome.path.name} has {total:,} known bases; {least_bp:,} are needed. Give a longer sequence."
        )
    return np.concatenate(parts)[:wanted_bp]


def stretch(rng: np.random.Generator, ids: np.ndarray, bases: int) -> np.ndarray:
    """Return a copy of a stretch of ``ids`` from a random place on."""
    start = int(rng.integers(0, len(ids) - bases + 1))
    return ids[start : start + bases].copy()


def reading_context(model: SequenceModel) -> Context:
    """Return how a haystack is read: by the copy memory, and its last bases by the network; or all by the network."""
    return Context(kind="window", window_bp=WINDOW_BP) if model.backbone.config.recall else WHOLE_CONTIG


def make_haystack(rng: np.random.Generator, test: NeedleTest, ids: np.ndarray) -> Haystack:
    """Plant the needles of a test, and decoys for each, in a stretch of ``ids``."""
    found = stretch(rng, ids, test.haystack_bp)
    free = np.ones(len(found), dtype=bool)
    keys = _distinct(rng, test.needles, KEY_BP)
    values = _distinct(rng, test.needles * (1 + test.decoys), VALUE_BP).reshape(test.needles, -1, VALUE_BP)
    # All needles first, so that no decoy takes the room at a needle's depth.
    for row, key in enumerate(keys):
        depth = DEPTHS[row] if test.needles <= len(DEPTHS) else None
        _plant(rng, found, free, np.concatenate([key, values[row, 0]]), depth)
    for key, others in zip(keys, values[:, 1:], strict=True):
        near = {_changed(rng, key, test.distance).tobytes() for _ in others}
        while len(near) < test.decoys:
            near.add(_changed(rng, key, test.distance).tobytes())
        for decoy, value in zip(sorted(near), others, strict=True):
            _plant(rng, found, free, np.concatenate([np.frombuffer(decoy, np.uint8), value]), None)
    return Haystack(ids=found, keys=keys, values=values[:, 0])


def _distinct(rng: np.random.Generator, rows: int, bases: int) -> np.ndarray:
    words = rng.integers(0, 4, (rows, bases), dtype=np.uint8)
    while len(np.unique(words, axis=0)) < rows:
        words = rng.integers(0, 4, (rows, bases), dtype=np.uint8)
    return words


def _changed(rng: np.random.Generator, word: np.ndarray, count: int) -> np.ndarray:
    """Return a word with exactly ``count`` of its bases changed."""
    changed, at = word.copy(), rng.choice(len(word), count, replace=False)
    changed[at] = (changed[at] + rng.integers(1, 4, count)) % 4
    return changed


def _plant(rng: np.random.Generator, ids: np.ndarray, free: np.ndarray, item: np.ndarray, depth: float | None) -> None:
    """Write an item around a depth, or anywhere, where it touches no other."""
    last = len(ids) - len(item)
    low, high = (0, last) if depth is None else (int((depth - NEAR) * len(ids)), int((depth + NEAR) * len(ids)))
    # A short haystack has little room around a depth; an item may then lie a little further off.
    high = min(last, max(high, low + 2 * len(item)))
    while True:
        start = int(rng.integers(low, high + 1))
        if free[start : start + len(item)].all():
            ids[start : start + len(item)], free[start : start + len(item)] = item, False
            return


def recall_needles(
    model: SequenceModel, ids: np.ndarray, test: NeedleTest, seed: int, *,
    context: Context | None = None, advance: Callable[[int], None] = lambda bases: None,
) -> Recalled:  # fmt: skip
    """Ask a model for the needles of some haystacks.

    Parameters
    ----------
    model
        With one token per base.
    ids
        (bases,) uint8: real sequence that haystacks are taken from (`known_bases`).
    test
        What is planted.
    seed
        Begins all random numbers; the haystacks of a test do not depend on other tests.
    context
        What the network reads of a haystack; None for `reading_context`.
    advance
        Called with the bases read since the last call.

    Raises
    ------
    ConfigError
        If the model reads tokens of several bases.
    """
    require_single_bases(model, "needles")
    exact = right = 0
    for number in range(test.haystacks):
        rng = np.random.default_rng([seed, test.haystack_bp, test.needles, test.decoys, test.distance, number])
        haystack = make_haystack(rng, test, ids)
        answers = _ask(model, haystack, context or reading_context(model))
        advance(test.haystack_bp)
        hits = answers == haystack.values
        exact, right = exact + int(hits.all(1).sum()), right + int(hits.sum())
    return Recalled(asked=test.haystacks * test.needles, exact=exact, right=right)


def _ask(model: SequenceModel, haystack: Haystack, context: Context) -> np.ndarray:
    """Return what is decoded behind every key, each asked from a branch of one state."""
    sequence = LETTERS[haystack.ids].tobytes()
    # The last base alone is the prompt: a window then begins shortly before it, not at the first base.
    prompt = read_prompt(model, "haystack", sequence, len(sequence) - 1, context=context)
    parts = np.array_split(haystack.keys, -(-len(haystack.keys) // ASKED_AT_ONCE))
    return np.concatenate([decode_greedily(model, prompt, part, VALUE_BP) for part in parts])


def plan_needles(
    bases: int, haystacks_bp: Sequence[int] = (), number: int = 4, decoys: int = 8, distances: Sequence[int] = (4, 2, 1)
) -> list[NeedleTest]:
    """Return the tests of the task: plain and with decoys at each distance, for every length of a haystack.

    Parameters
    ----------
    bases
        Known bases at hand.
    haystacks_bp
        Lengths; none for those of the published task that fit.
    number
        Haystacks of each test, with a needle at five depths each.
    decoys, distances
        Decoys for each needle, and in how many bases their keys differ. No decoys, no tests with them.

    Raises
    ------
    ConfigError
        If no haystack fits, or a number is out of its range.
    """
    chosen = list(haystacks_bp) or [n for n in HAYSTACKS_BP if n <= bases]
    if not chosen or max(chosen) > bases:
        least = max(chosen, default=min(HAYSTACKS_BP))
        raise ConfigError(f"there are {bases:,} known bases, too few for a haystack of {least:,}; choose a shorter one")
    tests = []
    for haystack_bp in chosen:
        tests.append(NeedleTest(haystack_bp=haystack_bp, haystacks=number))
        tests += [
            NeedleTest(haystack_bp=haystack_bp, haystacks=number, decoys=decoys, distance=distance)
            for distance in (distances if decoys else ())
        ]
    return tests


def needle_row(test: NeedleTest, found: Recalled) -> dict[str, Any]:
    """Return the row of a test, with the columns `COLUMNS`."""
    low, high = share_interval(found.exact, found.asked)
    return {
        "test": test.name, "haystack_bp": test.haystack_bp, "needles": test.needles, "decoys": test.decoys,
        "distance": test.distance if test.decoys else None, "asked": found.asked,
        "exact": round(found.exact / found.asked, 4), "exact_low": round(low, 4), "exact_high": round(high, 4),
        "bases_right": round(found.right / (found.asked * VALUE_BP), 4),
    }  # fmt: skip
