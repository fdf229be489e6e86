"""Generated sequences beside their prompts for the report, from the table of ``titans-dna generate``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from titans_dna.io.scores import open_holding

MOST_ROWS = 60  # rows that are shown


@dataclass(frozen=True, kw_only=True)
class SequenceRow:
    """A prompt or a generated sequence; figures that are not defined are nan."""

    name: str
    is_prompt: bool
    bases: int
    bits_per_base: float
    gc: float
    word_divergence: float
    copied: float
    longest_copy_bp: int


@dataclass(frozen=True, kw_only=True)
class GeneratedSequences:
    """The rows of a table of generated sequences, counted."""

    prompts: int
    sequences: int
    bases: int  # of all generated sequences
    copied: float  # share of these that were copied; nan for a model without a copy memory
    settings: str  # how they were drawn
    rows: int
    shown: tuple[SequenceRow, ...]  # the first rows


def read_generated(path: Path) -> GeneratedSequences:
    """Read what ``titans-dna generate --table`` wrote.

    Raises
    ------
    InputMissing
        If there is no such file.
    FormatError
        If it holds no generated sequences.
    """
    table = open_holding(path, "generated", "titans-dna generate --table")
    prompts = sequences = bases = 0
    copied = 0.0
    shown: list[SequenceRow] = []
    for row in table:
        found = SequenceRow(
            name=row["name"], is_prompt=row["kind"] == "prompt", bases=row["bases"],
            bits_per_base=row["bits_per_base"], gc=row["gc"], word_divergence=row["word_divergence"],
            copied=row["copied"], longest_copy_bp=row["longest_copy_bp"],
        )  # fmt: skip
        if found.is_prompt:
            prompts += 1
        else:
            sequences, bases, copied = sequences + 1, bases + found.bases, copied + found.copied * found.bases
        if len(shown) < MOST_ROWS:
            shown.append(found)
    return GeneratedSequences(
        prompts=prompts, sequences=sequences, bases=bases, copied=copied / bases if bases else math.nan,
        settings=table.metadata.get("options", "").removeprefix("kind=generated "),
        rows=prompts + sequences, shown=tuple(shown),
    )  # fmt: skip
