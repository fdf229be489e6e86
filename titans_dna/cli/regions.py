"""Regions asked for on the command line, placed on the contigs of a FASTA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from titans_dna.genome.interval import Interval
from titans_dna.io.bam import AlignedReads
from titans_dna.io.fasta import Genome


@dataclass(frozen=True, kw_only=True)
class PlacedRegion:
    """A region as asked for, and where it lies; ``outcome`` says why it cannot be used, if so."""

    asked: Interval
    contig: str  # name in the FASTA; "" if unknown
    start: int  # 0-based, clamped to the contig
    end: int  # end excluded
    outcome: str  # "ok", "contig_unknown", "beyond_contig" or "empty"

    @property
    def placed(self) -> Interval:
        """The region under the contig's name in the FASTA."""
        return Interval(self.contig, self.start, self.end, self.asked.strand, self.asked.name)


def place_regions(fasta: Genome | AlignedReads, bed: Path | None, regions: Sequence[str]) -> list[PlacedRegion]:
    """Return the regions of a BED or GTF file and of ``--region``, in that order; none asked for means whole contigs.

    Raises
    ------
    FormatError, InputMissing
        If the file or a region cannot be read.
    """
    from titans_dna.io.bed import read_intervals

    lengths = fasta.contigs.lengths
    asked = list(read_intervals(bed)) if bed is not None else []
    asked += [Interval.parse(text, _Resolving(fasta)) for text in regions]
    if bed is None and not regions:
        asked = [Interval(contig, 0, length, name=contig) for contig, length in lengths.items()]
    return [_place(fasta, interval) for interval in asked]


class _Resolving(dict[str, int]):
    """Lengths by any name of a contig."""

    def __init__(self, fasta: Genome | AlignedReads) -> None:
        super().__init__(fasta.contigs.lengths)
        self._contigs = fasta.contigs

    def __missing__(self, name: str) -> int:
        return self[self._contigs.require(name)]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._contigs.resolve(name) is not None


def _place(fasta: Genome | AlignedReads, asked: Interval) -> PlacedRegion:
    contig = fasta.contigs.resolve(asked.contig)
    if contig is None:
        return PlacedRegion(asked=asked, contig="", start=asked.start, end=asked.end, outcome="contig_unknown")
    length = fasta.contigs.lengths[contig]
    start, end = min(asked.start, length), min(asked.end, length)
    outcome = "beyond_contig" if asked.start >= length else "ok" if start < end else "empty"
    return PlacedRegion(asked=asked, contig=contig, start=start, end=end, outcome=outcome)


def by_contig(placed: Sequence[PlacedRegion], fasta: Genome) -> dict[str, list[int]]:
    """Return the rows of the usable regions of each contig, contigs in the order of the FASTA."""
    rows: dict[str, list[int]] = {contig: [] for contig in fasta.contigs.names}
    for index, region in enumerate(placed):
        if region.outcome == "ok":
            rows[region.contig].append(index)
    return {contig: members for contig, members in rows.items() if members}


def warn_unused(placed: Sequence[PlacedRegion]) -> None:
    """Say on standard error how many regions cannot be used, by reason, with the first of each."""
    for outcome in ("contig_unknown", "beyond_contig", "empty"):
        group = [p for p in placed if p.outcome == outcome]
        if group:
            click.echo(
                f"warning: {len(group):,} of {len(placed):,} regions are {outcome}, the first {group[0].asked}",
                err=True,
            )
