"""From VCF records to alleles that can be scored, and an outcome for each of the others.

Nothing is dropped: every ALT of every record has a row, and every row an outcome. A record without ALT, or one that
cannot be read, has one row.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from titans_dna.errors import ReferenceMismatch
from titans_dna.genome.variant import Fetch, Variant
from titans_dna.io.fasta import Fasta
from titans_dna.io.vcf import VcfRecord

MANY_CHECKED = 20  # REF alleles compared before a majority of mismatches is taken for a wrong reference


class Outcome(StrEnum):
    """What became of one ALT allele."""

    SCORED = "scored"
    REF_MISMATCH = "ref_mismatch"  # REF is not what the sequence has there
    CONTIG_UNKNOWN = "contig_unknown"  # no contig answers to CHROM
    BEYOND_CONTIG = "beyond_contig"  # REF ends past the contig, or POS is 0
    SYMBOLIC = "symbolic"  # <DEL>, a breakend: no bases to score
    SPANNING_DELETION = "spanning_deletion"  # "*": another record has the allele
    NO_ALT = "no_alt"  # ALT is "."
    TOO_LONG = "too_long"  # an allele is longer than the limit
    REFERENCE_N = "reference_n"  # the sequence has N or another ambiguity code under REF, or ALT holds one
    MALFORMED = "malformed"  # the record cannot be read


@dataclass(frozen=True, slots=True)
class Allele:
    """One ALT to score, in its leftmost placement, both alleles trimmed of what they share."""

    row: int  # place in the output
    start: int  # first reference base that is replaced, 0-based
    end: int  # one past the last; equal to start for an insertion
    alt: bytes  # what stands there instead; may be empty
    first: int  # leftmost base at which the same haplotype can be written, 0-based
    last: int  # one past the rightmost


@dataclass(frozen=True, kw_only=True)
class AlleleTable:
    """All ALTs of a file."""

    outcomes: list[Outcome]  # one per row; SCORED for those in ``alleles``
    rows_per_record: list[int]  # rows of each record, in order
    alleles: dict[str, list[Allele]]  # to be scored, by contig of the FASTA


def read_alleles(
    records: Iterable[VcfRecord], fasta: Fasta, *, longest_bp: int, on_mismatch: str = "skip"
) -> AlleleTable:
    """Sort the ALTs of all records into alleles to score and outcomes.

    Parameters
    ----------
    records
        In the order of the output.
    fasta
        The reference.
    longest_bp
        Longest allele to score, in bases.
    on_mismatch
        ``skip`` gives a mismatching REF its outcome; ``error`` raises at the first.

    Raises
    ------
    ReferenceMismatch
        At the first mismatch under ``error``; or if most REF alleles differ, for then it is another reference.
    """
    outcomes: list[Outcome] = []
    rows: list[int] = []
    alleles: dict[str, list[Allele]] = {}
    checked = mismatched = unknown = 0
    worst = ""
    for record in records:
        contig = None if record.problem else fasta.contigs.resolve(record.contig)
        found = _record_outcomes(record, contig, fasta, longest_bp)
        if found and isinstance(found[0], Variant | Outcome) and found[0] is Outcome.REF_MISMATCH:
            mismatched += 1
            have = fasta.fetch(contig or "", record.position - 1, record.position - 1 + len(record.ref)).decode()
            place = f"{record.contig}:{record.position:,}"
            worst = (
                worst
                or f"line {record.line}: REF is {record.ref[:20]} but {fasta.path.name} has {have[:20]} at {place}"
            )
            if on_mismatch == "error":
                raise ReferenceMismatch(f"{worst}. Is this the right build? Use --on-mismatch skip to go on.")
        checked += contig is not None
        unknown += contig is None and not record.problem
        for item in found:
            if isinstance(item, Variant) and contig is not None:
                alleles.setdefault(contig, []).append(_allele(len(outcomes), item, fasta, contig))
            outcomes.append(Outcome.SCORED if isinstance(item, Variant) else item)
        rows.append(len(found))
    if mismatched * 2 > checked >= MANY_CHECKED:
        raise ReferenceMismatch(
            f"{mismatched:,} of {checked:,} records do not fit the sequence ({worst}). Give the FASTA of the build "
            "that the VCF was called on."
        )
    if unknown and not checked:
        raise ReferenceMismatch(
            f"none of the {unknown:,} records lies on a contig of {fasta.path}, which has "
            f"{', '.join(fasta.contigs.names[:5])}. Give the FASTA that the VCF was called on."
        )
    return AlleleTable(outcomes=outcomes, rows_per_record=rows, alleles=alleles)


def _record_outcomes(record: VcfRecord, contig: str | None, fasta: Fasta, longest_bp: int) -> list[Variant | Outcome]:
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
    have = fasta.fetch(contig, record.position - 1, end).upper().replace(b"U", b"T")
    ref = record.ref.upper().replace("U", "T").encode()
    pairs = [(a, b) for a, b in zip(ref, have, strict=True) if a != b]
    if any(chr(b) in "ACGT" and chr(a) in "ACGT" for a, b in pairs):
        return [Outcome.REF_MISMATCH] * count
    ambiguous = bool(have.translate(None, b"ACGT"))
    return [_alt_outcome(variant, longest_bp, ambiguous) for variant in record.variants()]


def _alt_outcome(variant: Variant, longest_bp: int, ambiguous: bool) -> Variant | Outcome:
    if variant.alt == "*":
        return Outcome.SPANNING_DELETION
    if variant.alt == ".":
        return Outcome.NO_ALT
    if not variant.is_sequence:
        return Outcome.SYMBOLIC
    if max(len(variant.ref), len(variant.alt)) > longest_bp:
        return Outcome.TOO_LONG
    if ambiguous or variant.alt.upper().translate(str.maketrans("", "", "ACGTU")):
        return Outcome.REFERENCE_N
    return variant


def _allele(row: int, variant: Variant, fasta: Fasta, contig: str) -> Allele:
    """Return the leftmost trimmed form, the same for every way to write the haplotype."""
    fetch: Fetch = lambda start, end: fasta.fetch(contig, start, end)  # noqa: E731
    first, last = variant.ambiguity(fetch)
    variant = variant.left_normalised(fetch)
    ref, alt, start = variant.ref.upper(), variant.alt.upper(), variant.start
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while ref and alt and ref[0] == alt[0]:
        ref, alt, start = ref[1:], alt[1:], start + 1
    return Allele(
        row=row,
        start=start,
        end=start + len(ref),
        alt=alt.encode(),
        first=min(first, start),
        last=max(last, start + len(ref)),
    )
