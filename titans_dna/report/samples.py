"""The rows of the table over samples, each read from the statistics of a sample (see `report.statistics`)."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from titans_dna.errors import FormatError, InputMissing
from titans_dna.inference.outcomes import count_scored

MEDIAN = "0.5"  # key of the median among quantiles


@dataclass(frozen=True, kw_only=True)
class SampleRow:
    """One row of the table over samples; where a sample lacks a part, its counts are None and its figures nan."""

    sample: str  # name
    page: str  # relative path of the sample's own page, "" for none
    alleles: int | None  # ALT alleles in its variants
    scored: int | None  # of these, those with a score
    median_llr: float  # nats
    area: float  # AUROC against the truth, of the first group in the file
    interval: tuple[float, float]  # its 95% confidence interval
    regions: int | None  # regions in its table of scores
    regions_scored: int | None  # of these, those with a score
    bits_per_base: float  # median over regions
    embedded: int | None  # regions in its embeddings
    surprise: float  # mean surprise of the memory along the longest contig with values


def read_sample(path: Path, beside: Path | None = None) -> SampleRow:
    """Read the statistics of a sample as a row of the table.

    Parameters
    ----------
    path
        JSON of `titans-dna statistics`.
    beside
        Folder of the page, which links to the ``report.html`` beside the file if there is one; None for no links.

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
        scored=count_scored(variants["outcomes"]) if variants else None,
        median_llr=_number(variants["llr"].get(MEDIAN)) if variants else math.nan,
        area=_number(best[0].get("auroc")),
        interval=(_number(best[0].get("auroc_low")), _number(best[0].get("auroc_high"))),
        regions=int(regions["regions"]) if regions else None,
        regions_scored=count_scored(regions["outcomes"]) if regions else None,
        bits_per_base=_number(regions["bits_per_base"].get(MEDIAN)) if regions else math.nan,
        embedded=int(values["embeddings"]["regions"]) if "embeddings" in values else None,
        surprise=_number(values.get("tracks", {}).get("surprise", {}).get("mean")),
    )


def _page(path: Path, beside: Path | None) -> str:
    page = path.with_name("report.html")
    return os.path.relpath(page, beside) if beside is not None and page.is_file() else ""


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
