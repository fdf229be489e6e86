"""Scored regions and embedded regions for the report, grouped into classes by the beginning of their names."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from titans_dna.errors import FormatError
from titans_dna.io.hdf5_reader import open_embeddings
from titans_dna.io.tables import read_tsv

__all__ = [
    "EmbeddedRegions",
    "ScoredRegion",
    "ScoredRegions",
    "class_of",
    "main_classes",
    "read_embedded_regions",
    "read_scored_regions",
]

OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class ScoredRegion:
    """One row of the table of scored regions."""

    contig: str  # as in the file
    start: int  # first base, 0-based
    end: int  # one past the last base, 0-based
    name: str  # "" for none
    strand: str  # "+", "-" or "."
    bits_per_base: float  # nan where not scored
    memory_surprise: float  # nan where not given
    outcome: str  # "scored", or the reason why not

    @property
    def class_name(self) -> str:
        """Class told by the name."""
        return class_of(self.name, self.contig)

    def __str__(self) -> str:
        return f"{self.contig}:{self.start + 1:,}-{self.end:,}"


@dataclass(frozen=True, kw_only=True)
class ScoredRegions:
    """The table of scored regions."""

    rows: tuple[ScoredRegion, ...]  # in the order of the file

    @property
    def scored(self) -> tuple[ScoredRegion, ...]:
        """Regions with bits per base, least surprising first."""
        known = (row for row in self.rows if math.isfinite(row.bits_per_base))
        return tuple(sorted(known, key=lambda row: row.bits_per_base))

    @property
    def outcomes(self) -> Mapping[str, int]:
        """Regions by outcome, most frequent first."""
        counts = Counter(row.outcome for row in self.rows)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddedRegions:
    """Embeddings of regions, projected on their first two principal components."""

    count: int  # regions in the file
    width: int  # values per region
    shown: int  # regions projected: all, or an even selection of a large file
    classes: NDArray[np.str_]  # of the projected regions, shape (shown,)
    projection: NDArray[np.float64]  # shape (shown, 2)
    explained: tuple[float, float]  # share of the variance on each component, between 0 and 1
    attributes: Mapping[str, str]  # of the file


def class_of(name: str, contig: str = "") -> str:
    """Return the class that a region's name tells: the letters that begin its last dotted part, without its contig.

    Whatever follows a colon is left out.

    Examples
    --------
    >>> class_of("exon_12"), class_of("chr1.gene7.promoter", "chr1"), class_of("chr1_repeat03:copy.2", "chr1")
    ('exon', 'promoter', 'repeat')
    >>> class_of("7SK")
    'other'
    """
    stem = name.partition(":")[0]
    if contig and stem.startswith(contig):
        stem = stem[len(contig) :].lstrip("._-")
    match = re.match(r"[A-Za-z]{1,20}", stem.rpartition(".")[2])
    return match[0] if match else OTHER


def main_classes(classes: Sequence[str], most: int = 6) -> tuple[str, ...]:
    """Return the most frequent classes in alphabetical order, and "other" last if some region is in none of them.

    Where the most frequent classes hold fewer than half of the regions, names tell no classes: there is only "all".
    """
    counts = Counter(name for name in classes if name != OTHER)
    ranked = sorted(counts, key=lambda name: (-counts[name], name))[:most]
    inside = sum(counts[name] for name in ranked)
    if 2 * inside < len(classes) or not ranked:
        return ("all",)
    return (*sorted(ranked), OTHER) if inside < len(classes) else tuple(sorted(ranked))


def read_scored_regions(path: Path) -> ScoredRegions:
    """Read the table that ``titans-dna score-regions`` wrote, plain or gzipped.

    Raises
    ------
    InputMissing
        If there is no such file.
    FormatError
        If a column is missing or a value is no number.
    """
    rows = []
    for number, row in enumerate(read_tsv(path), 1):
        try:
            rows.append(_region(row))
        except (KeyError, ValueError) as error:
            what = f"row {number} is not a scored region ({error!r}). Write the table with `titans-dna score-regions`."
            raise FormatError(what, path=path) from error
    return ScoredRegions(rows=tuple(rows))


def read_embedded_regions(path: Path, *, most: int = 3000) -> EmbeddedRegions:
    """Read embeddings and project an even selection of at most `most` regions on two principal components.

    Components come from the singular value decomposition of the centred vectors; the sign of each is chosen so that
    its largest loading is positive. Regions with a value that is not finite are left out.

    Raises
    ------
    InputMissing
        If there is no such file.
    FormatError
        If it is not a file of embeddings.
    """
    with open_embeddings(path) as source:
        count, width, attributes = len(source), source.width, source.attributes
        step = max(1, math.ceil(count / most))
        vectors, classes = np.empty((0, width)), []
        for first in range(0, count, step * 4096):
            chosen = slice(None, None, step)
            vectors = np.concatenate([vectors, source.vectors(first, first + step * 4096)[chosen]])
            classes += [
                class_of(region.name, region.contig) for region in source.intervals(first, first + step * 4096)[chosen]
            ]
    finite = np.isfinite(vectors).all(axis=1)
    projection, explained = _principal_components(vectors[finite])
    return EmbeddedRegions(
        count=count,
        width=width,
        shown=len(projection),
        classes=np.array(classes, dtype=np.str_)[finite],
        projection=projection,
        explained=explained,
        attributes={key: str(value) for key, value in sorted(attributes.items())},
    )


def _region(row: Mapping[str, str]) -> ScoredRegion:
    """One row of the table."""
    return ScoredRegion(
        contig=row["contig"],
        start=int(row["start"]),
        end=int(row["end"]),
        name="" if row["name"] in (".", "") else row["name"],
        strand=row["strand"],
        bits_per_base=_number(row["bits_per_base"]),
        memory_surprise=_number(row.get("memory_surprise")),
        outcome=row["outcome"],
    )


def _principal_components(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Projection on two components, zero where there are fewer, and the shares of variance."""
    projection, explained = np.zeros((len(vectors), 2)), np.zeros(2)
    if len(vectors) > 1:
        centred = vectors - vectors.mean(axis=0)
        _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
        kept = min(2, len(lengths))
        rows = np.arange(kept)
        signs = np.sign(directions[rows, np.abs(directions[:kept]).argmax(axis=1)])
        projection[:, :kept] = centred @ (directions[:kept] * signs[:, None]).T
        total = float((lengths**2).sum())
        explained[:kept] = lengths[:kept] ** 2 / total if total else 0.0
    digits = 6 - int(
        np.ceil(np.log10(max(np.abs(projection).max(initial=0), 1e-300)))
    )  # six that count, on any machine
    return projection.round(digits), (float(explained[0]), float(explained[1]))


def _number(value: str | None) -> float:
    """A number, or nan for what is empty or not given."""
    return math.nan if value is None or value in ("", ".", "NA") else float(value)
