"""Regions asked for on the command line, placed on the contigs of a FASTA."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from titans_dna.errors import FormatError
from titans_dna.genome.interval import Interval
from titans_dna.inference.placing import PlacedRegion, place_interval
from titans_dna.io.sequence.bam import AlignedReads
from titans_dna.io.sequence.fasta import Genome

MALFORMED = "malformed"  # outcome of a line that is no interval; its name says what is wrong


def place_regions(fasta: Genome | AlignedReads, bed: Path | None, regions: Sequence[str]) -> list[PlacedRegion]:
    """Return the regions of a BED or GTF file and of ``--region``, in that order; none asked for means whole contigs.

    Raises
    ------
    FormatError, InputMissing
        If the file or a region cannot be read.
    """
    return list(iterate_regions(fasta, bed, regions))


def iterate_regions(fasta: Genome | AlignedReads, bed: Path | None, regions: Sequence[str]) -> Iterator[PlacedRegion]:
    """Yield the regions of `place_regions` one by one; a broken line of the file is one that cannot be used."""
    if bed is not None:
        yield from _of_file(fasta, bed)
    for text in regions:
        yield place_interval(fasta.contigs, Interval.parse(text, _Resolving(fasta)))
    if bed is None and not regions:
        for contig, length in fasta.contigs.lengths.items():
            yield place_interval(fasta.contigs, Interval(contig, 0, length, name=contig))


def _of_file(fasta: Genome | AlignedReads, bed: Path) -> Iterator[PlacedRegion]:
    """Yield the regions of a BED or GTF file; it is refused where no line is good."""
    from titans_dna.io.intervals.bed import iterate_records

    broken, good = None, False
    for record in iterate_records(bed):
        if record.problem:
            broken = broken or record
            asked = Interval(".", 0, 0, ".", f"line {record.line} is {record.problem}")
            yield PlacedRegion(asked=asked, contig="", start=0, end=0, outcome=MALFORMED)
            continue
        good = True
        for asked in record.intervals:
            yield place_interval(fasta.contigs, asked)
    if not good and broken:
        raise FormatError(broken.problem.removeprefix("malformed: "), path=bed, line=broken.line)
    if not good:
        raise FormatError("holds no interval. Check that it is the file you mean.", path=bed)


class _Resolving(dict[str, int]):
    """Lengths by any name of a contig."""

    def __init__(self, fasta: Genome | AlignedReads) -> None:
        super().__init__(fasta.contigs.lengths)
        self._contigs = fasta.contigs

    def __missing__(self, name: str) -> int:
        return self[self._contigs.require(name)]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._contigs.resolve(name) is not None


def warn_unused(placed: Sequence[PlacedRegion]) -> None:
    """Say on standard error how many regions cannot be used, by reason, with the first of each."""
    for outcome in ("contig_unknown", "beyond_contig", "empty", MALFORMED):
        group = [p for p in placed if p.outcome == outcome]
        if group:
            first = group[0].asked.name if outcome == MALFORMED else group[0].asked
            click.echo(
                f"warning: {len(group):,} of {len(placed):,} regions are {outcome}, the first: {first}", err=True
            )  # fmt: skip
