"""Order-k Markov models: the baselines that a neural model has to beat.

Counts are taken on both strands of the training contigs (inverted repeats, as GeCo does). The pseudo-count is the best
of ``PSEUDO_COUNTS`` on the held-out sequence itself, which favours the baseline.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from titans_dna.loading.lanes import reverse_complement_ids

PSEUDO_COUNTS = (1.0, 0.25, 1 / 16, 1 / 64)
MAXIMUM_ORDER = 12  # 4^13 counts of 4 bytes: 268 MB


def contexts(ids: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the word number and the base of every position whose ``order`` preceding bases and itself are known.

    Parameters
    ----------
    ids
        0 to 3 for A, C, G, T; anything else is unknown.
    order
        Number of preceding bases, 0 or more.
    """
    size = max(0, len(ids) - order)
    word = np.zeros(size, dtype=np.int64)
    known = np.ones(size, dtype=bool)
    for back in range(order, -1, -1):
        piece = ids[order - back : order - back + size]
        known &= piece < 4
        if back:
            word = word * 4 + piece
    return word[known], ids[order:][known].astype(np.int64)


class MarkovModel:
    """Counts of the base that follows each word of ``order`` bases.

    Raises
    ------
    ValueError
        If the order is not in 0 to ``MAXIMUM_ORDER``.
    """

    def __init__(self, order: int, sequences: Sequence[np.ndarray]) -> None:
        if not 0 <= order <= MAXIMUM_ORDER:
            raise ValueError(f"Markov order is {order}; choose 0 to {MAXIMUM_ORDER}")
        self.order = order
        self.counts = np.zeros(4 ** (order + 1), dtype=np.int32)
        for ids in sequences:
            for strand in (ids, reverse_complement_ids(ids)):
                word, base = contexts(strand, order)
                rows, counts = np.unique(word * 4 + base, return_counts=True)
                self.counts[rows] += counts.astype(np.int32)
        self.counts = self.counts.reshape(-1, 4)

    def bits_per_base(self, sequences: Sequence[np.ndarray]) -> float:
        """Return the mean information of the known bases of ``sequences``, in bits, at the best pseudo-count."""
        pairs = [contexts(ids, self.order) for ids in sequences]
        word, base = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        rows = self.counts[word]
        seen, total = rows[np.arange(len(base)), base], rows.sum(1)
        bits = [-np.log2((seen + a) / (total + 4 * a)).mean() for a in PSEUDO_COUNTS]
        return float(min(bits))
