"""Copies for the report: stretches and where they come from, from the BEDPE of ``titans-dna copies``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from titans_dna.io.scores import open_holding

MOST_COPIES = 8  # listed, longest first
MOST_SOURCES, MOST_DRAWN = 4, 2000  # panels of the picture, and stretches in each
NONE = ("", "NA")


@dataclass(frozen=True, kw_only=True)
class CopiedStretch:
    """A stretch that was foretold from an earlier place; coordinates are 0-based half-open."""

    contig: str
    start: int
    end: int
    source: str  # contig of the earlier place
    source_start: int
    source_end: int
    inverted: bool  # whether it is a reverse complement
    genome: str  # relative that the earlier place is in, "" for the genome itself
    identity: float  # share of equal bases

    @property
    def length_bp(self) -> int:
        """Bases of the stretch."""
        return self.end - self.start


@dataclass(frozen=True, kw_only=True)
class CopiesFrom:
    """The stretches of one contig that come from one source."""

    name: str  # of the source
    genome: str  # relative that the source is in, "" for the genome itself
    stretches: tuple[CopiedStretch, ...]  # the longest, in the order of their starts


@dataclass(frozen=True, kw_only=True)
class Copies:
    """The stretches of a table of copies, counted by where they come from."""

    count: int
    stretches_bp: int  # sum of their lengths; stretches may overlap
    inverted: int
    sources: Mapping[str, int]  # stretches by "the same contig", "another contig", or the name of a relative
    longest: tuple[CopiedStretch, ...]
    contig: str  # with the most copied bases, whose stretches are drawn; "" if there is none
    drawn: tuple[CopiesFrom, ...]  # sources with the most bases of it, the contig itself first


def read_copies(path: Path) -> Copies:
    """Read what ``titans-dna copies`` or ``score-regions --copies`` wrote.

    Raises
    ------
    InputMissing
        If there is no such file.
    FormatError
        If the file holds no copies.
    """
    stretches = [
        CopiedStretch(
            contig=row["chrom1"], start=row["start1"], end=row["end1"], source=row["chrom2"],
            source_start=row["start2"], source_end=row["end2"], inverted=row["strand2"] == "-",
            genome="" if row["genome2"] in NONE else row["genome2"], identity=row["identity"],
        )
        for row in open_holding(path, "copies", "titans-dna copies")
    ]  # fmt: skip
    sources = Counter(
        each.genome or ("the same contig" if each.source == each.contig else "another contig") for each in stretches
    )
    bases = Counter[str]()
    for each in stretches:
        bases[each.contig] += each.length_bp
    contig = max(bases, key=bases.__getitem__, default="")
    return Copies(
        count=len(stretches),
        stretches_bp=sum(each.length_bp for each in stretches),
        inverted=sum(each.inverted for each in stretches),
        sources=dict(sources.most_common()),
        longest=tuple(sorted(stretches, key=lambda each: (-each.length_bp, each.contig, each.start))[:MOST_COPIES]),
        contig=contig,
        drawn=_sources([each for each in stretches if each.contig == contig]),
    )


def _sources(stretches: Sequence[CopiedStretch]) -> tuple[CopiesFrom, ...]:
    """Return what is drawn of one contig: its own copies, and the contigs of relatives that gave it most."""
    found: dict[tuple[str, str], list[CopiedStretch]] = {}
    for each in stretches:
        found.setdefault((each.genome, each.source), []).append(each)
    order = sorted(found, key=lambda key: (key[0] != "", -sum(each.length_bp for each in found[key])))
    return tuple(
        CopiesFrom(
            name=name, genome=genome,
            stretches=tuple(sorted(
                sorted(found[genome, name], key=lambda each: -each.length_bp)[:MOST_DRAWN],
                key=lambda each: each.start,
            )),
        )
        for genome, name in order[:MOST_SOURCES]
    )  # fmt: skip
