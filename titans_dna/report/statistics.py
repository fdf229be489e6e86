"""The figures of one sample, which `titans-dna statistics` writes as JSON and `titans_dna.report.samples` reads.

::

    {"sample": NAME, "package_version": ..., "files": [{"role", "name", "bytes", "sha256"}, ...],
     "variants": {"records", "alleles", "outcomes": {OUTCOME: alleles}, "llr": {QUANTILE: nats}, "strand_correlation",
                  "separation": [{"group", "positives", "negatives", "auroc", "auroc_low", "auroc_high",
                                  "average_precision"}, ...]},
     "regions": {"regions", "outcomes": {OUTCOME: regions}, "bits_per_base": {QUANTILE: bits}},
     "tracks": {KIND: {"covered_bp", "contig", "mean"}},
     "embeddings": {"regions", "width"},
     "classes": {"rows", "outcomes": {OUTCOME: rows}, "predicted": {CLASS: rows}, "labelled", "accuracy"},
     "copies": {"stretches", "stretches_bp", "inverted", "sources": {SOURCE: stretches}}}

A part that was not given is left out; a figure that is not defined is null. Quantiles are keyed "0.01" to "0.99".
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from titans_dna.errors import ConfigError
from titans_dna.report.gather import ReportData
from titans_dna.report.predictions import PredictedClasses
from titans_dna.report.summaries import truth_rows
from titans_dna.report.track import TrackProfile
from titans_dna.version import __version__

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def sample_statistics(sample: str, data: ReportData, holdout: Collection[str] = ()) -> dict[str, Any]:
    """Return the figures of a sample, ready for JSON.

    Parameters
    ----------
    sample
        Name.
    data
        What `gather_inputs` returned for the files of the sample.
    holdout
        Contigs that training never saw. How well scores separate the classes is given for these first.

    Raises
    ------
    ConfigError
        If two tracks are of one kind.
    """
    found: dict[str, Any] = {"sample": sample, "package_version": __version__}
    found["files"] = [asdict(file) for file in data.files]
    if data.variants:
        found["variants"] = _variants(data, holdout)
    if data.regions:
        bits = [row.bits_per_base for row in data.regions.scored]
        outcomes = dict(data.regions.outcomes)
        found["regions"] = {"regions": len(data.regions.rows), "outcomes": outcomes, "bits_per_base": _quantiles(bits)}
    if data.tracks:
        found["tracks"] = _tracks(data.tracks)
    if data.embedded:
        found["embeddings"] = {"regions": data.embedded.count, "width": data.embedded.width}
    if data.predicted:
        found["classes"] = _classes(data.predicted)
    if data.copies:
        found["copies"] = {
            "stretches": data.copies.count, "stretches_bp": data.copies.stretches_bp, "inverted": data.copies.inverted,
            "sources": dict(data.copies.sources),
        }  # fmt: skip
    return found


def _variants(data: ReportData, holdout: Collection[str]) -> dict[str, Any]:
    assert data.variants is not None
    separation = [
        {
            "group": row.group, "positives": row.positives, "negatives": row.negatives, "auroc": _known(row.area),
            "auroc_low": _known(row.interval[0]), "auroc_high": _known(row.interval[1]),
            "average_precision": _known(row.precision),
        }
        for row in truth_rows(data.variants, data.truth_positive, holdout)
    ]  # fmt: skip
    return {
        "records": data.variants.records,
        "alleles": data.variants.alleles,
        "outcomes": dict(data.variants.outcomes),
        "llr": _quantiles(data.variants.llr),
        "strand_correlation": _known(data.variants.strand_correlation),
        "separation": separation,
    }


def _classes(predicted: PredictedClasses) -> dict[str, Any]:
    return {
        "rows": sum(predicted.outcomes.values()),
        "outcomes": dict(predicted.outcomes),
        "predicted": dict(predicted.predicted),
        "labelled": predicted.labelled,
        "accuracy": predicted.right / predicted.labelled if predicted.labelled else None,
    }


def _tracks(tracks: Sequence[TrackProfile]) -> dict[str, Any]:
    files: dict[str, str] = {}
    found = {}
    for track in tracks:
        if track.kind in files:
            both = f"{files[track.kind]} and {track.file}"
            raise ConfigError(f"{both} are both tracks of {track.kind}. Give one track of each kind.")
        files[track.kind] = track.file
        mean = _known(float(np.nanmean(track.mean)))
        found[track.kind] = {"covered_bp": track.covered_bp, "contig": track.contig, "mean": mean}
    return found


def _quantiles(values: ArrayLike) -> dict[str, float]:
    numbers = np.asarray(values, dtype=np.float64)
    if not numbers.size:
        return {}
    return {str(q): float(v) for q, v in zip(QUANTILES, np.quantile(numbers, QUANTILES), strict=True)}


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
