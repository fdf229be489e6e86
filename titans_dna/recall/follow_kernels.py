"""The loop of the copy memory, compiled by numba: places are found, followed and dropped.

Nothing is ever changed behind a position once it was read past, so a reader that stands further back sees what it saw
then: entries at or beyond its own chunk border are passed over. Stores, indexes and frames are those of ``kernels.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from titans_dna.numba_cache import KEPT
from titans_dna.recall.form import CHUNK
from titans_dna.recall.kernels import (
    SPAN,
    Frame,
    address_of,
    entry_end,
    every_other_bit,
    foretold_at,
    newest_before,
    ones,
    place_in,
    reversed_bits,
    token_at,
    window_of,
    write_words,
)
from titans_dna.recall.record import AGE_AT, HELD_AT, HITS_AT, INVERTED_AT, LAST_AT, RUN_AT

NEWEST = np.uint32(1 << 31)  # the bit of the newest outcome
LEAST_OF_16 = 8  # hits of the last 16 below which a place is dropped
CHANCE_RUN = 2  # bases by which one run may be longer than another by chance: the newer of two such places leads,
SURE_RUN = 4  # if its run is so much longer than the least of a leader; else a near copy catches up with the exact one
STRIDE = 4  # where all slots are taken, or a place has not missed for SPAN bases, others are looked for so seldom


@njit(cache=KEPT, inline="always")
def log2(x: int) -> int:
    """Return the logarithm of a number of 1 or more, rounded down."""
    n = 0
    while x > 1:
        x >>= 1
        n += 1
    return n


@njit(cache=KEPT, inline="always")
def record_of(base: int, hits: np.uint32, run: int, distance: int, inverted: bool) -> np.uint32:
    """Return the number that ``record.py`` describes."""
    length = run if run < 32 else min(63, 32 + log2(run) - 5)
    age = min(31, log2(distance))
    return np.uint32(
        base | ones(hits) << HITS_AT | np.int64(hits >> np.uint32(24)) << LAST_AT | length << RUN_AT | age << AGE_AT
        | (1 << INVERTED_AT if inverted else 0) | 1 << HELD_AT
    )  # fmt: skip


@njit(cache=KEPT, inline="always")
def leading_ones(x: np.uint32) -> int:
    """Count the bits that are set from the highest on."""
    n = 0
    while n < 32 and x & NEWEST:
        x = x << np.uint32(1)
        n += 1
    return n


@njit(cache=KEPT, inline="always")
def worst_place(places: np.ndarray, count: int) -> int:
    """Return the first of the places with the fewest hits."""
    worst, least = 0, 33
    for j in range(count):
        hits = ones(np.uint32(places[j, 2]))
        if hits < least:
            worst, least = j, hits
    return worst


@njit(cache=KEPT)
def try_place(
    places: np.ndarray, foretold: np.ndarray, count: int, position: int, direction: int, hits: np.uint32, token: int
) -> int:  # fmt: skip
    """Follow a place from now on if it is new and there is room, or a worse one to give way; return their number."""
    found = ones(hits)
    for j in range(count):
        if places[j, 0] == position and places[j, 1] == direction:
            return count
    row = count
    if count == len(places):
        row = worst_place(places, count)
        if found <= ones(np.uint32(places[row, 2])):
            return count
    else:
        count += 1
    places[row, 0], places[row, 1], places[row, 2] = position, direction, np.int64(hits)
    places[row, 3], foretold[row] = leading_ones(hits), token
    return count


@njit(cache=KEPT, inline="always")
def find_places(
    stores: Any, indexes: Any, kind: int, frame: Frame, now: int, limit: int, oldest: int, places: np.ndarray,
    foretold: np.ndarray, count: int, recent: np.uint64, reverse: np.uint64, word_bases: int, mask: np.uint64,
    index_bits: int, sample_every: int, matches: int, accepted: int, direction: int,
) -> int:  # fmt: skip
    """Try the newest entries of the word that ends at ``now``, or of its reverse complement; all positions absolute."""
    base, seam, parent_base, parent_seam = frame
    word = recent >> np.uint64(64 - 2 * word_bases) if direction > 0 else reverse
    address = address_of(word, mask, index_bits, sample_every)
    if address < 0:
        return count
    tried, level, chain, offset = 0, 0, indexes[0][kind], base
    entry = newest_before(chain, np.uint32(address), limit - base)
    while tried < matches:
        # A store is newer than all that the one under it may show.
        if entry == 0 and level == 0 and seam > 0:
            level, chain, offset = 1, indexes[1][kind], parent_base
            entry = newest_before(chain, np.uint32(address), min(seam, limit) - parent_base)
        if entry == 0 and level == 1 and parent_seam > 0:
            level, chain, offset = 2, indexes[2][kind], 0
            entry = newest_before(chain, np.uint32(address), min(parent_seam, limit))
        if entry == 0:
            break
        end = entry_end(chain[3], entry) + offset
        if end - word_bases + 1 < oldest:
            break
        tried += 1
        start = end - SPAN + 1 if direction > 0 else end - word_bases + 1
        window = window_of(stores, frame, start)
        differ = window ^ (recent if direction > 0 else reverse)
        agree = every_other_bit(~(differ | (differ >> np.uint64(1))))
        if direction > 0:
            known = end - oldest + 1  # bases of the copy that lie in what is held
            position = end + 1
        else:
            agree = reversed_bits(agree)
            known = now - start + 1  # what is not read yet must not be seen
            position = start - 1
        if known < SPAN:
            agree = agree >> np.uint32(SPAN - known) << np.uint32(SPAN - known)
        if ones(np.uint32(agree)) >= accepted and position >= oldest:
            token = foretold_at(stores, frame, position, direction)
            if token < 4:
                count = try_place(places, foretold, count, position, direction, np.uint32(agree), token)
        entry = chain[2][place_in(len(chain[2]), int(entry) - 1)]
    return count


@njit(cache=KEPT)
def advance(
    stores: Any, frame: Frame, oldest: int, token: int, places: np.ndarray, foretold: np.ndarray, count: int
) -> int:
    """Compare what each place foretold with the token, and move it on; return the number of places that are kept."""
    kept = 0
    for j in range(count):
        position, direction = places[j, 0], places[j, 1]
        hit = foretold[j] == token
        hits = np.uint32(places[j, 2]) >> np.uint32(1)
        if hit:
            hits |= NEWEST
        position += direction
        if position < oldest or ones(hits >> np.uint32(16)) < LEAST_OF_16:
            continue
        following = foretold_at(stores, frame, position, direction)
        if following > 3:
            continue
        places[kept, 0], places[kept, 1], places[kept, 2] = position, direction, np.int64(hits)
        places[kept, 3], foretold[kept] = places[j, 3] + 1 if hit else 0, following
        kept += 1
    return kept


@njit(cache=KEPT, inline="always")
def leader(places: np.ndarray, foretold: np.ndarray, count: int, leading_run: int) -> int:
    """Return the base of the place that leads: the newest of those that have gone longest without a miss, or nearly so.

    4 if none leads.
    """
    # Two readings of one word are equally long but for a base or two that agree by chance before it.
    longest = 0
    for j in range(count):
        longest = max(longest, places[j, 3])
    if leading_run == 0 or longest < leading_run:
        return 4
    best = -1
    for j in range(count):
        if places[j, 3] >= min(longest, max(leading_run + SURE_RUN, longest - CHANCE_RUN)) and (
            best < 0 or places[j, 0] > places[best, 0]
        ):
            best = j
    return foretold[best]


@njit(cache=KEPT, nogil=True)
def follow(
    stores: Any, indexes: Any, frame: Frame, counts: np.ndarray, written: int,
    start: int, ids: np.ndarray, floor: int, horizon: int, places: np.ndarray, count: int, lengths: np.ndarray,
    masks: np.ndarray, samples: np.ndarray, index_bits: int, matches: int, accepted: int, spacing: int, inverted: bool,
    leading_run: int, codes: np.ndarray, sources: np.ndarray,
) -> tuple[int, int]:  # fmt: skip
    """Read ``ids``, which lie on the own tape from ``start`` on; return the number of places and what was written.

    Parameters
    ----------
    stores
        Tape and gaps of the store that is written, of the one under it, and of the one under that.
    indexes
        Of the three, for every word ``(keys, heads, previous, ends)``.
    frame
        Where they begin, and up to where the words of the lower ones are seen.
    counts
        Entries held per word length; brought up to date.
    written
        Position up to which the words of the own store are written.
    start, ids
        Where the reader stands, and what it reads.
    floor, horizon
        Oldest position that may be recalled, and how far back one may lie (0 for any distance).
    places, count
        (S, 4) position, direction, outcomes and run of every followed place; changed in place.
    lengths, masks, samples, index_bits, matches, accepted, spacing, inverted, leading_run
        As in ``RecallForm``.
    codes, sources
        (T, S) to be filled: the record of every place after each token, and its position; ``sources`` may have no row.
    """
    base = frame[0]
    foretold = np.empty(len(places), dtype=np.int64)  # base of each place
    for j in range(count):
        foretold[j] = foretold_at(stores, frame, places[j, 0], places[j, 1])
    recent, reverse, known = np.uint64(0), np.uint64(0xFFFFFFFFFFFFFFFF), 0
    for at in range(max(0, start - SPAN), start):
        token = token_at(stores, frame, at)
        known = 0 if token > 3 else known + 1
        recent = (recent >> np.uint64(2)) | (np.uint64(token & 3) << np.uint64(62))
        reverse = (reverse << np.uint64(2)) | np.uint64(3 - (token & 3))
    for i in range(len(ids)):
        now, token = start + i, np.int64(ids[i])
        limit = now // CHUNK * CHUNK
        oldest = max(floor, now + 1 - horizon) if horizon > 0 else floor
        # Words are written at borders of absolute position, so a stream that is cut elsewhere finds the same.
        if now == limit and written < now:
            for kind in range(len(lengths)):
                counts[kind] = write_words(
                    stores[0][0], stores[0][1], indexes, kind, frame, counts[kind], written - base, now - base,
                    lengths[kind], masks[kind], index_bits, samples[kind], spacing,
                )  # fmt: skip
            written = now
        if token > 3:  # no base: it ends every place, and no word reaches over it
            count = known = 0
            recent = recent >> np.uint64(2)
            reverse = (reverse << np.uint64(2)) | np.uint64(3)
            continue
        recent = (recent >> np.uint64(2)) | (np.uint64(token) << np.uint64(62))
        reverse = (reverse << np.uint64(2)) | np.uint64(3 - token)
        known += 1
        count = advance(stores, frame, oldest, token, places, foretold, count)
        # Looking words up costs most. Where a place has not missed for long it is done seldom, but not never: a better
        # or a newer copy may begin.
        enough = count == len(places)
        for j in range(count):
            enough = enough or places[j, 3] >= SPAN
        if not enough or now % STRIDE == 0:
            for kind in range(len(lengths)):
                if known < lengths[kind]:
                    continue
                for direction in (1, -1) if inverted else (1, 1):
                    count = find_places(
                        stores, indexes, kind, frame, now, limit, oldest, places, foretold, count, recent, reverse,
                        lengths[kind], masks[kind], index_bits, samples[kind], matches, accepted, direction,
                    )  # fmt: skip
                    if not inverted:
                        break
        slot, sole = 0, leader(places, foretold, count, leading_run)
        for j in range(count):
            if sole < 4 and foretold[j] != sole:
                continue
            position = places[j, 0]
            hits, distance = np.uint32(places[j, 2]), max(1, now + 1 - position)
            codes[i, slot] = record_of(foretold[j], hits, places[j, 3], distance, places[j, 1] < 0)
            if len(sources):
                sources[i, slot] = position
            slot += 1
    return count, written
