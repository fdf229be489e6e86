"""Rows in place of places: counts of what followed each word, in the form of a copy memory's records.

The alternative that the copy memory is held against (``ablations.py --memories``). A row is addressed by the hash
of the last k bases and holds how often each base came next, on both strands: a linear memory with sparse keys, written
with step 1/n. The same network that weighs places weighs the four counts of every row.
"""

from __future__ import annotations

import numba
import numpy as np

from titans_dna.loading.lanes import MASKED, Contig, reverse_complement_ids
from titans_dna.loading.recalled import BLOCK, RecalledStrand
from titans_dna.recall.record import HELD_AT, HITS_AT, LAST_AT, RUN_AT

WORDS = np.array([11, 14, 18, 24])
BASES, ROW_BITS = 4, 22
SLOTS = BASES * len(WORDS)
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@numba.njit(nogil=True)
def _row(word: int, which: int) -> int:  # pragma: no cover
    mixed = np.uint64(word) * MULTIPLIER + np.uint64(which)
    return int((mixed * MULTIPLIER) >> np.uint64(64 - ROW_BITS))


@numba.njit(nogil=True)
def rows(ids: np.ndarray, words: np.ndarray) -> np.ndarray:  # pragma: no cover
    """Return the records (T, SLOTS) uint32 after each id, of what was read up to and with it."""
    counts = np.zeros((len(words), 1 << ROW_BITS, BASES), dtype=np.uint16)
    out = np.zeros((len(ids), len(words) * BASES), dtype=np.uint32)
    forward, inverted = np.zeros(len(words), np.int64), np.zeros(len(words), np.int64)
    known = 0
    for t in range(len(ids)):
        base = int(ids[t])
        known = known + 1 if base < BASES else 0
        if not known:
            continue
        for which in range(len(words)):
            k = words[which]
            mask, top = (1 << 2 * k) - 1, 2 * (k - 1)
            if known > k:  # the word before this base, and the complement of the word that ends with it
                _count(counts[which, _row(forward[which], which)], base)
            inverted[which] = inverted[which] >> 2 | (BASES - 1 - base) << top
            if known > k:
                _count(counts[which, _row(inverted[which], which)], BASES - 1 - int(ids[t - k]))
            forward[which] = (forward[which] << 2 | base) & mask
            if known < k:
                continue
            seen = counts[which, _row(forward[which], which)]
            everyone = np.int64(seen[0]) + np.int64(seen[1]) + np.int64(seen[2]) + np.int64(seen[3])
            for b in range(BASES):
                n = np.int64(seen[b])
                if n:
                    record = b | 1 << HELD_AT | (255 * n // everyone) << LAST_AT | min(63, everyone) << RUN_AT
                    out[t, which * BASES + b] = record | (which * 8 + min(7, int(np.log2(n)))) << HITS_AT
    return out


@numba.njit(nogil=True)
def _count(row: np.ndarray, base: int) -> None:  # pragma: no cover
    if row[base] < 60_000:
        row[base] += 1


def with_rows(contigs: list[Contig], form: object = None) -> list[Contig]:
    """Return the contigs with the records of rows along both strands of each; every contig has rows of its own."""
    return [
        Contig(codes=contig.codes, recalled=(_strand(contig.codes, False), _strand(contig.codes, True)))
        for contig in contigs
    ]


def _strand(codes: np.ndarray, reverse: bool) -> RecalledStrand:
    ids = (reverse_complement_ids(codes) if reverse else codes) & np.uint8(MASKED - 1)
    found = rows(ids, WORDS)
    held = found > 0
    counts = held.sum(1, dtype=np.uint8)
    sums = np.add.reduceat(counts, np.arange(0, len(counts), BLOCK), dtype=np.int64)
    # Slots may hold gaps; a window packs records to the left, and the network does not ask which slot one is in.
    return RecalledStrand(
        counts=counts,
        codes=found[held],
        starts=np.concatenate([[0], np.cumsum(sums)[:-1]]),
        slots=SLOTS,
        tokens=len(ids),
    )
