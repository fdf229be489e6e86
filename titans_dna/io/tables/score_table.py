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
complete. Each format has a sink, a class for its rows; endings stand in `titans_dna.io.formats`.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from array import array
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from titans_dna.io.disk.atomic import atomic_path
from titans_dna.io.disk.contexts import Opening
from titans_dna.io.disk.hdf5_file import new_hdf5
from titans_dna.io.disk.hdf5_metadata import write_metadata
from titans_dna.io.formats import format_of
from titans_dna.io.tables.tsv import TsvWriter

_ROWS = 1 << 16  # rows written at once
_TYPES: dict[str, Any] = {"score": np.float32, "integer": np.int64, "text": object}
_CODES = {"score": "f", "integer": "q"}


@dataclass(frozen=True)
class Column:
    """One column, of kind ``text``, ``integer`` or ``score`` (a 32-bit float, which may be missing)."""

    name: str
    kind: str


class Sink(Opening):
    """A context manager that takes some rows at a time, as columns; the file appears only at a clean end."""

    as_given: ClassVar[bool] = False  # whether it takes values as they are, instead of arrays by the kind of column

    def __init__(self, path: Path, columns: Sequence[Column], metadata: Mapping[str, str]) -> None:
        self.path, self.columns, self.metadata = path, columns, metadata

    @abstractmethod
    def write(self, values: Mapping[str, Any]) -> None:
        """Write some rows, given as columns by name."""


class TsvSink(Sink):
    """Writes lines of text, with numbers in full precision."""

    as_given = True

    def open(self, stack: ExitStack) -> None:
        """Make the file."""
        self._names = [column.name for column in self.columns]
        self._writer = stack.enter_context(TsvWriter(self.path, self._names, self.metadata))

    def write(self, values: Mapping[str, Any]) -> None:
        """Write some rows."""
        for row in zip(*(values[name] for name in self._names), strict=True):
            self._writer.write(dict(zip(self._names, row, strict=True)))


class ParquetSink(Sink):
    """Writes row groups of an Arrow table."""

    def open(self, stack: ExitStack) -> None:
        """Make the file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {"text": pa.string(), "integer": pa.int64(), "score": pa.float32()}
        fields = [pa.field(column.name, types[column.kind]) for column in self.columns]
        # The prefix keeps these keys apart from those of other writers, such as pandas.
        self._schema = pa.schema(fields, metadata={f"titans_dna.{k}": v for k, v in self.metadata.items()})
        temporary = stack.enter_context(atomic_path(self.path))
        self._writer = stack.enter_context(pq.ParquetWriter(temporary, self._schema, compression="zstd"))

    def write(self, values: Mapping[str, Any]) -> None:
        """Write some rows."""
        import pyarrow as pa

        arrays = [
            pa.array(values[column.name], type=field.type, from_pandas=column.kind == "score")
            for column, field in zip(self.columns, self._schema, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))


class Hdf5Sink(Sink):
    """Writes datasets that grow."""

    def open(self, stack: ExitStack) -> None:
        """Make the file."""
        import h5py

        types = {"text": h5py.string_dtype("utf-8"), "integer": np.dtype("i8"), "score": np.dtype("f4")}
        self._file = stack.enter_context(new_hdf5(stack.enter_context(atomic_path(self.path))))
        self._file.attrs["titans_dna_scores"] = 1
        write_metadata(self._file, self.metadata)
        self._file.attrs["columns"] = [column.name for column in self.columns]
        self._file.attrs["kinds"] = [column.kind for column in self.columns]
        for column in self.columns:
            self._file.create_dataset(
                f"columns/{column.name}", (0,), types[column.kind], maxshape=(None,), chunks=(4096,),
                compression="gzip", compression_opts=4, shuffle=True, track_times=False,
            )  # fmt: skip

    def write(self, values: Mapping[str, Any]) -> None:
        """Write some rows."""
        for column in self.columns:
            dataset = self._file[f"columns/{column.name}"]
            before = len(dataset)
            dataset.resize(before + len(values[column.name]), axis=0)
            dataset[before:] = values[column.name]
        self._file.check_disk()


class AnnDataSink(Sink):
    """Keeps everything in memory, and writes it at the end."""

    def open(self, stack: ExitStack) -> None:
        """Make the file."""
        self._parts: list[Mapping[str, Any]] = []
        self._temporary = stack.enter_context(atomic_path(self.path))
        stack.push(self._save)

    def write(self, values: Mapping[str, Any]) -> None:
        """Write some rows."""
        self._parts.append(values)

    def _save(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is not None:
            return
        import anndata
        import anndata.io
        import pandas as pd

        def joined(name: str) -> np.ndarray[Any, np.dtype[Any]]:
            return np.concatenate([np.asarray(part[name]) for part in self._parts])

        scores = [column.name for column in self.columns if column.kind == "score"]
        others = {column.name: joined(column.name) for column in self.columns if column.kind != "score"}
        index = pd.Index([str(number) for number in range(len(next(iter(others.values()))))], name="row")
        table = anndata.AnnData(
            X=np.stack([joined(name) for name in scores], 1).astype(np.float32),
            obs=pd.DataFrame(others, index=index),
            var=pd.DataFrame(index=pd.Index(scores, name="score")),
            uns={"titans_dna": {**self.metadata, "columns": [c.name for c in self.columns],
                                "kinds": [c.kind for c in self.columns]}},
        )  # fmt: skip
        table.strings_to_categoricals()  # as its own write_h5ad does
        with new_hdf5(self._temporary) as file:
            anndata.io.write_elem(file, "/", table, dataset_kwargs={"compression": "gzip"})
            if "raw" in file:  # an empty one, which older readers do not know
                del file["raw"]


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
