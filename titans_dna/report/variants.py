"""Scored variants for the report: outcomes that add up, scores by planted truth, and the most disrupted alleles.

The file is a VCF or BCF written by `titans-dna score-variants`: INFO/TD_LLR (natural logarithm of the likelihood of ALT
minus that of REF) and INFO/TD_OUTCOME, both with one value per ALT allele, and where scores were calibrated
INFO/TD_QUANTILE and TD_P. One pass keeps the score of each scored
allele, and truth, kind and contig of those with a truth. A record whose ALT is "." counts as one allele, "no_alt"; so
does a malformed line of the source, of which the header gives the number alone.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pysam
from numpy.typing import NDArray

from titans_dna.errors import FormatError, InputMissing
from titans_dna.genome.variant import Variant

__all__ = ["LabelledAlleles", "ScoredAllele", "ScoredVariants", "read_scored_variants"]

UNLABELLED = "no outcome"  # an allele for which the file gives none: the counts then do not add up
NO_TRUTH = ""


@dataclass(frozen=True, kw_only=True)
class ScoredAllele:
    """One ALT allele of the input."""

    contig: str  # as in the file
    position: int  # 1-based
    identifier: str  # "" for none
    ref: str  # allele
    alt: str  # allele
    outcome: str  # TD_OUTCOME
    llr: float  # natural logarithm, ALT minus REF; nan where not scored
    strands: tuple[float, float]  # the same by strand, forward and reverse; nan where not given
    quantile: float  # TD_QUANTILE, among common variants; nan where not given
    p_value: float  # TD_P, among shuffled surroundings; nan where not given
    truth: str  # value of the truth field, "" for none

    @property
    def kind(self) -> str:
        """Kind of the variant, e.g. "snv"."""
        return Variant(self.contig, self.position, self.ref, self.alt).kind


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledAlleles:
    """Scored alleles whose truth is known, as columns of shape (n,)."""

    llr: NDArray[np.float64]  # natural logarithm, ALT minus REF
    truths: NDArray[np.str_]  # value of the truth field
    kinds: NDArray[np.str_]  # e.g. "snv"
    contigs: NDArray[np.str_]  # as in the file


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredVariants:
    """All that the report says of a file of scored variants."""

    records: int  # records in the file
    alleles: int  # ALT alleles in the file, and malformed lines of its source
    outcomes: Mapping[str, int]  # alleles by outcome, most frequent first
    llr: NDArray[np.float64]  # of the scored alleles, shape (scored,)
    quantiles: NDArray[np.float64]  # TD_QUANTILE of the alleles that have one
    p_values: NDArray[np.float64]  # TD_P of the alleles that have one
    labelled: LabelledAlleles  # the scored alleles whose truth is known
    strand_correlation: float  # Pearson's r of forward and reverse scores; nan where not given
    lowest: tuple[ScoredAllele, ...]  # alleles with the lowest scores, lowest first
    truth_field: str  # INFO field that held the truth, "" for none

    @property
    def adds_up(self) -> bool:
        """Whether every allele has an outcome."""
        return UNLABELLED not in self.outcomes and sum(self.outcomes.values()) == self.alleles


def read_scored_variants(path: Path, *, truth_field: str = "", top: int = 15) -> ScoredVariants:
    """Summarise a VCF or BCF of scored variants in one pass.

    Parameters
    ----------
    path
        File written by ``titans-dna score-variants``.
    truth_field
        INFO field with the true class of a record or of each ALT; empty for none.
    top
        Number of alleles with the lowest score to keep.

    Raises
    ------
    InputMissing
        If there is no such file.
    FormatError
        If it is no VCF, or was not scored.
    """
    tally = _Tally(top=top)
    with _opened(path) as source:
        tally.count("malformed", _malformed(source.header))
        known_truth = truth_field if truth_field in source.header.info else ""
        for record in source:
            tally.records += 1
            for allele in _alleles(record, known_truth):
                tally.add(allele)
    labelled, truths, kinds, contigs = zip(*tally.labelled, strict=True) if tally.labelled else ((), (), (), ())
    return ScoredVariants(
        records=tally.records,
        alleles=tally.alleles,
        outcomes=dict(sorted(tally.outcomes.items(), key=lambda item: (-item[1], item[0]))),
        llr=np.array(tally.llr),
        quantiles=_known(tally.quantiles),
        p_values=_known(tally.p_values),
        labelled=LabelledAlleles(
            llr=np.array(labelled, dtype=np.float64),
            truths=np.array(truths, dtype=np.str_),
            kinds=np.array(kinds, dtype=np.str_),
            contigs=np.array(contigs, dtype=np.str_),
        ),
        strand_correlation=_correlation(np.array(tally.forward), np.array(tally.reverse)),
        lowest=tuple(allele for *_, allele in sorted(tally.heap, key=lambda item: item[:2], reverse=True)),
        truth_field=truth_field if tally.labelled else "",
    )


@dataclass(kw_only=True)
class _Tally:
    """Counts and scores, filled allele by allele."""

    top: int
    records: int = 0
    alleles: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    llr: array[float] = field(default_factory=lambda: array("d"))
    forward: array[float] = field(default_factory=lambda: array("d"))
    reverse: array[float] = field(default_factory=lambda: array("d"))
    quantiles: array[float] = field(default_factory=lambda: array("d"))
    p_values: array[float] = field(default_factory=lambda: array("d"))
    labelled: list[tuple[float, str, str, str]] = field(default_factory=list)
    heap: list[tuple[float, int, ScoredAllele]] = field(default_factory=list)

    def count(self, outcome: str, alleles: int) -> None:
        """Count alleles by outcome."""
        if alleles:
            self.alleles += alleles
            self.outcomes[outcome] += alleles

    def add(self, allele: ScoredAllele) -> None:
        """Count one allele, and keep its score if it has one."""
        self.count(allele.outcome, 1)
        if math.isnan(allele.llr):
            return
        self.llr.append(allele.llr)
        self.forward.append(allele.strands[0])
        self.reverse.append(allele.strands[1])
        self.quantiles.append(allele.quantile)
        self.p_values.append(allele.p_value)
        if allele.truth != NO_TRUTH:
            self.labelled.append((allele.llr, allele.truth, allele.kind, allele.contig))
        push = heapq.heappush if len(self.heap) < self.top else heapq.heappushpop
        push(self.heap, (-allele.llr, -self.alleles, allele))  # the number breaks ties: first come, first kept


@contextmanager
def _opened(path: Path) -> Iterator[pysam.VariantFile]:
    """The file, checked to be scored; whatever breaks while it is read becomes an error of ours."""
    if not path.is_file():
        raise InputMissing("no such file. Check the path, or leave the option out.", path=path)
    verbosity = pysam.set_verbosity(0)  # a file without an index is no reason to print anything
    try:
        with pysam.VariantFile(str(path)) as source:
            if "TD_OUTCOME" not in source.header.info or "TD_LLR" not in source.header.info:
                what = "has no INFO/TD_LLR and TD_OUTCOME. Score it with `titans-dna score-variants`."
                raise FormatError(what, path=path)
            yield source
    except (OSError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"not a readable VCF ({error}). Score the variants again.", path=path) from error
    finally:
        pysam.set_verbosity(verbosity)


def _malformed(header: pysam.VariantHeader) -> int:
    """Malformed lines of the source, which only the header of the scored file tells of."""
    told = [record.value or "" for record in header.records if record.key == "titans_dna_malformed_records"]
    return int(told[0]) if told and told[0].isdecimal() else 0


def _alleles(record: pysam.VariantRecord, truth_field: str) -> list[ScoredAllele]:
    """The ALT alleles of a record, or one allele "." where it has none."""
    alts = record.alts or (".",)
    outcomes = _values(record, "TD_OUTCOME")
    scores = [_values(record, name) for name in ("TD_LLR", "TD_LLR_FWD", "TD_LLR_REV", "TD_QUANTILE", "TD_P")]
    truths = _values(record, truth_field) if truth_field else []
    missing = "no_alt" if not record.alts else UNLABELLED
    alleles = []
    for number, alt in enumerate(alts):
        llr, forward, reverse, quantile, p_value = (_score_at(values, number) for values in scores)
        truth = _at(truths, number if len(truths) == len(alts) else 0)
        alleles.append(
            ScoredAllele(
                contig=record.chrom,
                position=record.pos,
                identifier=record.id or "",
                ref=record.ref or "N",
                alt=alt,
                outcome=str(_at(outcomes, number) or missing),
                llr=llr,
                strands=(forward, reverse),
                quantile=quantile,
                p_value=p_value,
                truth=NO_TRUTH if truth is None else str(truth),
            )
        )
    return alleles


def _values(record: pysam.VariantRecord, name: str) -> list[object]:
    """Values of an INFO field as a list, empty where it is absent."""
    value = record.info.get(name) if name in record.header.info else None
    if value is None:
        return []
    return list(value) if isinstance(value, tuple) else [value]


def _at(values: list[object], number: int) -> object | None:
    """The value at this 0-based index, or None."""
    return values[number] if number < len(values) else None


def _score_at(values: list[object], number: int) -> float:
    """The score at this 0-based index, or nan."""
    value = _at(values, number)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else math.nan


def _known(values: array[float]) -> NDArray[np.float64]:
    """The values that are no nan."""
    found = np.array(values)
    return found[np.isfinite(found)]


def _correlation(forward: NDArray[np.float64], reverse: NDArray[np.float64]) -> float:
    """Pearson's r of the pairs in which both are known; nan where that is not defined."""
    known = np.isfinite(forward) & np.isfinite(reverse)
    if known.sum() < 3 or not forward[known].std() or not reverse[known].std():
        return math.nan
    return float(np.corrcoef(forward[known], reverse[known])[0, 1])
