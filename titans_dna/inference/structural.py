"""Resolves structural variants into changes that could be written out in bases, or says why that cannot be done.

Everything after this (the leftmost placement, haplotypes, scores) is that of other alleles: ``<DEL>`` has the score of
the same deletion in bases, to the last bit. Which ALTs are resolved, and how, is told by the files of the kinds:
`titans_dna.inference.symbolic_alleles`, `titans_dna.inference.repeat_alleles` and `titans_dna.inference.breakends`.
"""

from __future__ import annotations

from titans_dna.genome.variant import Fetch
from titans_dna.inference.breakends import HalfInversion, resolve_breakend
from titans_dna.inference.changes import Change
from titans_dna.inference.outcomes import Outcome
from titans_dna.inference.repeat_alleles import COUNTED, resolve_counted, resolve_tandem
from titans_dna.inference.symbolic_alleles import resolve_symbolic
from titans_dna.io.variants.allele_info import AlleleInfo
from titans_dna.io.variants.vcf import VcfRecord


def resolve_structural(
    record: VcfRecord, place: int, fetch: Fetch, length_bp: int, *, longest_bp: int, imprecise: bool = False
) -> Change | HalfInversion | Outcome:
    """Return the change that an ALT without bases stands for.

    Parameters
    ----------
    record
        A record on a contig of the sequence.
    place
        Number of the ALT, from 0.
    fetch
        Bases of the contig.
    length_bp
        Length of the contig.
    longest_bp
        Longest allele to score, written out in bases.
    imprecise
        Whether what is imprecise is taken as if it were exact.

    Returns
    -------
    Change, HalfInversion or Outcome
        An adjacency of an inversion is half of it; `titans_dna.inference.breakends.join_halves` makes the whole.
    """
    alt, position = record.alts[place], record.position
    info = AlleleInfo(info=record.info(), place=place, count=len(record.alts))
    if not alt.startswith("<"):
        found = resolve_breakend(alt, record.contig, position, record.ref, info, length_bp, imprecise=imprecise)
    elif alt == "<CNV:TR>":
        found = resolve_tandem(record.alts, position, info, imprecise=imprecise)
    elif COUNTED.fullmatch(alt):
        found = resolve_counted(alt, position, info, fetch, longest_bp, imprecise=imprecise)
    else:
        found = resolve_symbolic(alt, position, info, imprecise=imprecise)
    return limited(found, length_bp, longest_bp) if isinstance(found, Change) else found


def limited(change: Change, length_bp: int, longest_bp: int) -> Change | Outcome:
    """Return a change, or the outcome if it reaches beyond the contig or is longer than is scored."""
    if change.reach > length_bp:
        return Outcome.BEYOND_CONTIG
    return Outcome.TOO_LONG if max(change.lengths) > longest_bp else change
