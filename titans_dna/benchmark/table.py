"""The table of a benchmark: as TSV, and as a section of Markdown for a model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from titans_dna.inference.model import SequenceModel
from titans_dna.io.disk.atomic import atomic_path
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.tables.tsv import write_tsv
from titans_dna.jobs.provenance import run_metadata

Rows = Sequence[Mapping[str, Any]]


def write_table(
    path: Path, columns: Sequence[str], rows: Rows, model: SequenceModel, genome: Genome | None,
    options: Mapping[str, object],
) -> None:  # fmt: skip
    """Write the rows of a benchmark as TSV, with how they were made above them; ``-`` is standard output."""
    write_tsv(path, columns, rows, run_metadata(model, genome, {"kind": "benchmark", **options}))


def write_section(path: Path, title: str, words: str, columns: Sequence[str], rows: Rows, model: SequenceModel) -> None:
    """Write a benchmark as a section of Markdown: a heading, a sentence, and the table.

    Parameters
    ----------
    path
        Output.
    title, words
        Heading and sentence.
    columns, rows
        Those of the table; columns in which no row has a value are left out.
    model
        Whose name and checksum the section tells.
    """
    shown = [column for column in columns if any(row.get(column) not in (None, "") for row in rows)]
    lines = [
        f"## {title}", "", words, "", f"Model: {model.name}, weights {model.weights_sha256[:12]}.", "",
        f"| {' | '.join(column.replace('_', ' ') for column in shown)} |", f"|{' --- |' * len(shown)}",
        *(f"| {' | '.join(_cell(row.get(column)) for column in shown)} |" for row in rows),
    ]  # fmt: skip
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")
