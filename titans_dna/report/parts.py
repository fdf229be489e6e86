"""Finds out from the content of a file which part of a report it belongs to."""

from __future__ import annotations

import json
from pathlib import Path

from titans_dna.errors import ConfigError
from titans_dna.io.formats import HOLDS, sniff
from titans_dna.io.scores import open_scores

_PARTS = {
    "variants": "variants",
    "mutagenesis": "variants",
    "tracks": "track",
    "all-SNVs": "track",
    "embeddings": "embeddings",
}


def part_of(path: Path) -> str:
    """Return the field of `titans_dna.report.gather.ReportInputs` that a file, or the folder of a model, belongs to.

    Raises
    ------
    ConfigError
        If the file holds nothing that a report shows.
    InputMissing, FormatError
        If there is no such file, or it is damaged.
    """
    if path.is_dir():
        return "model"
    found = sniff(path)
    if found is not None and found.holds in _PARTS:
        return _PARTS[found.holds]
    if found is not None and found.holds == "scores":
        names = {column.name for column in open_scores(path).columns}
        return "variants" if {"position", "llr"} <= names else "regions"
    if found is not None and found.holds == "figures":
        return _part_of_figures(path)
    what = f"holds {HOLDS[found.holds]}, which a report does not show" if found else "is of no known kind"
    raise ConfigError(f"{path}: {what}; name its part by an option")


def _part_of_figures(path: Path) -> str:
    """Return which of the three kinds of JSON this is: a sample's statistics, a classifier's test, or an evaluation."""
    try:
        found = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except ValueError:
        return "evaluation"  # whose reader says what is wrong
    if isinstance(found, dict) and "sample" in found:
        return "samples"
    return "classifier" if isinstance(found, dict) and "training_examples" in found else "evaluation"
