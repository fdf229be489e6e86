"""Resolves breakends of one contig into the haplotype that they make, where one adjacency or an inversion's two say it.

t stands in the place of REF, and p is a position on the same contig:

``t[p[``
    If p lies behind REF, a deletion of the bases between; else a tandem duplication of those from p to REF.
``]p]t``
    If p lies before REF, a deletion of the bases between; else a tandem duplication of those from REF to p.
``t]p]``, ``[p[t``
    The left and the right junction of an inversion.

An adjacency is read by itself, as the simplest haplotype that has it; both of its records (mates) give the same. The
two adjacencies of an inversion are found by their common EVENT, and all of its records get the whole inversion: up to
a, then the reverse complement of c to b, then from d on, for ``t]p]`` between a and b and ``[p[t`` between c and d.
Bases may be lost or doubled at either end. Bases of t beyond REF are inserted at the junction.

All others get the outcome ``breakend``: adjacencies of two contigs or with an assembly's, single breakends (``G.``),
and an inversion's adjacency whose other is not in the file or cannot be told.

References: VCFv4.4, section 5.4 (breakends), in particular 5.4.1, 5.4.7 to 5.4.10; EVENT in section 3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from titans_dna.genome.alphabet import is_nucleotides, reverse_complement
from titans_dna.inference.changes import Change, Repeated, Stretch
from titans_dna.inference.outcomes import Outcome
from titans_dna.inference.symbolic_alleles import is_exact
from titans_dna.io.variants.allele_info import AlleleInfo

_BREAKEND = re.compile(r"([A-Za-z]*)([\[\]])([^\[\]]+):([0-9]{1,18})\2([A-Za-z]*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class HalfInversion:
    """One adjacency of an inversion, the same from either of its records; coordinates are 0-based."""

    event: str  # EVENT
    left: bool  # whether it is the left end: bases before ``near`` are joined to those before ``far``
    near: int  # the smaller border of the adjacency
    far: int  # the larger one
    inserted: bytes  # bases between the two, as they are read on the inverted haplotype from left to right


def resolve_breakend(
    alt: str, contig: str, position: int, ref: str, info: AlleleInfo, length_bp: int, *, imprecise: bool = False
) -> Change | HalfInversion | Outcome:
    """Return the haplotype that a breakend describes.

    Parameters
    ----------
    alt, contig, position, ref
        ALT, CHROM, POS (1-based) and REF as written.
    info
        INFO of the ALT.
    length_bp
        Length of the contig.
    imprecise
        Whether an imprecise breakend is taken as exact.
    """
    match = _BREAKEND.fullmatch(alt)
    if match is None or match[3] != contig or bool(match[1]) == bool(match[5]):
        return Outcome.BREAKEND
    before, bracket, mate, own = match[1], match[2], int(match[4]), match[1] or match[5]
    if not is_nucleotides(own.encode()):
        return Outcome.BREAKEND
    if not 1 <= mate <= length_bp:
        return Outcome.BEYOND_CONTIG
    if not imprecise and not is_exact(info):
        return Outcome.IMPRECISE
    start, end = position - 1, position - 1 + len(ref)
    # The base that t shares with REF is read from the contig, since callers write N for it.
    shared = (own[: len(ref)] if before else own[-len(ref) :]).upper() == ref.upper()
    new = (own[len(ref) :] if before else own[: -len(ref)]) if shared else own
    inserted = (Repeated(new.upper().replace("U", "T").encode(), len(new)),) if new else ()
    if (before and bracket == "]") or (not before and bracket == "["):
        return _half(info, bool(before), start, end, mate, inserted[0].unit if inserted else b"", shared)
    if before:
        start += len(ref) * shared
        if mate > end:
            return Change(start, mate - 1, inserted)
        return Change(start, end, (*inserted, Stretch(mate - 1, end)))
    end -= len(ref) * shared
    if mate <= start:
        return Change(mate, end, inserted)
    return Change(start, end, (Stretch(start, mate), *inserted))


def _half(
    info: AlleleInfo, left: bool, start: int, end: int, mate: int, inserted: bytes, shared: bool
) -> HalfInversion | Outcome:
    """Return an adjacency of an inversion; both of its records give the same."""
    event = info.text("EVENT")
    if not event or not shared:
        return Outcome.BREAKEND
    own, other = (end, mate) if left else (start, mate - 1)
    # Seen from the record of the larger border, the bases between are those of the other strand.
    turned = (own > other) == left
    return HalfInversion(
        event, left, min(own, other), max(own, other), reverse_complement(inserted) if turned else inserted
    )


def join_halves(halves: Sequence[HalfInversion]) -> Change | Outcome:
    """Return the inversion of an event whose adjacencies these are, or the outcome if they are not exactly two."""
    left, right = ({half for half in halves if half.left is side} for side in (True, False))
    if len(left) != 1 or len(right) != 1:
        return Outcome.BREAKEND
    (first,), (last,) = left, right
    if not (first.near < last.far and last.near < first.far):
        return Outcome.BREAKEND
    parts: list[Stretch | Repeated] = [Stretch(last.near, first.far, reverse=True)]
    if first.inserted:
        parts.insert(0, Repeated(first.inserted, len(first.inserted)))
    if last.inserted:
        parts.append(Repeated(last.inserted, len(last.inserted)))
    return Change(first.near, last.far, tuple(parts))
