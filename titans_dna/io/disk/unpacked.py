"""The content of a file that is plain or gzip-compressed, block by block, with a limit to what it may unpack to.

Genomes unpack to three to five times their size in gzip, and hardly to fifty times. A file of a few megabytes that
unpacks to gigabytes is damaged, or made to fill a disk.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from titans_dna.errors import FormatError, OutputError
from titans_dna.io.disk.bgzf import GZIP_MAGIC

BLOCK = 1 << 22  # bytes read at once
MOST_TIMES = 50  # of its compressed size, as soon as it is
LARGE_BYTES = 1 << 30  # or more: what is smaller may be all N
KEPT_FREE_BYTES = 1 << 28  # on the disk of what is written: other programs need some room too


def is_packed(path: Path) -> bool:
    """Tell whether a file is gzip-compressed, by its first bytes."""
    with path.open("rb") as stream:
        return stream.read(2) == GZIP_MAGIC


def unpacked_blocks(path: Path) -> Iterator[bytes]:
    """Yield the content of a file.

    Raises
    ------
    FormatError
        If it is damaged, or unpacks to far more than any genome does.
    """
    packed, bytes_read = is_packed(path), 0
    most = max(LARGE_BYTES, MOST_TIMES * path.stat().st_size)
    with gzip.open(path) if packed else path.open("rb") as stream:
        while block := _read(stream, path):
            bytes_read += len(block)
            if packed and bytes_read > most:
                raise FormatError(
                    f"unpacks to more than {most / 1e9:.1f} GB, over {MOST_TIMES} times its {path.stat().st_size:,} "
                    "bytes, as no genome does. If it is one, unpack it yourself (gunzip) and give the plain file.",
                    path=path,
                )
            yield block


def _read(stream: IO[bytes] | gzip.GzipFile, path: Path) -> bytes:
    try:
        return stream.read(BLOCK)
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"is damaged or cut off ({error}). Copy it again.", path=path) from None


def require_room(path: Path, written_bytes: int) -> None:
    """Stop before a large file that grows takes the last room of its disk.

    Parameters
    ----------
    path
        Of the file.
    written_bytes
        Its size so far.

    Raises
    ------
    OutputError
        If less than ``KEPT_FREE_BYTES`` would be left.
    """
    if written_bytes < KEPT_FREE_BYTES:
        return
    found = os.statvfs(path.parent)
    free = found.f_bavail * found.f_frsize
    if free < KEPT_FREE_BYTES:
        raise OutputError(
            f"the disk of the cache has {free / 1e9:.2f} GB left, after {written_bytes / 1e9:.2f} GB of this file. "
            "Set TITANS_DNA_CACHE to a folder with space.",
            path=path.parent,
        )
