"""BGZF, the blocked gzip of SAMtools, read by htslib: how to tell it, its end, its index, and reads from the middle.

A BGZF file is a series of gzip members of at most 64 KiB uncompressed, each with an extra field ``BC`` that holds its
compressed size less one. The .gzi index is little-endian: a uint64 count, then for every block but the first two
uint64, its offset in the compressed and in the uncompressed file. Specification: SAMv1, section 4.1. htslib compares
the check sums.
"""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from titans_dna.errors import FormatError

#: The empty block that ends a BGZF file.
END_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
GZIP_MAGIC = b"\x1f\x8b"
TBI_LIMIT = 1 << 29  # bases that a .tbi index can address


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


def drop_indexes(path: Path) -> None:
    """Delete what tabix made for an earlier file of this name: it would fit the new one badly, unnoticed by readers."""
    for suffix in (".tbi", ".csi"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


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


@contextmanager
def quiet_htslib() -> Iterator[None]:
    """Keep htslib from printing: the code that catches its error reports it in one line."""
    import pysam

    verbosity = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(verbosity)


class BgzfStream(io.RawIOBase):
    """The uncompressed content from its start on; a read of a damaged file raises OSError."""

    def __init__(self, path: Path) -> None:
        import pysam

        self._stream = pysam.BGZFile(str(path), "rb", index=None)

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; htslib's error says where the file is damaged."""
        with quiet_htslib():
            data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek_virtual(self, offset: int) -> None:
        """Go to a virtual offset: 48 bits for the byte of the block in the file, 16 for the byte inside the block."""
        self._stream.seek(offset)

    def close(self) -> None:
        """Close the file."""
        with quiet_htslib(), suppress(OSError):  # reported already while reading
            self._stream.close()
        super().close()


def read_span(path: Path, blocks: list[tuple[int, int]], start: int, end: int) -> bytes:
    """Read uncompressed bytes start to end (0-based half-open), fewer at the end of the file.

    Parameters
    ----------
    path
        A BGZF file.
    blocks
        Offsets of its blocks, as `read_gzi` gives them.
    start, end
        In the uncompressed content.

    Raises
    ------
    FormatError
        If the file is damaged.
    """
    compressed, uncompressed = blocks[bisect_right(blocks, start, key=lambda block: block[1]) - 1]
    with BgzfStream(path) as stream:
        try:
            # A virtual file offset (SAMv1, 4.1.1).
            stream.seek_virtual(compressed << 16 | start - uncompressed)
            return stream.read(end - start) or b""
        except OSError as error:
            raise FormatError(f"is damaged or cut off ({error}). Copy the file again.", path=path) from None
