"""The table of ``titans-dna explain``: what the model says of every base around variants, a row for each base.

REF and ALT are aligned, in the direction of the contig. The rows of a variant follow each other. They have the columns

* variant (``contig:position:ref:alt``), contig, position (1-based; of an inserted base that of the base before it) and
  offset (number of an inserted base, from 1; 0 for a base of REF);
* ref and alt, the base of each allele, ``-`` where it has none;
* forward_ref, forward_alt, reverse_ref, reverse_alt: ln P on each strand, in nats; NA where the base is unknown or was
  not read;
* counted: the strands whose score sums over the row, ``both``, ``forward``, ``reverse`` or ``none``;
* forward_ref_copy, ...: the place that the copy memory followed there (`FollowedPlace`), or NA.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from titans_dna.errors import FormatError
from titans_dna.genome.variant import Variant
from titans_dna.io.tables.score_table_reader import Scores

STRANDS = ("forward", "reverse")
READINGS = tuple((strand, allele) for strand in STRANDS for allele in ("ref", "alt"))
COLUMNS = (
    "variant", "contig", "position", "offset", "ref", "alt", *("_".join(reading) for reading in READINGS), "counted",
    *("_".join(reading) + "_copy" for reading in READINGS),
)  # fmt: skip
_COUNTED = {"both": STRANDS, "forward": ("forward",), "reverse": ("reverse",), "none": ()}
_BASES = re.compile("[A-Z-] [A-Z-]")
_PLACE = re.compile(r"(.+):(\d+)([+-]):([ACGT]):(\d+)/32:(\d+)", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class FollowedPlace:
    """The place that the copy memory follows with the most hits, and what it foretells."""

    contig: str  # "" for the contig itself
    genome: str  # relative; "" for what is scored itself
    position: int  # 0-based, on the contig where it lies
    inverted: bool  # whether it is followed backwards, on the other strand
    base: str  # foretold, in the direction in which the strand is read
    hits: int  # of the last 32 bases, those that it foretold
    places: int  # places that are followed in all

    @property
    def source(self) -> str:
        """Where the place lies: ``relative|contig``, a contig, or ``self`` for the contig itself."""
        return f"{self.genome}|{self.contig}" if self.genome else self.contig or "self"

    def __str__(self) -> str:
        strand = "-" if self.inverted else "+"
        return f"{self.source}:{self.position + 1}{strand}:{self.base}:{self.hits}/32:{self.places}"

    @classmethod
    def parse(cls, text: str) -> FollowedPlace:
        """Read what ``str`` wrote.

        Raises
        ------
        ValueError
            If the text names no place.

        Examples
        --------
        >>> FollowedPlace.parse("kin.fa|chr1:12-:A:31/32:2").position
        11
        """
        if not (found := _PLACE.fullmatch(text)):
            raise ValueError(f"{text!r} is no place as CONTIG:POSITION+:BASE:HITS/32:PLACES")
        source, position, strand, base, hits, places = found.groups()
        genome, contig = source.split("|", 1) if "|" in source else ("", "" if source == "self" else source)
        return cls(
            contig=contig, genome=genome, position=int(position) - 1, inverted=strand == "-", base=base,
            hits=int(hits), places=int(places),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class AlignedBase:
    """A column of the alignment of REF and ALT around a variant, in the direction of the contig."""

    position: int  # of the base of REF, 0-based; of an inserted base that of the base before it
    offset: int  # number of an inserted base, from 1; 0 for a base of REF
    ref: str  # "-" where ALT has an inserted base
    alt: str  # "-" where ALT lacks the base
    log_p: dict[tuple[str, str], float]  # by strand ("forward", "reverse") and allele ("ref", "alt"), in nats
    followed: dict[tuple[str, str], FollowedPlace | None]
    counted: dict[str, bool]  # by strand: whether the score sums over it

    def base(self, allele: str) -> str:
        """Return the base of ``ref`` or ``alt``; "-" where it has none."""
        return self.ref if allele == "ref" else self.alt

    def added(self, strand: str) -> float:
        """Return what the base adds to the score of a strand; an allele that lacks it, or an unknown base, adds 0."""
        ref, alt = (self.log_p[strand, allele] for allele in ("ref", "alt"))
        return (0.0 if math.isnan(alt) else alt) - (0.0 if math.isnan(ref) else ref) if self.counted[strand] else 0.0


def base_rows(variant: str, contig: str, bases: Sequence[AlignedBase]) -> Iterator[dict[str, Any]]:
    """Yield the rows of one variant, with the columns `COLUMNS`."""
    for base in bases:
        counted = tuple(strand for strand in STRANDS if base.counted[strand])
        row: dict[str, Any] = {
            "variant": variant, "contig": contig, "position": base.position + 1, "offset": base.offset,
            "ref": base.ref, "alt": base.alt, "counted": next(name for name, s in _COUNTED.items() if s == counted),
        }  # fmt: skip
        for reading in READINGS:
            place = base.followed[reading]
            row["_".join(reading)] = base.log_p[reading]
            row["_".join(reading) + "_copy"] = None if place is None else str(place)
        yield row


def read_variants(table: Scores) -> Iterator[tuple[Variant, list[AlignedBase]]]:
    """Yield each variant of an opened table, and its bases.

    Raises
    ------
    FormatError
        If a column is missing, or a value is none that `base_rows` writes.
    """
    if missing := [name for name in COLUMNS if name not in {column.name for column in table.columns}]:
        raise FormatError(f"has no column {missing[0]!r}. Write it with `titans-dna explain`.", path=table.path)
    for text, rows in groupby(table, lambda row: str(row["variant"])):
        each = list(rows)
        try:
            found = Variant.parse(text), [_base(row) for row in each]
        except ValueError as error:
            raise FormatError(f"{text}: {error}. Write it again.", path=table.path) from None
        yield found


def _base(row: Mapping[str, Any]) -> AlignedBase:
    if row["position"] is None or row["offset"] is None or not _BASES.fullmatch(f"{row['ref']} {row['alt']}"):
        raise ValueError("a row has no position and offset, or not one base each for REF and ALT")
    if row["counted"] not in _COUNTED:
        raise ValueError(f"counted is {row['counted']!r}, none of {', '.join(_COUNTED)}")
    log_p = {reading: row["_".join(reading)] for reading in READINGS}
    if any(map(math.isinf, log_p.values())):
        raise ValueError("ln P of a base is infinite")
    told = {reading: row["_".join(reading) + "_copy"] for reading in READINGS}
    return AlignedBase(
        position=row["position"] - 1, offset=row["offset"], ref=row["ref"], alt=row["alt"], log_p=log_p,
        followed={reading: None if text == "NA" else FollowedPlace.parse(text) for reading, text in told.items()},
        counted={strand: strand in _COUNTED[row["counted"]] for strand in STRANDS},
    )  # fmt: skip
