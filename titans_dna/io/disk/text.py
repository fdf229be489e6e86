"""Text files, plain or gzip-compressed, as their first bytes say: line by line, or block by block.

Errors of lines name file and line. Blocks have a limit to what a file may unpack to: genomes unpack to three to five
times their size in gzip, and hardly to fifty times. A file of a few megabytes that unpacks to gigabytes is damaged, or
made to fill a disk.
"""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from titans_dna.errors import FormatError, InputMissing, OutputError
from titans_dna.io.disk.bgzf import GZIP_MAGIC

_PACKED = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "bzip2-compressed",
    b"\xfd7zXZ": "xz-compressed",
    b"\x28\xb5\x2f\xfd": "zstd-compressed",
}
BLOCK = 1 << 22  # bytes read at once
MOST_TIMES = 50  # of its compressed size, as soon as it is
LARGE_BYTES = 1 << 30  # or more: what is smaller may be all N
KEPT_FREE_BYTES = 1 << 28  # on the disk of what is written: other programs need some room too


def refuse_packed(head: bytes, path: str | os.PathLike[str]) -> None:
    """Refuse a file that is compressed in a way that no reader here knows.

    Parameters
    ----------
    head
        Its first bytes.
    path
        Its path, for the message.

    Raises
    ------
    FormatError
        If the file is compressed in such a way.
    """
    for magic, name in _PACKED.items():
        if head.startswith(magic):
            raise FormatError(f"is {name}. Unpack it, or compress it with gzip or bgzip instead.", path=path)


def read_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    """Yield line numbers, from 1, and lines without line ends; ``-`` is standard input. A byte order mark is dropped.

    Raises
    ------
    InputMissing
        If the file does not exist or cannot be read.
    FormatError
        If its compression is damaged or the text is not UTF-8.
    """
    name = os.fspath(path)
    if name == "-":
        stream = sys.stdin.buffer
        yield from _decode(enumerate(stream, start=1), name)
        return
    file = Path(name)
    if not file.exists():
        raise InputMissing("there is no such file. Check the path.", path=name)
    if file.is_dir():
        raise InputMissing("is a folder. Name a file.", path=name)
    try:
        with file.open("rb") as raw:
            refuse_packed(raw.peek(8), name)
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            yield from _decode(enumerate(gzip.GzipFile(fileobj=raw) if packed else raw, start=1), name)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FormatError(f"is damaged or cut off ({error}). Copy it again.", path=name) from None
    except OSError as error:
        if isinstance(error, InputMissing):  # it is an OSError too
            raise
        raise InputMissing(f"cannot be read ({error.strerror or error}). Check its permissions.", path=name) from None


def _decode(lines: Iterator[tuple[int, bytes]], name: str) -> Iterator[tuple[int, str]]:
    """Turn bytes into text."""
    for number, line in lines:
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            raise FormatError(
                "is not UTF-8 text. Convert it, or check that it is the file you mean.", path=name, line=number
            ) from None
        yield number, (text.removeprefix("\ufeff") if number == 1 else text).rstrip("\r\n")


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
