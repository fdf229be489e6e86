"""Builds a sample's haplotypes, the reference with its phased variants applied, and places variants on them.

It is known which haplotype carries an allele if ``|`` stands before it in the genotype, or if all alleles are the same;
before the first allele, where most files write nothing, ``|`` is meant unless the genotype has a ``/`` (VCF 4.4,
section 1.6.2). Alleles that are not called (``1|.``) and those of unknown phase are not applied. Genotypes of one phase
set (PS) make one pair of haplotypes, and so do those that name none; what is homozygous stands on every haplotype. The
phase between sets is not known, so none is applied to another, and each pair is read by itself.

Each ALT is scored on the first haplotype of its set that carries it, against that haplotype with the reference's bases
put back at this one site. An ALT that no haplotype carries is applied to the first. If two phased variants of one
haplotype change the same base or insert at the same place, the leftmost is applied, and of two with the same start the
one that comes first in the file; the bases that REF and ALT share do not count. An ALT whose place on its haplotype was
changed by another variant gets the outcome ``haplotype_conflict``. Of a genotype with more than two alleles the first
two are read.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from titans_dna.errors import ConfigError
from titans_dna.genome.bases import Bases
from titans_dna.genome.variant import Variant
from titans_dna.inference.alleles import Allele, AlleleList, AlleleTable, place_allele
from titans_dna.inference.outcomes import Outcome
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.variants.vcf import VcfRecord
from titans_dna.io.variants.vcf_header import VcfHeader

_ALLELE = re.compile(r"([/|]?)([0-9]+|\.)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """One ALT to score: a stretch of the reference, and the bases in its place, without those that both share."""

    row: int
    contig: str
    start: int  # 0-based, on the reference
    ref: bytes
    alt: bytes
    carried: tuple[bool, ...]  # whether each of the two haplotypes carries it
    phase_set: str  # PS of its genotype; "" for none

    @property
    def end(self) -> int:
        """One past the last base that is replaced; equal to ``start`` for an insertion."""
        return self.start + len(self.ref)


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


def genotype(record: VcfRecord, column: int) -> tuple[tuple[int | None, ...], str]:
    """Return a sample's alleles, the first haplotype first, and its phase set, "" for none.

    An allele is None if it is not called, or if it is not known which haplotype carries it.
    """
    values = sample_values(record, column)
    text = values.get("GT", ".")
    alleles, marks = called_alleles(text)
    same = len(set(alleles)) == 1
    found = tuple(allele if same or mark == "|" else None for allele, mark in zip(alleles, marks, strict=True))
    phase_set = values.get("PS", ".")
    return found, "" if phase_set == "." else phase_set


def sample_values(record: VcfRecord, column: int) -> dict[str, str]:
    """Return what a record says of a sample, as text by key of FORMAT."""
    cells = record.text.split("\t")
    return dict(zip(cells[8].split(":"), cells[column].split(":"), strict=False)) if len(cells) > column else {}


def called_alleles(text: str) -> tuple[list[int | None], list[str]]:
    """Return the alleles of a genotype, None where one is not called, and the mark of phase of each: ``|`` or ``/``.

    A text that is no genotype has none.
    """
    parts = _ALLELE.findall(text)
    if "".join(mark + number for mark, number in parts) != text:
        return [], []
    alleles = [None if number == "." else int(number) for _, number in parts]
    return alleles, [mark or ("/" if "/" in text else "|") for mark, _ in parts]


def read_sites(
    records: Iterable[VcfRecord], table: AlleleTable, column: int, genome: Genome, *, haploid_on_both: bool = True
) -> dict[str, list[Site]]:
    """Return the ALTs of each contig that ``table`` says can be scored, with the haplotypes of a sample.

    A haploid genotype (X of a male, say) counts for both haplotypes, or for the first alone.
    """
    found: dict[str, list[Site]] = {}
    row = 0
    for record, count, contig in zip(records, table.rows_per_record, table.contigs, strict=True):
        good = [table.outcomes[row + place] is Outcome.SCORED for place in range(count)]
        if any(good):
            called, phase_set = genotype(record, column)
            for place, variant in enumerate(record.variants()):
                second = called if haploid_on_both else (None,)
                carried = tuple(allele == place + 1 for allele in (*called, *second)[:2]) if called else (False, False)
                if good[place]:
                    if change := table.changes.get(row + place):
                        variant = change.written(contig, lambda a, b, c=contig: genome.fetch(c, a, b))  # type: ignore[misc]
                    found.setdefault(contig, []).append(_site(row + place, variant, carried, phase_set))
        row += count
    return found


def _site(row: int, variant: Variant, carried: tuple[bool, ...], phase_set: str) -> Site:
    """Trim an ALT: first at the start, so that an insertion follows the base that anchors it."""
    ref, alt = (bases.upper().replace("U", "T").encode() for bases in (variant.ref, variant.alt))
    start = variant.start
    while ref and alt and ref[0] == alt[0]:
        ref, alt, start = ref[1:], alt[1:], start + 1
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    return Site(row=row, contig=variant.contig, start=start, ref=ref, alt=alt, carried=carried, phase_set=phase_set)


def kept_sites(sites: Iterable[Site]) -> list[Site]:
    """Return the sites of one haplotype that can be applied together, from left to right."""
    kept: list[Site] = []
    reach = 0
    # An insertion comes before a change of the base that follows it.
    for site in sorted(sites, key=lambda site: (site.start, bool(site.ref), site.row)):
        if site.start >= reach and not (kept and _same_place(site, kept[-1])):
            kept.append(site)
            reach = site.end
    return kept


class Haplotype:
    """One haplotype of one contig, and the map from coordinates of the reference to its own.

    Parameters
    ----------
    sequence
        The reference.
    sites
        What the haplotype carries.
    """

    def __init__(self, sequence: Bases, sites: Iterable[Site]) -> None:
        kept = kept_sites(sites)
        self._kept, self._starts = kept, [site.start for site in kept]
        parts, at, shift = [], 0, 0
        self._shifts = [0]  # before each site, and after the last, haplotype coordinate minus reference coordinate
        self._own: dict[tuple[int, bytes, bytes], int] = {}
        for site in kept:
            parts += [sequence[at : site.start], site.alt]
            self._own[site.start, site.ref, site.alt] = site.start + shift
            at, shift = site.end, shift + len(site.alt) - len(site.ref)
            self._shifts.append(shift)
        self.sequence = b"".join([*parts, sequence[at:]])

    def allele(self, site: Site, *, carried: bool) -> Allele | None:
        """Return what branches off at a site: REF with the sign -1 if ALT is carried, else ALT; None for a conflict."""
        at = self._own.get((site.start, site.ref, site.alt)) if carried else self._place(site)
        if at is None:
            return None
        old, new = (site.alt, site.ref) if carried else (site.ref, site.alt)
        # With the base before it, or at the start of the contig the base behind it, no allele is empty.
        end = at + len(old)
        before, behind = self.fetch(at - 1, at), b"" if at else self.fetch(end, end + 1)
        ref, alt = ((before + bases + behind).decode() for bases in (old, new))
        variant = Variant(site.contig, at - len(before) + 1, ref, alt)
        return place_allele(variant, self.fetch, site.row, sign=-1 if carried else 1)

    def _place(self, site: Site) -> int | None:
        """Return where a site that is not carried begins on the haplotype, or None if what is carried changes it."""
        number = bisect_left(self._starts, site.start)
        if number and self._kept[number - 1].end > site.start:
            return None
        for other in self._kept[number : number + 2]:
            if _same_place(site, other) or (other.start < site.end and site.start < other.end):
                return None
        # What is inserted at its start stands before it.
        number += bool(site.ref and self._kept[number : number + 1] and self._kept[number].end == site.start)
        return site.start + self._shifts[number]

    def fetch(self, start: int, end: int) -> bytes:
        """Return bases of the haplotype, 0-based half-open; what lies beyond its ends is left out."""
        return self.sequence[max(0, start) : max(0, end)]


def _same_place(one: Site, other: Site) -> bool:
    """Tell whether both are insertions at one place, whose order is not known."""
    return not one.ref and not other.ref and one.start == other.start


def place_on_haplotypes(
    sequence: Bases, sites: list[Site], outcomes: list[Outcome]
) -> Iterator[tuple[Haplotype, AlleleList]]:
    """Yield the haplotypes of each phase set, each with its alleles to score in its own coordinates.

    Conflicts are noted in ``outcomes``.
    """
    common = [site for site in sites if all(site.carried)]
    for phase_set in phase_sets(sites):
        members = [site for site in sites if site.phase_set == phase_set]
        for which in (0, 1):
            own = [site for site in members if site.carried[which] and not all(site.carried)]
            haplotype, alleles = Haplotype(sequence, [*common, *own]), AlleleList()
            for site in members:
                if which == (site.carried.index(True) if True in site.carried else 0):
                    allele = haplotype.allele(site, carried=site.carried[which])
                    if allele is None:
                        outcomes[site.row] = Outcome.HAPLOTYPE_CONFLICT
                    else:
                        alleles.append(allele)
            yield haplotype, alleles


def phase_sets(sites: Iterable[Site]) -> list[str]:
    """Return the phase sets in the order of the file."""
    return list(dict.fromkeys(site.phase_set for site in sites))
