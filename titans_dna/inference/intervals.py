"""Sums values of a stream over many intervals, in one pass, without keeping the stream."""

from __future__ import annotations

import numpy as np


class IntervalSums:
    """Sums of per-base values over half-open intervals, fed piece by piece in order.

    Parameters
    ----------
    starts, ends
        0-based half-open intervals, in any order; they may overlap.
    columns
        Number of values per base.
    """

    def __init__(self, starts: np.ndarray, ends: np.ndarray, columns: int) -> None:
        self._order = np.argsort(starts, kind="stable")
        self._starts = np.asarray(starts, dtype=np.int64)[self._order]
        self._ends = np.asarray(ends, dtype=np.int64)[self._order]
        # Furthest end among the intervals up to each: it grows, so that a binary search skips all that lie before the
        # stream.
        self._reach = np.maximum.accumulate(self._ends) if len(self._ends) else self._ends
        self._sums = np.zeros((len(self._starts), columns))
        self._counts = np.zeros(len(self._starts), dtype=np.int64)

    def add(self, start: int, values: np.ndarray) -> None:
        """Add the values (n, columns) of bases ``start`` to ``start + n``; a base with a nan is left out."""
        first = np.searchsorted(self._reach, start, side="right")
        last = np.searchsorted(self._starts, start + len(values), side="left")
        if first >= last:
            return
        known = np.isfinite(values).all(1)
        # The sum over an interval is a difference of running sums. They are float64 and begin anew with each piece, so
        # that the difference of two large numbers costs no digits.
        totals = np.zeros((len(values) + 1, values.shape[1]))
        np.cumsum(np.where(known[:, None], values, 0.0), axis=0, out=totals[1:])
        numbers = np.concatenate([[0], np.cumsum(known)])
        low = np.clip(self._starts[first:last] - start, 0, len(values))
        high = np.maximum(np.clip(self._ends[first:last] - start, 0, len(values)), low)
        self._sums[first:last] += totals[high] - totals[low]
        self._counts[first:last] += numbers[high] - numbers[low]

    def partial(self) -> tuple[np.ndarray, np.ndarray]:
        """Return sums and counts so far, for ``restore``."""
        return self._sums, self._counts

    def restore(self, sums: np.ndarray, counts: np.ndarray) -> None:
        """Go on from what ``partial`` returned for the same intervals."""
        self._sums[:], self._counts[:] = sums, counts

    def results(self) -> tuple[np.ndarray, np.ndarray]:
        """Return sums (intervals, columns) float64 and numbers of summed bases, in the given order of intervals."""
        sums, counts = np.empty_like(self._sums), np.empty_like(self._counts)
        sums[self._order], counts[self._order] = self._sums, self._counts
        return sums, counts
