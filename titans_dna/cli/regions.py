"""Regions asked for on the command line, placed on the contigs of a FASTA."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from titans_dna.api.regions import MALFORMED, parse_region, place_file
from titans_dna.cli.options import RegionFile
from titans_dna.genome.interval import Interval
from titans_dna.inference.placing import CLIPPED, PlacedRegion, place_interval
from titans_dna.io.sequence.bam import AlignedReads
from titans_dna.io.sequence.fasta import Genome


def place_regions(
    fasta: Genome | AlignedReads, bed: RegionFile | Path | None, regions: Sequence[str]
) -> list[PlacedRegion]:
    """Return the regions of a BED or GTF file, then those of ``--region``; all contigs if neither is given.

    Raises
    ------
    FormatError, InputMissing
        If the file or a region cannot be read.
    """
    return list(iterate_regions(fasta, bed, regions))


def iterate_regions(
    fasta: Genome | AlignedReads, bed: RegionFile | Path | None, regions: Sequence[str]
) -> Iterator[PlacedRegion]:
    """Yield the regions of `place_regions` one by one; a malformed line of the file is a region without a place."""
    if bed is not None:
        file = RegionFile(bed) if isinstance(bed, Path) else bed
        yield from place_file(fasta.contigs, file.path, feature=file.features)
    for text in regions:
        yield parse_region(fasta.contigs, text)
    if bed is None and not regions:
        for contig, length in fasta.contigs.lengths.items():
            yield place_interval(fasta.contigs, Interval(contig, 0, length, name=contig))


def warn_unused(placed: Sequence[PlacedRegion]) -> None:
    """Print how many regions cannot be used, or only in part, for each reason, with the first of them as an example."""
    for outcome in (CLIPPED, "contig_unknown", "beyond_contig", "empty", MALFORMED):
        group = [p for p in placed if p.outcome == outcome]
        if group:
            first = group[0].asked.name if outcome == MALFORMED else group[0].asked
            click.echo(
                f"warning: {len(group):,} of {len(placed):,} regions are {outcome}, the first: {first}", err=True
            )  # fmt: skip


def note_strands(placed: Sequence[PlacedRegion]) -> None:
    """Print that regions of the reverse strand were read on the forward strand, if there are any."""
    reverse = sum(region.usable and region.asked.strand == "-" for region in placed)
    if reverse:
        click.echo(
            f"note: {reverse:,} regions lie on the - strand; like all others they were read on the forward strand",
            err=True,
        )
