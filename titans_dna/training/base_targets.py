"""What a head learns to predict of every base: classes from BED, GTF or GFF, or the values of bigWigs.

A class is on or off at every base, and several can be on at once (a base of a CDS lies in an exon too). Beside the
feature types of an annotation there are two that follow from its exons: ``splice_donor`` and ``splice_acceptor``, the
first two and last two bases of the introns between the exons of one transcript, in the direction of its strand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.errors import ConfigError, FormatError, InputMissing
from titans_dna.genome.contigs import ContigTable
from titans_dna.genome.interval import Interval
from titans_dna.io.intervals.bed import EXON, iterate_records

DONOR, ACCEPTOR = "splice_donor", "splice_acceptor"
SITE_BP = 2  # bases of a splice site
MOST_CLASSES = 32
BIGWIG = (".bw", ".bigwig", ".bigWig")


@dataclass(frozen=True, kw_only=True)
class BaseTargets:
    """Targets of every base of a genome."""

    names: tuple[str, ...]
    regression: bool  # whether they are values, not classes
    spans: dict[str, dict[int, np.ndarray]] = field(default_factory=dict)  # by contig and class: (n, 2) half-open
    tracks: tuple[Path, ...] = ()  # bigWigs, one for each name
    contigs: tuple[dict[str, str], ...] = ()  # names of contigs in each of them, by the genome's

    def values(self, contig: str, start: int, end: int) -> np.ndarray:
        """Return the targets of bases ``start`` to ``end`` (0-based half-open), (bases, names) float32.

        Classes are 0 or 1; a bigWig has nan where it has no value.
        """
        if self.regression:
            return np.stack([_of_bigwig(p, n.get(contig, ""), start, end) for p, n in
                             zip(self.tracks, self.contigs, strict=True)], 1)  # fmt: skip
        found = np.zeros((end - start, len(self.names)), np.float32)
        for number, spans in self.spans.get(contig, {}).items():
            for low, high in spans[(spans[:, 0] < end) & (spans[:, 1] > start)].tolist():
                found[max(low - start, 0) : high - start, number] = 1.0
        return found


def read_targets(
    paths: Sequence[Path], contigs: ContigTable, features: Sequence[str] = (), *, one_class: bool = False
) -> BaseTargets:
    """Read targets.

    Parameters
    ----------
    paths
        One BED, GTF or GFF file; or bigWigs, each of which is a track named after the file.
    contigs
        Of the genome. Lines on other contigs are left out.
    features
        Types of GTF and GFF that become classes (``splice_donor`` and ``splice_acceptor`` are possible); exon if empty.
    one_class
        Whether all lines of a BED are one class, whatever their names.

    Raises
    ------
    ConfigError
        If there is no file, or several that are no bigWigs; if BED has more than 32 names; if no target lies on a
        contig of the genome.
    FormatError, InputMissing
        If a file cannot be read.
    """
    if not paths:
        raise ConfigError("there are no targets; give BED, GTF, GFF or bigWig")
    bigwigs = [path for path in paths if path.name.endswith(BIGWIG)]
    if bigwigs and len(bigwigs) == len(paths):
        if features or one_class:
            raise ConfigError("bigWigs have values, not classes; leave --feature and --one-class out")
        return _tracks(bigwigs, contigs)
    if len(paths) > 1:
        raise ConfigError("give one BED, GTF or GFF, or bigWigs alone; the classes of several files go into one")
    return _classes(paths[0], contigs, features, one_class)


def _classes(path: Path, contigs: ContigTable, features: Sequence[str], one_class: bool) -> BaseTargets:
    annotated = bool(features) or not _is_bed(path)
    wanted = list(dict.fromkeys(features or [EXON])) if annotated else []
    held: dict[str, list[Interval]] = defaultdict(list)
    sites = [name for name in wanted if name in (DONOR, ACCEPTOR)]
    for kind in [name for name in wanted if name not in sites] if annotated else [EXON]:
        for interval in _placed(path, contigs, kind):
            name = kind if annotated else "region" if one_class or not interval.name else interval.name
            held[name].append(interval)
            if len(held) > MOST_CLASSES:
                raise ConfigError(f"{path}: has more than {MOST_CLASSES} names; take all as one with --one-class")
    if sites:
        for interval, name in _splice_sites(_placed(path, contigs, EXON)):
            if name in sites:
                held[name].append(interval)
    names = tuple(wanted or sorted(held))
    if missing := [name for name in names if not held.get(name)]:
        raise ConfigError(f"{path}: has no {missing[0]} on a contig of the genome; check the types and the contigs")
    if not names:
        raise ConfigError(f"{path}: no line lies on a contig of the genome; name the contigs with --aliases")
    spans: dict[str, dict[int, np.ndarray]] = defaultdict(dict)
    for number, name in enumerate(names):
        by_contig: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for interval in held[name]:
            by_contig[interval.contig].append((interval.start, interval.end))
        for contig, found in by_contig.items():
            spans[contig][number] = np.array(sorted(set(found)), np.int64)
    return BaseTargets(names=names, regression=False, spans=dict(spans))


def _is_bed(path: Path) -> bool:
    """Tell BED from an annotation, by the end of the name."""
    return not any(path.name.lower().removesuffix(".gz").endswith(end) for end in (".gtf", ".gff", ".gff3", ".gff2"))


def _placed(path: Path, contigs: ContigTable, kind: str) -> Iterable[Interval]:
    """Yield the intervals of a type under the genome's names of their contigs; those of other contigs are left out."""
    for record in iterate_records(path, feature=kind):
        if record.problem:
            raise FormatError(record.problem.removeprefix("malformed: "), path=path, line=record.line)
        for interval in record.intervals:
            contig = contigs.resolve(interval.contig)
            if contig is not None:
                end = min(interval.end, contigs.lengths[contig])
                yield Interval(contig, min(interval.start, end), end, interval.strand, interval.name)


def _splice_sites(exons: Iterable[Interval]) -> Iterable[tuple[Interval, str]]:
    """Yield the splice sites between the exons of each transcript, and which kind each is."""
    transcripts: dict[tuple[str, str, str], set[tuple[int, int]]] = defaultdict(set)
    for exon in exons:
        if exon.name and exon.strand != ".":
            transcripts[exon.contig, exon.name, exon.strand].add((exon.start, exon.end))
    for (contig, _, strand), found in transcripts.items():
        order = sorted(found)
        for (_, left), (right, _) in pairwise(order):
            if right - left < 2 * SITE_BP:  # exons that touch have no intron between them
                continue
            first, last = (DONOR, ACCEPTOR) if strand == "+" else (ACCEPTOR, DONOR)
            yield Interval(contig, left, left + SITE_BP), first
            yield Interval(contig, right - SITE_BP, right), last


def _tracks(paths: Sequence[Path], contigs: ContigTable) -> BaseTargets:
    names = tuple(path.name.rsplit(".", 1)[0] for path in paths)
    if len(set(names)) < len(names):
        raise ConfigError("two bigWigs have one name, which is that of the track; rename one")
    found = []
    for path in paths:
        with _bigwig(path) as file:
            held = {contig: name for name in file.chroms() if (contig := contigs.resolve(name)) is not None}
        if not held:
            raise ConfigError(f"{path}: has no contig of the genome; name the contigs with --aliases")
        found.append(held)
    return BaseTargets(names=names, regression=True, tracks=tuple(paths), contigs=tuple(found))


def _bigwig(path: Path) -> Any:
    import pyBigWig

    if not path.is_file():
        raise InputMissing("there is no such file. Check the path.", path=path)
    try:
        file = pyBigWig.open(str(path))
    except RuntimeError:
        file = None
    if file is None or not file.isBigWig():
        raise FormatError("is no bigWig, or is damaged. Make it again.", path=path)
    return file


def _of_bigwig(path: Path, name: str, start: int, end: int) -> np.ndarray:
    if not name:
        return np.full(end - start, np.nan, np.float32)
    with _bigwig(path) as file:
        end_there = min(end, file.chroms(name))
        values = np.full(end - start, np.nan, np.float32)
        if end_there > start:
            values[: end_there - start] = file.values(name, start, end_there, numpy=True)
    return values
