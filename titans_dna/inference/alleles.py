"""Turns VCF records into alleles that can be scored, and gives an outcome to all others.

No record is dropped: every ALT of every record has one row, and every row has an outcome. A record without ALT, or one
that cannot be read, has one row. Structural variants are resolved into bases (`titans_dna.inference.structural`), and
are then alleles as any other.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import overload

import numpy as np

from titans_dna.errors import ReferenceMismatch
from titans_dna.genome.alphabet import is_nucleotides
from titans_dna.genome.variant import Fetch, Variant
from titans_dna.inference.breakends import HalfInversion, join_halves
from titans_dna.inference.changes import Change
from titans_dna.inference.diagnosis import MismatchLog
from titans_dna.inference.outcomes import Outcome
from titans_dna.inference.structural import limited, resolve_structural
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.variants.vcf import VcfRecord

_OTHERS_AS_N = bytes(letter if is_nucleotides(bytes([letter])) else ord("N") for letter in range(256))


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
    changes: dict[int, Change] = field(default_factory=dict)  # by row, what a structural variant that is scored means

    def lengths(self, row: int, record: VcfRecord, place: int) -> tuple[int, int]:
        """Return the numbers of bases of REF and of an ALT, which a structural variant has only once it is resolved."""
        change = self.changes.get(row)
        return change.lengths if change else (len(record.ref), len(record.alts[place]))


def read_alleles(
    records: Iterable[VcfRecord],
    fasta: Genome,
    *,
    longest_bp: int,
    on_mismatch: str = "skip",
    imprecise: bool = False,
    other: Genome | None = None,
    lengths: Mapping[str, int] = MappingProxyType({}),
    can_swap: bool = True,
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
    imprecise
        Whether structural variants that are imprecise are scored as if POS, END and lengths were exact.
    other
        Another reference, which is tried as an explanation if many records mismatch.
    lengths
        Lengths of contigs as the file of the records declares them. A contig of another name counts as the same only if
        its length agrees.
    can_swap
        Whether ``swap`` may be advised, because the verb has it.

    Raises
    ------
    ReferenceMismatch
        At the first mismatch under ``error``; under ``skip`` if most REF alleles differ, because then the reference is
        the wrong one; and always if no record lies on a contig of the reference.
    """
    log = MismatchLog(fasta, other, can_swap=can_swap)
    table, checks = AlleleTable(), _Checks(fasta, longest_bp, imprecise)
    halves: dict[tuple[str, str], list[tuple[int, HalfInversion]]] = {}  # rows of inversions, by contig and event
    for record in records:
        contig = None if record.problem else fasta.contigs.resolve(record.contig, lengths.get(record.contig))
        found = checks.outcomes(record, contig)
        mismatch = found[0] is Outcome.REF_MISMATCH
        log.note(record, contig, mismatch)
        if mismatch and on_mismatch == "error":
            raise ReferenceMismatch(f"{log.first}. Is this the right build? Use --on-mismatch skip to go on.")
        for place, item in enumerate(found):
            row = len(table.outcomes)
            if contig is None:
                assert isinstance(item, Outcome)
            elif item is Outcome.REF_MISMATCH and on_mismatch in ("swap", "force"):
                item = _mend(table, record, place, contig, checks, on_mismatch)
            elif isinstance(item, HalfInversion):
                halves.setdefault((contig, item.event), []).append((row, item))
                item = Outcome.BREAKEND  # until the other half is found
            elif not isinstance(item, Outcome):
                item = _add(table, row, contig, item, checks)
            table.outcomes.append(item)
        table.rows_per_record.append(len(found))
        table.contigs.append(contig or "")
        table.positions.append(record.position)
    for (contig, _), rows in halves.items():
        whole = join_halves([half for _, half in rows])
        for row, _ in rows:
            table.outcomes[row] = whole if isinstance(whole, Outcome) else _add(table, row, contig, whole, checks)
    log.judge(stop=on_mismatch == "skip")
    return table


@dataclass(frozen=True, slots=True)
class _Checks:
    """What is asked of each ALT before it is scored."""

    fasta: Genome
    longest_bp: int
    imprecise: bool

    def fetch(self, contig: str) -> Fetch:
        """Return what reads the bases of a contig, with N for letters that are no nucleotide codes."""
        return lambda start, end: self.fasta.fetch(contig, start, end).translate(_OTHERS_AS_N)

    def outcomes(self, record: VcfRecord, contig: str | None) -> Sequence[Variant | Change | HalfInversion | Outcome]:
        """Return, for each row of a record, what is to be scored or the outcome."""
        count = max(1, len(record.alts))
        if record.problem:
            return [Outcome.MALFORMED] * count
        if contig is None:
            return [Outcome.CONTIG_UNKNOWN] * count
        if not record.alts:
            return [Outcome.NO_ALT]
        end, length = record.position - 1 + len(record.ref), self.fasta.contigs.lengths[contig]
        if record.position < 1 or end > length:
            return [Outcome.BEYOND_CONTIG] * count
        have = _plain(self.fasta.fetch(contig, record.position - 1, end))
        ref = _plain(record.ref.encode())
        # An ambiguity code on either side contradicts nothing: such a record is no mismatch, but has no score either.
        if any(a != b and a in b"ACGT" and b in b"ACGT" for a, b in zip(ref, have, strict=True)):
            return [Outcome.REF_MISMATCH] * count
        ambiguous = _ambiguous(have + ref)
        return [
            self.variant(variant, ambiguous=ambiguous)
            if variant.is_sequence or variant.alt in ("*", ".")
            else resolve_structural(
                record, place, self.fetch(contig), length, longest_bp=self.longest_bp, imprecise=self.imprecise
            )
            for place, variant in enumerate(record.variants())
        ]

    def variant(self, variant: Variant, *, ambiguous: bool) -> Variant | Outcome:
        """Return a variant that can be scored, or the outcome."""
        if variant.alt == "*":
            return Outcome.SPANNING_DELETION
        if variant.alt == ".":
            return Outcome.NO_ALT
        if _plain(variant.alt.encode()) == _plain(variant.ref.encode()):
            return Outcome.NO_CHANGE
        if max(len(variant.ref), len(variant.alt)) > self.longest_bp:
            return Outcome.TOO_LONG
        return Outcome.REFERENCE_N if ambiguous or _ambiguous(variant.alt.encode()) else variant

    def written(self, change: Change, contig: str) -> Variant | Outcome:
        """Return a change in bases if it can be scored."""
        within = limited(change, self.fasta.contigs.lengths[contig], self.longest_bp)
        if isinstance(within, Outcome):
            return within
        variant = change.written(contig, self.fetch(contig))
        return self.variant(variant, ambiguous=_ambiguous(variant.ref.encode()))


def _plain(bases: bytes) -> bytes:
    return bases.upper().replace(b"U", b"T")


def _ambiguous(bases: bytes) -> bool:
    """Tell whether there is a letter that is no base."""
    return bool(bases.translate(None, b"ACGTUacgtu"))


def _add(table: AlleleTable, row: int, contig: str, item: Variant | Change, checks: _Checks) -> Outcome:
    """Add an ALT to the table if it can be scored, and return its outcome."""
    variant = checks.written(item, contig) if isinstance(item, Change) else item
    if isinstance(variant, Outcome):
        return variant
    if isinstance(item, Change):
        table.changes[row] = item
    table.alleles.setdefault(contig, AlleleList()).append(place_allele(variant, checks.fetch(contig), row))
    return Outcome.SCORED


def _mend(table: AlleleTable, record: VcfRecord, place: int, contig: str, checks: _Checks, how: str) -> Outcome:
    """Add an ALT whose REF mismatches to the table in the way asked for, if possible, and return its outcome."""
    variant = record.variants()[place]
    if not variant.is_sequence and variant.alt not in ("*", "."):
        return Outcome.REF_MISMATCH  # such an ALT has no bases of its own to compare
    checked = checks.variant(variant, ambiguous=_ambiguous(record.ref.encode()))
    if isinstance(checked, Outcome):
        return checked
    alleles, row = table.alleles.setdefault(contig, AlleleList()), len(table.outcomes)
    ref, alt = _plain(variant.ref.encode()), _plain(variant.alt.encode())
    fetch = checks.fetch(contig)
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
