"""BGZF, the blocked gzip of SAMtools: blocks, their index (.gzi), and bytes out of the middle.

A BGZF file is a series of gzip members of at most 64 KiB uncompressed, each with an extra field ``BC`` that holds its
compressed size less one. The .gzi index is little-endian: a uint64 count, then for every block but the first two
uint64, its offset in the compressed and in the uncompressed file. Specification: SAMv1, section 4.1. Check sums are
checked by zlib on whole-block reads.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from titans_dna.errors import FormatError

__all__ = ["BgzfReader", "is_bgzf", "iterate_blocks", "read_gzi", "require_end", "write_gzi"]

_LONG = 1 << 20  # longest read in bytes that is done here; htslib does longer ones
#: The empty block that ends a BGZF file.
END_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
GZIP_MAGIC = b"\x1f\x8b"


def is_bgzf(head: bytes) -> bool:
    """Tell from the first 18 bytes whether a file is BGZF."""
    return len(head) >= 18 and head[:4] == b"\x1f\x8b\x08\x04" and head[12:16] == b"BC\x02\x00"


def require_end(path: Path) -> None:
    """Refuse a BGZF file without the empty block at its end, because it may be cut off between two blocks.

    Raises
    ------
    FormatError
        If the block is not there.
    """
    with path.open("rb") as stream:
        stream.seek(max(path.stat().st_size - len(END_BLOCK), 0))
        if stream.read() != END_BLOCK:
            raise FormatError("lacks the block that ends a BGZF file: it may be cut off. Copy it again.", path=path)


def iterate_blocks(stream: BinaryIO, path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (compressed offset, uncompressed bytes) of every block from the stream's position on.

    Raises
    ------
    FormatError
        If a block is damaged or cut off.
    """
    offset = stream.tell()
    while head := stream.read(18):
        if not is_bgzf(head):
            raise FormatError(
                f"no BGZF block at byte {offset}. The file is damaged or cut off; copy it again.", path=path
            )
        size = struct.unpack("<H", head[16:18])[0] + 1  # BSIZE, the size of the whole block less one
        body = stream.read(size - 18)
        try:
            data = zlib.decompress(head + body, wbits=31)  # 31: with gzip's header and checksum
        except zlib.error as error:
            raise FormatError(
                f"damaged BGZF block at byte {offset} ({error}). Copy the file again.", path=path
            ) from None
        yield offset, data
        offset += size


def write_gzi(path: Path, blocks: list[tuple[int, int]]) -> None:
    """Write a .gzi index of (compressed, uncompressed) offsets, without the first block (0, 0)."""
    rest = [pair for pair in blocks if pair != (0, 0)]
    path.write_bytes(struct.pack("<Q", len(rest)) + b"".join(struct.pack("<QQ", *pair) for pair in rest))


def read_gzi(path: Path) -> list[tuple[int, int]]:
    """Read a .gzi index as (compressed, uncompressed) offsets, the first block (0, 0) included.

    Raises
    ------
    FormatError
        If the file is no .gzi index.
    """
    data = path.read_bytes()
    count = struct.unpack_from("<Q", data)[0] if len(data) >= 8 else -1
    if len(data) != 8 + 16 * count:
        raise FormatError("is no .gzi index. Delete it; it is made again.", path=path)
    return [(0, 0), *struct.iter_unpack("<QQ", data[8:])]


class BgzfReader:
    """Reads byte ranges of the uncompressed content; safe across threads and forks: they share no file position.

    Parameters
    ----------
    path
        A BGZF file.
    blocks
        Offsets of its blocks, as `read_gzi` gives them.
    """

    def __init__(self, path: Path, blocks: list[tuple[int, int]]) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDONLY)
        self._size = os.fstat(self._file).st_size
        self._compressed = [pair[0] for pair in blocks]
        self._uncompressed = [pair[1] for pair in blocks]

    def close(self) -> None:
        """Close the file; closing twice does no harm."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def read(self, start: int, end: int) -> bytes:
        """Give uncompressed bytes start to end (0-based half-open), fewer at the end of the file."""
        if end - start > _LONG:
            return self._read_long(start, end)
        first = bisect_right(self._uncompressed, start) - 1
        beyond = bisect_left(self._uncompressed, end)
        low = self._compressed[first]
        high = self._compressed[beyond] if beyond < len(self._compressed) else self._size
        stream = io.BytesIO(os.pread(self._file, high - low, low))
        data = b"".join(block for _, block in iterate_blocks(stream, self.path))
        at = self._uncompressed[first]
        return data[max(start - at, 0) : max(end - at, 0)]

    def _read_long(self, start: int, end: int) -> bytes:
        """Read through htslib, which decompresses faster; its file position forces a handle for each call."""
        import pysam

        first = bisect_right(self._uncompressed, start) - 1
        stream = pysam.BGZFile(str(self.path), "rb", index=None)
        try:
            # A virtual file offset: the byte of the block in the file, shifted, and the byte inside the block (SAMv1,
            # 4.1.1).
            stream.seek(self._compressed[first] << 16 | start - self._uncompressed[first])
            data: bytes = stream.read(end - start)
        except OSError as error:
            raise FormatError(f"is damaged or cut off ({error}). Copy the file again.", path=self.path) from None
        finally:
            with contextlib.suppress(OSError):
                stream.close()
        return data
