"""Markov models that learn the very sequence that they predict: a bound that needs no training set."""

from __future__ import annotations

import numpy as np

from titans_dna.training.markov import PSEUDO_COUNTS


def adaptive_bits(ids: np.ndarray, order: int) -> float:
    """Return the mean bits of the bases of a sequence under counts of itself, each up to the base before.

    After each base its word is counted on both strands (an inverted repeat, as GeCo counts it). The pseudo-count is the
    best of ``PSEUDO_COUNTS`` for the whole sequence.
    """
    size = max(0, len(ids) - order)
    direct, inverse = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    known = np.ones(size, dtype=bool)
    for at in range(order + 1):
        piece = ids[at : at + size]
        known &= piece < 4
        if at < order:
            direct = direct * 4 + (piece & 3)
        if at:  # the other strand reads the word backwards: from the base that followed to the second of the word
            inverse += (3 - (piece & 3)).astype(np.int64) * 4 ** (at - 1)
    direct, inverse = direct[known], inverse[known]
    base = ids[order:][known].astype(np.int64) if size else np.zeros(0, dtype=np.int64)
    other = 3 - ids[:size][known].astype(np.int64)
    word = np.stack([direct, inverse], 1).ravel()  # in the order of time: predicted, then counted on both strands
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
