"""The bases of a contig: as bytes, in pieces of which long runs of N take no memory, fetched, or of the other strand.

Who reads a contig needs its length and stretches of it. All of them give these, so that a chromosome is held once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from titans_dna.genome.alphabet import reverse_complement

PIECE_BP = 1 << 16


class Bases(Protocol):
    """Letters of a contig, 0-based; ``bytes`` are some."""

    def __len__(self) -> int:
        """Return the number of letters."""
        ...

    def __getitem__(self, span: slice, /) -> bytes:
        """Return a stretch of them."""
        ...


class ContigBases:
    """A whole contig in pieces; equal ones that follow one another are held once, as in a run of N.

    Parameters
    ----------
    blocks
        Its letters in order, in blocks of whole pieces (``PIECE_BP``), but for the last.

    Examples
    --------
    >>> contig = ContigBases([b"N" * PIECE_BP, b"N" * PIECE_BP, b"ACGT"])
    >>> len(contig), contig[2 * PIECE_BP - 2 : 2 * PIECE_BP + 2]
    (131076, b'NNAC')
    """

    def __init__(self, blocks: Iterable[bytes] = ()) -> None:
        pieces: list[bytes] = []
        for block in blocks:
            for start in range(0, len(block), PIECE_BP):
                piece = block[start : start + PIECE_BP]
                pieces.append(pieces[-1] if pieces and piece == pieces[-1] else piece)
        self.pieces, self._length = pieces, sum(map(len, pieces))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, span: slice, /) -> bytes:
        pieces = self.pieces
        if len(pieces) <= 1:
            return b"".join(pieces)[span]
        start, end, _ = span.indices(self._length)
        if start >= end:
            return b""
        (first, skipped), last = divmod(start, PIECE_BP), (end - 1) // PIECE_BP
        if first == last:
            return pieces[first][skipped : end - first * PIECE_BP]
        return b"".join([pieces[first][skipped:], *pieces[first + 1 : last], pieces[last][: end - last * PIECE_BP]])

    def whole(self) -> bytes:
        """Return all letters, which take their full length from then on; the pieces are let go."""
        if len(self.pieces) != 1:
            self.pieces = [b"".join(self.pieces)]
        return self.pieces[0]


class OtherStrand:
    """The reverse complement of bases, made where it is asked for.

    Examples
    --------
    >>> OtherStrand(b"AACG")[1:]
    b'GTT'
    """

    def __init__(self, bases: Bases) -> None:
        self._bases = bases

    def __len__(self) -> int:
        return len(self._bases)

    def __getitem__(self, span: slice, /) -> bytes:
        length = len(self._bases)
        start, end, _ = span.indices(length)
        return reverse_complement(self._bases[length - end : length - start]) if start < end else b""


class FetchedBases:
    """The bases of a contig that is not held: each stretch is fetched when it is asked for.

    Examples
    --------
    >>> FetchedBases(lambda start, end: b"ACGT"[start:end], 4)[2:]
    b'GT'
    """

    def __init__(self, fetch: Callable[[int, int], bytes], length_bp: int) -> None:
        self._fetch, self._length = fetch, length_bp

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, span: slice, /) -> bytes:
        start, end, _ = span.indices(self._length)
        return self._fetch(start, end) if start < end else b""


def pieces_of(bases: Bases) -> list[bytes]:
    """Return all letters in pieces."""
    return bases.pieces if isinstance(bases, ContigBases) else [bases[:]]
