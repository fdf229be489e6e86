"""What can become of one ALT allele."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum


class Outcome(StrEnum):
    """What became of one ALT allele."""

    SCORED = "scored"
    SWAPPED = "swapped"  # scored with REF and ALT exchanged, for ALT is what the sequence has (--on-mismatch swap)
    FORCED = "forced"  # scored against its own REF, which the sequence has not (--on-mismatch force)
    REF_MISMATCH = "ref_mismatch"  # REF is not what the sequence has there
    CONTIG_UNKNOWN = "contig_unknown"  # no contig answers to CHROM
    BEYOND_CONTIG = "beyond_contig"  # REF ends past the contig, or POS is 0
    SYMBOLIC = "symbolic"  # <DEL>, a breakend: no bases to score
    SPANNING_DELETION = "spanning_deletion"  # "*": another record has the allele
    NO_ALT = "no_alt"  # ALT is "."
    TOO_LONG = "too_long"  # an allele is longer than the limit
    REFERENCE_N = "reference_n"  # the sequence has N or another ambiguity code under REF, or ALT holds one
    HAPLOTYPE_CONFLICT = "haplotype_conflict"  # a phased neighbour changes the bases of REF (--haplotype)
    MALFORMED = "malformed"  # the record cannot be read


def count_outcomes(outcomes: Iterable[str]) -> dict[str, int]:
    """Return the number of ALTs by outcome, in the order of the table above; those that do not occur are left out."""
    counted = Counter(map(str, outcomes))
    return {str(outcome): counted[outcome] for outcome in Outcome if counted[outcome]}
