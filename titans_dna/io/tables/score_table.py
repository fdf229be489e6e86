"""Tables of scores in four formats, by their endings: a row for each ALT or region, typed columns, what made them.

=============  ======================================================================================================
format         layout
=============  ======================================================================================================
TSV            metadata as ``##key=value``, a line of column names, rows; missing values ``NA``
               (`titans_dna.io.tables.tsv`)
Parquet        Arrow columns, zstd; missing numbers are null; metadata in the file's key-value metadata
HDF5           a dataset for each column under ``/columns``, chunked and compressed; metadata as attributes
AnnData        ``X`` holds the score columns, ``obs`` all others, ``uns`` the metadata
=============  ======================================================================================================

Scores are 32-bit floats at least, never less. Text that is not UTF-8 is read as Latin-1. Rows are written as they come,
at constant memory; only AnnData is held until the end. A file appears under its name only when it is
complete. Endings stand in `titans_dna.io.formats`, writers in `titans_dna.io.tables.score_sinks`.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.io.disk.contexts import Opening
from titans_dna.io.formats import format_of
from titans_dna.io.tables.score_sinks import Column, Sink, TsvSink

_ROWS = 1 << 16  # rows written at once
_TYPES: dict[str, Any] = {"score": np.float32, "integer": np.int64, "text": object}
_CODES = {"score": "f", "integer": "q"}


class ScoreTableWriter(Opening):
    """Write rows as they come; a context manager, and only its clean end makes the file appear.

    Parameters
    ----------
    path
        Output; the format goes by its ending. ``-`` is TSV on standard output.
    columns
        In order.
    metadata
        What the scores were made with, text by key.

    Raises
    ------
    OutputError
        If the ending is unknown, or a package for it is not installed.
    """

    def __init__(
        self, path: str | os.PathLike[str], columns: Sequence[Column], metadata: Mapping[str, str] | None = None
    ) -> None:
        self.path, self.columns, self.rows = Path(path), tuple(columns), 0
        sink = TsvSink if str(path) == "-" else format_of(path, holds="scores").load_writer()
        self._sink: Sink = sink(self.path, self.columns, dict(metadata or {}))
        self._clear()

    def open(self, stack: ExitStack) -> None:
        """Open the file."""
        stack.enter_context(self._sink)
        # After the sink, so that the last rows are handed over before the sink closes.
        stack.push(self._finish)

    def _finish(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is None:
            self._flush()

    def write(self, row: Mapping[str, Any]) -> None:
        """Write one row; a score that is None or nan is missing."""
        self.rows += 1
        for column in self.columns:
            value = row.get(column.name)
            if isinstance(value, str):
                value = _utf8(value)
            self._held[column.name].append(value if self._sink.as_given else _typed(value, column.kind))
        if self.rows % _ROWS == 0:
            self._flush()

    def write_columns(self, values: Mapping[str, Any]) -> None:
        """Write many rows at once: an equally long list or array for every column."""
        if number := len(values[self.columns[0].name]):
            self._flush()
            arrays = {c.name: np.asarray(values[c.name], _TYPES[c.kind]) for c in self.columns}
            self._sink.write({k: v.tolist() for k, v in arrays.items()} if self._sink.as_given else arrays)
        self.rows += number

    def _clear(self) -> None:
        plain = self._sink.as_given
        self._held: dict[str, Any] = {
            c.name: list[Any]() if plain or c.kind == "text" else array(_CODES[c.kind]) for c in self.columns
        }

    def _flush(self) -> None:
        """Hand over the rows held; even none, for AnnData needs the types of its columns."""
        held = {
            c.name: values if isinstance(values := self._held[c.name], list) else np.array(values, _TYPES[c.kind])
            for c in self.columns
        }
        self._sink.write(held)
        self._clear()


def _typed(value: Any, kind: str) -> Any:
    """Return a value as arrays of its kind take it; HDF5's strings cannot hold zero bytes."""
    if kind == "score":
        return float("nan") if value is None else float(value)
    if value is None:
        return ""
    return value.replace("\0", "\\x00") if isinstance(value, str) else value


def _utf8(text: str) -> str:
    """Return text as valid Unicode: bytes that are not UTF-8, which readers keep as surrogates, are read as Latin-1."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return text.encode("utf-8", "surrogateescape").decode("latin-1")
    return text
