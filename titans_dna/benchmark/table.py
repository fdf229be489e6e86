"""What the table of a benchmark says of how it was made, and the table as a section of Markdown for a model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from titans_dna.inference.model import SequenceModel
from titans_dna.io.disk.atomic import atomic_path
from titans_dna.io.sequence.fasta import Genome
from titans_dna.jobs.provenance import command_line, run_metadata
from titans_dna.version import __version__

Rows = Sequence[Mapping[str, Any]]


def told_of(model: SequenceModel, genome: Genome | None, options: Mapping[str, object]) -> dict[str, str]:
    """Return what the table of a benchmark says of a model that was run for it."""
    return run_metadata(model, genome, {"kind": "benchmark", **options})


def told_of_scores(made: Mapping[str, str], options: Mapping[str, object]) -> dict[str, str]:
    """Return what the table of a benchmark says of scores that a file holds: their own model, not one that is named.

    Parameters
    ----------
    made
        How the scores were made, as their file says it.
    options
        All options of the benchmark.
    """
    own = {key: text for key, text in made.items() if key in ("model", "reference", "relatives")}
    told = {"kind": "benchmark", **options}
    return {
        "version": __version__, **own, "scored_with": made.get("options", ""),
        "options": " ".join(f"{key}={value}" for key, value in told.items()), "command": command_line(),
    }  # fmt: skip


def write_section(path: Path, title: str, words: str, columns: Sequence[str], rows: Rows, model: str) -> None:
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
        What the table says of the model.
    """
    shown = [column for column in columns if any(row.get(column) not in (None, "") for row in rows)]
    lines = [
        f"## {title}", "", words, "", f"Model: {model}.", "",
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
