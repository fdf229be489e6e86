"""The loops of the vote of the relatives, compiled by numba: one place of each genome is followed along a sequence.

The rule differs from that of the copy memory (``follow_kernels.follow``): it is not causal where a place begins, keeps
one place of each genome, and says at a base how many of the 64 bases before it the place foretold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from titans_dna.numba_cache import KEPT
from titans_dna.recall.kernels import (
    address_of,
    base_at,
    entry_end,
    every_other_bit,
    is_gap,
    ones,
    place_in,
    reversed_bits,
    slot_of,
    window_at,
)

SPAN = 32  # bases of a window
BEHIND = 26  # bases of a word and before it, and bases after it, that decide whether a place is followed
AHEAD = 8
HIT, MISS, MOST, FIRST = 10, 15, 120, 72  # the sum by which a place is kept: gone when it falls to 0
ALL = np.uint32(0xFFFFFFFF)


@njit(cache=KEPT, inline="always")
def reverse_complement(x: np.uint64) -> np.uint64:
    """Return the reverse complement of a window of 32 bases."""
    x = ((x >> np.uint64(2)) & np.uint64(0x3333333333333333)) | ((x & np.uint64(0x3333333333333333)) << np.uint64(2))
    x = ((x >> np.uint64(4)) & np.uint64(0x0F0F0F0F0F0F0F0F)) | ((x & np.uint64(0x0F0F0F0F0F0F0F0F)) << np.uint64(4))
    x = ((x >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)) | ((x & np.uint64(0x00FF00FF00FF00FF)) << np.uint64(8))
    x = ((x >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)) | ((x & np.uint64(0x0000FFFF0000FFFF)) << np.uint64(16))
    return ~((x >> np.uint64(32)) | (x << np.uint64(32)))


@njit(cache=KEPT, inline="always")
def known_at(gaps: np.ndarray, at: int) -> np.uint32:
    """Return a bit for each of the 32 tokens from an offset on: 1 where there is a base, 0 before the start."""
    if at < 0:
        if at <= -SPAN:
            return np.uint32(0)
        return np.uint32((~gaps[0] << np.uint64(-at)) & np.uint64(0xFFFFFFFF))
    shift, word = np.uint64(at & 63), at >> 6
    low = ~gaps[place_in(len(gaps), word)] >> shift
    if shift > np.uint64(32):
        low |= ~gaps[place_in(len(gaps), word + 1)] << (np.uint64(64) - shift)
    return np.uint32(low & np.uint64(0xFFFFFFFF))


@njit(cache=KEPT, inline="always")
def agreement(query: Any, at: int, store: Any, position: int, direction: int) -> np.uint32:
    """Return a bit for each of 32 bases of the query from ``at`` on: 1 where the place has the same base.

    ``position`` is that of the base that stands at ``at``; from there the place goes on in its direction.
    """
    if direction > 0:
        window, known = window_at(store[0], position), known_at(store[1], position)
    else:
        window = reverse_complement(window_at(store[0], position - SPAN + 1))
        known = reversed_bits(known_at(store[1], position - SPAN + 1))
    differ = window_at(query[0], at) ^ window
    return every_other_bit(~(differ | (differ >> np.uint64(1)))) & known & known_at(query[1], at)


@njit(cache=KEPT, inline="always")
def genome_at(starts: np.ndarray, genomes: np.ndarray, position: int) -> int:
    """Return the genome of the contig that a position of the tape lies in."""
    return genomes[np.searchsorted(starts, position, side="right") - 1]


@njit(cache=KEPT, inline="always")
def foretold_at(store: Any, position: int, direction: int, end: int) -> int:
    """Return the base that a place foretells, or 4 where it has come to the end of its contig."""
    if position < 0 or position >= end or is_gap(store[1], position):
        return 4
    base = base_at(store[0], position)
    return base if direction > 0 else 3 - base


@njit(cache=KEPT)
def try_entries(
    query: Any, store: Any, index: Any, starts: np.ndarray, genomes: np.ndarray, end: int, at: int, address: int,
    word_bases: int, matches: int, accepted: int, direction: int, places: np.ndarray, hits: np.ndarray,
) -> None:  # fmt: skip
    """Follow the entries of an address where they agree with what surrounds the word that ends at ``at``."""
    keys, heads, previous, _ = index
    entry, tried = heads[slot_of(keys, heads, np.uint32(address))], 0
    first = entry
    # A word that is found so often says little, and the newest of its places would all be of the genome read last.
    while entry != 0:
        tried += 1
        if tried > matches:
            return
        entry = previous[place_in(len(previous), int(entry) - 1)]
    entry = first
    while entry != 0:
        last = entry_end(index[3], entry)
        entry = previous[place_in(len(previous), int(entry) - 1)]
        here = last if direction > 0 else last - word_bases + 1  # what stands where the query stands
        behind = agreement(query, at - SPAN + 1, store, here - direction * (SPAN - 1), direction)
        close = ones(np.uint32(behind >> np.uint32(SPAN - BEHIND)))
        if close + AHEAD < accepted:
            continue
        ahead = agreement(query, at + 1, store, here + direction, direction)
        if close + ones(np.uint32(ahead & np.uint32((1 << AHEAD) - 1))) < accepted:
            continue
        position = here + direction
        if foretold_at(store, position, direction, end) > 3:
            continue
        genome = genome_at(starts, genomes, position)
        if places[genome, 1] == direction and places[genome, 0] == position:
            continue
        before = agreement(query, at - 2 * SPAN + 1, store, here - direction * (2 * SPAN - 1), direction)
        # Agreement behind a token that is no base is of another stretch.
        if before != ALL or behind != ALL:
            before, behind = _since_gap(query, at, before, behind)
        found = ones(before) + ones(behind)
        if places[genome, 1] != 0 and found <= ones(hits[genome, 0]) + ones(hits[genome, 1]):
            continue
        places[genome, 0], places[genome, 1], places[genome, 2] = position, direction, FIRST
        hits[genome, 0], hits[genome, 1] = before, behind


@njit(cache=KEPT)
def _since_gap(query: Any, at: int, before: np.uint32, behind: np.uint32) -> tuple[np.uint32, np.uint32]:
    """Return the agreement without what lies before the query's last token that is no base."""
    known = known_at(query[1], at - SPAN + 1)
    if known != ALL:
        for i in range(SPAN - 1, -1, -1):
            if not (known >> np.uint32(i)) & np.uint32(1):
                return np.uint32(0), np.uint32(behind >> np.uint32(i) << np.uint32(i))
    known = known_at(query[1], at - 2 * SPAN + 1)
    for i in range(SPAN - 1, -1, -1):
        if not (known >> np.uint32(i)) & np.uint32(1):
            return np.uint32(before >> np.uint32(i) << np.uint32(i)), behind
    return before, behind


@njit(cache=KEPT, nogil=True)
def follow_genomes(
    query: Any, tokens: int, store: Any, indexes: Any, starts: np.ndarray, genomes: np.ndarray, end: int,
    lengths: np.ndarray, masks: np.ndarray, samples: np.ndarray, index_bits: int, matches: np.ndarray, accepted: int,
    foretold: np.ndarray, trusted: np.ndarray,
) -> None:  # fmt: skip
    """Read a query and say at each base what every genome's place foretells, and how well it did before.

    Parameters
    ----------
    query, tokens
        Tape and gaps of what is read, and its length.
    store, indexes
        Those of the memory of the relatives; for every word ``(keys, heads, previous, ends)``.
    starts, genomes, end
        First position of every contig on the memory's tape, rising; the genome of each; where the last one ends.
    lengths, masks, samples, index_bits
        As in ``RecallForm``.
    matches, accepted
        For every word, how many entries it may have not to be passed over; of 34 bases in and around a word, those that
        must agree.
    foretold, trusted
        (T, G) uint8 to be filled: base, or 4 for none; of the 64 bases before, those that were foretold.
    """
    count = foretold.shape[1]
    places = np.zeros((count, 3), dtype=np.int64)  # position, direction (0 for no place), sum
    hits = np.zeros((count, 2), dtype=np.uint32)  # older and newer 32 outcomes, the newest in the highest bit
    known = 0
    for at in range(tokens):
        for genome in range(count):
            foretold[at, genome] = 4
            if places[genome, 1] != 0:
                foretold[at, genome] = foretold_at(store, places[genome, 0], places[genome, 1], end)
                trusted[at, genome] = ones(hits[genome, 0]) + ones(hits[genome, 1])
        if is_gap(query[1], at):
            known = 0
            places[:, 1] = 0
            continue
        known += 1
        token = base_at(query[0], at)
        for genome in range(count):
            if places[genome, 1] == 0:
                continue
            hit = foretold[at, genome] == token
            places[genome, 2] = min(MOST, places[genome, 2] + HIT) if hit else places[genome, 2] - MISS
            hits[genome, 0] = (hits[genome, 0] >> np.uint32(1)) | (hits[genome, 1] << np.uint32(31))
            hits[genome, 1] = (hits[genome, 1] >> np.uint32(1)) | (np.uint32(1 << 31) if hit else np.uint32(0))
            places[genome, 0] += places[genome, 1]
            ended = foretold_at(store, places[genome, 0], places[genome, 1], end) > 3
            if ended or places[genome, 2] <= 0:
                places[genome, 1] = 0
        recent = window_at(query[0], at - SPAN + 1)
        reverse = reverse_complement(recent)
        for kind in range(len(lengths)):
            if known < lengths[kind]:
                continue
            # The reverse complement of the last bases begins with that of the newest.
            for direction in (1, -1):
                word = recent >> np.uint64(64 - 2 * lengths[kind]) if direction > 0 else reverse
                address = address_of(word, masks[kind], index_bits, samples[kind])
                if address >= 0:
                    try_entries(
                        query, store, indexes[kind], starts, genomes, end, at, address, lengths[kind], matches[kind],
                        accepted, direction, places, hits,
                    )  # fmt: skip
