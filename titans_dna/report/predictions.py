"""Predicted classes for the report, from the table of ``predict``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from titans_dna.io.scores import open_holding

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


def read_predictions(path: Path) -> PredictedClasses:
    """Read what ``titans-dna predict`` wrote.

    Raises
    ------
    InputMissing
        If there is no such file.
    FormatError
        If it holds no predicted classes.
    """
    table = open_holding(path, "classes", "titans-dna predict")
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
