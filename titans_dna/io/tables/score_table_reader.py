"""Tables of scores read back, in any of the formats of `titans_dna.io.tables.score_table`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from titans_dna.errors import FormatError, InputMissing, TitansDNAError
from titans_dna.io.disk.hdf5_metadata import read_metadata
from titans_dna.io.disk.text import read_lines
from titans_dna.io.tables.score_table import SUFFIXES, Column, is_score_table, require_package
from titans_dna.io.tables.tsv import number_tsv

__all__ = ["ScoreTable", "holds_scores", "open_score_table"]

_ROWS = 1 << 16  # rows read at once


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
    OutputError
        If a package that reads it is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise InputMissing("there is no such file. Check the path.", path=path)
    if not is_score_table(path):
        raise FormatError(f"ends in no known suffix. Give one of {', '.join(SUFFIXES)}.", path=path)
    try:
        found, metadata = _READERS[_kind(path)][0](path, {column.name: column.kind for column in columns})
    except TitansDNAError:
        raise
    except (OSError, KeyError, ValueError) as error:
        raise FormatError(f"is no table of scores ({error}). Make it again.", path=path) from None
    return ScoreTable(path=path, columns=tuple(Column(*pair) for pair in found), metadata=metadata)


def holds_scores(path: Path) -> bool:
    """Tell a file of scores, VCF or table, from one of embeddings: by its suffix, or for HDF5 by what it says."""
    if path.suffix in (".h5", ".hdf5") and path.is_file():
        import h5py

        try:
            with h5py.File(path, "r") as file:
                return "titans_dna_scores" in file.attrs
        except OSError:
            return False
    return is_score_table(path) or path.name.endswith((".vcf", ".vcf.gz", ".vcf.bgz"))


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
    convert: dict[str, Any] = {
        "text": str,
        "integer": int,
        "score": lambda text: float("nan") if text == "NA" else float(text),
    }
    kinds = {column.name: convert[column.kind] for column in table.columns}
    for line, row in number_tsv(table.path):
        typed, name = {}, ""
        try:
            for name, value in row.items():
                typed[name] = kinds[name](value)
        except ValueError:
            raise FormatError(f"{name} is {row[name]!r}, no number. Correct it.", path=table.path, line=line) from None
        yield typed


def _parquet_head(path: Path, kinds: Mapping[str, str]) -> tuple[list[tuple[str, str]], dict[str, str]]:
    require_package("pyarrow", path)
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
        pairs = list(zip(file.attrs["columns"], file.attrs["kinds"], strict=True))
        ours = ("columns", "kinds", "titans_dna_scores")
        metadata = {key: text for key, text in read_metadata(file).items() if key not in ours}
        return [(str(a), str(b)) for a, b in pairs], metadata


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

    require_package("anndata", path)
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
