"""Reads tables of scores in any of the formats of `titans_dna.io.tables.score_table`.

A TSV does not say the kinds of its columns; their names tell (`kind_of`).
"""

from __future__ import annotations

import importlib.util
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from titans_dna.errors import ConfigError, FormatError
from titans_dna.io.disk.hdf5_metadata import read_metadata
from titans_dna.io.disk.hdf5_reader import KINDS, check_tree, damage_said, dataset, read_hdf5
from titans_dna.io.formats import BENCHMARK_COLUMNS
from titans_dna.io.tables.score_table import Column
from titans_dna.io.tables.tsv import number_tsv, read_head

_ROWS = 1 << 16  # rows read at once
_INTEGERS = {
    "position", "start", "end", "bases", "longest_copy_bp", "offset", "haplotype", "haplotype_start", "haplotype_end",
}  # fmt: skip
_SCORES = {
    "llr", "llr_forward", "llr_reverse", "quantile", "p_value", "log_likelihood", "bits_per_base", "memory_surprise",
    "entropy_bits", "masked", "A", "C", "G", "T", "vote", "tolerance", "relatives_ref", "relatives_alt",
    "relatives_other", "bits_without_relatives", "bits_without_stretch", "bits_from_stretch", "gc", "word_divergence",
    "copied", "forward_ref", "forward_alt", "reverse_ref", "reverse_alt", "junction", "gene_distance",
    "bits_difference", "probability_difference",
}  # fmt: skip
_OF_COPIES = {  # columns of a BEDPE of copies that are no text
    "start1": "integer", "end1": "integer", "start2": "integer", "end2": "integer", "score": "integer",
    "identity": "score", "bits_saved": "score",
}  # fmt: skip
_OF_BENCHMARKS = {  # columns of the tables of benchmarks that are no scores
    **dict.fromkeys(("test", "set", "classifier", "score", "kind"), "text"),
    **dict.fromkeys(("haystack_bp", "needles", "decoys", "distance", "asked"), "integer"),
    **dict.fromkeys(("classes", "learned", "tested", "runs", "weights_trained"), "integer"),
    **dict.fromkeys(("positives", "negatives", "clusters", "pairs"), "integer"),
}  # fmt: skip
_MISSING = ("NA", "", ".")


@dataclass(frozen=True, kw_only=True)
class Scores:
    """A file of scores, opened by `titans_dna.open_scores`. Iterating gives one dict for each row, typed by column.

    Variants have the columns contig, position (1-based), id, ref, alt, llr, llr_forward and llr_reverse (in nats),
    further scores if these were asked for, and outcome. Regions have contig, start, end (0-based half-open), name,
    strand, bases, log_likelihood (nats), bits_per_base, memory_surprise, entropy_bits and outcome.
    """

    path: Path
    columns: tuple[Column, ...]
    metadata: dict[str, str]  # how the scores were made, text by key
    read: Callable[[Scores], Iterable[dict[str, Any]]]  # function that reads the rows from the start

    def __repr__(self) -> str:
        names = ", ".join(column.name for column in self.columns)
        return f"Scores({str(self.path)!r}, {len(self):,} rows: {names})"

    def __len__(self) -> int:
        """Return the number of rows, which are all read for that."""
        return sum(1 for _ in self.rows())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.rows()

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows, typed by column; missing scores are nan, missing integers None."""
        yield from self.read(self)

    def to_pandas(self) -> Any:
        """Return all rows as a data frame, with the metadata as its ``attrs``.

        Raises
        ------
        ConfigError
            If pandas is not installed.
        """
        if importlib.util.find_spec("pandas") is None:
            raise ConfigError("pandas is not installed. Run: pip install 'titans-dna[pandas]'")
        import pandas as pd

        makers: dict[str, Callable[[], Any]] = {"score": lambda: array("d"), "integer": list, "text": list}
        held = {column.name: makers[column.kind]() for column in self.columns}
        for row in self.rows():
            for name, values in held.items():
                values.append(row[name])
        # Int64 of pandas may be missing. A column that never is becomes int64 of NumPy, which more tools know.
        types = {"score": "float64", "integer": "Int64", "text": "object"}
        frame = pd.DataFrame({c.name: pd.Series(held[c.name], dtype=types[c.kind]) for c in self.columns})
        whole = [c.name for c in self.columns if c.kind == "integer" and frame[c.name].notna().all()]
        frame = frame.astype(dict.fromkeys(whole, "int64"))
        frame.attrs.update(self.metadata)
        return frame


def kind_of(name: str, names: Sequence[str]) -> str:
    """Return the kind of a column of a TSV, which follows from its name and the names of the other columns.

    In a table of tracks all columns after contig and start are scores, and in one of predictions all ``p_CLASS``.

    Examples
    --------
    >>> kind_of("llr", ["contig", "llr"]), kind_of("surprise_layer2", ["contig", "start", "surprise_layer2"])
    ('score', 'score')
    """
    if list(names[:1]) == ["chrom1"]:
        return _OF_COPIES.get(name, "text")
    if (names[0], names[-1]) in BENCHMARK_COLUMNS:
        return _OF_BENCHMARKS.get(name, "score")
    if name in _INTEGERS:
        return "integer"
    of_tracks = list(names[:2]) == ["contig", "start"] and list(names[2:3]) != ["end"] and name != "contig"
    of_classes = "predicted" in names and name.startswith("p_")
    return "score" if name in _SCORES or of_tracks or of_classes else "text"


def open_tsv(path: str | os.PathLike[str]) -> Scores:
    """Open a TSV."""
    names, metadata = read_head(path)
    columns = tuple(Column(name, kind_of(name, names)) for name in names)
    return Scores(path=Path(path), columns=columns, metadata=metadata, read=_tsv_rows)


def _tsv_rows(table: Scores) -> Iterator[dict[str, Any]]:
    convert: dict[str, Any] = {
        "text": str,
        "integer": lambda text: None if text == "NA" else int(text),
        "score": lambda text: float("nan") if text in _MISSING else float(text),
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


def open_parquet(path: str | os.PathLike[str]) -> Scores:
    """Open a Parquet file."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    raw = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    metadata = {k.removeprefix("titans_dna."): v for k, v in raw.items() if k.startswith("titans_dna.")}
    names = {"string": "text", "int64": "integer", "float": "score"}
    columns = tuple(Column(field.name, names[str(field.type)]) for field in schema)
    return Scores(path=Path(path), columns=columns, metadata=metadata, read=_parquet_rows)


def _parquet_rows(table: Scores) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    scores = [column.name for column in table.columns if column.kind == "score"]
    with pq.ParquetFile(table.path) as file:
        for batch in file.iter_batches(batch_size=_ROWS):
            for row in batch.to_pylist():
                yield {**row, **{name: float("nan") for name in scores if row[name] is None}}


def open_hdf5(path: str | os.PathLike[str]) -> Scores:
    """Open a table in HDF5."""
    with read_hdf5(path) as file:
        if "titans_dna_scores" not in file.attrs:
            raise FormatError("is HDF5, but no table of scores. Make it again.", path=path)
        columns = _columns(file.attrs["columns"], file.attrs["kinds"])
        ours = ("columns", "kinds", "titans_dna_scores")
        metadata = {key: text for key, text in read_metadata(file).items() if key not in ours}
    return Scores(path=Path(path), columns=columns, metadata=metadata, read=_hdf5_rows)


def _hdf5_rows(table: Scores) -> Iterator[dict[str, Any]]:
    with read_hdf5(table.path) as file:
        sets = [dataset(file, f"columns/{column.name}", KINDS[column.kind]) for column in table.columns]
        for start in range(0, max(map(len, sets), default=0), _ROWS):
            parts = [
                (data.asstr() if column.kind == "text" else data)[start : start + _ROWS].tolist()
                for data, column in zip(sets, table.columns, strict=True)
            ]
            for values in zip(*parts, strict=True):
                yield {column.name: value for column, value in zip(table.columns, values, strict=True)}


def open_anndata(path: str | os.PathLike[str]) -> Scores:
    """Open an AnnData file."""
    with read_hdf5(path) as file:
        check_tree(file)
        group = file["uns/titans_dna"]
        columns = _columns(*(group[key].asstr()[:] for key in ("columns", "kinds")))
        metadata = {key: group[key].asstr()[()] for key in group if key not in ("columns", "kinds")}
    return Scores(path=Path(path), columns=columns, metadata=metadata, read=_anndata_rows)


def _anndata_rows(table: Scores) -> Iterator[dict[str, Any]]:
    import anndata

    with damage_said(table.path):
        data = anndata.read_h5ad(table.path)
        scores = {name: data.X[:, at].tolist() for at, name in enumerate(data.var_names)}
        others = {name: data.obs[name].tolist() for name in data.obs.columns}
        whole = {column.name: {**scores, **others}[column.name] for column in table.columns}
    for values in zip(*whole.values(), strict=True):
        yield {column.name: value for column, value in zip(table.columns, values, strict=True)}


def _columns(names: Iterable[Any], kinds: Iterable[Any]) -> tuple[Column, ...]:
    return tuple(Column(str(name), str(kind)) for name, kind in zip(names, kinds, strict=True))
