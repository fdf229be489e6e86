"""Reads the scored variants of a VCF or BCF as a table with one row for each ALT.

The scores are in INFO, with one value for each ALT; header lines ``##titans_dna_`` say how they were made. A record
without ALT has one row, whose alt is ``.`` and whose outcome is ``no_alt``. Malformed lines of the source have no
record; the header says how many there were (``malformed_records``). The columns are those of a table of scores. Each
row also has the number of its record, as ``record``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from titans_dna.errors import FormatError
from titans_dna.io.tables.score_table import Column
from titans_dna.io.tables.score_table_reader import Scores
from titans_dna.io.variants.vcf import VcfRecord, read_variants
from titans_dna.io.variants.vcf_header import VcfHeader

OURS = "##titans_dna_"
_SCORES = {
    "llr": "TD_LLR", "llr_forward": "TD_LLR_FWD", "llr_reverse": "TD_LLR_REV", "quantile": "TD_QUANTILE",
    "p_value": "TD_P", "vote": "TD_VOTE", "tolerance": "TD_TOLERANCE", "relatives_ref": "TD_REL_REF",
    "relatives_alt": "TD_REL_ALT", "relatives_other": "TD_REL_OTHER", "junction": "TD_JUNCTION",
    "gene_distance": "TD_GENE_DISTANCE",
}  # fmt: skip
_TEXTS = {"gene": "TD_GENE", "feature": "TD_FEATURE"}
_PLACE = (
    Column("contig", "text"), Column("position", "integer"), Column("id", "text"),
    Column("ref", "text"), Column("alt", "text"),
)  # fmt: skip


def open_scored_vcf(path: str | os.PathLike[str], info: Sequence[str] = ()) -> Scores:
    """Open a VCF or BCF of scored variants.

    Parameters
    ----------
    path
        File of ``titans-dna score-variants``.
    info
        IDs of INFO to read as columns of text with these names; those that the header does not declare are left out.

    Raises
    ------
    InputMissing
        If the file is not there.
    FormatError
        If the file is not a VCF or BCF, or was not scored.
    """
    with read_variants(path) as reader:
        header = reader.header
    declared = header.declared["INFO"]
    if not {"TD_LLR", "TD_OUTCOME"} <= declared:
        raise FormatError("has no INFO/TD_LLR and TD_OUTCOME. Score it with `titans-dna score-variants`.", path=path)
    scores = {name: key for name, key in _SCORES.items() if key in declared}
    wanted = [key for key in info if key in declared]
    texts = {name: key for name, key in _TEXTS.items() if key in declared}
    columns = (*_PLACE, *(Column(name, "score") for name in scores), *(Column(name, "text") for name in texts))
    columns += (Column("outcome", "text"), *(Column(key, "text") for key in wanted))
    read = partial(_rows, scores=scores, texts=texts, info=wanted)
    return Scores(path=Path(path), columns=columns, metadata=metadata_of(header), read=read)


def metadata_of(header: VcfHeader) -> dict[str, str]:
    """Return how the scores were made, as the header says it, without the texts of records that could not be copied."""
    pairs = [line.removeprefix(OURS).partition("=") for line in header.lines if line.startswith(OURS)]
    return {key: value for key, _, value in pairs if key not in ("malformed", "dropped")}


def _rows(
    table: Scores, scores: dict[str, str], texts: dict[str, str], info: Sequence[str]
) -> Iterator[dict[str, Any]]:  # fmt: skip
    with read_variants(table.path) as reader:
        for number, record in enumerate(reader, 1):
            if record.problem:
                raise FormatError(f"record is {record.problem}. Score it again.", path=table.path, line=record.line)
            yield from _of_record(number, record, scores, texts, info)


def _of_record(
    number: int, record: VcfRecord, scores: dict[str, str], named: dict[str, str], info: Sequence[str]
) -> Iterator[dict[str, Any]]:
    told = record.info()
    alts = record.alts or (".",)
    values = {name: told.get(key, "").split(",") for name, key in {**scores, **named, "outcome": "TD_OUTCOME"}.items()}
    texts = {key: told.get(key, "").split(",") for key in info}
    place = {"record": number, "contig": record.contig, "position": record.position, "id": record.id, "ref": record.ref}
    for at, alt in enumerate(alts):
        row: dict[str, Any] = {**place, "alt": alt}
        row |= {name: _number(_at(values[name], at)) for name in scores}
        row |= {name: unquote(_at(values[name], at)) for name in named}
        row["outcome"] = _at(values["outcome"], at) or ("" if record.alts else "no_alt")
        yield row | {key: _at(found, at if len(found) == len(alts) else 0) for key, found in texts.items()}


def _at(values: Sequence[str], place: int) -> str:
    """Return a value; "" if it is missing."""
    return values[place] if place < len(values) and values[place] != "." else ""


def _number(text: str) -> float:
    """Return a score; nan if there is none."""
    try:
        found = float(text) if text else math.nan
    except ValueError:
        return math.nan
    return found if math.isfinite(found) else math.nan
