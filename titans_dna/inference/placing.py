"""Places the regions that a user asks for on the contigs of a genome."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from titans_dna.genome.contigs import ContigTable
from titans_dna.genome.interval import Interval, iterate_tiles

OK, CLIPPED = "ok", "clipped"  # outcomes of regions that have bases to read


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedRegion:
    """A region as asked for, and where it lies; ``outcome`` says whether it can be used, or why not."""

    asked: Interval
    contig: str  # name in the FASTA; "" if unknown
    start: int  # 0-based half-open, cut off at the end of the contig
    end: int
    outcome: str  # OK, CLIPPED (it ends beyond its contig), "contig_unknown", "beyond_contig", "empty" or "malformed"
    #: 1 or 2 if contig, start and end are those of a sample's haplotype, and ``asked`` is on the reference; else 0.
    haplotype: int = 0

    @property
    def usable(self) -> bool:
        """Whether there are bases to read."""
        return self.outcome in (OK, CLIPPED)

    @property
    def written_contig(self) -> str:
        """The contig that outputs name: that of the FASTA where it is known."""
        return self.asked.contig if self.haplotype else self.contig or self.asked.contig

    @property
    def placed(self) -> Interval:
        """The region under the contig's name in the FASTA."""
        return Interval(self.contig, self.start, self.end, self.asked.strand, self.asked.name)


def place_interval(contigs: ContigTable, asked: Interval) -> PlacedRegion:
    """Find a region's contig by any of its names, and cut the region off at the end of the contig."""
    contig = contigs.resolve(asked.contig)
    if contig is None:
        return PlacedRegion(asked=asked, contig="", start=asked.start, end=asked.end, outcome="contig_unknown")
    length = contigs.lengths[contig]
    start, end = min(asked.start, length), min(asked.end, length)
    if start < end:
        outcome = CLIPPED if asked.end > length else OK
    else:
        outcome = "beyond_contig" if asked.start >= length else "empty"
    return PlacedRegion(asked=asked, contig=contig, start=start, end=end, outcome=outcome)


def tiled(placed: Iterable[PlacedRegion], window_bp: int, stride_bp: int) -> Iterator[PlacedRegion]:
    """Cut every usable region into windows, from left to right; the last window of a region may be shorter."""
    for region in placed:
        if not region.usable:
            yield region
            continue
        for tile in iterate_tiles(region.placed, window_bp, stride_bp):
            yield PlacedRegion(asked=tile, contig=tile.contig, start=tile.start, end=tile.end, outcome=OK)
