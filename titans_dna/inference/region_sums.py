"""Sums over intervals in one pass of a stream, which is not kept, and the scores of regions that are made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from titans_dna.genome.interval import Interval


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


@dataclass(frozen=True, kw_only=True)
class RegionScore:
    """Scores of one region; nan where no base of it is known."""

    bases: int  # known bases
    log_likelihood: float  # sum of ln P, in nats
    bits_per_base: float
    memory_surprise: float  # mean loss of the memories at the region's known bases, before they learn from them
    entropy_bits: float  # mean entropy of the model's predictions of the region's known bases
    bits_without_relatives: float = math.nan  # bits per base where no relative is in the copy memory
    bits_without_stretch: float = math.nan  # bits per base where some stretches are not in the copy memory

    @classmethod
    def of(
        cls, *, bases: int, log_likelihood: float, entropy_bits: float, reads: int, losses: float,
        others: Mapping[str, float] | None = None,
    ) -> RegionScore:  # fmt: skip
        """Return the score from sums over ``bases`` that were predicted and ``reads`` that were read; nan for none.

        ``others`` are log-likelihoods with less in the copy memory, by the name of the field.
        """
        predicted = bases or math.nan
        bits = lambda total: float(-total / predicted / math.log(2))  # noqa: E731
        return cls(
            bases=int(bases),
            log_likelihood=float(log_likelihood) if bases else math.nan,
            bits_per_base=bits(log_likelihood),
            memory_surprise=float(losses / (reads or math.nan)),
            entropy_bits=float(entropy_bits / predicted),
            **{name: bits(total) if bases else math.nan for name, total in (others or {}).items()},
        )


class RegionSums:
    """Sums over regions of one contig.

    There are two of them, because a stream predicts a base one input before it reads it.

    Parameters
    ----------
    regions
        On the contig, 0-based half-open, in any order.
    others
        Names of the fields of `RegionScore` that hold bits with less in the copy memory.
    """

    def __init__(self, regions: Sequence[Interval], others: Sequence[str] = ()) -> None:
        starts, ends = np.array([r.start for r in regions], int), np.array([r.end for r in regions], int)
        self._others = tuple(others)
        self._predicted, self._read = IntervalSums(starts, ends, 2 + len(others)), IntervalSums(starts, ends, 1)

    def predicted(self, start: int, log_p: np.ndarray, entropy_bits: np.ndarray, *others: np.ndarray) -> None:
        """Add ln P and entropy of bases from ``start`` on, and ln P with less in the copy memory; nan if unknown."""
        self._predicted.add(start, np.stack([log_p, entropy_bits, *others], 1))

    def read(self, start: int, surprise: np.ndarray) -> None:
        """Add the surprise of the memories at bases from ``start`` on."""
        self._read.add(start, surprise[:, None])

    def scores(self) -> list[RegionScore]:
        """Return the scores of the regions, in their order."""
        sums, counts = self._predicted.results()
        losses, reads = self._read.results()
        return [
            RegionScore.of(
                bases=n, log_likelihood=total, entropy_bits=entropy, reads=m, losses=loss,
                others=dict(zip(self._others, others, strict=True)),
            )
            for (total, entropy, *others), n, loss, m in zip(sums, counts, losses[:, 0], reads, strict=True)
        ]  # fmt: skip

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the sums so far, for ``restore``."""
        (sums, counts), (losses, reads) = self._predicted.partial(), self._read.partial()
        return {"sums": sums, "counts": counts, "losses": losses, "reads": reads}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what ``arrays`` returned for the same regions."""
        self._predicted.restore(arrays["sums"], arrays["counts"])
        self._read.restore(arrays["losses"], arrays["reads"])
