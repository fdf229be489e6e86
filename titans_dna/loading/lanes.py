"""Training windows from parallel lanes; each lane walks along a contig, so that memory states can be carried along.

A lane starts at a random place of a random contig and strand, and gives consecutive windows. It starts anew at the end
of the contig or, at random, after a window. Some lanes start anew after every window, so that random windows are mixed
with the streams. Where a lane starts anew, its memory must be reset (``Batch.fresh``).

The whole state of the sampler is a few numbers (``state``), so a run can go on exactly where it stopped. Every process
of a distributed run draws the same batch and takes its share of the lanes, so the windows do not depend on the number
of processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.recall.record import AGE_AT

EVERYTHING = 32  # log2 of a distance that is larger than any: recall is not cut
LEAST_CUT, MOST_CUT = 8, 22  # log2 of the shortest and longest distance in bases at which recall may be cut
MASKED = 8  # bit of a code that marks a soft-masked base; the lower bits are its id
_COMPLEMENT = np.array([3, 2, 1, 0, 4, 5, 6, 7], dtype=np.uint8)
_COMPLEMENT = np.concatenate([_COMPLEMENT, _COMPLEMENT + MASKED])


@dataclass(frozen=True, kw_only=True)
class Contig:
    """A contig to learn from."""

    codes: np.ndarray  # (bases,) uint8: id of the base, plus MASKED if it is soft-masked; may be a memory map
    weight: float = 1.0  # how often its bases are drawn, relative to a contig of weight 1
    versions: tuple[int, ...] = (0,)  # versions of the word counts without this contig (training/word_counts.py)
    genome: int = 0  # number of its genome; the copy memory reads the contigs of a genome one after the other
    recalled: tuple[RecalledStrand, RecalledStrand] | None = None  # what the copy memory recalls along both strands


class RecalledStrand(Protocol):
    """What a copy memory recalls along a strand (``loading/recalled.py``)."""

    @property
    def slots(self) -> int:
        """Most places that are recalled at a token."""
        ...

    def window(self, start: int, end: int) -> np.ndarray:
        """Return the records after reading bases ``start`` to ``end`` (half-open), (T, S) uint32."""
        ...


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One window per lane; ``targets[:, t]`` is the base that follows ``inputs[:, t]``."""

    inputs: np.ndarray  # (lanes, window) int64
    targets: np.ndarray  # (lanes, window) int64
    weights: np.ndarray  # (lanes, window) float32: weights of the loss; 0 where the target is no base
    fresh: np.ndarray  # (lanes,) bool: the lane starts anew here
    versions: np.ndarray  # (lanes,) int64: version of the word counts that the lane reads
    bases: np.ndarray  # (lanes, window) float32: number of bases that each target is the first to cover
    recalled: np.ndarray | None = None  # (lanes, window, S) uint32: records of the copy memory after each input

    def rows(self, start: int, end: int) -> Batch:
        """Return lanes ``start`` to ``end`` (0-based half-open)."""
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        cut: dict[str, Any] = {name: x if x is None else x[start:end] for name, x in values.items()}
        return Batch(**cut)


@dataclass(frozen=True, kw_only=True)
class Place:
    """The place at which a lane goes on."""

    contig: int
    reverse: bool
    next_base: int  # counted along the strand that is read, from 0
    version: int


def reverse_complement_ids(ids: np.ndarray) -> np.ndarray:
    """Return the ids, or codes, of the reverse complement."""
    return _COMPLEMENT[ids[::-1]]


def shares_of(known: Sequence[float], weights: Sequence[float], least: int, unit: str) -> np.ndarray:
    """Return how often each contig is drawn: by its weight times the number of its known bases or tokens.

    Raises
    ------
    ConfigError
        If fewer than ``least`` are known, or all weights are 0.
    """
    if sum(known) < least or not known:
        raise ConfigError(f"the training contigs hold fewer than {least} {unit}; give more sequence")
    share = np.array(known) * np.array(weights)
    if share.sum() <= 0:
        raise ConfigError("every genome has a sampling weight of 0; give one a weight above 0")
    return share / share.sum()


class LaneSampler:
    """Draws batches of consecutive windows; the same seed gives the same batches.

    Parameters
    ----------
    contigs
        Contigs to learn from, drawn in proportion to their weight times the number of their known bases.
    lanes
        Number of windows in a batch.
    window_tokens
        Length of a window; ``draw`` may be asked for a shorter one.
    bos
        Id of the start token, which stands before the first base of a lane.
    targets
        Number of ids that are bases.
    restart
        Probability that a lane starts anew after a window, in (0, 1].
    random_lanes
        Number of lanes, the last ones, that start anew after every window.
    soft_mask_weight
        Loss weight of soft-masked bases.
    both_strands
        Whether the reverse complement is drawn as often as the forward strand.
    without_recall, cut_recall
        Share of the windows in which nothing is recalled, and of those in which recall is cut at a random distance. So
        a model learns to work with little memory, and how far to trust what is near.
    seed
        Seed of the random generator.

    Raises
    ------
    ConfigError
        If the contigs have fewer known bases than a window, or all weights are 0.
    """

    def __init__(
        self,
        contigs: Sequence[Contig],
        *,
        lanes: int,
        window_tokens: int,
        bos: int,
        targets: int = 4,
        restart: float = 0.25,
        random_lanes: int = 0,
        soft_mask_weight: float = 0.1,
        both_strands: bool = True,
        without_recall: float = 0.1,
        cut_recall: float = 0.3,
        seed: int = 0,
    ) -> None:
        # Drawn by known bases, because a contig that is mostly N has little to learn.
        known = [float(((c.codes & (MASKED - 1)) < targets).sum()) for c in contigs]
        share = shares_of(known, [c.weight for c in contigs], window_tokens, "bases")
        self._contigs, self._share = list(contigs), np.cumsum(share)
        self._window, self._bos, self._targets, self._restart = window_tokens, bos, targets, restart
        self._random_from, self._soft, self._both = lanes - random_lanes, soft_mask_weight, both_strands
        self._without, self._cut = without_recall, cut_recall
        self._slots = contigs[0].recalled[0].slots if contigs[0].recalled else 0
        self._random = np.random.default_rng(seed)
        self._places: list[Place | None] = [None] * lanes

    def state(self) -> dict[str, Any]:
        """Return the state that ``restore`` needs to go on from here, as plain values."""
        places = [
            None if p is None else [p.contig, int(p.reverse), p.next_base, p.version] for p in self._places
        ]  # fmt: skip
        return {"random": self._random.bit_generator.state, "places": places}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state that ``state`` returned."""
        self._random.bit_generator.state = state["random"]
        self._places = [
            None if p is None else Place(contig=p[0], reverse=bool(p[1]), next_base=p[2], version=p[3])
            for p in state["places"]
        ]

    def draw(self, window_tokens: int | None = None) -> Batch:
        """Return the next window of every lane."""
        window, lanes = window_tokens or self._window, len(self._places)
        bases = np.full((lanes, window + 1), self._bos, dtype=np.uint8)
        recalled = np.zeros((lanes, window, self._slots), dtype=np.uint32) if self._slots else None
        fresh, versions = np.zeros(lanes, dtype=bool), np.zeros(lanes, dtype=np.int64)
        for lane, place in enumerate(self._places):
            fresh[lane] = place is None
            here = place or self._start(window)
            first = 1 if place is None else 0  # start token, or the base before
            codes = self._slice(here, here.next_base - 1 + first, here.next_base + window)
            bases[lane, first : first + len(codes)] = codes
            if recalled is not None:
                found = self._recall(here, here.next_base - 1 + first, window - first)
                recalled[lane, first : first + len(found)] = found
            versions[lane] = here.version
            self._places[lane] = self._after(lane, here, window)
        soft = (bases[:, 1:] & MASKED) > 0
        bases &= MASKED - 1
        targets = bases[:, 1:].astype(np.int64)
        # Lower case marks repeats, which are easy to predict and would otherwise rule the loss.
        weights = np.where(soft, self._soft, 1.0).astype(np.float32) * (targets < self._targets)
        return Batch(
            inputs=bases[:, :-1].astype(np.int64), targets=targets, weights=weights, fresh=fresh, versions=versions,
            bases=np.ones_like(weights), recalled=recalled,
        )  # fmt: skip

    def _after(self, lane: int, here: Place, window: int) -> Place | None:
        """Return the place at which the lane goes on, or None if it starts anew."""
        end = here.next_base + window
        # A window with less than half of its bases left is not worth a place in the batch.
        over = end + window // 2 > len(self._contigs[here.contig].codes)
        stop = self._random.random() < self._restart
        if over or stop or lane >= self._random_from:
            return None
        return Place(contig=here.contig, reverse=here.reverse, next_base=end, version=here.version)

    def _start(self, window: int) -> Place:
        """Return a random place from which on more than half of a window are known bases."""
        for _ in range(1000):
            contig = int(
                np.searchsorted(self._share, self._random.random(), side="right").clip(0, len(self._share) - 1)
            )
            whole = self._contigs[contig]
            start = int(self._random.integers(max(1, len(whole.codes) - window + 1)))
            # Drawn in any case, so that the other draws are the same with one strand or both.
            reverse = bool(self._random.integers(2)) and self._both
            version = whole.versions[int(self._random.integers(len(whole.versions)))]
            place = Place(contig=contig, reverse=reverse, next_base=start, version=version)
            if ((self._slice(place, start, start + window) & (MASKED - 1)) < self._targets).mean() > 0.5:
                return place
        raise ConfigError("hardly any window holds known bases; is the sequence all N?")

    def _reach(self) -> int:
        """Draw how far back a window recalls, as log2 of a distance in bases."""
        drawn, cut = self._random.random(), int(self._random.integers(LEAST_CUT, MOST_CUT + 1))
        return 0 if drawn < self._without else cut if drawn < self._without + self._cut else EVERYTHING

    def _recall(self, place: Place, start: int, tokens: int) -> np.ndarray:
        """Return the records after each of ``tokens`` bases from ``start`` on, up to the end of the strand."""
        contig = self._contigs[place.contig]
        assert contig.recalled is not None
        found = contig.recalled[place.reverse].window(start, min(start + tokens, len(contig.codes)))
        return np.where((found >> AGE_AT & 31) < self._reach(), found, 0)

    def _slice(self, place: Place, start: int, end: int) -> np.ndarray:
        """Return the codes of bases ``start`` to ``end`` of the strand that is read, up to the end of the contig."""
        codes = self._contigs[place.contig].codes
        size = len(codes)
        end = min(end, size)
        return reverse_complement_ids(codes[size - end : size - start]) if place.reverse else codes[start:end]
