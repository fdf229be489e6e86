"""Tracks along the longest contig that has values, read from any format and binned by mean and extreme."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyBigWig
from numpy.typing import NDArray

from titans_dna.errors import FormatError
from titans_dna.io.formats import sniff
from titans_dna.io.scores import Scores, open_scores

_KINDS = {
    "surprise": "Surprise of the memory{}, its loss at each base before it learns from it",
    "forgetting": "Forgetting: the share of the memory{} that each base erases",
    "log_likelihood": "ln P of each base, given all that stands before it",
    "entropy_bits": "Entropy of the prediction for each base, in bits",
    "relatives": "Relatives that can be followed at each base",
    "relatives_with_base": "Relatives that have the base of the sequence",
    "bits_saved": "Bits that the relatives save at each base",
}
LOW_MATTERS = ("log_likelihood", "relatives", "relatives_with_base")  # of these the lowest values are of interest
_UNITS = {"log_likelihood": " (nats)", "entropy_bits": " (bits)"}
Binned = dict[str, NDArray[np.float64]]  # edges, mean and extreme of a `TrackProfile`
EXACT_UP_TO_BP = 20_000_000  # longer contigs are binned from the zoom levels of a bigWig, approximate but quick


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackProfile:
    """A track along one contig in equal bins."""

    file: str  # name of the file
    kind: str  # what the numbers are: the column of a table, or the last part of a bigWig's name before .bw
    contig: str  # the longest contig with values
    length_bp: int  # of that contig; from a table, up to its last base with a value
    contigs: int  # contigs in the header of a bigWig, or with rows in a table
    edges: NDArray[np.float64]  # 0-based bounds of the bins, shape (bins + 1,)
    mean: NDArray[np.float64]  # nan where the bin has no value, shape (bins,)
    extreme: NDArray[np.float64]  # maximum, or minimum where low values matter; nan where the bin has no value
    covered_bp: int  # bases with a value in the whole file

    @property
    def extreme_name(self) -> str:
        """Name of the extreme: minimum or maximum."""
        return "minimum" if self.kind in LOW_MATTERS else "maximum"

    @property
    def unit(self) -> str:
        """Unit of the numbers in brackets, with a space before it; "" for those that have none."""
        return _UNITS.get(self.kind.removesuffix("_difference").partition("_haplotype")[0], "")


def describe_track(kind: str) -> str:
    """Describe in words what a kind of track holds.

    Examples
    --------
    >>> describe_track("forgetting_layer2")
    'Forgetting: the share of the memory of layer 2 that each base erases'
    """
    name, _, layer = kind.partition("_layer")
    return _KINDS[name].format(f" of layer {layer}" if layer else "") if name in _KINDS else f"Track {kind}"


def read_tracks(path: Path, *, bins: int = 600, prefer: Collection[str] = ()) -> tuple[TrackProfile, ...]:
    """Read the longest contig with values of each track in a file.

    Parameters
    ----------
    path
        File written by ``titans-dna score-regions`` with ``--track`` or ``--tracks``, or by ``mutagenesis --all-snvs``.
    bins
        Number of bins; a contig with fewer bases has one bin per base.
    prefer
        Contigs that come before all others, such as those that training never saw.

    Raises
    ------
    InputMissing
        If there is no such file.
    FormatError
        If the file holds no tracks, or tracks without any value.
    """
    found = sniff(path)
    if found is not None and found.name == "bigWig":
        return (_of_bigwig(path, bins, prefer),)
    if found is None or found.holds not in ("tracks", "all-SNVs"):
        raise FormatError("not a readable bigWig, and no other format of tracks. Write the track again.", path=path)
    return _of_table(open_scores(path), bins, prefer)


def _of_table(table: Scores, bins: int, prefer: Collection[str]) -> tuple[TrackProfile, ...]:
    """Read tracks from rows, which come contig by contig; of all contigs only the longest so far stays in memory."""
    kinds = [column.name for column in table.columns if column.kind == "score"]
    covered, contigs, longest = dict.fromkeys(kinds, 0), 0, ("", 0, dict[str, NDArray[np.float64]]())
    for contig, rows in groupby(table, lambda row: str(row["contig"])):
        values, contigs = _dense(rows, kinds), contigs + 1
        covered = {kind: covered[kind] + int(np.isfinite(values[kind]).sum()) for kind in kinds}
        if (contig in prefer, len(values[kinds[0]])) > (longest[0] in prefer, longest[1]):
            longest = (contig, len(values[kinds[0]]), values)
    contig, length_bp, values = longest
    if not contig:
        raise FormatError("tracks without values. Score at least one region.", path=table.path)
    return tuple(
        TrackProfile(
            file=table.path.name, kind=kind, contig=contig, length_bp=length_bp, contigs=contigs,
            covered_bp=covered[kind], **_bin(values[kind], min(bins, length_bp), kind in LOW_MATTERS),
        )
        for kind in kinds
    )  # fmt: skip


def _dense(rows: Iterable[Mapping[str, Any]], kinds: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return a value for every base of a contig up to the last base that has one, and nan for gaps."""
    places, numbers = array("q"), {kind: array("d") for kind in kinds}
    for row in rows:
        places.append(row["start"] if "start" in row else row["position"] - 1)
        for kind in kinds:
            numbers[kind].append(row[kind])
    values = {kind: np.full(max(places) + 1, np.nan) for kind in kinds}
    for kind in kinds:
        values[kind][np.array(places)] = np.array(numbers[kind])
    return values


def _of_bigwig(path: Path, bins: int, prefer: Collection[str]) -> TrackProfile:
    """Read the longest contig of a bigWig that has values."""
    try:
        with pyBigWig.open(str(path)) as track:
            lengths: dict[str, int] = track.chroms()
            covered = int(track.header()["nBasesCovered"])
            kind = path.stem.rpartition(".")[2]
            for contig in sorted(lengths, key=lambda name: (name not in prefer, -lengths[name], name)):
                found = _binned(track, contig, lengths[contig], bins, kind in LOW_MATTERS)
                if np.isfinite(found["mean"]).any():
                    return TrackProfile(
                        file=path.name, kind=kind, contig=contig, length_bp=lengths[contig], contigs=len(lengths),
                        covered_bp=covered, **found,
                    )  # fmt: skip
    except (RuntimeError, OSError, AttributeError) as error:
        raise FormatError(f"not a readable bigWig ({error}). Write the track again.", path=path) from error
    raise FormatError("a bigWig without values. Score at least one region.", path=path)


def _binned(track: pyBigWig.pyBigWig, contig: str, length_bp: int, bins: int, low: bool) -> Binned:
    """Return bounds, means and extremes of equal bins along a contig of a bigWig."""
    bins = min(bins, length_bp)
    if length_bp <= EXACT_UP_TO_BP:
        return _bin(np.asarray(track.values(contig, 0, length_bp, numpy=True), dtype=np.float64), bins, low)
    found = {"edges": np.linspace(0, length_bp, bins + 1)}
    for name, kind in {"mean": "mean", "extreme": "min" if low else "max"}.items():
        found[name] = np.array(track.stats(contig, 0, length_bp, type=kind, nBins=bins), dtype=np.float64)
    return found


def _bin(values: NDArray[np.float64], bins: int, low: bool) -> Binned:
    """Return bounds, means and maxima, or minima, of equal bins of values, in which nan is a gap."""
    edges = np.linspace(0, len(values), bins + 1).round()
    # There are never more bins than bases, so every bin has a base: `reduceat` would return nonsense for an empty one.
    first = edges[:-1].astype(np.int64)
    known = np.isfinite(values)
    counts = np.add.reduceat(known.astype(np.int64), first)
    sums = np.add.reduceat(np.where(known, values, 0.0), first)
    best, none = (np.minimum, np.inf) if low else (np.maximum, -np.inf)
    extreme = best.reduceat(np.where(known, values, none), first)
    empty = counts == 0
    mean = np.where(empty, np.nan, sums / np.maximum(counts, 1))
    return {"edges": edges, "mean": mean, "extreme": np.where(empty, np.nan, extreme)}
