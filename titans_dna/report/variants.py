"""Scored variants for the report: outcomes that add up, scores by known truth, and the alleles with the lowest scores.

The file was written by `titans-dna score-variants` or `mutagenesis`, in any format that `titans_dna.io.scores` reads.
It is read in one pass, which keeps the score of every scored allele, and truth, kind and contig of those whose truth is
known. A record whose ALT is "." counts as one allele with the outcome "no_alt", and a malformed line of the source as
one with the outcome "malformed"; a VCF only tells how many of these there were. A table has one row per allele, so
neighbouring rows with the same position, id and REF are counted as one record.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_dna.errors import FormatError
from titans_dna.genome.variant import Variant
from titans_dna.inference.outcomes import count_scored
from titans_dna.io.scores import open_scores

UNLABELLED = "no outcome"  # the file gives no outcome for an allele, so the counts do not add up
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
    strands: tuple[float, float]  # llr read on the forward and on the reverse strand; nan where not given
    quantile: float  # TD_QUANTILE, among common variants; nan where not given
    p_value: float  # TD_P, among shuffled surroundings; nan where not given
    truth: str  # value of the truth field, "" for none

    @property
    def kind(self) -> str:
        """Kind of the variant, such as "snv"."""
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
    """All that the report shows of a file of scored variants."""

    records: int  # records in the file
    alleles: int  # ALT alleles in the file, and malformed lines of its source
    outcomes: Mapping[str, int]  # alleles by outcome, most frequent first
    llr: NDArray[np.float64]  # of the scored alleles, shape (scored,)
    quantiles: NDArray[np.float64]  # TD_QUANTILE of the alleles that have one
    p_values: NDArray[np.float64]  # TD_P of the alleles that have one
    labelled: LabelledAlleles  # the scored alleles whose truth is known
    strand_correlation: float  # Pearson's r of forward and reverse scores; nan where not given
    lowest: Mapping[str, tuple[ScoredAllele, ...]]  # by kind, the most frequent first: alleles with the lowest scores
    truth_field: str  # INFO field that held the truth, "" for none

    @property
    def scored(self) -> int:
        """Number of alleles that have a score."""
        return count_scored(self.outcomes)

    @property
    def adds_up(self) -> bool:
        """Whether every allele has an outcome."""
        return UNLABELLED not in self.outcomes and sum(self.outcomes.values()) == self.alleles


def read_scored_variants(path: Path, *, truth_field: str = "", top: int = 8) -> ScoredVariants:
    """Summarise a file of scored variants in one pass.

    Parameters
    ----------
    path
        File written by ``titans-dna score-variants`` or ``mutagenesis``.
    truth_field
        INFO field, or column of a table, with the true class of a record or of each ALT; empty for none.
    top
        Number of alleles of each kind with the lowest score to keep.

    Raises
    ------
    InputMissing
        If there is no such file.
    FormatError
        If the file holds no scored variants.
    """
    tally = _Tally(top=top)
    table = open_scores(path, info=[truth_field] if truth_field else [])
    if not {"contig", "position", "ref", "alt", "llr"} <= {column.name for column in table.columns}:
        raise FormatError("holds no scored variants. Score them with `titans-dna score-variants`.", path=path)
    # Malformed lines of the source have no record in a VCF, only this number in its header; a table has rows for them.
    told = table.metadata.get("malformed_records", "")
    tally.count("malformed", int(told) if told.isdecimal() else 0)
    record: object = None
    for row in table:
        allele = _allele(row, truth_field)
        this = row.get("record") or (row["contig"], row["position"], row.get("id"), row["ref"])
        tally.records += this != record and allele.outcome != "malformed"
        record = this
        tally.add(allele)
    llr, forward, reverse, quantiles, p_values = map(np.array, tally.numbers)
    labelled, truths, kinds, contigs = zip(*tally.labelled, strict=True) if tally.labelled else ((), (), (), ())
    return ScoredVariants(
        records=tally.records,
        alleles=tally.alleles,
        outcomes=dict(sorted(tally.outcomes.items(), key=lambda item: (-item[1], item[0]))),
        llr=llr,
        quantiles=quantiles[np.isfinite(quantiles)],
        p_values=p_values[np.isfinite(p_values)],
        labelled=LabelledAlleles(
            llr=np.array(labelled, dtype=np.float64),
            truths=np.array(truths, dtype=np.str_),
            kinds=np.array(kinds, dtype=np.str_),
            contigs=np.array(contigs, dtype=np.str_),
        ),
        strand_correlation=_correlation(forward, reverse),
        lowest={
            kind: tuple(allele for *_, allele in sorted(heap, key=lambda item: item[:2], reverse=True))
            for kind, heap in sorted(tally.heaps.items(), key=lambda item: -len(item[1]))
        },
        truth_field=truth_field if tally.labelled else "",
    )


@dataclass(kw_only=True)
class _Tally:
    """Counts and scores, filled allele by allele."""

    top: int
    records: int = 0
    alleles: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    numbers: tuple[array[float], ...] = field(default_factory=lambda: tuple(array("d") for _ in range(5)))
    labelled: list[tuple[float, str, str, str]] = field(default_factory=list)
    heaps: dict[str, list[tuple[float, int, ScoredAllele]]] = field(default_factory=dict)  # by kind of variant

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
        for column, number in zip(
            self.numbers, (allele.llr, *allele.strands, allele.quantile, allele.p_value), strict=True
        ):  # fmt: skip
            column.append(number)
        if allele.truth != NO_TRUTH:
            self.labelled.append((allele.llr, allele.truth, allele.kind, allele.contig))
        # The heap drops its smallest entry, which is the allele with the highest score. Of equal scores the one that
        # came first is kept, since its running number is larger when negated; so alleles themselves are never compared.
        heap = self.heaps.setdefault(allele.kind, [])
        push = heapq.heappush if len(heap) < self.top else heapq.heappushpop
        push(heap, (-allele.llr, -self.alleles, allele))


def _allele(row: Mapping[str, Any], truth_field: str) -> ScoredAllele:
    """Return the allele of a row."""
    llr = row["llr"]
    return ScoredAllele(
        contig=row["contig"],
        position=row["position"],
        identifier="" if row.get("id", ".") == "." else row["id"],
        ref=row["ref"] or "N",
        alt=row["alt"],
        outcome=row.get("outcome", "scored" if math.isfinite(llr) else "") or UNLABELLED,
        llr=llr,
        strands=(row.get("llr_forward", math.nan), row.get("llr_reverse", math.nan)),
        quantile=row.get("quantile", math.nan),
        p_value=row.get("p_value", math.nan),
        truth=row.get(truth_field, NO_TRUTH),
    )


def _correlation(forward: NDArray[np.float64], reverse: NDArray[np.float64]) -> float:
    """Return Pearson's r of the pairs in which both are known; nan with fewer than three, or if one is constant."""
    known = np.isfinite(forward) & np.isfinite(reverse)
    if known.sum() < 3 or not forward[known].std() or not reverse[known].std():
        return math.nan
    return float(np.corrcoef(forward[known], reverse[known])[0, 1])
