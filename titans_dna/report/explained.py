"""Explained variants for the report: the bases around each, and the places that the copy memory followed there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from titans_dna.genome.variant import Variant
from titans_dna.io.scores import open_holding
from titans_dna.io.tables.explanation import READINGS, STRANDS, AlignedBase, read_variants

SHOWN_BP = 40  # bases on either side of a variant
MOST_VARIANTS = 20  # shown on a page, or drawn in a picture
MOST_INLINE = 160  # bases in a figure of the page
MOST_PLACES = 6  # listed for each variant, those followed at the most bases
_TURNED = str.maketrans("ACGT", "TGCA")


@dataclass(frozen=True, kw_only=True)
class PlaceRun:
    """A stretch that the copy memory followed alongside a variant on one strand; 0-based half-open."""

    strand: str  # that is read
    source: str  # contig, relative|contig, or self for the variant's own contig
    start: int  # on the source
    end: int
    inverted: bool  # whether it is the other strand of the source
    beside: tuple[int, int]  # bases of the variant's contig at which it was followed
    ref: tuple[int, int]  # bases at which it was right about REF, and bases at which it was followed with REF
    alt: tuple[int, int]  # the same with ALT


@dataclass(frozen=True, kw_only=True)
class ExplainedVariant:
    """A variant with the bases around it."""

    variant: Variant
    bases: Sequence[AlignedBase]
    forward: float  # score of each strand, in nats
    reverse: float
    places: tuple[PlaceRun, ...]  # near the variant, where the figure shows it; the longest first

    @property
    def score(self) -> float:
        """Mean of the two strands."""
        return (self.forward + self.reverse) / 2


@dataclass(frozen=True, kw_only=True)
class ExplainedVariants:
    """The variants of all tables, in their order."""

    count: int
    shown: tuple[ExplainedVariant, ...]  # the first ones


def read_explained(paths: Sequence[Path]) -> ExplainedVariants:
    """Read what ``titans-dna explain`` wrote.

    Raises
    ------
    InputMissing
        If there is no such file.
    FormatError
        If a file holds no explanations, or is damaged.
    """
    count = 0
    shown: list[ExplainedVariant] = []
    for path in paths:
        for variant, bases in read_variants(open_holding(path, "explanation", "titans-dna explain")):
            count += 1
            if len(shown) < MOST_VARIANTS:
                forward, reverse = (score_of(bases, strand) for strand in STRANDS)
                places = followed_runs(shown_bases(bases, MOST_INLINE))
                shown.append(
                    ExplainedVariant(variant=variant, bases=bases, forward=forward, reverse=reverse, places=places)
                )
    return ExplainedVariants(count=count, shown=tuple(shown))


def shown_bases(bases: Sequence[AlignedBase], most: int) -> Sequence[AlignedBase]:
    """Return the columns near the variant, whose own are counted on both strands; of a long allele the first ones."""
    own = [base.position for base in bases if all(base.counted.values())] or [base.position for base in bases]
    low, high = min(own) - SHOWN_BP, max(own) + SHOWN_BP
    return [base for base in bases if low <= base.position <= high][:most]


def score_of(bases: Sequence[AlignedBase], strand: str) -> float:
    """Return the score of a strand: ln P(ALT) - ln P(REF)."""
    return sum(base.added(strand) for base in bases)


def is_right(base: AlignedBase, reading: tuple[str, str]) -> bool:
    """Tell whether the place that a reading followed foretold the base of the allele."""
    strand, allele = reading
    place, own = base.followed[reading], base.base(allele)
    return place is not None and place.base == (own if strand == "forward" else own.translate(_TURNED))


def followed_runs(bases: Sequence[AlignedBase]) -> tuple[PlaceRun, ...]:
    """Return the stretches that were followed at the most of these bases, forward ones first."""
    found: dict[tuple[str, str, bool, int], list[tuple[AlignedBase, str]]] = {}
    for base in bases:
        along = base.position + base.offset
        for strand, allele in READINGS:
            if (place := base.followed[strand, allele]) is None:
                continue
            # A stretch that runs as the contig does keeps its distance from it; of one that runs against it places on
            # both have the same sum. A strand that is read in reverse runs against the contig itself.
            against = place.inverted == (strand == "forward")
            key = (strand, place.source, place.inverted, place.position + (along if against else -along))
            found.setdefault(key, []).append((base, allele))
    longest = sorted(found.items(), key=lambda item: -len(item[1]))[:MOST_PLACES]
    runs = [_run(strand, source, inverted, at) for (strand, source, inverted, _), at in longest]
    return tuple(sorted(runs, key=lambda run: run.strand))


def _run(strand: str, source: str, inverted: bool, at: Sequence[tuple[AlignedBase, str]]) -> PlaceRun:
    places = [place.position for base, allele in at if (place := base.followed[strand, allele])]
    counts = Counter((allele, is_right(base, (strand, allele))) for base, allele in at)
    ref, alt = ((counts[allele, True], counts[allele, True] + counts[allele, False]) for allele in ("ref", "alt"))
    return PlaceRun(
        strand=strand, source=source, start=min(places), end=max(places) + 1, inverted=inverted,
        beside=(min(base.position for base, _ in at), max(base.position for base, _ in at) + 1), ref=ref, alt=alt,
    )  # fmt: skip
