"""The tape and the index of a copy memory, read and written by small loops that numba compiles.

A store is the tape (two bits a base), a bit per token that is no base, and for every word length an index: ``heads``
holds the newest entry of an address, ``previous`` the one before each entry. A reader of a haplotype has a store of its
own over a parent, of which it sees what was written before ``seam``; the parent may lie over one more store in the same
way: a haplotype over a strand over relatives. A ``Frame`` says where on the common scale of positions they begin and
how far each is seen.

Sizes of what is written are powers of two and every index is taken modulo them: a bounded memory is a ring, an
unbounded one never wraps.

What is called at every token is inlined: a call counts the references of each array that it is given, up and down, and
with fourteen arrays that took nearly half of the time. numba keeps compiled code by the file of the outermost function:
after a change of an inlined one here, remove ``__pycache__``, or the old code goes on running.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from titans_dna.numba_cache import KEPT

Frame = tuple[int, int, int, int]  # base of the own store and its seam, base of the parent and its seam
ODD = np.uint64(0x5555555555555555)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xD6E8FEB86659FD93)
SLOT = np.uint32(0x9E3779B1)
SPAN = 32  # bases whose outcomes are kept


@njit(cache=KEPT, inline="always")
def hashed(word: np.uint64) -> np.uint64:
    """Spread a word over 64 bits (a multiply-xorshift round of splitmix64)."""
    word = (word ^ (word >> np.uint64(32))) * MIX
    word = (word ^ (word >> np.uint64(29))) * GOLDEN
    return word ^ (word >> np.uint64(32))


@njit(cache=KEPT, inline="always")
def place_in(size: int, at: int) -> int:
    """Return an index into an array: modulo its length where that is a power of two, else no more than the last.

    Memories in files are no longer than what they hold, so an index must not point beyond their end.
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


@njit(cache=KEPT)
def put_gap(tape: np.ndarray, gaps: np.ndarray, at: int, tokens: int) -> None:
    """Lay tokens that are no bases on the tape, as ``put_tokens`` does, from an offset on that is a multiple of 64."""
    for number in range(at >> 5, (at + tokens + 31) >> 5):
        # What was never written is 0, and a page that is not written to takes no memory.
        if tape[number & (len(tape) - 1)] != 0:
            tape[number & (len(tape) - 1)] = 0
    for number in range(at >> 6, (at + tokens + 63) >> 6):
        left = at + tokens - (number << 6)
        bits = ~np.uint64(0) if left > 63 else (np.uint64(1) << np.uint64(left)) - np.uint64(1)
        gaps[number & (len(gaps) - 1)] = bits


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
