"""Scored regions and embedded regions for the report, grouped into classes by their names.

Embeddings are drawn in two dimensions: principal components, and UMAP where umap-learn is installed.
"""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_dna.errors import FormatError
from titans_dna.io.embeddings.convert import as_hdf5
from titans_dna.io.embeddings.reader import Embeddings
from titans_dna.io.scores import open_scores
from titans_dna.io.tables.tsv import read_tsv

OTHER = "other"
NEIGHBOURS = 15  # UMAP's own default


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
        """Class that the name tells (see `class_of`)."""
        return class_of(self.name, self.contig)

    def __str__(self) -> str:
        return f"{self.contig}:{self.start + 1:,}-{self.end:,}"


@dataclass(frozen=True, kw_only=True)
class ScoredRegions:
    """The table of scored regions."""

    rows: tuple[ScoredRegion, ...]  # in the order of the file

    @property
    def scored(self) -> tuple[ScoredRegion, ...]:
        """Regions that have a score, those with the fewest bits per base first."""
        known = (row for row in self.rows if math.isfinite(row.bits_per_base))
        return tuple(sorted(known, key=lambda row: row.bits_per_base))

    @property
    def outcomes(self) -> Mapping[str, int]:
        """Regions by outcome, most frequent first."""
        counts = Counter(row.outcome for row in self.rows)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddedRegions:
    """Embeddings of regions, projected on two dimensions."""

    count: int  # regions in the file
    width: int  # values per region
    shown: int  # regions projected: all, or an even selection of a large file
    classes: NDArray[np.str_]  # of the projected regions, shape (shown,)
    projection: NDArray[np.float64]  # on two principal components, shape (shown, 2)
    explained: tuple[float, float]  # share of the variance on each component, between 0 and 1
    nearest: tuple[float, float]  # share of regions whose nearest other one has their class, and what chance gives
    umap: NDArray[np.float64] | None  # shape (shown, 2); None where umap-learn is not installed or regions are few
    label: str  # column that tells the classes, "" for names
    attributes: Mapping[str, str]  # of the file


def class_of(name: str, contig: str = "") -> str:
    """Return the class of a region: the letters at the beginning of the last dotted part of its name.

    The contig at the beginning of the name, and whatever follows a colon, are ignored. Without letters it is "other".

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
    """Return the most frequent classes in alphabetical order, and last "other" if a region belongs to none of them.

    If these classes hold fewer than half of the regions, the names are taken to tell no classes, and all is one: "all".
    """
    counts = Counter(name for name in classes if name != OTHER)
    ranked = sorted(counts, key=lambda name: (-counts[name], name))[:most]
    inside = sum(counts[name] for name in ranked)
    if 2 * inside < len(classes) or not ranked:
        return ("all",)
    return (*sorted(ranked), OTHER) if inside < len(classes) else tuple(sorted(ranked))


def read_scored_regions(path: Path) -> ScoredRegions:
    """Read the table that ``titans-dna score-regions`` wrote, in any of its formats.

    Raises
    ------
    InputMissing
        If there is no such file.
    FormatError
        If a column is missing, or a value is not a number.
    """
    rows = []
    for number, row in enumerate(open_scores(path), 1):
        try:
            rows.append(_region(row))
        except (KeyError, ValueError) as error:
            what = f"row {number} is not a scored region ({error!r}). Write the table with `titans-dna score-regions`."
            raise FormatError(what, path=path) from error
    return ScoredRegions(rows=tuple(rows))


def read_embedded_regions(
    path: Path, *, most: int = 3000, label: str = "", labels: Path | None = None
) -> EmbeddedRegions:
    """Read embeddings and project at most `most` regions, evenly chosen from the file, on two dimensions.

    Regions with a value that is not finite are left out. Of a region with a vector per base the mean is taken.

    Parameters
    ----------
    path
        File of `titans-dna embed` or `convert`.
    most
        Most regions to show.
    label
        Column whose values are the classes, of `labels` or else of /regions in the file; "" for classes by name.
    labels
        Table (TSV with a header) with a column "name" and the column `label`.

    Raises
    ------
    InputMissing
        If there is no such file.
    FormatError
        If it is not a file of embeddings, or there is no such column.
    """
    with as_hdf5(path) as source:
        count, width, attributes = len(source), source.width, source.attributes
        rows = np.arange(0, count, max(1, math.ceil(count / most)))
        if source.ragged:
            means = [_mean_of_known(source[row]) for row in rows.tolist()]
            vectors = np.array(means, dtype=np.float64).reshape(len(rows), width)
        else:
            vectors = source.take(rows).astype(np.float64)
        classes = _classes(source, rows, label, labels)
    finite = np.isfinite(vectors).all(axis=1)
    projection, explained = principal_components(vectors[finite])
    shown = np.array(classes, dtype=np.str_)[finite]
    return EmbeddedRegions(
        count=count,
        width=width,
        shown=len(projection),
        classes=shown,
        projection=projection,
        explained=explained,
        nearest=nearest_agree(vectors[finite], shown),
        umap=umap_projection(vectors[finite]),
        label=label,
        attributes={key: str(value) for key, value in sorted(attributes.items())},
    )


def _mean_of_known(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of the vectors of a region's known bases; nan if it has no known base."""
    known = vectors[np.isfinite(vectors).all(axis=1)]
    return known.mean(axis=0) if len(known) else np.full(vectors.shape[1], np.nan)


def _classes(source: Embeddings, rows: NDArray[np.int64], label: str, labels: Path | None) -> list[str]:
    """Return the class of each of these rows."""
    if labels is not None:
        table = {row.get("name", ""): row for row in read_tsv(labels)}
        if not table or not all(label in row and "name" in row for row in table.values()):
            raise FormatError(f"has no columns 'name' and {label!r}. Name the column with --label.", path=labels)
        return [table.get(str(name), {}).get(label) or OTHER for name in source.column("name")[rows]]
    if label:
        return [str(value) or OTHER for value in source.column(label)[rows]]
    pairs = zip(source.column("name")[rows], source.column("contig")[rows], strict=True)
    return [class_of(str(name), str(contig)) for name, contig in pairs]


def _region(row: Mapping[str, Any]) -> ScoredRegion:
    """Return the region of one row of the table."""
    return ScoredRegion(
        contig=row["contig"],
        start=row["start"],
        end=row["end"],
        name="" if row["name"] in (".", "") else row["name"],
        strand=row["strand"],
        bits_per_base=row["bits_per_base"],
        memory_surprise=row.get("memory_surprise", math.nan),
        outcome=row["outcome"],
    )


def principal_components(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Return the projection (n, 2) of vectors (n, width) on two principal components, and their shares of variance.

    Components come from the singular value decomposition of the centred vectors. The sign of each is chosen so that
    its largest loading is positive. Where there is one component only, or none, the missing ones are zero.
    """
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
    # Six significant digits of the largest value: the last bits depend on the machine's linear algebra, and the page
    # should not.
    digits = 6 - int(np.ceil(np.log10(max(np.abs(projection).max(initial=0), 1e-300))))
    return projection.round(digits), (float(explained[0]), float(explained[1]))


def nearest_agree(vectors: NDArray[np.float64], classes: NDArray[np.str_]) -> tuple[float, float]:
    """Return the share of vectors (n, width) whose nearest other vector has the same class, and what chance gives.

    Nearest is by the distance of the centred vectors, each divided by its length, so that the size of a vector does
    not count; nan with fewer than two vectors.
    """
    count = len(vectors)
    if count < 2:
        return np.nan, np.nan
    centred = vectors - vectors.mean(axis=0)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    likeness = (centred @ centred.T).round(6)  # rounded, for the last bits depend on the machine
    np.fill_diagonal(likeness, -np.inf)
    _, numbers = np.unique(classes, return_counts=True)
    chance = float((numbers * (numbers - 1)).sum() / (count * (count - 1)))
    return float((classes[likeness.argmax(axis=1)] == classes).mean()), chance


def umap_projection(vectors: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the projection (n, 2) of vectors (n, width) by UMAP, with its default settings and a fixed seed.

    None if umap-learn is not installed, or if there are no more vectors than UMAP takes neighbours (15).
    """
    if len(vectors) <= NEIGHBOURS:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import umap
        except ImportError:
            return None
        found = umap.UMAP(n_neighbors=NEIGHBOURS, random_state=0, n_jobs=1).fit_transform(vectors)
    return np.asarray(found, dtype=np.float64).round(4)
