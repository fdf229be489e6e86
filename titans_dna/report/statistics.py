"""The figures of one sample: written as JSON by `titans-dna statistics`, and read again for a table over samples.

::

    {"sample": NAME, "package_version": ..., "files": [{"role", "name", "bytes", "sha256"}, ...],
     "variants": {"records", "alleles", "outcomes": {OUTCOME: alleles}, "llr": {QUANTILE: nats}, "strand_correlation",
                  "separation": [{"group", "positives", "negatives", "auroc", "auroc_low", "auroc_high",
                                  "average_precision"}, ...]},
     "regions": {"regions", "outcomes": {OUTCOME: regions}, "bits_per_base": {QUANTILE: bits}},
     "tracks": {KIND: {"covered_bp", "contig", "mean"}},
     "embeddings": {"regions", "width"}}

A part that was not given is left out; a figure that is not defined is null. Quantiles are keyed "0.01" to "0.99".
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from titans_dna.errors import FormatError, InputMissing
from titans_dna.report.summaries import truth_rows
from titans_dna.version import __version__

if TYPE_CHECKING:
    from titans_dna.report.gather import ReportData

__all__ = ["SampleRow", "read_sample", "sample_statistics"]

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
MEDIAN = "0.5"


@dataclass(frozen=True, kw_only=True)
class SampleRow:
    """One line of the table over samples; a count is None, a figure nan, where the sample has no such part."""

    sample: str  # name
    page: str  # relative path of the sample's own page, "" for none
    alleles: int | None  # ALT alleles in its variants
    scored: int | None  # of these, those with a score
    median_llr: float  # nats
    area: float  # AUROC against the truth, of the group to be quoted
    interval: tuple[float, float]  # its 95% confidence interval
    regions: int | None  # regions in its table of scores
    regions_scored: int | None  # of these, those with a score
    bits_per_base: float  # median over regions
    embedded: int | None  # regions in its embeddings
    surprise: float  # mean surprise of the memory along the longest contig


def sample_statistics(sample: str, data: ReportData, holdout: Collection[str] = ()) -> dict[str, Any]:
    """Return the figures of a sample, ready for JSON.

    Parameters
    ----------
    sample
        Name.
    data
        What `gather_inputs` read of it.
    holdout
        Contigs that training never saw: separation is given for them first.
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
        found["tracks"] = {
            track.kind: {
                "covered_bp": track.covered_bp, "contig": track.contig, "mean": _known(float(np.nanmean(track.mean)))
            }
            for track in data.tracks
        }  # fmt: skip
    if data.embedded:
        found["embeddings"] = {"regions": data.embedded.count, "width": data.embedded.width}
    return found


def read_sample(path: Path, beside: Path | None = None) -> SampleRow:
    """Read the statistics of a sample as a line of the table.

    Parameters
    ----------
    path
        JSON of `titans-dna statistics`.
    beside
        Folder of the page that is to link to ``report.html`` beside the file, where there is one; None for no links.

    Raises
    ------
    InputMissing
        If there is no such file.
    FormatError
        If it holds no such statistics.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return _row(values, _page(path, beside))
    except FileNotFoundError as error:
        raise InputMissing("no such file (sample). Write it with `titans-dna statistics`.", path=path) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"no statistics of a sample ({error!r}). Write them with `titans-dna statistics`."
        raise FormatError(what, path=path) from error


def _row(values: Mapping[str, Any], page: str) -> SampleRow:
    variants, regions = values.get("variants"), values.get("regions")
    best = (variants or {}).get("separation") or [{}]
    return SampleRow(
        sample=str(values["sample"]),
        page=page,
        alleles=int(variants["alleles"]) if variants else None,
        scored=_scored(variants["outcomes"]) if variants else None,
        median_llr=_number(variants["llr"].get(MEDIAN)) if variants else math.nan,
        area=_number(best[0].get("auroc")),
        interval=(_number(best[0].get("auroc_low")), _number(best[0].get("auroc_high"))),
        regions=int(regions["regions"]) if regions else None,
        regions_scored=_scored(regions["outcomes"]) if regions else None,
        bits_per_base=_number(regions["bits_per_base"].get(MEDIAN)) if regions else math.nan,
        embedded=int(values["embeddings"]["regions"]) if "embeddings" in values else None,
        surprise=_number(values.get("tracks", {}).get("surprise", {}).get("mean")),
    )


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


def _scored(outcomes: Mapping[str, int]) -> int:
    """How many have a score, whatever else there is to say about them."""
    return sum(int(outcomes.get(outcome, 0)) for outcome in ("scored", "swapped", "forced"))


def _quantiles(values: ArrayLike) -> dict[str, float]:
    numbers = np.asarray(values, dtype=np.float64)
    if not numbers.size:
        return {}
    return {str(q): float(v) for q, v in zip(QUANTILES, np.quantile(numbers, QUANTILES), strict=True)}


def _page(path: Path, beside: Path | None) -> str:
    page = path.with_name("report.html")
    return os.path.relpath(page, beside) if beside is not None and page.is_file() else ""


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
