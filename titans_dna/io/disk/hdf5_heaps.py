"""Checks the global heaps of an HDF5 file, in which its text lies; HDF5 itself never returns from some damaged ones.

A heap is ``GCOL``, version 1, three zeros, its size (8 bytes, little-endian, itself included), and then objects: number
(2 bytes), references (2), zeros (4), size (8), and the bytes padded to a multiple of 8. Object 0 is the free space at
the end, and its size includes its own 16 bytes (HDF5 File Format Specification 3.0, section III.E). HDF5 steps from
object to object by these sizes, and where one is 0 it steps no further, and no signal of Python interrupts it.

An object may also be the map of a virtual dataset: version 0 or 1, which no text begins with, and at its end a checksum
of all before. HDF5 compares the checksum only after it has used the map, which can end the process.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

from titans_dna.errors import FormatError

_HEAD = b"GCOL\x01\0\0\0"
_WORD = 0xFFFFFFFF
_OBJECT = 16  # bytes in front of each object, and of the head with the size
_MOST_BYTES = 1 << 28  # of a longer file only so many bytes at either end are looked through, where heaps usually lie


def check_heaps(path: str | os.PathLike[str]) -> None:
    """Refuse a file with a global heap whose objects do not fill it.

    Raises
    ------
    FormatError
        If there is one.
    """
    with Path(path).open("rb") as file:
        if not (whole := os.fstat(file.fileno()).st_size):
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for start, end in _stretches(whole):
                while (start := data.find(_HEAD, start, end)) >= 0:
                    if not _filled(data, start, whole):
                        raise FormatError(
                            f"is damaged: its heap at byte {start:,} is broken. Copy it again.", path=path
                        )
                    start += len(_HEAD)


def _stretches(whole: int) -> list[tuple[int, int]]:
    if whole <= 2 * _MOST_BYTES:
        return [(0, whole)]
    return [(0, _MOST_BYTES), (whole - _MOST_BYTES, whole)]


def _filled(data: mmap.mmap, start: int, whole: int) -> bool:
    """Tell whether the objects of a heap lead from its head to its end."""
    end = start + int.from_bytes(data[start + 8 : start + 16], "little")
    if end > whole:
        return True  # HDF5 refuses this by itself, and these bytes may be a number of some table
    place = start + _OBJECT
    while place + _OBJECT <= end:
        number, size = (int.from_bytes(data[place + at : place + at + n], "little") for at, n in ((0, 2), (8, 8)))
        step = _OBJECT + -(-size // 8) * 8 if number else size
        if step < _OBJECT or place + step > end:
            return False
        block = data[place + _OBJECT : place + _OBJECT + size] if number else b""
        if block[:1] in (b"\0", b"\1") and lookup3(block[:-4]) != int.from_bytes(block[-4:], "little"):
            return False
        place += step
    return True


def lookup3(data: bytes) -> int:
    """Return the checksum by which HDF5 protects metadata: Bob Jenkins' lookup3 (``hashlittle``), begun with 0.

    Examples
    --------
    >>> hex(lookup3(b"Four score and seven years ago"))
    '0x17770551'
    """
    a = b = c = 0xDEADBEEF + len(data) & _WORD
    if not data:
        return c
    words = struct.unpack(f"<{-(-len(data) // 12) * 3}I", data + bytes(-len(data) % 12))
    for at in range(0, len(words) - 3, 3):
        a, b, c = a + words[at] & _WORD, b + words[at + 1] & _WORD, c + words[at + 2] & _WORD
        for turn in (4, 6, 8, 16, 19, 4):
            a = (a - c & _WORD) ^ _rotate(c, turn)
            a, b, c = b, c + b & _WORD, a
    a, b, c = a + words[-3] & _WORD, b + words[-2] & _WORD, c + words[-1] & _WORD
    for turn in (14, 11, 25, 16, 4, 14, 24):
        c = (c ^ b) - _rotate(b, turn) & _WORD
        a, b, c = b, c, a
    return b


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> 32 - bits) & _WORD
