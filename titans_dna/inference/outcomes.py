"""The outcomes that an ALT allele can have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum


class Outcome(StrEnum):
    """Whether and how one ALT allele was scored, or why not."""

    SCORED = "scored"
    SWAPPED = "swapped"  # scored with REF and ALT exchanged, because the sequence has ALT (--on-mismatch swap)
    FORCED = "forced"  # scored against its own REF, though the sequence differs (--on-mismatch force)
    REF_MISMATCH = "ref_mismatch"  # REF differs from the sequence
    CONTIG_UNKNOWN = "contig_unknown"  # the sequence has no contig of the name in CHROM
    BEYOND_CONTIG = "beyond_contig"  # REF ends past the contig, or POS is 0
    SYMBOLIC = "symbolic"  # <NON_REF>, <DUP:DISPERSED>, ...: ALT names no bases
    IMPRECISE = "imprecise"  # a structural variant whose junctions are not known to the base (--imprecise)
    UNCLEAR_LENGTH = "unclear_length"  # END and SVLEN are missing, contradict each other, or leave no bases
    NO_SEQUENCE = "no_sequence"  # <INS> or a repeat whose bases are not given
    BREAKEND = "breakend"  # a breakend that alone is no haplotype: of two contigs, single, half an inversion
    NO_CHANGE = "no_change"  # ALT is REF
    SPANNING_DELETION = "spanning_deletion"  # ALT is "*": the allele is deleted by another record
    NO_ALT = "no_alt"  # ALT is "."
    TOO_LONG = "too_long"  # an allele is longer than the limit
    REFERENCE_N = "reference_n"  # N or another ambiguity code: in the sequence under REF, in REF or in ALT
    HAPLOTYPE_CONFLICT = "haplotype_conflict"  # a phased neighbour changes the bases of REF (--haplotype)
    MALFORMED = "malformed"  # the record cannot be read


def count_outcomes(outcomes: Iterable[str]) -> dict[str, int]:
    """Return the number of ALTs by outcome, in the order of `Outcome`; outcomes that do not occur are left out."""
    counted = Counter(map(str, outcomes))
    return {str(outcome): counted[outcome] for outcome in Outcome if counted[outcome]}


def count_scored(outcomes: Mapping[str, int]) -> int:
    """Return how many have a score: alleles with REF and ALT exchanged or forced, and clipped regions have one too."""
    return sum(
        int(outcomes.get(outcome, 0)) for outcome in (Outcome.SCORED, Outcome.SWAPPED, Outcome.FORCED, "clipped")
    )
