"""Builds a sample's two haplotypes, the reference with its phased variants applied, and places variants on them.

A genotype counts as phased if it is written with ``|``, or if all its alleles are the same. Each ALT is scored on the
first haplotype that carries it, against that haplotype with the reference's bases put back at this one site. An ALT
that no haplotype carries is applied to the first haplotype. If two phased variants of one haplotype overlap, the
leftmost is applied, and of two with the same start the one that comes first in the file. An ALT whose place on its
haplotype was changed by another variant gets the outcome ``haplotype_conflict``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from titans_dna.errors import ConfigError
from titans_dna.genome.variant import Variant
from titans_dna.inference.alleles import AlleleList, AlleleTable, place_allele
from titans_dna.inference.outcomes import Outcome
from titans_dna.io.variants.vcf import VcfRecord
from titans_dna.io.variants.vcf_header import VcfHeader


@dataclass(kw_only=True)
class Edit:
    """A stretch of the reference, and the bases that a haplotype has in its place."""

    start: int  # 0-based half-open, on the reference
    end: int
    alt: bytes


@dataclass(kw_only=True)
class Site:
    """One ALT to score."""

    row: int
    variant: Variant
    carried: tuple[bool, ...]  # whether each of the two haplotypes carries it


@dataclass(kw_only=True)
class ContigSites:
    """The ALTs to score on one contig, and the edits of a sample's two haplotypes."""

    sites: list[Site] = field(default_factory=list)
    edits: tuple[list[Edit], list[Edit]] = field(default_factory=lambda: ([], []))


def sample_column(header: VcfHeader, sample: str) -> int:
    """Return the number of a sample's column, counted from 0.

    Raises
    ------
    ConfigError
        If the header has no such sample.
    """
    if sample not in header.samples:
        known = ", ".join(header.samples[:5]) or "none"
        raise ConfigError(f"there is no sample {sample!r}; the variants have {known}. Name one of them.")
    return header.columns.index(sample)


def genotype(record: VcfRecord, column: int) -> tuple[int, ...] | None:
    """Return the alleles of a phased genotype, the first haplotype first; None if it is not phased or not called."""
    cells = record.text.split("\t")
    keys = cells[8].split(":") if len(cells) > column else []
    if "GT" not in keys:
        return None
    text = (cells[column].split(":") + [""] * len(keys))[keys.index("GT")]
    alleles = text.replace("/", "|").split("|")
    if not all(allele.isdecimal() for allele in alleles):
        return None
    numbers = tuple(int(allele) for allele in alleles)
    return numbers if "/" not in text or len(set(numbers)) == 1 else None


def read_sites(records: Iterable[VcfRecord], table: AlleleTable, column: int) -> dict[str, ContigSites]:
    """Return sites and edits of the sample on each contig, of those ALTs only that ``table`` says can be scored."""
    found: dict[str, ContigSites] = {}
    row = 0
    for record, count, contig in zip(records, table.rows_per_record, table.contigs, strict=True):
        good = [table.outcomes[row + place] is Outcome.SCORED for place in range(count)]
        if any(good):
            here = found.setdefault(contig, ContigSites())
            called = genotype(record, column) or ()
            for place, variant in enumerate(record.variants()):
                # A haploid genotype (X of a male, say) counts for both haplotypes.
                carried = tuple(allele == place + 1 for allele in (*called, *called)[:2]) or (False, False)
                if good[place]:
                    here.sites.append(Site(row=row + place, variant=variant, carried=carried))
                    edit = Edit(start=variant.start, end=variant.end, alt=variant.alt.upper().encode())
                    for edits, carries in zip(here.edits, carried, strict=True):
                        if carries:
                            edits.append(edit)
        row += count
    return found


class Haplotype:
    """One haplotype of one contig, and the map from coordinates of the reference to its own."""

    def __init__(self, sequence: bytes, edits: list[Edit]) -> None:
        kept: list[Edit] = []
        for edit in sorted(edits, key=lambda e: e.start):  # stable: of two with the same start the file's first is kept
            if not kept or edit.start >= kept[-1].end:
                kept.append(edit)
        self.edits, self._starts = kept, [edit.start for edit in kept]
        parts, at, shift = [], 0, 0
        self._shifts: list[int] = []  # after each edit, haplotype coordinate minus reference coordinate
        for edit in kept:
            parts += [sequence[at : edit.start], edit.alt]
            at, shift = edit.end, shift + len(edit.alt) - (edit.end - edit.start)
            self._shifts.append(shift)
        self.sequence = b"".join([*parts, sequence[at:]])

    def place(self, start: int, end: int) -> int | None:
        """Return where a stretch of the reference begins on the haplotype, or None if an edit changes it."""
        number = bisect_right(self._starts, start)
        if number and self.edits[number - 1].end > start:
            return None
        if number < len(self.edits) and self._starts[number] < end:
            return None
        return start + (self._shifts[number - 1] if number else 0)

    def own(self, edit_start: int, edit_end: int, alt: bytes) -> int | None:
        """Return where an applied edit begins on the haplotype, or None if it was not applied."""
        number = bisect_right(self._starts, edit_start) - 1
        edit = self.edits[number] if number >= 0 else None
        if edit is None or (edit.start, edit.end, edit.alt) != (edit_start, edit_end, alt):
            return None
        return edit_start + (self._shifts[number - 1] if number else 0)

    def fetch(self, start: int, end: int) -> bytes:
        """Return bases of the haplotype, 0-based half-open; what lies beyond its ends is left out."""
        return self.sequence[max(0, start) : max(0, end)]


def place_on_haplotypes(
    sequence: bytes, here: ContigSites, outcomes: list[Outcome]
) -> list[tuple[Haplotype, AlleleList]]:
    """Return both haplotypes, each with its alleles to score in its own coordinates; note conflicts in ``outcomes``.

    The streamed strand is the haplotype. If it carries ALT, the allele that branches off is REF, so its sign is -1.
    """
    pairs = [(Haplotype(sequence, edits), AlleleList()) for edits in here.edits]
    for site in here.sites:
        variant = site.variant
        which = site.carried.index(True) if True in site.carried else 0
        haplotype, alleles = pairs[which]
        ref, alt = variant.ref.upper(), variant.alt.upper()
        if site.carried[which]:
            at = haplotype.own(variant.start, variant.end, alt.encode())
            found = None if at is None else (Variant(variant.contig, at + 1, alt, ref), -1)
        else:
            at = haplotype.place(variant.start, variant.end)
            found = None if at is None else (Variant(variant.contig, at + 1, ref, alt), 1)
        if found is None:
            outcomes[site.row] = Outcome.HAPLOTYPE_CONFLICT
        else:
            alleles.append(place_allele(found[0], haplotype.fetch, site.row, sign=found[1]))
    return pairs
