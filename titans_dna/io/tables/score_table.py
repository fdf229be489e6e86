"""Tables of scores in five formats, by suffix: one row for each ALT or region, typed columns, and what made them.

=====================  ==============================================================================================
suffix                 layout
=====================  ==============================================================================================
``.tsv``, ``.tsv.gz``  a line of column names, rows; missing values ``NA`` (`titans_dna.io.tables.tsv`); only a shard
                       has its metadata above, as ``##key=value``
``.parquet``           Arrow columns, zstd; missing numbers are null; metadata in the file's key-value metadata
``.h5``                one dataset of a column each under ``/columns``, chunked and compressed; metadata as attributes
``.h5ad``              AnnData: ``X`` holds the score columns, ``obs`` all others, ``uns`` the metadata
=====================  ==============================================================================================

Scores are 32-bit floats at least, never less. Text is UTF-8: what is none is taken for Latin-1. Rows are written as
they come, at constant memory, but for ``.h5ad``, which is held until the end. A file appears under its name only when
it is complete.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from titans_dna.errors import OutputError
from titans_dna.io.disk.atomic import atomic_path
from titans_dna.io.disk.hdf5_file import new_hdf5
from titans_dna.io.disk.hdf5_metadata import write_metadata
from titans_dna.io.tables.tsv import TsvWriter

__all__ = ["SUFFIXES", "Column", "ScoreTableWriter", "is_score_table", "require_package"]

SUFFIXES = (".tsv", ".tsv.gz", ".parquet", ".h5", ".h5ad")
_ROWS = 1 << 16  # rows written at once


@dataclass(frozen=True)
class Column:
    """One column: ``text``, ``integer`` or ``score`` (a 32-bit float, missing where there is none)."""

    name: str
    kind: str


def is_score_table(path: str | os.PathLike[str]) -> bool:
    """Tell by its suffix whether a path is that of a table of scores."""
    return os.fspath(path).endswith(SUFFIXES)


class ScoreTableWriter:
    """Write rows as they come; a context manager, and only its clean end makes the file appear.

    Parameters
    ----------
    path
        Output; the format goes by its suffix.
    columns
        In order.
    metadata
        What the scores were made with, text by key.

    Raises
    ------
    OutputError
        If the suffix is unknown, or a package for it is not installed.
    """

    def __init__(
        self, path: str | os.PathLike[str], columns: Sequence[Column], metadata: Mapping[str, str] | None = None
    ) -> None:
        self.path, self.columns, self.metadata = Path(path), tuple(columns), dict(metadata or {})
        if not (is_score_table(path) or str(path) == "-"):
            raise OutputError(f"ends in no known suffix. Choose one of {', '.join(SUFFIXES)}.", path=path)
        needs = {".parquet": "pyarrow", ".h5ad": "anndata"}.get(self.path.suffix)
        if needs:
            require_package(needs, self.path)
        self._held: dict[str, Any] = {}
        self.rows = 0

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        names = [column.name for column in self.columns]
        self._tsv: TsvWriter | None = None
        if self.path.name.endswith((".tsv", ".tsv.gz")) or str(self.path) == "-":
            told = self.metadata if "shard" in self.metadata else {}  # other programs read a table without such lines
            head = [f"{key}={value}" for key, value in told.items()]
            self._tsv = self._stack.enter_context(TsvWriter(self.path, names, comments=head))
            return self
        temporary = self._stack.enter_context(atomic_path(self.path))
        sinks: dict[str, Callable[..., _Sink]] = {".parquet": _ParquetSink, ".h5": _Hdf5Sink, ".h5ad": _AnnDataSink}
        self._sink: Any = self._stack.enter_context(sinks[self.path.suffix](temporary, self.columns, self.metadata))
        self._stack.push(self._finish)
        self._clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _finish(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is None:
            self._flush()

    def write(self, row: Mapping[str, Any]) -> None:
        """Write one row; a score that is None or nan is missing."""
        self.rows += 1
        row = {name: _utf8(value) if isinstance(value, str) else value for name, value in row.items()}
        if self._tsv is not None:
            self._tsv.write(row)
            return
        for column in self.columns:
            value = row.get(column.name)
            if column.kind == "score":
                self._held[column.name].append(float("nan") if value is None else float(value))
            else:
                self._held[column.name].append("" if value is None else _without_zero(value))
        if self.rows % _ROWS == 0:
            self._flush()

    def write_columns(self, values: Mapping[str, Any]) -> None:
        """Write many rows at once: an equally long list or array for every column."""
        number = len(values[self.columns[0].name])
        if self._tsv is not None:
            names = [column.name for column in self.columns]
            rows = zip(*(np.asarray(values[name]).tolist() for name in names), strict=True)
            for row in rows:
                self._tsv.write(dict(zip(names, row, strict=True)))
        elif number:
            self._flush()
            types = {"score": np.float32, "integer": np.int64, "text": object}
            self._sink.write({c.name: np.asarray(values[c.name], types[c.kind]) for c in self.columns})
        self.rows += number

    def _clear(self) -> None:
        kinds = {"score": lambda: array("f"), "integer": lambda: array("q"), "text": list}
        self._held = {column.name: kinds[column.kind]() for column in self.columns}

    def _flush(self) -> None:
        self._sink.write(
            {
                column.name: self._held[column.name]
                if column.kind == "text"
                else np.array(self._held[column.name], np.float32 if column.kind == "score" else np.int64)
                for column in self.columns
            }
        )
        self._clear()


def require_package(package: str, path: Path) -> None:
    """Raise if an optional package is not installed."""
    import importlib.util

    if importlib.util.find_spec(package) is None:
        raise OutputError(
            f"needs the package {package}. Install it with: pip install 'titans-dna[convert]'.", path=path
        )


def _utf8(text: str) -> str:
    """Return text whose bytes that are no UTF-8, which readers keep as surrogates, stand for Latin-1."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return text.encode("utf-8", "surrogateescape").decode("latin-1")
    return text


def _without_zero(value: Any) -> Any:
    """Escape zero bytes, which HDF5's strings cannot hold."""
    return value.replace("\0", "\\x00") if isinstance(value, str) else value


class _Sink(ABC):
    """A context manager that takes columns of some rows at a time."""

    def __init__(self, path: Path, columns: Sequence[Column], metadata: Mapping[str, str]) -> None:
        self.path, self.columns, self.metadata = path, columns, metadata

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.close(error is None)

    @abstractmethod
    def write(self, values: Mapping[str, Any]) -> None:
        """Take columns of some rows, by name."""

    @abstractmethod
    def close(self, whole: bool) -> None:
        """Finish the file, or leave it where the rows are not ``whole``."""


class _ParquetSink(_Sink):
    """Row groups of an Arrow table."""

    def __enter__(self) -> Self:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {"text": pa.string(), "integer": pa.int64(), "score": pa.float32()}
        fields = [pa.field(column.name, types[column.kind]) for column in self.columns]
        self._schema = pa.schema(fields, metadata={f"titans_dna.{k}": v for k, v in self.metadata.items()})
        self._writer = pq.ParquetWriter(self.path, self._schema, compression="zstd")
        return self

    def write(self, values: Mapping[str, Any]) -> None:
        import pyarrow as pa

        arrays = [
            pa.array(values[column.name], type=field.type, from_pandas=column.kind == "score")
            for column, field in zip(self.columns, self._schema, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))

    def close(self, whole: bool) -> None:
        self._writer.close()


class _Hdf5Sink(_Sink):
    """Growing datasets."""

    def __enter__(self) -> Self:
        import h5py

        self._stack = ExitStack()
        types = {"text": h5py.string_dtype("utf-8"), "integer": np.dtype("i8"), "score": np.dtype("f4")}
        self._file = self._stack.enter_context(new_hdf5(self.path))
        self._file.attrs["titans_dna_scores"] = 1
        write_metadata(self._file, self.metadata)
        self._file.attrs["columns"] = [column.name for column in self.columns]
        self._file.attrs["kinds"] = [column.kind for column in self.columns]
        for column in self.columns:
            self._file.create_dataset(
                f"columns/{column.name}", (0,), types[column.kind], maxshape=(None,), chunks=(4096,),
                compression="gzip", compression_opts=4, shuffle=True, track_times=False,
            )  # fmt: skip
        return self

    def write(self, values: Mapping[str, Any]) -> None:
        for column in self.columns:
            dataset = self._file[f"columns/{column.name}"]
            before = len(dataset)
            dataset.resize(before + len(values[column.name]), axis=0)
            dataset[before:] = values[column.name]

    def close(self, whole: bool) -> None:
        self._stack.close()


class _AnnDataSink(_Sink):
    """Everything in memory until the end."""

    def __enter__(self) -> Self:
        self._parts: list[Mapping[str, Any]] = []
        return self

    def write(self, values: Mapping[str, Any]) -> None:
        self._parts.append(values)

    def close(self, whole: bool) -> None:
        if not whole:
            return
        import anndata
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
        table.write_h5ad(self.path, compression="gzip")
