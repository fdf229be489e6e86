"""Pools the features of bases into vectors of regions, in one pass, with memory for the regions being read only.

A stream gives the features of its bases piece by piece; a pool takes them, and gives out the vector of every region as
soon as the stream has passed the region's end. Bases are counted along the strand that is read. Unknown bases (N and
other ambiguity codes) are ignored; a region without a known base has a vector of nan.

    mean     mean over the region's known bases
    max      largest value of each feature over them
    last     the features at the last of them in the direction of reading
    center   the features at the middle base, or at the last known base before it within the region
    bins:N   N means, one per bin, from the contig's left to its right; bin k of n bases covers floor(k n / N) to
             ceil((k + 1) n / N), so bins overlap by a base where n is no multiple of N, and none is empty
    none     the features of every base, from the contig's left to its right
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from titans_dna.errors import ConfigError

POOLS = ("mean", "max", "last", "center", "none", "bins:N")
_BINS = re.compile(r"bins:([1-9][0-9]{0,4})")

Emitted = tuple[np.ndarray, np.ndarray]  # (k,) targets and (k, columns) vectors


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """How the bases of a region become its vector.

    Examples
    --------
    >>> Pooling.parse("bins:4")
    Pooling(kind='bins', bins=4)
    """

    kind: str  # "mean", "max", "last", "center", "bins" or "none"
    bins: int = 1  # vectors per region; where the kind is "none", per base

    @classmethod
    def parse(cls, text: str) -> Pooling:
        """Return the pooling of this name, such as ``mean`` or ``bins:10``.

        Raises
        ------
        ConfigError
            If the name is unknown.
        """
        if text in POOLS[:-1]:
            return cls(kind=text)
        match = _BINS.fullmatch(text)
        if match is None:
            raise ConfigError(f"pooling is {text!r}; choose one of {', '.join(POOLS)}, such as bins:10")
        return cls(kind="bins", bins=int(match[1]))

    @property
    def ragged(self) -> bool:
        """Whether a region has one vector per base."""
        return self.kind == "none"

    def __str__(self) -> str:
        return f"bins:{self.bins}" if self.kind == "bins" else self.kind

    def pool(self, starts: np.ndarray, ends: np.ndarray, targets: np.ndarray, columns: int, *, reverse: bool) -> Pool:
        """Return a pool for regions on one strand.

        Parameters
        ----------
        starts, ends
            Bounds of the regions, half-open, counted along the strand that is read; none may be empty.
        targets
            Number of each region's first vector in the output; its further vectors follow.
        columns
            Number of features of a base.
        reverse
            Whether the strand runs against the contig, so that vectors of one region are numbered from its end.
        """
        if self.kind == "none":
            return _Bases(starts, ends, targets, reverse)
        if self.kind == "center":  # the latest known base up to the middle one: `_Latest` of a region that ends there
            ends = starts + (ends - starts) // 2 + 1
        if self.kind == "bins":
            bins = np.arange(self.bins)
            lengths = (ends - starts)[:, None]
            low = starts[:, None] + bins * lengths // self.bins
            high = starts[:, None] - (-(bins + 1) * lengths // self.bins)
            numbers = targets[:, None] + (bins[::-1] if reverse else bins)
            return _Means(low.ravel(), high.ravel(), numbers.ravel(), columns)
        kind = {"mean": _Means, "max": _Maxima}.get(self.kind, _Latest)
        return kind(starts, ends, targets, columns)


def have_vectors(vectors: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """Tell which regions have a vector of numbers, because one of their bases is known; (regions,) bool.

    Parameters
    ----------
    vectors
        One row per region, or as many as ``counts`` says; nan where no base is known.
    counts
        Number of vectors of each region; None for one each.
    """
    finite: np.ndarray = np.isfinite(vectors).any(axis=1)
    if counts is None:
        return finite
    sums, ends = np.concatenate([[0], np.cumsum(finite)]), np.cumsum(counts)
    return sums[ends] > sums[ends - counts]


class Pool(ABC):
    """Spans of a strand that open and close as a stream passes; only open spans have values in memory."""

    def __init__(self, starts: np.ndarray, ends: np.ndarray, targets: np.ndarray) -> None:
        # Spans that are sorted already are not copied, because there may be very many.
        if not (starts[:-1] <= starts[1:]).all():
            order = np.argsort(starts, kind="stable")
            starts, ends, targets = starts[order], ends[order], targets[order]
        self._starts, self._ends, self._targets = starts, ends, targets
        self._next, self._open = 0, np.zeros(0, np.int64)

    @abstractmethod
    def add(self, start: int, values: np.ndarray, known: np.ndarray) -> Iterator[Emitted]:
        """Take the features of the next bases and yield targets and vectors of the regions that end in them.

        Parameters
        ----------
        start
            Number of the first of these bases.
        values
            (m, columns) float32.
        known
            (m,) bool: False for bases to ignore.
        """

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what `restore` needs to go on after the bases taken so far."""
        return {"next": np.array(self._next), "open": self._open}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from the arrays of a pool of the same regions."""
        self._next, self._open = int(arrays["next"]), arrays["open"]

    def _enter(self, end: int) -> int:
        """Open the spans that start before base ``end``, and return their number."""
        first, self._next = self._next, int(np.searchsorted(self._starts, end, side="left"))
        self._open = np.concatenate([self._open, np.arange(first, self._next)])
        return self._next - first


class _Summary(Pool):
    """A pool of one vector per span. A subclass says how the values of a piece change that of a span."""

    initial: float = 0.0
    dtype: type = np.float32

    def __init__(self, starts: np.ndarray, ends: np.ndarray, targets: np.ndarray, columns: int) -> None:
        super().__init__(starts, ends, targets)
        self._values: np.ndarray = np.zeros((0, columns), self.dtype)
        self._counts = np.zeros(0, np.int64)

    def add(self, start: int, values: np.ndarray, known: np.ndarray) -> Iterator[Emitted]:
        end = start + len(values)
        fresh = self._enter(end)
        if not len(self._open):
            return
        begun: np.ndarray = np.full((fresh, self._values.shape[1]), self.initial, self.dtype)
        self._values = np.concatenate([self._values, begun])
        self._counts = np.concatenate([self._counts, np.zeros(fresh, np.int64)])
        low = np.maximum(self._starts[self._open] - start, 0)
        high = np.minimum(self._ends[self._open] - start, len(values))
        numbers = np.concatenate([[0], np.cumsum(known)])
        if numbers[-1]:  # without a known base no value changes
            self._take(values, known, low, high)
        self._counts += numbers[high] - numbers[low]
        yield from self._close(end)

    def arrays(self) -> dict[str, np.ndarray]:
        return {**super().arrays(), "values": self._values, "counts": self._counts}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        super().restore(arrays)
        self._values, self._counts = arrays["values"], arrays["counts"]

    def _close(self, end: int) -> Iterator[Emitted]:
        """Yield the spans that are complete at base ``end``, and keep the others."""
        done = self._ends[self._open] <= end
        if done.any():
            vectors = self._result(self._values[done], self._counts[done]).astype(np.float32)
            vectors[self._counts[done] == 0] = np.nan
            yield self._targets[self._open[done]], vectors
        self._open, self._values, self._counts = self._open[~done], self._values[~done], self._counts[~done]

    @abstractmethod
    def _take(self, values: np.ndarray, known: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        """Add bases ``low`` to ``high`` of a piece to each open span."""

    def _result(self, values: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return the vectors of complete spans."""
        return values


class _Means(_Summary):
    """Means. Sums are differences of a running sum over the piece, in float64, so that no digits are lost."""

    dtype = np.float64

    def _take(self, values: np.ndarray, known: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        totals = np.zeros((len(values) + 1, values.shape[1]))
        np.cumsum(np.where(known[:, None], values, 0.0), axis=0, out=totals[1:])
        self._values += totals[high] - totals[low]

    def _result(self, values: np.ndarray, counts: np.ndarray) -> np.ndarray:
        return values / np.maximum(counts, 1)[:, None]


class _Maxima(_Summary):
    """Largest values; unknown bases count as minus infinity."""

    initial = -np.inf

    def _take(self, values: np.ndarray, known: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        # `reduceat` takes pairs of bounds as one list: every second result is a span, the others lie between spans. A
        # bound may be the length itself, so one row more is needed.
        padded = np.full((len(values) + 1, values.shape[1]), -np.inf, np.float32)
        padded[:-1][known] = values[known]
        pairs = np.stack([low, high], axis=1).ravel()
        np.maximum(self._values, np.maximum.reduceat(padded, pairs, axis=0)[::2], out=self._values)


class _Latest(_Summary):
    """Values of the last known base."""

    def _take(self, values: np.ndarray, known: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        latest = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))[high - 1]
        found = latest >= low
        self._values[found] = values[latest[found]]


class _Bases(Pool):
    """Every base by itself; each is given out at once."""

    def __init__(self, starts: np.ndarray, ends: np.ndarray, targets: np.ndarray, reverse: bool) -> None:
        super().__init__(starts, ends, targets)
        self._reverse = reverse

    def add(self, start: int, values: np.ndarray, known: np.ndarray) -> Iterator[Emitted]:
        """Take the features of the next bases, and yield those that lie in regions, region by region."""
        end = start + len(values)
        self._enter(end)
        if not len(self._open):
            return
        plain = np.where(known[:, None], values, np.float32(np.nan)).astype(np.float32)
        for span in self._open:
            first, final = self._starts[span], self._ends[span]
            bases = np.arange(max(first, start), min(final, end))
            within = final - 1 - bases if self._reverse else bases - first
            yield self._targets[span] + within, plain[bases - start]
        self._open = self._open[self._ends[self._open] > end]
