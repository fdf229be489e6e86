"""Tab-separated tables with one header line, plain or gzip-compressed by suffix, complete or absent.

Metadata stand above the header, as lines ``##key=value``; pandas skips them with ``comment="#"``, and ``read.table`` of
R by itself. The header line has no ``#``.

Numbers are written in full (floats with nine significant digits, which hold a 32-bit float exactly), missing values
(None, NaN) as ``NA``, and booleans as ``true`` and ``false``; tabs and line breaks inside text become blanks. When a
table is read, the ``##`` lines are skipped (`read_tsv`) or returned (`read_head`).
"""

from __future__ import annotations

import gzip
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any

from titans_dna.errors import FormatError
from titans_dna.io.disk.atomic import atomic_path, full_disk
from titans_dna.io.disk.contexts import Opening
from titans_dna.io.disk.text import read_lines

_BLANKS = str.maketrans("\t\n\r", "   ")


class TsvWriter(Opening):
    """Write rows as they come; a context manager, and only its clean end makes the file appear.

    Parameters
    ----------
    path
        Output; compressed if it ends in ``.gz``; ``-`` is standard output.
    columns
        Column names.
    metadata
        What the table was made with, by key.
    """

    def __init__(
        self, path: str | os.PathLike[str], columns: Sequence[str], metadata: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.path, self.columns, self.metadata, self.rows = os.fspath(path), tuple(columns), metadata, 0

    def open(self, stack: ExitStack) -> None:
        """Open the file, and write what stands above the rows."""
        if self.path == "-":
            stack.enter_context(full_disk("standard output"))
            self._stream: Any = sys.stdout.buffer
            stack.callback(self._stream.flush)
        else:
            temporary = stack.enter_context(atomic_path(self.path))
            self._stream = raw = stack.enter_context(temporary.open("wb"))
            if self.path.endswith(".gz"):
                # Without name and time in gzip's header, the same rows give the same bytes.
                packed = gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0)
                self._stream = stack.enter_context(packed)
        for line in metadata_lines(self.metadata):
            self._put([line])
        self._put(self.columns)

    def write(self, row: Mapping[str, Any]) -> None:
        """Write one row; columns it lacks become ``NA``.

        Raises
        ------
        FormatError
            If it has a column that the table lacks.
        """
        if unknown := row.keys() - set(self.columns):
            raise FormatError(f"a row has the column {sorted(unknown)[0]!r}, which the table has not.", path=self.path)
        self._put([_text(row.get(column)) for column in self.columns])
        self.rows += 1

    def _put(self, cells: Iterable[str]) -> None:
        self._stream.write(("\t".join(cells) + "\n").encode("utf-8", "surrogateescape"))


def write_tsv(
    path: str | os.PathLike[str],
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """Write a table, and return its number of rows; parameters are those of `TsvWriter`."""
    with TsvWriter(path, columns, metadata) as writer:
        for row in rows:
            writer.write(row)
    return writer.rows


def read_tsv(path: str | os.PathLike[str]) -> Iterator[dict[str, str]]:
    """Yield the rows of a table as text by column name.

    Raises
    ------
    InputMissing
        If the file is not there.
    FormatError
        If the file is empty, a column name repeats, or a row has another number of columns.
    """
    for _, row in number_tsv(path):
        yield row


def number_tsv(path: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of `read_tsv`, each after the number of its line."""
    columns: list[str] = []
    for number, line in read_lines(path):
        if not columns and line.startswith("##"):
            continue
        cells = line.split("\t")
        if not columns:
            columns = [cells[0].removeprefix("#"), *cells[1:]]
            if len(set(columns)) < len(columns) or not all(columns):
                raise FormatError(
                    "column names are missing or there twice. Name each column once.", path=path, line=number
                )
            continue
        if not line:
            continue
        if len(cells) != len(columns):
            message = f"{len(cells)} columns where the header has {len(columns)}. Correct the row."
            raise FormatError(message, path=path, line=number)
        yield number, dict(zip(columns, cells, strict=True))
    if not columns:
        raise FormatError("is empty. A table begins with a line of column names.", path=path)


def metadata_lines(metadata: Mapping[str, str]) -> list[str]:
    """Return metadata as the lines above the header of a table, without line ends."""
    return [f"##{key}={text}".translate(_BLANKS) for key, text in metadata.items()]


def read_head(path: str | os.PathLike[str]) -> tuple[list[str], dict[str, str]]:
    """Return the column names of a table, and its metadata.

    Raises
    ------
    InputMissing, FormatError
        As `read_tsv` does.
    """
    metadata: dict[str, str] = {}
    for _, line in read_lines(path):
        if not line.startswith("##"):
            return line.removeprefix("#").split("\t"), metadata
        key, _, value = line.removeprefix("##").strip().partition("=")
        metadata[key] = value
    raise FormatError("is empty. A table begins with a line of column names.", path=path)


def _text(value: Any) -> str:
    """Write one value."""
    if value is None:
        return "NA"
    if isinstance(value, str):
        return value.translate(_BLANKS)
    # Before integers, because bool is one of them; by name, for the type of NumPy.
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return "true" if value else "false"
    if isinstance(value, int) or (hasattr(value, "dtype") and value.dtype.kind in "iu"):
        return str(int(value))
    return "NA" if math.isnan(value) else f"{float(value):.9g}"
