"""A copy memory: the tape of what a stream has read, and the index of its words; readers are in ``reader.py``."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Self

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.recall.form import CHUNK, MOST_TOKENS, RecallForm

Index = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # keys, heads, previous, ends

UNUSED = 1 << 16  # rows of a table that are left alone together where all are 0
SMALL = 256  # rows of the smallest tables
GAP = 4  # id on the tape of every letter other than a base


def _loops() -> ModuleType:
    """Return the compiled loops, imported when first used: numba takes half a second."""
    from titans_dna.recall import kernels

    return kernels


def _power_of_two(at_least: int) -> int:
    return 1 << max(0, at_least - 1).bit_length()


def _larger(array: np.ndarray, rows: int) -> np.ndarray:
    """Return an array of so many rows that begins with the given one; pages that are not used cost nothing."""
    if rows <= len(array):
        return array
    out = np.zeros(rows, dtype=array.dtype)
    for start in range(0, len(array), UNUSED):  # a run of N writes no word, so stretches may be empty
        piece = array[start : start + UNUSED]
        if piece.any():
            out[start : start + len(piece)] = piece
    return out


class CopyMemory:
    """Tape and index of one strand of one stream; only ever added to.

    Parameters
    ----------
    form
        Words, addresses and rule. With ``horizon_bases`` the memory is a ring: its size does not grow past it.
    """

    def __init__(self, form: RecallForm) -> None:
        self.form = form
        self.base = self.seam = 0  # first position of the own tape; the parent's words are seen up to the seam
        self.writes = True  # whether it may be added to
        self.end = self.written = 0  # positions up to which ids are held, and words written
        self.parent: CopyMemory | None = None
        self._tape, self._gaps = np.zeros(SMALL, dtype=np.uint64), np.zeros(SMALL, dtype=np.uint64)
        self._indexes = [self._empty_index(every) for every in form.sample_every]
        self._counts = np.zeros(len(form.words), dtype=np.int64)
        self._lengths, self._masks = np.array([len(w) for w in form.words]), np.array(form.masks, dtype=np.uint64)
        self._ring = form.ring_tokens
        self._summed = (0, 0)  # a position, and the checksum of all before it

    def _empty_index(self, sample_every: int) -> Index:
        ends = np.zeros(1 if self.form.numbered(sample_every) else SMALL, dtype=np.uint32)
        tables = [np.zeros(SMALL, dtype=np.uint32) for _ in range(3)]
        return (tables[0], tables[1], tables[2], ends)

    @property
    def store(self) -> tuple[np.ndarray, np.ndarray]:
        """Tape and gaps, as the loops take them."""
        return self._tape, self._gaps

    @property
    def indexes(self) -> tuple[Index, ...]:
        """The index of each word."""
        return tuple(self._indexes)

    @property
    def words(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lengths of the words, their masks, and of how many one is written."""
        return self._lengths, self._masks, np.array(self.form.sample_every)

    def lay(self, ids: np.ndarray) -> None:
        """Add ids to the tape alone; no word of them can be found."""
        self._put(np.ascontiguousarray(ids, dtype=np.uint8))

    @property
    def entries(self) -> list[int]:
        """Words that are written, of each kind."""
        return self._counts.tolist()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that the memory holds, no longer than it must be: what ``of_arrays`` makes a memory of."""
        tokens = self.end - self.base
        found = {"tape": self._tape[: tokens // 32 + 2], "gaps": self._gaps[: tokens // 64 + 2]}
        for kind, (keys, heads, previous, ends) in enumerate(self._indexes):
            entries = self.written - self.base if len(ends) == 1 else int(self._counts[kind])
            found |= {f"keys_{kind}": keys, f"heads_{kind}": heads, f"previous_{kind}": previous[: max(1, entries)]}
            found[f"ends_{kind}"] = ends if len(ends) == 1 else ends[: max(2, entries)]
        return found

    @classmethod
    def of_arrays(
        cls, form: RecallForm, tokens: int, entries: Sequence[int], arrays: Mapping[str, np.ndarray], checksum: int
    ) -> Self:
        """Return a memory whose arrays these are; they are used as they are, not copied, so it can only be read.

        Parameters
        ----------
        form
            Its settings.
        tokens
            Ids that it holds, a multiple of the chunk.
        entries
            Words that are written, of each kind.
        arrays
            Those of ``arrays``.
        checksum
            Of its ids.

        Raises
        ------
        ValueError
            If they cannot be those of such a memory.
        """
        memory = cls(form)
        memory._tape, memory._gaps = arrays["tape"], arrays["gaps"]
        memory._indexes = [
            (arrays[f"keys_{n}"], arrays[f"heads_{n}"], arrays[f"previous_{n}"], arrays[f"ends_{n}"])
            for n in range(len(form.words))
        ]
        memory.end = memory.written = tokens
        memory.writes, memory._summed = False, (tokens, checksum)
        memory._counts[:] = entries
        if tokens % CHUNK or len(memory._tape) != tokens // 32 + 2 or len(memory._gaps) != tokens // 64 + 2:
            raise ValueError("its tape is not as long as what it holds")
        kinds = {name: np.uint64 if name in ("tape", "gaps") else np.uint32 for name in arrays}
        if any(array.ndim != 1 or array.dtype != kinds[name] for name, array in arrays.items()):
            raise ValueError("its arrays are not those of a copy memory")
        for (keys, heads, previous, ends), every, count in zip(
            memory._indexes, form.sample_every, memory._counts, strict=True
        ):
            rows, numbered = len(heads), form.numbered(every)
            whole = len(keys) == 1 and rows == 1 << form.index_bits
            if not (whole or (len(keys) == rows and rows & (rows - 1) == 0 and not heads.all())):
                raise ValueError("a table of addresses has not the rows that it needs")
            if len(previous) != max(1, tokens if numbered else count) or len(ends) != (
                1 if numbered else max(2, count)
            ):
                raise ValueError("its words are not as many as it says")
        return memory

    def ids(self, start: int, end: int) -> np.ndarray:
        """Return the ids of positions ``start`` to ``end`` (half-open), uint8; ``GAP`` where there is no base."""
        if start < self.base:
            assert self.parent is not None
            if end <= self.base:
                return self.parent.ids(start, end)
            return np.concatenate([self.parent.ids(start, self.base), self.ids(self.base, end)])
        at = np.arange(start - self.base, end - self.base)
        word, gap = at >> 5, at >> 6
        if self._ring:
            word, gap = word & len(self._tape) - 1, gap & len(self._gaps) - 1
        bases = self._tape[word] >> ((at & 31) * 2).astype(np.uint64) & np.uint64(3)
        gaps = self._gaps[gap] >> (at & 63).astype(np.uint64) & np.uint64(1)
        return np.where(gaps == 1, GAP, bases).astype(np.uint8)

    def checksum(self, position: int) -> int:
        """Return the CRC-32 of the ids before a position that can still be recalled from there."""
        if self._ring:
            start, found = max(0, position - self.form.horizon_bases), 0
        else:  # a stream is saved again and again: what was summed before is not summed anew
            start, found = self._summed if self._summed[0] <= position else (0, 0)
        for at in range(start, position, 1 << 20):
            found = zlib.crc32(self.ids(at, min(position, at + (1 << 20))).tobytes(), found)
        if not self._ring:
            self._summed = (position, found)
        return found

    def holds(self, start: int, ids: np.ndarray) -> bool:
        """Tell whether the memory has these ids (0 to 3, or more for no base) from a position on."""
        return np.array_equal(self.ids(start, start + len(ids)), np.minimum(ids, GAP))

    def append(self, ids: np.ndarray) -> None:
        """Add ids to the end, and their words as far as the last chunk border: read, but nothing recalled.

        Parameters
        ----------
        ids
            (n,) 0 to 3 for bases, anything above for N and other tokens that are no bases.
        """
        for start in range(0, len(ids), 1 << 20):
            piece = np.ascontiguousarray(ids[start : start + (1 << 20)], dtype=np.uint8)
            if piece.min() >= GAP:
                self.append_gap(len(piece))
                continue
            self._put(piece)
            self._write_words(self.end // CHUNK * CHUNK)

    def append_gap(self, tokens: int) -> None:
        """Add so many tokens that are no bases, as ``append`` does, but without a look at each of them."""
        head = min(tokens, -self.end % CHUNK)
        self._put(np.full(head, GAP, dtype=np.uint8))
        self._write_words(self.end // CHUNK * CHUNK)
        if rest := tokens - head:
            self._make_room(rest, words=0)
            _loops().put_gap(self._tape, self._gaps, self.end - self.base, rest)
            self.end += rest
            self.written = max(self.written, self.end // CHUNK * CHUNK)  # no word ends in a gap

    def _put(self, ids: np.ndarray) -> None:
        if not len(ids):
            return
        self._make_room(len(ids), words=len(ids))
        _loops().put_tokens(self._tape, self._gaps, self.end - self.base, ids)
        self.end += len(ids)

    def _make_room(self, tokens: int, *, words: int) -> None:
        """Make room for so many more tokens, and the words that they may write."""
        assert self.writes, "a memory of a file is read only; fork it"
        if self.end + tokens > MOST_TOKENS:
            raise ConfigError(f"a copy memory holds at most {MOST_TOKENS:,} tokens; set recall horizon_bases")
        size = self.end - self.base + tokens + CHUNK
        size = min(size, self._ring) if self._ring else size
        self._tape = _larger(self._tape, _power_of_two(size // 32 + 2))
        self._gaps = _larger(self._gaps, _power_of_two(size // 64 + 2))
        for kind, (keys, heads, previous, ends) in enumerate(self._indexes):
            entries = int(self._counts[kind]) + self.end + words - self.written  # each token may write a word
            entries = size if len(ends) == 1 else entries
            ends = ends if len(ends) == 1 else _larger(ends, _power_of_two(entries + 1))
            previous = _larger(previous, _power_of_two(entries + 1))
            keys, heads = self._room(kind, keys, heads, words)
            self._indexes[kind] = (keys, heads, previous, ends)

    def _room(self, kind: int, keys: np.ndarray, heads: np.ndarray, words: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the table of addresses, at most half full after so many more words; at last a row for each."""
        if len(keys) == 1:
            return keys, heads
        used = int(self._counts[kind]) + self.end - self.written + words
        rows, whole = _power_of_two(2 * used), 1 << self.form.index_bits
        if rows <= len(heads):
            return keys, heads
        rows = min(rows, whole)
        new_keys = np.zeros(1 if rows == whole else rows, dtype=np.uint32)
        new_heads = np.zeros(rows, dtype=np.uint32)
        _loops().rehash(keys, heads, new_keys, new_heads)
        return new_keys, new_heads

    def _write_words(self, end: int) -> None:
        if end <= self.written:
            return
        indexes = self._chains()
        for kind, (word, mask) in enumerate(zip(self.form.words, self._masks, strict=True)):
            self._counts[kind] = _loops().write_words(
                self._tape, self._gaps, indexes, kind, self._frame, self._counts[kind],
                self.written - self.base, end - self.base, len(word), mask, self.form.index_bits,
                self.form.sample_every[kind], self.form.spacing_bases,
            )  # fmt: skip
        self.written = end

    def laid_over(self, parent: CopyMemory) -> CopyMemory:
        """Return this memory of a file, which began with a chunk of gaps, as it goes on from the end of another.

        Parameters
        ----------
        parent
            Ends at a chunk border, and itself lies over none or one.
        """
        over = copy.copy(self)
        over.parent, over.seam, over.base = parent, parent.end, parent.end - CHUNK
        over.end = over.written = over.base + self.end - self.base
        # The own tape holds the end of the parent's too, where words are read that reach back over the seam.
        over._tape, over._gaps, over._summed = self._tape.copy(), self._gaps.copy(), (0, 0)
        _loops().put_tokens(over._tape, over._gaps, 0, parent.ids(over.base, over.seam))
        return over

    def fork(self, position: int) -> CopyMemory:
        """Return a memory that goes on from a position with ids of its own; this one stays as it is."""
        over = CopyMemory(self.form)
        if self.parent is not None and self.parent.parent is not None:  # the third of three is copied: it is short
            over.parent, over.seam = self.parent, self.seam
        else:
            over.parent, over.seam = self, position // CHUNK * CHUNK
            self._write_words(over.seam)  # at a chunk border its last words may still wait for the token after them
        over._summed = self._summed if self._summed[0] <= position else (0, 0)
        over.base = over.end = max(0, over.seam - CHUNK)
        over.written = over.seam
        over.append(self.ids(over.base, position))
        return over

    def follow(
        self, start: int, ids: np.ndarray, floor: int, places: np.ndarray, count: int, codes: np.ndarray,
        sources: np.ndarray,
    ) -> int:  # fmt: skip
        """Read ids that the tape holds from ``start`` on; see ``follow_kernels.follow``."""
        from titans_dna.recall.follow_kernels import follow

        form = self.form
        stores = tuple(m.store if m else (_NOTHING, _NOTHING) for m in self._levels())
        count, self.written = follow(
            stores, self._chains(), self._frame, self._counts, self.written, start, ids, floor, form.horizon_bases,
            places, count, self._lengths, self._masks, np.array(form.sample_every), form.index_bits, form.matches,
            form.accepted_hits, form.spacing_bases, form.inverted, form.leading_run, codes, sources,
        )  # fmt: skip
        return count

    def _levels(self) -> tuple[CopyMemory | None, CopyMemory | None, CopyMemory | None]:
        """Return this memory, the one under it, and the one under that."""
        return self, self.parent, self.parent.parent if self.parent else None

    def _chains(self) -> tuple[tuple[Index, ...], ...]:
        """Return the indexes of each of the three."""
        return tuple(m.indexes if m else (_NO_INDEX,) * len(self._indexes) for m in self._levels())

    @property
    def _frame(self) -> tuple[int, int, int, int]:
        """Where this memory and the one under it begin, and up to where the words of the lower ones are seen."""
        under = self.parent
        return (self.base, self.seam, under.base, under.seam) if under else (self.base, self.seam, 0, 0)

    def oldest_reader(self) -> int:
        """Return the first position from which the memory can still be read on: a ring forgets what lies behind it."""
        return max(0, self.end - self.form.lag_tokens) if self._ring else 0


_NOTHING = np.zeros(2, dtype=np.uint64)
_NO_INDEX: Index = tuple(np.zeros(2, dtype=np.uint32) for _ in range(4))  # type: ignore[assignment]
