"""Tables of scores in five formats, by suffix: one row for each ALT or region, typed columns, and what made them.

=====================  ==============================================================================================
suffix                 layout
=====================  ==============================================================================================
``.tsv``, ``.tsv.gz``  a line of column names, rows; missing values ``NA`` (`titans_dna.io.tables`); only a shard has its
                       metadata above, as ``##key=value``
``.parquet``           Arrow columns, zstd; missing numbers are null; metadata in the file's key-value metadata
``.h5``                one dataset of a column each under ``/columns``, chunked and compressed; metadata as attributes
``.h5ad``              AnnData: ``X`` holds the score columns, ``obs`` all others, ``uns`` the metadata
=====================  ==============================================================================================

Scores are 32-bit floats at least, never less. Rows are written as they come, at constant memory, but for ``.h5ad``,
which is held until the end. A file appears under its name only when it is complete.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from titans_dna.errors import FormatError, InputMissing, OutputError
from titans_dna.io.atomic import atomic_path
from titans_dna.io.tables import TsvWriter, read_tsv
from titans_dna.io.text import read_lines

__all__ = ["SUFFIXES", "Column", "ScoreTable", "ScoreTableWriter", "is_score_table", "open_score_table"]

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
            _require(needs, self.path)
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
        sinks = {".parquet": _ParquetSink, ".h5": _Hdf5Sink, ".h5ad": _AnnDataSink}
        self._sink: Any = self._stack.enter_context(
            sinks[self.path.suffix](temporary, self.columns, self.metadata)  # type: ignore[abstract]
        )
        self._clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._tsv is None:
            self._flush()
        self._stack.__exit__(kind, error, trace)

    def write(self, row: Mapping[str, Any]) -> None:
        """Write one row; a score that is None or nan is missing."""
        self.rows += 1
        if self._tsv is not None:
            self._tsv.write(row)
            return
        for column in self.columns:
            value = row.get(column.name)
            if column.kind == "score":
                self._held[column.name].append(float("nan") if value is None else float(value))
            else:
                self._held[column.name].append("" if value is None else value)
        if self.rows % _ROWS == 0:
            self._flush()

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


def _require(package: str, path: Path) -> None:
    import importlib.util

    if importlib.util.find_spec(package) is None:
        raise OutputError(f"needs the package {package}. Install it with: pip install 'titans-dna[tables]'.", path=path)


class _Sink:
    """A context manager that takes columns of some rows at a time."""

    def __init__(self, path: Path, columns: Sequence[Column], metadata: Mapping[str, str]) -> None:
        self.path, self.columns, self.metadata = path, columns, metadata

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.close(error is None)

    def write(self, values: Mapping[str, Any]) -> None:
        raise NotImplementedError

    def close(self, whole: bool) -> None:
        raise NotImplementedError


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

        types = {"text": h5py.string_dtype("utf-8"), "integer": np.dtype("i8"), "score": np.dtype("f4")}
        self._file = h5py.File(self.path, "w")
        self._file.attrs.update({"titans_dna_scores": 1, **self.metadata})
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
        self._file.close()


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


@dataclass(frozen=True, kw_only=True)
class ScoreTable:
    """A table of scores that is read: what made it, and its rows."""

    path: Path
    columns: tuple[Column, ...]
    metadata: dict[str, str]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows, typed by column; missing scores are nan."""
        yield from _READERS[_kind(self.path)][1](self)


def open_score_table(path: str | os.PathLike[str], columns: Sequence[Column] = ()) -> ScoreTable:
    """Open a table of scores.

    Parameters
    ----------
    path
        A file of `ScoreTableWriter`.
    columns
        Kinds of the columns of a TSV, which does not say them; a column that is not named is text.

    Raises
    ------
    InputMissing
        If the file is not there.
    FormatError
        If it is no table of scores.
    """
    path = Path(path)
    if not path.is_file():
        raise InputMissing("there is no such file. Check the path.", path=path)
    if not is_score_table(path):
        raise FormatError(f"ends in no known suffix. Give one of {', '.join(SUFFIXES)}.", path=path)
    try:
        found, metadata = _READERS[_kind(path)][0](path, {column.name: column.kind for column in columns})
    except (OSError, KeyError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"is no table of scores ({error}). Make it again.", path=path) from None
    return ScoreTable(path=path, columns=tuple(Column(*pair) for pair in found), metadata=metadata)


def _kind(path: Path) -> str:
    return ".tsv" if path.name.endswith((".tsv", ".tsv.gz")) else path.suffix


def _tsv_head(path: Path, kinds: Mapping[str, str]) -> tuple[list[tuple[str, str]], dict[str, str]]:
    metadata: dict[str, str] = {}
    for _, line in read_lines(path):
        if not line.startswith("##"):
            return [(name, kinds.get(name, "text")) for name in line.split("\t")], metadata
        key, _, value = line.removeprefix("##").strip().partition("=")
        metadata[key] = value
    raise FormatError("is empty. A table begins with a line of column names.", path=path)


def _tsv_rows(table: ScoreTable) -> Iterator[dict[str, Any]]:
    convert = {"text": str, "integer": int, "score": lambda text: float("nan") if text == "NA" else float(text)}
    kinds = {column.name: convert[column.kind] for column in table.columns}
    for row in read_tsv(table.path):
        yield {name: kinds[name](value) for name, value in row.items()}


def _parquet_head(path: Path, kinds: Mapping[str, str]) -> tuple[list[tuple[str, str]], dict[str, str]]:
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    raw = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    metadata = {k.removeprefix("titans_dna."): v for k, v in raw.items() if k.startswith("titans_dna.")}
    names = {"string": "text", "int64": "integer", "float": "score"}
    return [(field.name, names[str(field.type)]) for field in schema], metadata


def _parquet_rows(table: ScoreTable) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    scores = [column.name for column in table.columns if column.kind == "score"]
    with pq.ParquetFile(table.path) as file:
        for batch in file.iter_batches(batch_size=_ROWS):
            for row in batch.to_pylist():
                yield {**row, **{name: float("nan") for name in scores if row[name] is None}}


def _hdf5_head(path: Path, kinds: Mapping[str, str]) -> tuple[list[tuple[str, str]], dict[str, str]]:
    import h5py

    with h5py.File(path, "r") as file:
        if "titans_dna_scores" not in file.attrs:
            raise FormatError("is HDF5, but no table of scores. Make it again.", path=path)
        metadata = dict(file.attrs)
        pairs = list(zip(metadata.pop("columns"), metadata.pop("kinds"), strict=True))
        metadata.pop("titans_dna_scores")
        return [(str(a), str(b)) for a, b in pairs], {key: str(value) for key, value in metadata.items()}


def _hdf5_rows(table: ScoreTable) -> Iterator[dict[str, Any]]:
    import h5py

    with h5py.File(table.path, "r") as file:
        sets = [file[f"columns/{column.name}"] for column in table.columns]
        for start in range(0, len(sets[0]), _ROWS):
            parts = [
                (data.asstr() if column.kind == "text" else data)[start : start + _ROWS].tolist()
                for data, column in zip(sets, table.columns, strict=True)
            ]
            for values in zip(*parts, strict=True):
                yield {column.name: value for column, value in zip(table.columns, values, strict=True)}


def _anndata_head(path: Path, kinds: Mapping[str, str]) -> tuple[list[tuple[str, str]], dict[str, str]]:
    import h5py

    _require("anndata", path)
    with h5py.File(path, "r") as file:
        group = file["uns/titans_dna"]
        names, found = (group[key].asstr()[:].tolist() for key in ("columns", "kinds"))
        metadata = {key: group[key].asstr()[()] for key in group if key not in ("columns", "kinds")}
    return list(zip(names, found, strict=True)), metadata


def _anndata_rows(table: ScoreTable) -> Iterator[dict[str, Any]]:
    import anndata

    data = anndata.read_h5ad(table.path)
    scores = {name: data.X[:, at].tolist() for at, name in enumerate(data.var_names)}
    others = {name: data.obs[name].tolist() for name in data.obs.columns}
    whole = {**scores, **others}
    for values in zip(*(whole[column.name] for column in table.columns), strict=True):
        yield {column.name: value for column, value in zip(table.columns, values, strict=True)}


_READERS: dict[str, Any] = {
    ".tsv": (_tsv_head, _tsv_rows),
    ".parquet": (_parquet_head, _parquet_rows),
    ".h5": (_hdf5_head, _hdf5_rows),
    ".h5ad": (_anndata_head, _anndata_rows),
}
