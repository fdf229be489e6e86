"""Training windows: parallel lanes, each of which walks along a contig so that memory states can be carried on.

A lane starts at a random place of a random contig and strand, and hands out consecutive windows; it starts anew at the
end of the contig or, at random, after a window. Where it starts anew its state must be reset (``Batch.fresh``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from titans_dna.errors import ConfigError

_COMPLEMENT = np.array([3, 2, 1, 0, 4, 5, 6], dtype=np.uint8)


@dataclass(frozen=True, kw_only=True)
class Contig:
    """A contig in memory: ids and loss weights of its bases (0-based)."""

    ids: np.ndarray  # uint8, one per base
    weights: np.ndarray  # float16, one per base; 0 where a base is not to be learned


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One window per lane; ``targets[:, t]`` is the base that follows ``inputs[:, t]``."""

    inputs: np.ndarray  # (lanes, window) int64
    targets: np.ndarray  # (lanes, window) int64
    weights: np.ndarray  # (lanes, window) float32; 0 where the target is no base
    fresh: np.ndarray  # (lanes,) bool: the lane starts anew here
    bases: np.ndarray  # (lanes, window) float32: bases that each target stands for


def reverse_complement_ids(ids: np.ndarray) -> np.ndarray:
    """Return the ids of the other strand."""
    return _COMPLEMENT[ids[::-1]]


class LaneSampler:
    """Draw batches of consecutive windows; the same seed draws the same batches.

    Parameters
    ----------
    contigs
        Contigs to learn, drawn in proportion to their bases of weight above 0.
    lanes, window_tokens
        Shape of a batch.
    bos
        Id that stands before the first base of a lane.
    targets
        Ids below it are bases.
    restart
        Probability that a lane starts anew after a window, in (0, 1].
    seed
        Of the random generator.

    Raises
    ------
    ConfigError
        If no contig has a window of bases.
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
        seed: int = 0,
    ) -> None:
        known = np.array([float((c.ids < targets).sum()) for c in contigs])
        if not len(contigs) or known.sum() < window_tokens:
            raise ConfigError(f"the training contigs hold fewer than {window_tokens} bases; give more sequence")
        self._contigs, self._share = list(contigs), known / known.sum()
        self._window, self._bos, self._targets, self._restart = window_tokens, bos, targets, restart
        self._random = np.random.default_rng(seed)
        self._places: list[tuple[int, bool, int] | None] = [None] * lanes  # contig, reverse strand, next base

    def draw(self) -> Batch:
        """Return the next window of every lane."""
        lanes = len(self._places)
        bases = np.full((lanes, self._window + 1), self._bos, dtype=np.uint8)
        weights = np.zeros((lanes, self._window), dtype=np.float32)
        fresh = np.zeros(lanes, dtype=bool)
        for lane, place in enumerate(self._places):
            fresh[lane] = place is None
            contig, reverse, start = self._start() if place is None else place
            ids, weight = self._slice(contig, reverse, max(start - 1, 0) if place else start, start + self._window)
            first = 0 if place else 1
            bases[lane, first : first + len(ids)] = ids
            weights[lane, : len(weight) - (1 - first)] = weight[1 - first :]
            end = start + self._window
            over = end + self._window // 2 > len(self._contigs[contig].ids)
            stop = over or self._random.random() < self._restart
            self._places[lane] = None if stop else (contig, reverse, end)
        targets = bases[:, 1:].astype(np.int64)
        weights[targets >= self._targets] = 0.0
        return Batch(
            inputs=bases[:, :-1].astype(np.int64),
            targets=targets,
            weights=weights,
            fresh=fresh,
            bases=np.ones_like(weights),
        )

    def _start(self) -> tuple[int, bool, int]:
        for _ in range(1000):
            contig = int(self._random.choice(len(self._contigs), p=self._share))
            ids = self._contigs[contig].ids
            start = int(self._random.integers(max(1, len(ids) - self._window + 1)))
            reverse = bool(self._random.integers(2))
            window, _ = self._slice(contig, reverse, start, start + self._window)
            if (window < self._targets).mean() > 0.5:
                return contig, reverse, start
        raise ConfigError("hardly any window holds known bases; is the sequence all N?")

    def _slice(self, contig: int, reverse: bool, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and weights of bases ``start`` to ``end`` of a strand, clamped to the contig."""
        whole = self._contigs[contig]
        size = len(whole.ids)
        end = min(end, size)
        if not reverse:
            return whole.ids[start:end], whole.weights[start:end]
        return reverse_complement_ids(whole.ids[size - end : size - start]), whole.weights[size - end : size - start][
            ::-1
        ]
