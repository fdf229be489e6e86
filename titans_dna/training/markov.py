"""Order-k Markov models: the baselines that a neural model has to beat.

Counts are taken on both strands of the training contigs ("inverted repeats" of GeCo). The pseudo-count is the one of
``PSEUDO_COUNTS`` that is best on the held-out sequence itself, which favours the baseline.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from titans_dna.loading.lanes import reverse_complement_ids

PSEUDO_COUNTS = (1.0, 0.25, 1 / 16, 1 / 64)
JOINED_BASES = 1 << 24  # sequences are joined up to this length, because many short ones would take long
MAXIMUM_ORDER = 12  # 4^13 counts of 4 bytes: 268 MB


def contexts(ids: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Return word and base of every position that is known together with the ``order`` bases before it.

    Parameters
    ----------
    ids
        0 to 3 for A, C, G, T; anything else is unknown.
    order
        Number of preceding bases in a word, 0 or more. A word is a number in base 4, its first base the highest digit.
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
                word, base = contexts(strand, order)
                self.counts += np.bincount(word * 4 + base, minlength=len(self.counts)).astype(np.int32)
        self.counts = self.counts.reshape(-1, 4)

    def bits_per_base(self, sequences: Sequence[np.ndarray]) -> float:
        """Return the mean of -log2 P over the known bases of ``sequences``, with the best pseudo-count."""
        pairs = [contexts(ids, self.order) for ids in sequences]
        word, base = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        rows = self.counts[word]
        seen, total = rows[np.arange(len(base)), base], rows.sum(1)
        bits = [-np.log2((seen + a) / (total + 4 * a)).mean() for a in PSEUDO_COUNTS]
        return float(min(bits))


def adaptive_bits(ids: np.ndarray, order: int) -> float:
    """Return the mean bits of the bases of a sequence, each predicted from the counts of all bases before it.

    After each base, its word is counted on both strands ("inverted repeats" of GeCo). The pseudo-count is the best of
    ``PSEUDO_COUNTS`` for the whole sequence.
    """
    size = max(0, len(ids) - order)
    direct, inverse = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    known = np.ones(size, dtype=bool)
    for at in range(order + 1):
        piece = ids[at : at + size]
        known &= piece < 4
        if at < order:
            direct = direct * 4 + (piece & 3)
        if at:  # the other strand reads the complements backwards: from the base that follows to the word's second base
            inverse += (3 - (piece & 3)).astype(np.int64) * 4 ** (at - 1)
    direct, inverse = direct[known], inverse[known]
    base = ids[order:][known].astype(np.int64) if size else np.zeros(0, dtype=np.int64)
    other = 3 - ids[:size][known].astype(np.int64)
    # All counts at once: entries in the order of reading, sorted stably by word, so that the entries of a word before
    # any entry are those it has met. Running sums then are the counts at that time.
    word = np.stack([direct, inverse], 1).ravel()
    follows = np.stack([base, other], 1).ravel()
    by_word = np.argsort(word, kind="stable")
    seen = np.zeros((len(word) + 1, 4), dtype=np.int32)
    seen[1:][np.arange(len(word)), follows[by_word]] = 1
    np.cumsum(seen, axis=0, out=seen)
    start = np.flatnonzero(np.diff(word[by_word], prepend=-1))
    first = np.repeat(start, np.diff(np.append(start, len(word))))
    before = np.empty((len(word), 4), dtype=np.int32)
    before[by_word] = seen[:-1] - seen[first]
    before = before[::2]
    hits, total = before[np.arange(len(base)), base], before.sum(1)
    return float(min(-np.log2((hits + a) / (total + 4 * a)).mean() for a in PSEUDO_COUNTS))
