"""Copies: stretches of a sequence that were foretold from an earlier place, and where that place is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log2

import numpy as np
from numba import njit

from titans_dna.numba_cache import KEPT
from titans_dna.recall.reader import RecallState, recall
from titans_dna.recall.record import HITS_AT, INVERTED_AT

PIECE = 1 << 16  # tokens read at once
COLUMNS = 9  # of a stretch that is followed
START, END, SOURCE, DIRECTION, HITS = range(5)
OPEN, SCORE, HIGHEST, SEEN = range(5, 9)  # whether there is one; score, its highest value, hits up to now


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A stretch of tokens and what foretold it; positions are those of the stream and of its memory's tape."""

    start: int  # first token foretold
    end: int  # one past the last that was foretold rightly
    source: int  # position on the tape of the lowest token of the copy
    inverted: bool  # whether the copy is the reverse complement
    hits: int  # tokens that were foretold rightly

    @property
    def identity(self) -> float:
        """Share of its tokens that were foretold rightly."""
        return self.hits / (self.end - self.start)

    @property
    def bits_saved(self) -> float:
        """Bits that the copy saves a code of two bits a base, if each base has the copy's own identity to be right.

        A base that is foretold costs -log2(identity), any other -log2((1 - identity) / 3). No network is asked.
        """
        bases, misses = self.end - self.start, self.end - self.start - self.hits
        cost = self.hits * log2(bases / self.hits) if self.hits else 0.0
        return 2 * bases - cost - (misses * log2(3 * bases / misses) if misses else 0.0)


@njit(cache=KEPT)
def _trace(
    first: int, ids: np.ndarray, codes: np.ndarray, sources: np.ndarray, stretch: np.ndarray, done: np.ndarray
) -> int:
    """Follow one place at a time through a piece; return the number of stretches that ended.

    Row i of ``codes`` and ``sources`` foretells token ``first + i``, which is ``ids[i]``. A place is stayed with as
    long as it is followed; else the one with the most hits is taken. A stretch ends where its score was highest, for
    behind the end of a copy a quarter of the tokens is foretold rightly by chance.
    """
    count = 0
    for i in range(len(ids)):
        at, best, most, stays = first + i, -1, -1, False
        for slot in range(codes.shape[1]):
            code = np.int64(codes[i, slot])
            if code == 0:
                break
            direction = -1 if (code >> INVERTED_AT) & 1 else 1
            here = stretch[SOURCE] + direction * (at - stretch[START])
            if stretch[OPEN] and direction == stretch[DIRECTION] and sources[i, slot] == here:
                best, stays = slot, True
                break
            if (code >> HITS_AT) & 63 > most:
                best, most = slot, int((code >> HITS_AT) & 63)
        if stretch[OPEN] and not stays:
            done[count] = stretch
            count, stretch[OPEN] = count + 1, 0
        if best < 0:
            continue
        code = np.int64(codes[i, best])
        if not stays:
            stretch[:] = 0
            stretch[START], stretch[END], stretch[SOURCE], stretch[OPEN] = at, at, sources[i, best], 1
            stretch[DIRECTION] = -1 if (code >> INVERTED_AT) & 1 else 1
        hit = code & 3 == ids[i]
        stretch[SCORE] += 2 if hit else -3
        stretch[SEEN] += 1 if hit else 0
        if stretch[SCORE] > stretch[HIGHEST]:
            stretch[HIGHEST], stretch[END], stretch[HITS] = stretch[SCORE], at + 1, stretch[SEEN]
    return count


def find_copies(state: RecallState, ids: np.ndarray, least: int = 32) -> Iterator[Copy]:
    """Yield the copies along a stream, in order.

    Parameters
    ----------
    state
        Where the reader stands.
    ids
        (T,) tokens to read from there: 0 to 3 for A, C, G and T, higher for any other letter.
    least
        Shortest stretch, in tokens.
    """
    stretch = np.zeros(COLUMNS, dtype=np.int64)
    position = state.position
    for start in range(0, len(ids), PIECE):
        piece = ids[start : start + PIECE]
        found = recall(state, piece, sources=True)
        assert found.sources is not None
        state = found.state
        foretold = ids[start + 1 : start + PIECE + 1].astype(np.int64)
        done = np.zeros((len(piece) + 1, COLUMNS), dtype=np.int64)
        rows = slice(0, len(foretold))
        count = _trace(position + start + 1, foretold, found.codes[rows], found.sources[rows], stretch, done)
        yield from _long_enough(done[:count], least)
    yield from _long_enough(stretch[None, : OPEN + 1][: stretch[OPEN]], least)


def _long_enough(rows: np.ndarray, least: int) -> Iterator[Copy]:
    for start, end, source, direction, hits in rows[:, :OPEN].tolist():
        if end - start >= least:
            low = source if direction > 0 else source - (end - start) + 1
            yield Copy(start=start, end=end, source=low, inverted=direction < 0, hits=hits)
