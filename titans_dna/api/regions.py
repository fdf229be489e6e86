"""Regions as people have them: strings, intervals, tuples, frames, BED and GTF files; placed on a genome's contigs.

A region written as text is 1-based with its end included, as in samtools. Everything else counts from 0 and leaves the
end out, as in BED. A row that cannot be read, or that lies outside the genome, is data: it is placed with an outcome
that says why it cannot be used.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titans_dna.api.frames import find_column, is_frame, is_missing
from titans_dna.api.sequences import names_file
from titans_dna.errors import ConfigError, ContigUnknown, FormatError, TitansDNAError
from titans_dna.genome.contigs import ContigTable, some_names
from titans_dna.genome.interval import Interval
from titans_dna.inference.haplotype_genome import BOTH
from titans_dna.inference.placing import PlacedRegion, place_interval
from titans_dna.io.intervals.bed import EXON, iterate_records, plain_strand
from titans_dna.io.sequence.fasta import Genome
from titans_dna.jobs.haplotypes import SampleHaplotypes, open_haplotypes

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

MALFORMED = "malformed"  # outcome of a row that is no interval; its name says what is wrong
_STRANGERS = 100  # most names of unknown contigs that are kept for a message
_CONTIG = ("contig", "chrom", "chr", "#chrom", "chromosome", "seqname", "seqid")
_FILES = (".bed", ".gtf", ".gff", ".gff2", ".gff3", ".gz", ".bgz")


def is_single_region(given: object) -> bool:
    """Tell one region from several."""
    return isinstance(given, Interval) or (isinstance(given, str) and not _is_file(given))


def iterate_regions(contigs: ContigTable, given: Any) -> Iterator[PlacedRegion]:
    """Yield regions in their order, placed on contigs.

    Parameters
    ----------
    contigs
        Of the genome.
    given
        ``"chr1:1001-2000"``, an `Interval`, a tuple (contig, start, end), a list of these; a frame with columns
        contig, start, end and if it likes strand and name; the path of a BED or GTF file; None for whole contigs.

    Raises
    ------
    FormatError, ContigUnknown
        If a string is no region of the genome, or a file holds none.
    InputMissing
        If the file is not there.
    """
    if given is None:
        for contig, length in contigs.lengths.items():
            yield place_interval(contigs, Interval(contig, 0, length, name=contig))
    elif isinstance(given, os.PathLike) or (isinstance(given, str) and _is_file(given)):
        yield from place_file(contigs, Path(given))
    elif is_frame(given):
        yield from _of_frame(contigs, given)
    elif is_single_region(given):
        yield _place(contigs, given, 0)
    elif isinstance(given, Iterable):
        for number, one in enumerate(given):
            yield _place(contigs, one, number)
    else:
        raise FormatError(f"{given!r:.60} is no region. Write 'chr1:1001-2000', an Interval, or a list of them.")


def on_haplotypes(genome: Genome, given: Any, placed: list[PlacedRegion]) -> tuple[Genome, list[PlacedRegion]]:
    """Return the haplotypes of a sample, and regions on each of them; what was given where there is no sample.

    Parameters
    ----------
    genome
        The reference.
    given
        None, or a tuple of the path of a phased VCF, a sample, and if it likes which haplotypes: 1, 2 or (1, 2).
    placed
        Regions of the reference.

    Raises
    ------
    ConfigError
        If ``given`` is something else, there is no such sample, or its genotypes are not phased.
    ReferenceMismatch, FormatError, InputMissing
        If the file cannot be used.
    """
    if given is None:
        return genome, placed
    if not isinstance(given, tuple | list) or not 2 <= len(given) <= 3:
        raise ConfigError(f"haplotypes are {given!r:.60}; give (phased VCF, sample), and perhaps 1 or 2")
    chosen = given[2] if len(given) > 2 else BOTH
    which = (chosen,) if isinstance(chosen, int) else tuple(sorted(chosen))
    found, moved = open_haplotypes(genome, SampleHaplotypes(vcf=Path(given[0]), sample=given[1], which=which), placed)
    counts = ", ".join(f"{number:,} {what}" for what, number in found.variants.counts.items())
    logger.info("haplotypes of %s: %s", found.variants.sample, counts)
    return found, moved


def parse_region(contigs: ContigTable, text: str) -> PlacedRegion:
    """Place a region written as text, 1-based with its end included, under any name of its contig.

    Raises
    ------
    FormatError, ContigUnknown
        If it is no region of the genome.
    """
    return place_interval(contigs, Interval.parse(text, _Resolving(contigs)))


def place_file(
    contigs: ContigTable, path: Path, *, feature: str | Collection[str] | None = EXON
) -> Iterator[PlacedRegion]:
    """Yield the regions of a BED or GTF file; a broken line is a region that cannot be used.

    ``feature`` means the same as in `titans_dna.io.intervals.bed.read_intervals`.

    Raises
    ------
    FormatError
        If no line can be read as a region.
    ContigUnknown
        If no region can be used, because the sequence has none of their contigs.
    InputMissing
        If the file is not there.
    """
    broken, good, usable = None, 0, False
    strangers: dict[str, None] = {}
    for record in iterate_records(path, feature=feature):
        if record.problem:
            broken = broken or record
            yield _malformed(f"line {record.line} is {record.problem}")
            continue
        good += 1
        for asked in record.intervals:
            placed = place_interval(contigs, asked)
            usable = usable or placed.usable
            if not placed.contig and len(strangers) < _STRANGERS:
                strangers[asked.contig] = None
            yield placed
    if not good and broken:
        raise FormatError(broken.problem.removeprefix("malformed: "), path=path, line=broken.line)
    if not good:
        raise FormatError("holds no interval. Check that it is the file you mean.", path=path)
    if strangers and not usable:
        raise ContigUnknown(
            f"none of its regions lies on a contig of the sequence: they name {some_names(strangers)}, and the "
            f"sequence has {some_names(contigs.names)}. Give the sequence that they belong to, or name the contigs "
            f"with --aliases.",
            path=path,
        )


class _Resolving(dict[str, int]):
    """Lengths of contigs, which are found by any of their names."""

    def __init__(self, contigs: ContigTable) -> None:
        super().__init__(contigs.lengths)
        self._contigs = contigs

    def __missing__(self, name: str) -> int:
        return self[self._contigs.require(name)]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._contigs.resolve(name) is not None


def _is_file(text: str) -> bool:
    """Tell whether a text is the path of a file of regions: it has such an ending, or the file exists."""
    return text.lower().endswith(_FILES) or names_file(text)


def _place(contigs: ContigTable, given: Any, number: int) -> PlacedRegion:
    """Place one item of a list."""
    if isinstance(given, str):
        return parse_region(contigs, given)
    if isinstance(given, Interval):
        return place_interval(contigs, given)
    if isinstance(given, tuple | list) and 3 <= len(given) <= 5:
        return _of_values(contigs, number, *given)
    raise FormatError(f"region {number} is {given!r:.40}. Write 'chr1:1001-2000', an Interval or (contig, start, end).")


def _of_frame(contigs: ContigTable, frame: pd.DataFrame) -> Iterator[PlacedRegion]:
    """Yield the rows of a frame."""
    needed = [find_column(frame, names) for names in (_CONTIG, ("start", "chromstart"), ("end", "chromend"))]
    others = [find_column(frame, [name], needed=False) for name in ("strand", "name")]
    for number in range(len(frame)):
        strand, name = ("" if c is None or is_missing(c.iloc[number]) else str(c.iloc[number]) for c in others)
        contig, start, end = (column.iloc[number] for column in needed)
        yield _of_values(contigs, number, contig, start, end, strand or ".", name)


def _of_values(
    contigs: ContigTable, number: int, contig: Any, start: Any, end: Any, strand: str = ".", name: str = ""
) -> PlacedRegion:
    """Place one row, whose coordinates are 0-based with the end excluded."""
    try:
        if is_missing(contig) or is_missing(start) or is_missing(end) or start != int(start) or end != int(end):
            return _malformed(f"row {number} is malformed: {contig}, {start}, {end} are not contig, start and end")
        asked = Interval(str(contig), int(start), int(end), plain_strand(strand), str(name))
        return place_interval(contigs, asked)
    except TitansDNAError as error:
        return _malformed(f"row {number} is malformed: {error.what}")
    except (TypeError, ValueError):
        return _malformed(f"row {number} is malformed: {start!r:.40} and {end!r:.40} are not whole numbers")


def _malformed(what: str) -> PlacedRegion:
    return PlacedRegion(asked=Interval(".", 0, 0, ".", what), contig="", start=0, end=0, outcome=MALFORMED)
