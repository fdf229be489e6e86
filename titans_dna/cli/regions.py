"""Regions asked for on the command line, placed on the contigs of a FASTA, and the reads that lie in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from titans_dna.api.regions import MALFORMED, parse_region, place_file
from titans_dna.cli.options import RegionFile
from titans_dna.cli.sources import ReadsChoice, aliases_of, report_names
from titans_dna.errors import ConfigError
from titans_dna.genome.interval import Interval, merge_intervals
from titans_dna.inference.placing import CLIPPED, PlacedRegion, place_interval
from titans_dna.io.sequence.bam import AlignedReads, Read, open_reads
from titans_dna.io.sequence.consensus import SampleGenome
from titans_dna.io.sequence.fasta import Genome, open_fasta

if TYPE_CHECKING:
    from titans_dna.jobs.haplotypes import SampleHaplotypes

_SETS_SHOWN = 3  # most contigs with several phase sets that are named


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
            f"note: {reverse:,} regions lie on the - strand; like all others they were read on the forward strand "
            "(see --strand)",
            err=True,
        )


def on_haplotypes(
    genome: Genome, phased: SampleHaplotypes | None, placed: list[PlacedRegion]
) -> tuple[Genome, list[PlacedRegion]]:
    """Return the haplotypes of a sample, and the regions on each, as far as asked for; say what became of records.

    Raises
    ------
    ConfigError, ReferenceMismatch, FormatError, InputMissing
        If the phased variants cannot be used.
    """
    if phased is None:
        return genome, placed
    if isinstance(genome, SampleGenome):
        raise ConfigError("--reads and --sample-vcf both say what the sample's bases are; leave one out")
    from titans_dna.jobs.haplotypes import open_haplotypes

    found, moved = open_haplotypes(genome, phased, placed)
    variants = found.variants
    counts = sorted(variants.counts.items(), key=lambda item: -item[1])
    told = ", ".join(f"{number:,} {what}" for what, number in counts) or "none"
    total = sum(variants.counts.values())
    click.echo(f"haplotypes of {variants.sample}: {total:,} records, of these {told}", err=True)
    if variants.haploid:
        click.echo(f"note: {variants.haploid:,} haploid genotypes were applied to haplotype 1 alone", err=True)
    for contig, sets in list(variants.phase_sets().items())[:_SETS_SHOWN]:
        click.echo(
            f"warning: {contig} has {sets:,} phase sets; how they lie to each other is not known, and the first "
            f"haplotypes of all were joined",
            err=True,
        )
    return found, moved


@contextmanager
def open_aligned(
    reference: tuple[Path | None, Path | None],
    choice: ReadsChoice,
    asked: tuple[RegionFile | Path | None, Sequence[str]],
) -> Iterator[tuple[AlignedReads, Iterator[Read]]]:
    """Open the reads themselves, and yield with them those that lie in the regions; say at the end what was left out.

    Parameters
    ----------
    reference
        FASTA, which is needed for CRAM only, and file of aliases.
    choice
        Which reads are taken.
    asked
        File of regions, and regions; none of both for all contigs.
    """
    assert choice.reads is not None
    fasta, groups = reference[0], aliases_of(reference[1])
    with open_fasta(fasta, aliases=groups) if fasta is not None else nullcontext() as genome:
        aligned = open_reads(choice.reads, genome, aliases=groups)
    with aligned:
        placed = place_regions(aligned, *asked)
        yield aligned, _reads_of(aligned, placed, choice)
        report_names(aligned)
        if aligned.left_out:
            reasons = ", ".join(f"{reason} {number:,}" for reason, number in aligned.left_out.most_common())
            click.echo(f"reads left out: {reasons}", err=True)
    warn_unused(placed)


def _reads_of(aligned: AlignedReads, placed: Iterable[PlacedRegion], choice: ReadsChoice) -> Iterator[Read]:
    """Yield every read that overlaps one of the regions once, also where it overlaps several of them."""
    # Regions are merged and sorted, so a read that was already given can only reach in from the region before: it then
    # starts before that region's end.
    contig, told = "", 0
    for interval in merge_intervals([region.placed for region in placed if region.usable]):
        told = told if interval.contig == contig else 0
        for read in aligned.reads(interval, keep=choice.keep, as_sequenced=choice.as_sequenced, clipped=choice.clipped):
            if read.start >= told:
                yield read
        contig, told = interval.contig, interval.end
