"""The loops of the copy memory, compiled by numba: words written at chunk borders, places found and followed.

A store is the tape (two bits a base), a bit per token that is no base, and for every word length an index: ``heads``
holds the newest entry of an address, ``previous`` the one before each entry. Nothing is ever changed behind a position
once it was read past, so a reader that stands further back sees what it saw then: entries at or beyond its own chunk
border are passed over. A reader of a haplotype has a store of its own over a parent, of which it sees what was written
before ``seam``; the parent may lie over one more store in the same way: a haplotype over a strand over relatives. A
``Frame`` says where on the common scale of positions they begin and how far each is seen.

Sizes of what is written are powers of two and every index is taken modulo them: a bounded memory is a ring, an
unbounded one never wraps.

What is called at every token is inlined: a call counts the references of each array that it is given, up and down, and
with fourteen arrays that took nearly half of the time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from titans_dna.recall.form import CHUNK
from titans_dna.recall.record import AGE_AT, HELD_AT, HITS_AT, INVERTED_AT, LAST_AT, RUN_AT


def _can_be_kept() -> bool:
    """Tell whether what is compiled can be kept on the disk, beside this file or in the user's cache."""
    try:
        njit(cache=True)(_nothing)
    except RuntimeError:  # numba finds no folder that it may write to
        return False
    return True


def _nothing() -> None:
    pass


KEPT = _can_be_kept()
Frame = tuple[int, int, int, int]  # base of the own store and its seam, base of the parent and its seam
ODD = np.uint64(0x5555555555555555)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xD6E8FEB86659FD93)
SLOT = np.uint32(0x9E3779B1)
SPAN = 32  # bases whose outcomes are kept
NEWEST = np.uint32(1 << 31)  # the bit of the newest outcome
LEAST_OF_16 = 8  # hits of the last 16 below which a place is dropped
CHANCE_RUN = 2  # bases by which one run may be longer than another by chance: the newer of two such places leads,
SURE_RUN = 4  # if its run is so much longer than the least of a leader; else a near copy catches up with the exact one
STRIDE = 4  # where all slots are taken, or a place has not missed for SPAN bases, others are looked for so seldom


@njit(cache=KEPT, inline="always")
def hashed(word: np.uint64) -> np.uint64:
    """Spread a word over 64 bits (a multiply-xorshift round of splitmix64)."""
    word = (word ^ (word >> np.uint64(32))) * MIX
    word = (word ^ (word >> np.uint64(29))) * GOLDEN
    return word ^ (word >> np.uint64(32))


@njit(cache=KEPT, inline="always")
def place_in(size: int, at: int) -> int:
    """Return an index into an array: modulo its length where that is a power of two, else no more than the last.

    Memories in files are as long as what they hold, and no index of theirs may lead out of them.
    """
    return at & (size - 1) if size & (size - 1) == 0 else min(at, size - 1)


@njit(cache=KEPT, inline="always")
def base_at(tape: np.ndarray, at: int) -> int:
    """Return the base at an offset of a store."""
    word = tape[place_in(len(tape), at >> 5)]
    return np.int64((word >> np.uint64((at & 31) * 2)) & np.uint64(3))


@njit(cache=KEPT, inline="always")
def is_gap(gaps: np.ndarray, at: int) -> bool:
    """Tell whether the token at an offset is no base."""
    return (gaps[place_in(len(gaps), at >> 6)] >> np.uint64(at & 63)) & np.uint64(1) != 0


@njit(cache=KEPT, inline="always")
def window_at(tape: np.ndarray, at: int) -> np.uint64:
    """Return the 32 bases from an offset on, the first in the lowest bits; zeros before the start."""
    if at < 0:
        if at <= -SPAN:
            return np.uint64(0)
        return tape[0] << np.uint64(-at * 2)
    shift, word = np.uint64((at & 31) * 2), at >> 5
    low = tape[place_in(len(tape), word)] >> shift
    if shift == 0:
        return low
    return low | (tape[place_in(len(tape), word + 1)] << (np.uint64(64) - shift))


@njit(cache=KEPT, inline="always")
def every_other_bit(x: np.uint64) -> np.uint32:
    """Return bits 0, 2, 4, ... of a number, close together."""
    x &= ODD
    x = (x | (x >> np.uint64(1))) & np.uint64(0x3333333333333333)
    x = (x | (x >> np.uint64(2))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    x = (x | (x >> np.uint64(4))) & np.uint64(0x00FF00FF00FF00FF)
    x = (x | (x >> np.uint64(8))) & np.uint64(0x0000FFFF0000FFFF)
    return np.uint32((x | (x >> np.uint64(16))) & np.uint64(0xFFFFFFFF))


@njit(cache=KEPT, inline="always")
def reversed_bits(x: np.uint32) -> np.uint32:
    """Return 32 bits in the other order."""
    x = ((x >> np.uint32(1)) & np.uint32(0x55555555)) | ((x & np.uint32(0x55555555)) << np.uint32(1))
    x = ((x >> np.uint32(2)) & np.uint32(0x33333333)) | ((x & np.uint32(0x33333333)) << np.uint32(2))
    x = ((x >> np.uint32(4)) & np.uint32(0x0F0F0F0F)) | ((x & np.uint32(0x0F0F0F0F)) << np.uint32(4))
    x = ((x >> np.uint32(8)) & np.uint32(0x00FF00FF)) | ((x & np.uint32(0x00FF00FF)) << np.uint32(8))
    return np.uint32((x >> np.uint32(16)) | (x << np.uint32(16)))


@njit(cache=KEPT, inline="always")
def ones(x: np.uint32) -> int:
    """Count the bits that are set."""
    x = x - ((x >> np.uint32(1)) & np.uint32(0x55555555))
    x = (x & np.uint32(0x33333333)) + ((x >> np.uint32(2)) & np.uint32(0x33333333))
    x = (x + (x >> np.uint32(4))) & np.uint32(0x0F0F0F0F)
    return np.int64(np.uint32(x * np.uint32(0x01010101)) >> np.uint32(24))


@njit(cache=KEPT, inline="always")
def token_in(store: Any, at: int) -> int:
    """Return the base at an offset of a store, or 4 where there is none."""
    return 4 if is_gap(store[1], at) else base_at(store[0], at)


@njit(cache=KEPT, inline="always")
def token_at(stores: Any, frame: Frame, position: int) -> int:
    """Return the base at an absolute position, or 4 where the tape holds none."""
    # No array is handed on: each that is costs a count of its references.
    if position >= frame[0]:
        return token_in(stores[0], position - frame[0])
    if position >= frame[2]:
        return token_in(stores[1], position - frame[2])
    return token_in(stores[2], position)


@njit(cache=KEPT, inline="always")
def window_of(stores: Any, frame: Frame, start: int) -> np.uint64:
    """Return the 32 bases from an absolute position on, of the store that holds the first of them."""
    if start >= frame[0] or frame[0] == 0:
        return window_at(stores[0][0], start - frame[0])
    if start >= frame[2] or frame[2] == 0:
        return window_at(stores[1][0], start - frame[2])
    return window_at(stores[2][0], start)


@njit(cache=KEPT, inline="always")
def foretold_at(stores: Any, frame: Frame, position: int, direction: int) -> int:
    """Return the base that a place at an absolute position foretells, or 4 where the tape holds no base."""
    token = token_at(stores, frame, position)
    return token if direction > 0 or token > 3 else 3 - token


@njit(cache=KEPT)
def put_tokens(tape: np.ndarray, gaps: np.ndarray, at: int, ids: np.ndarray) -> None:
    """Lay ids on the tape from an offset on; a token that is no base is laid down as base 0 and marked."""
    for i in range(len(ids)):
        word, gap = ((at + i) >> 5) & (len(tape) - 1), ((at + i) >> 6) & (len(gaps) - 1)
        shift, bit = np.uint64(((at + i) & 31) * 2), np.uint64(1) << np.uint64((at + i) & 63)
        base = np.uint64(ids[i]) if ids[i] < 4 else np.uint64(0)
        tape[word] = (tape[word] & ~(np.uint64(3) << shift)) | (base << shift)
        gaps[gap] = gaps[gap] & ~bit if ids[i] < 4 else gaps[gap] | bit


@njit(cache=KEPT, inline="always")
def slot_of(keys: np.ndarray, heads: np.ndarray, address: np.uint32) -> int:
    """Return the row of an address: its own where the table has one for each, else found by probing."""
    if len(keys) == 1:
        return np.int64(address)
    last = len(heads) - 1
    slot = np.int64(np.uint32(address * SLOT)) & last
    while heads[slot] != 0 and keys[slot] != address:
        slot = (slot + 1) & last
    return slot


@njit(cache=KEPT)
def rehash(keys: np.ndarray, heads: np.ndarray, new_keys: np.ndarray, new_heads: np.ndarray) -> None:
    """Enter all heads of one table into a larger, empty one."""
    for slot in range(len(heads)):
        if heads[slot] != 0:
            at = slot_of(new_keys, new_heads, keys[slot])
            if len(new_keys) > 1:
                new_keys[at] = keys[slot]
            new_heads[at] = heads[slot]


@njit(cache=KEPT, inline="always")
def entry_end(ends: np.ndarray, entry: np.uint32) -> int:
    """Return the offset of the last base of an entry's word; entries count from 1."""
    if len(ends) == 1:  # every word has an entry of its own, numbered by its offset
        return np.int64(entry) - 1
    return np.int64(ends[place_in(len(ends), int(entry) - 1)])


@njit(cache=KEPT, inline="always")
def newest_before(index: Any, address: np.uint32, limit: int) -> np.uint32:
    """Return the newest entry of an address whose word ends before an offset, or 0."""
    keys, heads, previous, ends = index
    entry = heads[slot_of(keys, heads, address)]
    while entry != 0 and entry_end(ends, entry) >= limit:
        before = previous[place_in(len(previous), int(entry) - 1)]
        entry = before if before < entry else np.uint32(0)  # in a forged file a chain may end in itself
    return entry


@njit(cache=KEPT, inline="always")
def address_of(word: np.uint64, mask: np.uint64, index_bits: int, sample_every: int) -> int:
    """Return the address of a word, or -1 if words like it are not written."""
    mixed = hashed(word & mask)
    if sample_every > 1 and (mixed >> np.uint64(40)) % np.uint64(sample_every) != 0:
        return -1
    return np.int64(mixed & np.uint64((1 << index_bits) - 1))


@njit(cache=KEPT)
def write_words(
    tape: np.ndarray, gaps: np.ndarray, indexes: Any, kind: int, frame: Frame, count: int, start: int, end: int,
    word_bases: int, mask: np.uint64, index_bits: int, sample_every: int, spacing: int,
) -> int:  # fmt: skip
    """Write the words that end at offsets ``start`` to ``end``; return the number of entries then held.

    ``indexes`` are those of all words: of the own store, which is written, of its parent, and of the parent's.
    """
    index, parent, grand = indexes[0][kind], indexes[1][kind], indexes[2][kind]
    base, seam, parent_base, parent_seam = frame
    keys, heads, previous, ends = index
    known = 0
    for at in range(max(0, start - word_bases + 1), end):
        known = 0 if is_gap(gaps, at) else known + 1
        if at < start or known < word_bases:
            continue
        word = window_at(tape, at - SPAN + 1) >> np.uint64(64 - 2 * word_bases)
        address = address_of(word, mask, index_bits, sample_every)
        if address < 0:
            continue
        row = slot_of(keys, heads, np.uint32(address))
        newest = heads[row]
        if newest != 0:
            last = entry_end(ends, newest)
        else:  # the parent's word counts for the spacing too, as if one store held both
            found = newest_before(parent, np.uint32(address), seam - parent_base)
            if found != 0:
                last = entry_end(parent[3], found) + parent_base - base
            else:
                found = newest_before(grand, np.uint32(address), parent_seam)
                last = entry_end(grand[3], found) - base if found != 0 else -(1 << 62)
        # A tandem repeat would fill its address with itself, and hide every older copy.
        if at - last < spacing:
            continue
        entry = at + 1 if len(ends) == 1 else count + 1
        if len(ends) > 1:
            ends[(entry - 1) & (len(ends) - 1)] = np.uint32(at)
        previous[(entry - 1) & (len(previous) - 1)] = newest
        if len(keys) > 1:
            keys[row] = np.uint32(address)
        heads[row] = np.uint32(entry)
        count += 1
    return count


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
    """Hold what every place foretold against the token and move it on; return the number of places that stay."""
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
