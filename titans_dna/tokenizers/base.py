"""The interface of all tokenizers: from sequence to token ids and back, with the bases that each token covers.

Models rely on the order of ids: tokens that can be predicted come first, those that cannot come last.

    0 A   1 C   2 G   3 T   4 ... words of several bases, if any   targets N   targets + 1 <bos>   targets + 2 <pad>

Case is ignored, U is read as T, and every other letter is read as N. `soft_mask` returns the case of every base.
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
SPECIALS: tuple[str, ...] = ("N", "<bos>", "<pad>")  # their ids follow those of the words, in this order

_CHUNK = 1 << 16  # pairs of bases looked up at once, so that input and output stay in the processor's cache
_TABLE = bytes(
    {65: 0, 67: 1, 71: 2, 84: 3, 85: 3}.get(code & 0xDF if chr(code).isalpha() else 0, 4) for code in range(256)
)
_PAIRS = np.frombuffer(_TABLE, np.uint8)[np.arange(1 << 16, dtype=np.uint16).view(np.uint8)].view(np.uint16)
_PLAIN = bytes(b"ACGTN"[number] for number in _TABLE)


@runtime_checkable
class Tokenizer(Protocol):
    """Turn sequence into token ids and back.

    Arrays of ids are one-dimensional, of the smallest unsigned integer type that holds the vocabulary.
    """

    #: Name of the kind, as written in the JSON settings.
    kind: ClassVar[str]

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The text of every token, by id."""
        ...

    @property
    def targets(self) -> int:
        """Number of ids that can be predicted: bases and words of bases. The next three ids are N, <bos> and <pad>."""
        ...

    def encode(self, sequence: Buffer) -> Ids:
        """Turn bases into ids."""
        ...

    def widen(self, start: int, end: int) -> tuple[int, int]:
        """Widen a span of bases (0-based half-open) to all bases on which its tokens depend.

        Encoding the wider span by itself gives the same tokens as encoding the whole sequence, and no token that begins
        before the wider span reaches into the span. The wider end may lie beyond the end of the sequence.
        """
        ...

    def decode(self, ids: Ids) -> bytes:
        """Turn ids into upper-case bases; <bos> and <pad> become nothing."""
        ...

    def offsets(self, ids: Ids) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the bases that each token covers, (n, 2), 0-based half-open, counted from the first encoded base."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the settings from which the same tokenizer can be made again."""
        ...

    @classmethod
    def from_json(cls, settings: dict[str, Any]) -> Self:
        """Make a tokenizer from the settings that `to_json` returned."""
        ...


def base_ids(sequence: Buffer) -> BaseIds:
    """Return the id (0 to 4) of every base.

    Bases are looked up in pairs, in a table of all 65,536 pairs of bytes, which is twice as fast as one by one.

    Parameters
    ----------
    sequence
        Bases in any case: bytes, or a contiguous array of letters (uint8).

    Returns
    -------
    numpy.ndarray
        (bases,) uint8; a new, writable array.
    """
    letters = np.frombuffer(sequence, np.uint8)
    ids = np.empty(len(letters), np.uint8)
    even = len(letters) & ~1
    pairs, found = letters[:even].view(np.uint16), ids[:even].view(np.uint16)
    # With mode "clip" NumPy fills the output directly; by default it would fill a buffer first, to check indices.
    for start in range(0, len(pairs), _CHUNK):
        np.take(_PAIRS, pairs[start : start + _CHUNK], out=found[start : start + _CHUNK], mode="clip")
    if even < len(letters):
        ids[-1] = _TABLE[letters[-1]]
    return ids


def soft_mask(sequence: Buffer) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Tell which bases are in lower case; by convention these are repeats and low-complexity sequence.

    Returns
    -------
    numpy.ndarray
        (bases,) bool.
    """
    letters = np.frombuffer(sequence, np.uint8)
    return (letters >= ord("a")) & (letters <= ord("z"))


def plain_text(sequence: Buffer) -> str:
    """Return the sequence as text of the five letters A, C, G, T and N."""
    return bytes(sequence).translate(_PLAIN).decode("ascii")


def check_ids(ids: Ids, size: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return ids as int64, after checking that all are 0 or more and below `size`.

    Raises
    ------
    ConfigError
        If an id lies outside the vocabulary.
    """
    wide = np.asarray(ids).astype(np.int64)
    if len(outside := wide[(wide < 0) | (wide >= size)]):
        what = f"token id {outside[0]} is not among the {size} of the vocabulary"
        raise ConfigError(f"{what}. Decode with the model's own tokenizer.")
    return wide


def smallest_dtype(size: int) -> type[np.unsignedinteger[Any]]:
    """Return the smallest unsigned integer type that has at least `size` values."""
    return np.uint8 if size <= 1 << 8 else np.uint16 if size <= 1 << 16 else np.uint32
