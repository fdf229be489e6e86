"""What every tokenizer offers: bytes of sequence to token ids and back, with the bases that each token covers.

Ids are in an order that models rely on: first what can be predicted, then what cannot.

    0 A   1 C   2 G   3 T   4 ... words of several bases, if any   targets N   targets + 1 <bos>   targets + 2 <pad>

Case is ignored, U reads as T, every other letter reads as N. Case is not lost: `soft_mask` tells it base by base.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np

from titans_dna.errors import ConfigError

Ids = np.ndarray[Any, np.dtype[np.unsignedinteger[Any]]]
#: Bases as bytes, or as a contiguous uint8 array of letters.
Buffer = bytes | bytearray | memoryview | np.ndarray[Any, np.dtype[np.uint8]]
BaseIds = np.ndarray[Any, np.dtype[np.uint8]]

BASES: tuple[str, ...] = ("A", "C", "G", "T")
SPECIALS: tuple[str, ...] = ("N", "<bos>", "<pad>")  # behind the words, in this order

_CHUNK = 1 << 16  # pairs of bases looked up at once; their indices stay in the cache
_TABLE = bytes(
    {65: 0, 67: 1, 71: 2, 84: 3, 85: 3}.get(code & 0xDF if chr(code).isalpha() else 0, 4) for code in range(256)
)
_PAIRS = np.frombuffer(_TABLE, np.uint8)[np.arange(1 << 16, dtype=np.uint16).view(np.uint8)].view(np.uint16)
_PLAIN = bytes(b"ACGTN"[number] for number in _TABLE)


@runtime_checkable
class Tokenizer(Protocol):
    """Turn sequence into token ids and back.

    Every id array is one-dimensional and of the smallest unsigned type that holds the vocabulary.
    """

    #: Name of the kind, as written in the JSON settings.
    kind: ClassVar[str]

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The text of every token, by id."""
        ...

    @property
    def targets(self) -> int:
        """Ids below it are bases or words of bases; the three from it on are N, <bos> and <pad>."""
        ...

    def encode(self, sequence: Buffer) -> Ids:
        """Turn bases into ids."""
        ...

    def widen(self, start: int, end: int) -> tuple[int, int]:
        """Widen a span of bases (0-based half-open) to all that its tokens depend on.

        Encoding the wider stretch by itself gives the tokens that the whole sequence has there, and no token that
        begins before it reaches into the span. The wider end may lie beyond the sequence.
        """
        ...

    def decode(self, ids: Ids) -> bytes:
        """Turn ids into upper-case bases; specials stand for no base."""
        ...

    def offsets(self, ids: Ids) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Give the bases that every token covers: shape (n, 2), 0-based half-open, from the first base encoded."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Give the settings from which the same tokenizer can be made again."""
        ...

    @classmethod
    def from_json(cls, settings: dict[str, Any]) -> Self:
        """Make a tokenizer from the settings that `to_json` gave."""
        ...


def base_ids(sequence: Buffer) -> BaseIds:
    """Look up the id (0 to 4) of every base.

    Two bases are looked up at once in a table of 65,536 pairs, which is twice as fast as one at a time.

    Parameters
    ----------
    sequence
        Bases in any case: bytes, or a contiguous array of letters (uint8).

    Returns
    -------
    numpy.ndarray
        uint8 ids, as many as bases; a new, writable array.
    """
    letters = np.frombuffer(sequence, np.uint8)
    ids = np.empty(len(letters), np.uint8)
    even = len(letters) & ~1
    pairs, found = letters[:even].view(np.uint16), ids[:even].view(np.uint16)
    for start in range(0, len(pairs), _CHUNK):
        np.take(_PAIRS, pairs[start : start + _CHUNK], out=found[start : start + _CHUNK], mode="clip")
    if even < len(letters):
        ids[-1] = _TABLE[letters[-1]]
    return ids


def soft_mask(sequence: Buffer) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Tell which bases are written in lower case (repeats and low complexity, by convention).

    Returns
    -------
    numpy.ndarray
        bool, as many as bases.
    """
    letters = np.frombuffer(sequence, np.uint8)
    return (letters >= ord("a")) & (letters <= ord("z"))


def plain_text(sequence: Buffer) -> str:
    """Write the sequence in the five letters A C G T N."""
    return bytes(sequence).translate(_PLAIN).decode("ascii")


def check_ids(ids: Ids, size: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Give ids as int64, or raise if one is not below `size`.

    Raises
    ------
    ConfigError
        If an id lies outside the vocabulary.
    """
    wide = np.asarray(ids).astype(np.int64)
    if len(wide) and not 0 <= int(wide.min()) <= int(wide.max()) < size:
        raise ConfigError(f"token id {int(wide.max())} is not below {size}. Decode with the model's own tokenizer.")
    return wide


def smallest_dtype(size: int) -> type[np.unsignedinteger[Any]]:
    """Choose the smallest unsigned type whose values number at least `size`."""
    return np.uint8 if size <= 1 << 8 else np.uint16 if size <= 1 << 16 else np.uint32
