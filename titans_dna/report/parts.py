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
    "classes": "classes",
    "copies": "copies",
    "generated": "generated",
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
    if found is not None and found.holds == "figures" and (part := _part_of_figures(path)):
        return part
    what = f"holds {HOLDS[found.holds]}, which a report does not show" if found else "is of no known kind"
    raise ConfigError(f"{path}: {what}; name its part by an option")


def _part_of_figures(path: Path) -> str:
    """Return whether JSON is a sample's statistics, a classifier's test, or an evaluation; "" if it is none of them."""
    try:
        found = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except ValueError:
        return "evaluation"  # whose reader says what is wrong
    marks = {"sample": "samples", "training_examples": "classifier", "bits_per_base": "evaluation"}
    return next((part for mark, part in marks.items() if isinstance(found, dict) and mark in found), "")
