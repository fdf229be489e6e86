"""Turns VCF records into alleles that can be scored, and gives an outcome to all others.

No record is dropped: every ALT of every record has one row, and every row has an outcome. A record without ALT, or one
that cannot be read, has one row.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import overload

import numpy as np

from titans_dna.errors import ReferenceMismatch
from titans_dna.genome.variant import Fetch, Variant
from titans_dna.inference.diagnosis import MismatchLog
from titans_dna.inference.outcomes import Outcome
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.variants.vcf import VcfRecord


@dataclass(frozen=True, slots=True)
class Allele:
    """One ALT to score, in its leftmost placement, without the bases that REF and ALT share at their ends."""

    row: int  # number of its row in the output
    start: int  # first reference base that is replaced, 0-based
    end: int  # one past the last replaced base; equal to start for an insertion
    alt: bytes  # bases that replace them; empty for a deletion
    first: int  # leftmost base from which the same haplotype can be written, 0-based
    last: int  # one past the rightmost such base
    sign: int = 1  # +1 or -1; the scores of a row are added with these signs


class AlleleList(Sequence[Allele]):
    """A list of alleles that takes about 60 bytes for each, so that a whole genome's variants fit into memory."""

    def __init__(self) -> None:
        self._numbers, self._alts, self._ends = array("q"), bytearray(), array("q")

    def append(self, allele: Allele) -> None:
        """Add one allele at the end."""
        self._numbers.extend((allele.row, allele.start, allele.end, allele.first, allele.last, allele.sign))
        self._alts += allele.alt
        self._ends.append(len(self._alts))

    def chosen(self, rows: Sequence[bool] | np.ndarray) -> AlleleList:
        """Return those alleles whose row is true."""
        kept = AlleleList()
        for allele in self:
            if rows[allele.row]:
                kept.append(allele)
        return kept

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Allele: ...
    @overload
    def __getitem__(self, index: slice) -> list[Allele]: ...
    def __getitem__(self, index: int | slice) -> Allele | list[Allele]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        row, start, end, first, last, sign = self._numbers[6 * index : 6 * index + 6]
        alt = bytes(self._alts[self._ends[index - 1] if index else 0 : self._ends[index]])
        return Allele(row=row, start=start, end=end, alt=alt, first=first, last=last, sign=sign)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(lambda a, b: a == b, self, other))

    __hash__ = None  # type: ignore[assignment]


@dataclass(kw_only=True)
class AlleleTable:
    """All ALTs of a file, with the alleles among them that can be scored."""

    outcomes: list[Outcome] = field(default_factory=list)  # one per row
    rows_per_record: list[int] = field(default_factory=list)  # rows of each record, in order
    alleles: dict[str, AlleleList] = field(default_factory=dict)  # alleles to score, by contig of the sequence
    contigs: list[str] = field(default_factory=list)  # of each record, as the sequence names it; "" if unknown
    positions: array[int] = field(default_factory=lambda: array("q"))  # POS of each record, 1-based


def read_alleles(
    records: Iterable[VcfRecord],
    fasta: Genome,
    *,
    longest_bp: int,
    on_mismatch: str = "skip",
    other: Genome | None = None,
    lengths: Mapping[str, int] = MappingProxyType({}),
) -> AlleleTable:
    """Check the ALTs of all records against the sequence: each becomes an allele to score, or gets another outcome.

    Parameters
    ----------
    records
        The records, in the order of the output.
    fasta
        The reference.
    longest_bp
        Longest allele to score, in bases.
    on_mismatch
        What to do where REF differs from the sequence: ``error`` raises at the first; ``skip`` gives an outcome;
        ``swap`` exchanges REF and ALT if the sequence has ALT; ``force`` compares the two as the record has them.
    other
        Another reference, which is tried as an explanation if many records mismatch.
    lengths
        Lengths of contigs as the file of the records declares them. A contig of another name counts as the same only if
        its length agrees.

    Raises
    ------
    ReferenceMismatch
        At the first mismatch under ``error``; under ``skip`` if most REF alleles differ, because then the reference is
        the wrong one; and always if no record lies on a contig of the reference.
    """
    table, log = AlleleTable(), MismatchLog(fasta, other)
    for record in records:
        contig = None if record.problem else fasta.contigs.resolve(record.contig, lengths.get(record.contig))
        found = _record_outcomes(record, contig, fasta, longest_bp)
        mismatch = found[0] is Outcome.REF_MISMATCH
        log.note(record, contig, mismatch)
        if mismatch and on_mismatch == "error":
            raise ReferenceMismatch(f"{log.first}. Is this the right build? Use --on-mismatch skip to go on.")
        for place, item in enumerate(found):
            if item is Outcome.REF_MISMATCH and contig is not None and on_mismatch in ("swap", "force"):
                item = _mend(table, record, place, contig, fasta, longest_bp, on_mismatch)
            elif isinstance(item, Variant) and contig is not None:
                table.alleles.setdefault(contig, AlleleList()).append(
                    place_allele(item, lambda a, b, c=contig: fasta.fetch(c, a, b), len(table.outcomes))  # type: ignore[misc]
                )
            table.outcomes.append(Outcome.SCORED if isinstance(item, Variant) else item)
        table.rows_per_record.append(len(found))
        table.contigs.append(contig or "")
        table.positions.append(record.position)
    log.judge(stop=on_mismatch == "skip")
    return table


def _record_outcomes(
    record: VcfRecord, contig: str | None, fasta: Genome, longest_bp: int
) -> Sequence[Variant | Outcome]:
    """Return, for each row of a record, the variant to score or the outcome."""
    count = max(1, len(record.alts))
    if record.problem:
        return [Outcome.MALFORMED] * count
    if contig is None:
        return [Outcome.CONTIG_UNKNOWN] * count
    if not record.alts:
        return [Outcome.NO_ALT]
    end = record.position - 1 + len(record.ref)
    if record.position < 1 or end > fasta.contigs.lengths[contig]:
        return [Outcome.BEYOND_CONTIG] * count
    have = _plain(fasta.fetch(contig, record.position - 1, end))
    ref = _plain(record.ref.encode())
    # An ambiguity code on either side contradicts nothing: such a record is no mismatch, but has no score either.
    if any(a != b and a in b"ACGT" and b in b"ACGT" for a, b in zip(ref, have, strict=True)):
        return [Outcome.REF_MISMATCH] * count
    ambiguous = bool((have + ref).translate(None, b"ACGT"))
    return [_alt_outcome(variant, longest_bp, ambiguous) for variant in record.variants()]


def _plain(bases: bytes) -> bytes:
    return bases.upper().replace(b"U", b"T")


def _alt_outcome(variant: Variant, longest_bp: int, ambiguous: bool) -> Variant | Outcome:
    if variant.alt == "*":
        return Outcome.SPANNING_DELETION
    if variant.alt == ".":
        return Outcome.NO_ALT
    if not variant.is_sequence:
        return Outcome.SYMBOLIC
    if _plain(variant.alt.encode()) == _plain(variant.ref.encode()):
        return Outcome.NO_CHANGE
    if max(len(variant.ref), len(variant.alt)) > longest_bp:
        return Outcome.TOO_LONG
    if ambiguous or variant.alt.upper().translate(str.maketrans("", "", "ACGTU")):
        return Outcome.REFERENCE_N
    return variant


def _mend(
    table: AlleleTable, record: VcfRecord, place: int, contig: str, fasta: Genome, longest_bp: int, how: str
) -> Outcome:
    """Add an ALT whose REF mismatches to the table in the way asked for, if possible, and return its outcome."""
    variant = record.variants()[place]
    checked = _alt_outcome(variant, longest_bp, ambiguous=bool(_plain(record.ref.encode()).translate(None, b"ACGT")))
    if isinstance(checked, Outcome):
        return checked
    alleles, row = table.alleles.setdefault(contig, AlleleList()), len(table.outcomes)
    ref, alt = _plain(variant.ref.encode()), _plain(variant.alt.encode())
    fetch: Fetch = lambda a, b: fasta.fetch(contig, a, b)  # noqa: E731
    if how == "swap":
        if _plain(fetch(variant.start, variant.start + len(alt))) != alt:
            return Outcome.REF_MISMATCH
        swapped = Variant(contig, variant.position, alt.decode(), ref.decode())
        alleles.append(place_allele(swapped, fetch, row, sign=-1))
        return Outcome.SWAPPED
    # Neither allele is in the sequence, so each is read as a haplotype of its own; the score is the difference of the
    # two.
    for bases, sign in ((alt, 1), (ref, -1)):
        alleles.append(Allele(row, variant.start, variant.end, bases, variant.start, variant.end, sign))
    return Outcome.FORCED


def place_allele(variant: Variant, fetch: Fetch, row: int, *, sign: int = 1) -> Allele:
    """Return the leftmost trimmed form of a variant, which is the same however the haplotype is written."""
    first, last = variant.ambiguity(fetch)
    variant = variant.left_normalised(fetch)
    ref, alt, start = variant.ref.upper(), variant.alt.upper().replace("U", "T"), variant.start
    # Normalised VCF keeps one shared base, so that no allele is empty. Here it would only move the start of the sums.
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while ref and alt and ref[0] == alt[0]:
        ref, alt, start = ref[1:], alt[1:], start + 1
    end = start + len(ref)
    return Allele(row, start, end, alt.encode(), first=min(first, start), last=max(last, end), sign=sign)
