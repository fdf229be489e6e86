"""Order-k Markov models: the baselines that a neural model has to beat.

Counts are taken on both strands of the training contigs ("inverted repeats" of GeCo). The pseudo-count is the one of
``PSEUDO_COUNTS`` that is best on the held-out sequence itself, which favours the baseline.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from titans_dna.loading.lanes import reverse_complement_ids
from titans_dna.training.word_counts import words_before

PSEUDO_COUNTS = (1.0, 0.25, 1 / 16, 1 / 64)
JOINED_BASES = 1 << 24  # sequences are joined up to this length, because many short ones would take long
MAXIMUM_ORDER = 12  # 4^13 counts of 4 bytes: 268 MB


def _joined(sequences: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the sequences joined to longer ones, with an unknown base between them, which no word crosses."""
    parts: list[np.ndarray] = []
    for ids in sequences:
        parts += [ids, np.array([4], dtype=ids.dtype)]
        if sum(map(len, parts)) > JOINED_BASES:
            yield np.concatenate(parts)
            parts = []
    if parts:
        yield np.concatenate(parts)


class MarkovModel:
    """Counts of the bases that follow each word of ``order`` bases.

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
        for joined in _joined(sequences):
            for strand in (joined, reverse_complement_ids(joined)):
                word, base = words_before(strand, order)
                self.counts += np.bincount(word * 4 + base, minlength=len(self.counts)).astype(np.int32)
        self.counts = self.counts.reshape(-1, 4)

    def bits_per_base(self, sequences: Sequence[np.ndarray]) -> float:
        """Return the mean of -log2 P over the known bases of ``sequences``, with the best pseudo-count."""
        pairs = [words_before(ids, self.order) for ids in sequences]
        word, base = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        rows = self.counts[word]
        seen, total = rows[np.arange(len(base)), base], rows.sum(1)
        bits = [-np.log2((seen + a) / (total + 4 * a)).mean() for a in PSEUDO_COUNTS]
        return float(min(bits))
