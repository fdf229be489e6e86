"""Predicted classes and copies for the report, from tables of ``predict`` and ``score-regions --copies``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from titans_dna.errors import FormatError
from titans_dna.io.formats import sniff
from titans_dna.io.scores import open_scores
from titans_dna.io.tables.score_table_reader import Scores

MOST_COPIES = 8  # listed, longest first
NONE = ("", "NA")


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictedClasses:
    """The rows of a table of predicted classes, counted."""

    classes: tuple[str, ...]  # in the order of the table's columns
    outcomes: Mapping[str, int]  # rows by outcome, most frequent first
    predicted: Mapping[str, int]  # rows by the class predicted for them, in the order of `classes`
    probabilities: NDArray[np.float64]  # of the predicted class, for each row that has one
    confusion: Mapping[str, Mapping[str, int]]  # rows by their label, and by the class predicted for them

    @property
    def labelled(self) -> int:
        """Rows that have a label and a predicted class."""
        return sum(sum(row.values()) for row in self.confusion.values())

    @property
    def right(self) -> int:
        """Of these, those whose predicted class is their label."""
        return sum(row.get(label, 0) for label, row in self.confusion.items())


@dataclass(frozen=True, kw_only=True)
class CopiedStretch:
    """A stretch that was foretold from an earlier place; coordinates are 0-based half-open."""

    contig: str
    start: int
    end: int
    source: str  # contig of the earlier place
    source_start: int
    source_end: int
    inverted: bool  # whether it is a reverse complement
    genome: str  # relative that the earlier place is in, "" for the genome itself
    identity: float  # share of equal bases

    @property
    def length_bp(self) -> int:
        """Bases of the stretch."""
        return self.end - self.start


@dataclass(frozen=True, kw_only=True)
class Copies:
    """The stretches of a table of copies, counted by where they come from."""

    count: int
    stretches_bp: int  # sum of their lengths; stretches may overlap
    inverted: int
    sources: Mapping[str, int]  # stretches by "the same contig", "another contig", or the name of a relative
    longest: tuple[CopiedStretch, ...]


def read_predictions(path: Path) -> PredictedClasses:
    """Read what ``titans-dna predict`` wrote.

    Raises
    ------
    InputMissing
        If there is no such file.
    FormatError
        If it holds no predicted classes.
    """
    table = _open(path, "classes", "titans-dna predict")
    classes = tuple(c.name.removeprefix("p_") for c in table.columns if c.name.startswith("p_"))
    outcomes, found = Counter[str](), Counter[tuple[str, str]]()
    probabilities = []
    for row in table:
        outcomes[row["outcome"]] += 1
        if (predicted := row["predicted"]) not in NONE:
            probabilities.append(row[f"p_{predicted}"])
            found[row["label"], predicted] += 1
    confusion: dict[str, Counter[str]] = {}
    for (label, predicted), number in sorted(found.items()):
        if label not in NONE:
            confusion.setdefault(label, Counter())[predicted] += number
    return PredictedClasses(
        classes=classes,
        outcomes=dict(outcomes.most_common()),
        predicted={name: sum(n for (_, predicted), n in found.items() if predicted == name) for name in classes},
        probabilities=np.array(probabilities, dtype=np.float64),
        confusion=confusion,
    )


def read_copies(path: Path) -> Copies:
    """Read what ``titans-dna score-regions --copies`` wrote.

    Raises
    ------
    InputMissing
        If there is no such file.
    FormatError
        If it holds no copies.
    """
    stretches = [
        CopiedStretch(
            contig=row["chrom1"], start=row["start1"], end=row["end1"], source=row["chrom2"],
            source_start=row["start2"], source_end=row["end2"], inverted=row["strand2"] == "-",
            genome="" if row["genome2"] in NONE else row["genome2"], identity=row["identity"],
        )
        for row in _open(path, "copies", "titans-dna score-regions --copies")
    ]  # fmt: skip
    sources = Counter(
        each.genome or ("the same contig" if each.source == each.contig else "another contig") for each in stretches
    )
    return Copies(
        count=len(stretches),
        stretches_bp=sum(each.length_bp for each in stretches),
        inverted=sum(each.inverted for each in stretches),
        sources=dict(sources.most_common()),
        longest=tuple(sorted(stretches, key=lambda each: (-each.length_bp, each.contig, each.start))[:MOST_COPIES]),
    )


def _open(path: Path, holds: str, verb: str) -> Scores:
    found = sniff(path)
    if found is None or found.holds != holds:
        raise FormatError(f"holds no {'predicted ' * (holds == 'classes')}{holds}. Write it with `{verb}`.", path=path)
    return open_scores(path)
