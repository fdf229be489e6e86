"""Files of scores read back: the scored VCF, and tables of variants or regions in all their formats."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titans_dna.api.frames import make_frame, require_pandas
from titans_dna.errors import FormatError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Scores", "open_scores"]

_INTEGERS = ("position", "start", "end", "bases")
_TEXTS = ("contig", "id", "ref", "alt", "name", "strand", "outcome")
_FIELDS = {
    "llr": "TD_LLR", "llr_forward": "TD_LLR_FWD", "llr_reverse": "TD_LLR_REV", "quantile": "TD_QUANTILE",
    "p_value": "TD_P",
}  # fmt: skip
_VCF = (".vcf", ".vcf.gz", ".vcf.bgz", ".bcf")


class Scores:
    """Rows of a file of scores; made by `open_scores`. Iterating gives one dict for each row, typed.

    Attributes
    ----------
    path
        The file.
    columns
        Names of the columns. Of variants: contig, position (1-based), id, ref, alt, llr, llr_forward, llr_reverse (in
        nats) and outcome. Of regions: contig, start, end (0-based, end excluded), name, strand, bases, log_likelihood
        (nats), bits_per_base, memory_surprise, entropy_bits and outcome. A score that is missing is nan.
    metadata
        What made the file, text by key; empty where the format cannot say it (``.tsv``).
    """

    path: Path
    columns: tuple[str, ...]
    metadata: dict[str, str]

    def __init__(self, path: Path, columns: tuple[str, ...], metadata: dict[str, str], rows: Any) -> None:
        self.path, self.columns, self.metadata, self._rows = path, columns, metadata, rows
        self._count: int | None = None

    def __repr__(self) -> str:
        return f"Scores({str(self.path)!r}, {len(self):,} rows: {', '.join(self.columns)})"

    def __len__(self) -> int:
        if self._count is None:
            self._count = sum(1 for _ in self)
        return self._count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        yield from self._rows()

    def columns_of_rows(self) -> dict[str, list[Any]]:
        """Read all rows, as a list of values for each column."""
        found: dict[str, list[Any]] = {name: [] for name in self.columns}
        for row in self:
            for name, values in found.items():
                values.append(row[name])
        return found

    def to_pandas(self) -> pd.DataFrame:
        """Read all rows into a frame; its ``attrs`` hold the metadata.

        Raises
        ------
        ConfigError
            If pandas is not installed.
        """
        require_pandas()
        return make_frame(self.columns_of_rows(), self.metadata)


def open_scores(path: str | os.PathLike[str]) -> Scores:
    """Open a file that ``titans-dna score-variants`` or ``score-regions`` wrote.

    Parameters
    ----------
    path
        ``.vcf``, ``.vcf.gz``, ``.bcf``, ``.tsv``, ``.tsv.gz``, ``.parquet``, ``.h5`` or ``.h5ad``. Of a VCF there is
        one row for each ALT; a record without ALT is one row.

    Raises
    ------
    InputMissing
        If the file is not there.
    FormatError
        If it holds no scores.
    """
    path = Path(path)
    if path.name.endswith(_VCF):
        return _open_vcf(path)
    from titans_dna.io.tables.score_table import Column
    from titans_dna.io.tables.score_table_reader import open_score_table

    table = open_score_table(path)
    if path.name.endswith((".tsv", ".tsv.gz")):
        table = open_score_table(path, [Column(column.name, _kind(column.name)) for column in table.columns])
    names = tuple(column.name for column in table.columns)
    if "outcome" not in names:
        raise FormatError(f"has no column outcome, so it holds no scores; it has {', '.join(names[:8])}.", path=path)
    return Scores(path, names, dict(table.metadata), table.rows)


def _kind(name: str) -> str:
    return "integer" if name in _INTEGERS else "text" if name in _TEXTS else "score"


def _open_vcf(path: Path) -> Scores:
    from titans_dna.io.variants.vcf import read_variants

    with read_variants(path) as reader:
        declared = reader.header.declared.get("INFO", frozenset())
        lines = [
            line.removeprefix("##titans_dna_").partition("=") for line in reader.header.lines if "##titans_dna_" in line
        ]
    if "TD_OUTCOME" not in declared:
        raise FormatError("is a VCF without scores. Score it with `titans-dna score-variants`.", path=path)
    scores = tuple(name for name, field in _FIELDS.items() if field in declared)
    columns = ("contig", "position", "id", "ref", "alt", *scores, "outcome")
    return Scores(path, columns, {key: value for key, _, value in lines}, lambda: _vcf_rows(path, scores))


def _vcf_rows(path: Path, scores: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a scored VCF."""
    from titans_dna.io.variants.vcf import read_variants

    with read_variants(path) as reader:
        for record in reader:
            info = record.info()
            texts = {name: info.get(_FIELDS[name], "").split(",") for name in scores}
            outcomes = info.get("TD_OUTCOME", "").split(",")
            for place, alt in enumerate(record.alts or (".",)):
                row: dict[str, Any] = {"contig": record.contig, "position": record.position, "id": record.id}
                row |= {"ref": record.ref, "alt": alt}
                row |= {name: _number(values, place) for name, values in texts.items()}
                yield row | {"outcome": outcomes[place] if place < len(outcomes) else ""}


def _number(texts: list[str], place: int) -> float:
    text = texts[place] if place < len(texts) else ""
    return float("nan") if text in ("", ".") else float(text)
