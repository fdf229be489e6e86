"""Text files line by line, plain or gzip-compressed, as their first bytes say; errors name file and line."""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

from titans_dna.errors import FormatError, InputMissing

_PACKED = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "bzip2-compressed",
    b"\xfd7zXZ": "xz-compressed",
    b"\x28\xb5\x2f\xfd": "zstd-compressed",
}


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
        If it is.
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
