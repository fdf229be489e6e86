"""Resolves tandem repeats, which are counted in units, into bases.

``<CNV:TR>`` (VCF 4.4)
    The SVLEN bases after POS, the whole repeat of the reference, give way to RN repeats, each of the unit RUS: RUC
    units, or RB bases, where the last unit may be cut off. So RN=3, RUS=CAG,CA,CAG, RB=15,2,12 is (CAG)5(CA)1(CAG)4.
``<STR12>`` (ExpansionHunter)
    The bases from POS + 1 to END, a repeat of the unit RU, give way to 12 units.

An allele gets the outcome ``no_sequence`` if its bases do not follow from that: the unit is not given or has an
ambiguity code; RB and RUC differ by a base or more, so the repeat is interrupted; the units have several lengths (RUB);
or the unit of ``<STR12>`` does not repeat through the reference, whose interruptions the allele may share or not. It is
``imprecise`` where the number has an interval (CIRUC, CIRB).

References: VCFv4.4 and 4.5, section 3 (RN, RUS, RUL, RUC, RB, RUB) and section 5.7; Dolzhenko et al. 2019,
"ExpansionHunter", doi:10.1093/bioinformatics/btz431, and the documentation of its output.
"""

from __future__ import annotations

import re

from titans_dna.genome.variant import Fetch
from titans_dna.inference.changes import Change, Repeated
from titans_dna.inference.outcomes import Outcome
from titans_dna.inference.symbolic_alleles import is_exact, length_after
from titans_dna.io.variants.allele_info import AlleleInfo, as_integer, as_number

COUNTED = re.compile(r"<STR([0-9]{1,6})>", re.ASCII)
_UNIT = re.compile(r"[ACGTacgt]+", re.ASCII)
_MOST_BASES = 1 << 40  # what is longer is taken for an error, before it is multiplied
_NEARLY = 0.01  # of a base: RUC is a decimal, so 3.33 units of three bases are ten


def resolve_tandem(
    alts: tuple[str, ...], position: int, info: AlleleInfo, *, imprecise: bool = False
) -> Change | Outcome:
    """Return the change that ``<CNV:TR>`` stands for, or why there is none.

    Parameters
    ----------
    alts
        All ALTs of the record, of which each ``<CNV:TR>`` has its part of the lists in INFO.
    position
        POS, 1-based: the base before the repeat.
    info
        INFO of the ALT.
    imprecise
        Whether numbers that have an interval are taken as exact.
    """
    counts = [as_integer(value) or 0 for value in info.all("RN")]
    if len(counts) != len(alts):
        if info.all("RN"):
            return Outcome.NO_SEQUENCE
        counts = [int(each == "<CNV:TR>") for each in alts]
    before, own = sum(counts[: info.place]), counts[info.place]
    if own < 1 or min(counts) < 0 or sum(counts) > max(map(len, map(info.all, ("RUS", "RUC", "RB")))):
        return Outcome.NO_SEQUENCE
    parts = [_repeat(info, number, sum(counts)) for number in range(before, before + own)]
    if None in parts or _uneven(info):
        return Outcome.NO_SEQUENCE
    if not imprecise and (_has_interval(info, range(before, before + own), sum(counts)) or not is_exact(info)):
        return Outcome.IMPRECISE
    size = length_after(position, info)
    if size is None or size == 1:  # 1 stands for a repeat that the reference has not, so what it replaces is not told
        return Outcome.UNCLEAR_LENGTH
    return Change(position, position + size, tuple(part for part in parts if part and part.bases))


def _repeat(info: AlleleInfo, number: int, total: int) -> Repeated | None:
    """Return one repeat of the lists; None if the record does not say its bases."""
    unit, units, bases, size = (_listed(info, key, number, total) for key in ("RUS", "RUC", "RB", "RUL"))
    if not _UNIT.fullmatch(unit) or (size and as_integer(size) != len(unit)):
        return None
    counted, told = as_number(units), as_integer(bases)
    found = None if counted is None else counted * len(unit)
    if told is None:
        if found is None or not 0 <= found < _MOST_BASES or abs(found - round(found)) > _NEARLY * len(unit):
            return None
        told = round(found)
    elif not 0 <= told < _MOST_BASES or (found is not None and abs(found - told) >= 1):
        return None
    return Repeated(unit.upper().encode(), told)


def _listed(info: AlleleInfo, key: str, number: int, total: int) -> str:
    """Return one value of a list with one for each repeat of the record; "" if it is missing."""
    values = info.all(key)
    return values[number] if len(values) == total and values[number] != "." else ""


def _uneven(info: AlleleInfo) -> bool:
    """Tell whether the record names units of several lengths."""
    return len(set(info.all("RUB")) - {"."}) > 1


def _has_interval(info: AlleleInfo, numbers: range, total: int) -> bool:
    for key in ("CIRUC", "CIRB"):
        values = info.all(key)
        if values and len(values) != 2 * total:
            return True
        # A missing upper bound is no bound, so only zeros say that the number is exact (VCF 4.4, section 3).
        if any(as_number(value) != 0 for value in values[2 * numbers.start : 2 * numbers.stop] if values):
            return True
    return False


def resolve_counted(
    alt: str, position: int, info: AlleleInfo, fetch: Fetch, longest_bp: int, *, imprecise: bool = False
) -> Change | Outcome:
    """Return the change that ``<STR12>`` stands for, or why there is none.

    Parameters
    ----------
    alt
        The ALT.
    position
        POS, 1-based: the base before the repeat.
    info
        INFO of the ALT.
    fetch
        Bases of the contig.
    longest_bp
        Longest allele to score: what is longer is not compared with the contig.
    imprecise
        Whether an imprecise repeat is taken as exact.
    """
    match, unit = COUNTED.fullmatch(alt), info.text("RU")
    if match is None or not _UNIT.fullmatch(unit):
        return Outcome.NO_SEQUENCE
    if not imprecise and not is_exact(info):
        return Outcome.IMPRECISE
    end, size = info.integer("END"), info.integer("RL")
    if end is None or end <= position or (size is not None and size != end - position):
        return Outcome.UNCLEAR_LENGTH
    own = Repeated(unit.upper().encode(), int(match[1]) * len(unit))
    change = Change(position, end, (own,) if own.bases else ())
    if max(change.lengths) > longest_bp:
        return Outcome.TOO_LONG
    have = fetch(position, end).upper()
    if (own.unit * (len(have) // len(unit) + 1))[: len(have)] != have:
        return Outcome.NO_SEQUENCE
    return change
