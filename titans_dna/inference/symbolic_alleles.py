"""Resolves ALTs in angle brackets, such as ``<DEL>``, into changes of the contig.

POS is the base before the event, and N its length: ``SVLEN`` without its sign, or if that is missing END - POS. If both
are there, they must agree; of an imprecise allele that is taken as exact, END counts.

``<DEL>``, ``<DEL:...>``, ``<CN0>``
    The N bases after POS are missing.
``<DUP>``, ``<DUP:TANDEM>``
    They stand there twice, one copy behind the other.
``<INV>``
    Their reverse complement stands in their place.
``<INS>``, ``<INS:...>``
    The bases given in ``SVINSSEQ``, ``SEQ`` or ``INSSEQ`` follow POS.

An allele is imprecise where the file says that its junctions are not known to the base: by ``IMPRECISE``, or by an
interval ``CIPOS``, ``CIEND`` or ``CILEN`` other than 0,0. An interval that is no wider than the homology at the
junction (``HOMLEN``, ``HOMSEQ``) is exact, for all placements within it are the same haplotype. A claim about the
number of copies alone (``SVCLAIM=D``, ``<CNV>`` with ``CN``, ``<CN2>``) says nothing of junctions, so it is imprecise
too. Taken as exact, it stands for that many copies in tandem.

Other ALTs in brackets name no change that could be written out: ``<NON_REF>``, ``<*>``, ``<DUP:DISPERSED>``, ``<CNV>``
without ``CN``.

References: VCFv4.4, section 1.4.5 (ALT), section 3 (INFO keys of structural variants), section 5.3; in VCFv4.2 and 4.3
``SVLEN`` is negative for a deletion, and 0 or missing for an inversion.
"""

from __future__ import annotations

import re

from titans_dna.inference.changes import Change, Repeated, Stretch
from titans_dna.inference.outcomes import Outcome
from titans_dna.io.variants.allele_info import AlleleInfo

_COPIES = re.compile(r"<CN([0-9]{1,4})>", re.ASCII)  # of the 1000 Genomes Project
_BASES = re.compile(r"[ACGTUacgtu]+", re.ASCII)
_INSERTED = ("SVINSSEQ", "SEQ", "INSSEQ")  # keys under which callers write the bases of an insertion
_MOST_COPIES = 10_000


def resolve_symbolic(alt: str, position: int, info: AlleleInfo, *, imprecise: bool = False) -> Change | Outcome:
    """Return the change that an ALT in angle brackets stands for, or why there is none.

    Parameters
    ----------
    alt
        ALT, such as ``<DEL>``.
    position
        POS, 1-based: the base before the event, and so the event's first base counted from 0.
    info
        INFO of the ALT.
    imprecise
        Whether what is imprecise is taken as if it were exact.
    """
    kind, _, subtype = alt[1:-1].partition(":")
    copies = _copies(alt, info)
    if kind == "INS":
        found = _insertion(position, info)
        return found if imprecise or isinstance(found, Outcome) or is_exact(info) else Outcome.IMPRECISE
    if kind == "DEL":
        copies = 0
    elif kind == "DUP" and subtype in ("", "TANDEM"):
        copies = 2
    elif alt != "<INV>" and copies is None:
        return Outcome.SYMBOLIC
    if copies == 1:
        return Outcome.NO_CHANGE
    counted = info.text("SVCLAIM") == "D" or not (kind in ("DEL", "DUP", "INV") or alt == "<CN0>")
    rough = counted or not is_exact(info)
    if rough and not imprecise:
        return Outcome.IMPRECISE
    size = length_after(position, info, may_be_zero=alt == "<INV>", rough=rough)
    if size is None:
        return Outcome.UNCLEAR_LENGTH
    start, end = position, position + size
    if alt == "<INV>":
        return Change(start, end, (Stretch(start, end, reverse=True),))
    if not copies:
        return Change(start, end)
    # The copies after the first are an insertion before it.
    return Change(start, start, (Stretch(start, end),) * (copies - 1))


def _copies(alt: str, info: AlleleInfo) -> int | None:
    """Return how many copies ``<CNV>`` or ``<CN2>`` has on the haplotype; None if it is another ALT or does not say."""
    if match := _COPIES.fullmatch(alt):
        return int(match[1])
    copies = info.number("CN") if alt == "<CNV>" else None
    return int(copies) if copies is not None and copies.is_integer() and 0 <= copies < _MOST_COPIES else None


def _insertion(position: int, info: AlleleInfo) -> Change | Outcome:
    bases = next((text for key in _INSERTED if (text := info.text(key))), "")
    if not _BASES.fullmatch(bases):
        return Outcome.NO_SEQUENCE
    size = info.integer("SVLEN")
    if size and abs(size) != len(bases):
        return Outcome.UNCLEAR_LENGTH
    return Change(position, position, (Repeated(bases.upper().replace("U", "T").encode(), len(bases)),))


def length_after(
    position: int, info: AlleleInfo, *, may_be_zero: bool = False, rough: bool = False
) -> int | None:  # fmt: skip
    """Return how many bases after POS an event covers; None if INFO does not say, or contradicts itself.

    Parameters
    ----------
    position
        POS, 1-based.
    info
        INFO of the ALT.
    may_be_zero
        Whether an ``SVLEN`` of 0 is one that is missing: up to VCF 4.3 it is the difference between ALT and REF.
    rough
        Whether both are estimates, which may differ; END is then taken.
    """
    size, end = info.integer("SVLEN"), info.integer("END")
    if (info.text("SVLEN") and size is None) or (info.text("END") and end is None):
        return None
    size = None if size is None or (size == 0 and may_be_zero) else abs(size)
    # END is that of the longest ALT, so with several it does not tell how long this one is (VCF 4.4, section 3).
    reach = None if end is None or info.count > 1 else end - position
    if size is not None and reach is not None and size != reach and not rough:
        return None
    found = size if reach is None else reach
    return found if found and found > 0 else None


def is_exact(info: AlleleInfo) -> bool:
    """Tell whether the junctions of an allele are known to the base, or only as far as the sequence around them is the
    same.
    """
    # In a record of several ALTs the flag says that one of them is imprecise, and CIPOS which (VCF 4.4, section 3).
    if info.has("IMPRECISE") and (info.count == 1 or info.pair("CIPOS") != (0, 0)):
        return False
    homology = max(info.integer("HOMLEN") or 0, len(info.text("HOMSEQ")))
    for key in ("CIPOS", "CIEND"):
        if info.all(key):
            low, high = info.pair(key) or (0, homology + 1)
            if not 0 <= high - low <= homology:
                return False
    return not info.all("CILEN") or info.pair("CILEN") == (0, 0)
