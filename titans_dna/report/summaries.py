"""The numbers that the report states in words and tables."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_dna.inference.metrics import auroc, auroc_interval, average_precision
from titans_dna.report.run import ModelRun
from titans_dna.report.variants import ScoredVariants

HELD_OUT, TRAINED_ON = "held-out contigs", "other contigs"

#: What each outcome code means; a code that is not listed is shown without words.
OUTCOMES = {
    "scored": "has a score",
    "ref_mismatch": "REF differs from the reference sequence",
    "contig_unknown": "the reference has no such contig, under this name or an alias",
    "beyond_contig": "the position lies beyond the end of the contig",
    "symbolic": "ALT is symbolic and names no bases, such as <NON_REF>",
    "imprecise": "a structural variant whose junctions are not known to the base (--imprecise)",
    "unclear_length": "END and SVLEN are missing, or contradict each other",
    "no_sequence": "the bases of the insertion or repeat are not given",
    "breakend": "a breakend that alone is no haplotype: of two contigs, single, or half an inversion",
    "spanning_deletion": "ALT is *, an allele deleted by another record",
    "no_change": "ALT is the same as REF",
    "too_long": "an allele is longer than the limit (--longest)",
    "reference_n": "the reference is N there, or REF or ALT holds a letter that is no base",
    "swapped": "scored with REF and ALT exchanged, because the reference has ALT",
    "forced": "scored against its own REF, which differs from the reference",
    "haplotype_conflict": "a phased neighbour changes the bases of REF",
    "deleted": "a haplotype has none of the region's bases",
    "no_alt": "the record has no ALT allele",
    "malformed": "the line breaks the VCF format",
    "no outcome": "the file gives no outcome for this allele",
}

LISTED = 40  # items of a list that are written out, such as contigs: an assembly may have thousands
_PROVENANCE = {
    "model": "model size",
    "parameters": "parameters",
    "fasta": "reference",
    "fasta_md5": "reference MD5",
    "train_contigs": "trained on",
    "holdout_contigs": "held out",
    "steps": "optimiser steps",
    "lanes": "windows per step",
    "window_tokens": "tokens per window",
    "learning_rate": "highest learning rate",
    "seed": "seed",
    "seconds": "training time",
    "device": "device",
    "package_version": "titans-dna",
    "torch_version": "PyTorch",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class TruthRow:
    """How well scores separate the class that should score high from the others, for one group of alleles."""

    group: str  # which alleles, e.g. "all" or "snv"
    scores: NDArray[np.float64]  # -TD_LLR, so that a disrupted allele scores high, shape (n,)
    labels: NDArray[np.bool_]  # whether the allele is of the class that should score high, shape (n,)
    area: float  # AUROC, between 0 and 1
    interval: tuple[float, float]  # its 95% confidence interval (DeLong); nan with fewer than two of a class
    precision: float  # average precision

    @property
    def positives(self) -> int:
        """Alleles of the class that should score high."""
        return int(self.labels.sum())

    @property
    def negatives(self) -> int:
        """Alleles of the other classes."""
        return len(self.labels) - self.positives

    @property
    def medians(self) -> tuple[float, float]:
        """Median score of positives and of negatives, nats."""
        return float(np.median(self.scores[self.labels])), float(np.median(self.scores[~self.labels]))


def truth_rows(variants: ScoredVariants, positive: str, holdout: Collection[str] = ()) -> list[TruthRow]:
    """Return one row per group of alleles in which both classes occur, the row to quote first.

    The groups are: the contigs that training never saw and all others, if `holdout` names some; all alleles; and each
    kind of variant. A group that holds all alleles is left out, since "all" is there already.
    """
    alleles = variants.labelled
    unseen = np.isin(alleles.contigs, list(holdout))
    groups = {HELD_OUT: unseen, TRAINED_ON: ~unseen, "all": np.ones(len(unseen), dtype=bool)}
    groups |= {str(kind): alleles.kinds == kind for kind in np.unique(alleles.kinds)}
    rows = []
    for group, chosen in groups.items():
        scores, labels = -alleles.llr[chosen], alleles.truths[chosen] == positive
        if labels.any() and not labels.all() and (group == "all" or not chosen.all()):
            rows.append(
                TruthRow(
                    group=group,
                    scores=scores,
                    labels=labels,
                    area=auroc(scores, labels),
                    interval=auroc_interval(scores, labels),
                    precision=average_precision(scores, labels),
                )
            )
    return rows


def score_groups(variants: ScoredVariants, positive: str) -> list[tuple[str, NDArray[np.float64]]]:
    """Return the scores (-TD_LLR) by value of the truth field, positives first; without truth, all are one group."""
    alleles = variants.labelled
    names = sorted(set(alleles.truths.tolist()), key=lambda name: (name != positive, name))
    return [(name, -alleles.llr[alleles.truths == name]) for name in names] or [("scored alleles", -variants.llr)]


def low_values(name: str, values: NDArray[np.float64]) -> int:
    """Return how many quantiles are below 0.05, or how many p-values are at most 0.05."""
    return int((values < 0.05).sum() if name == "TD_QUANTILE" else (values <= 0.05).sum())


def provenance(run: ModelRun) -> list[tuple[str, str]]:
    """Return label and value of all that is known about a training run, except its command, in reading order."""
    rows = [("model directory", run.name)]
    for key, label in _PROVENANCE.items():
        if run.training.get(key) not in (None, "", []):
            rows.append((label, _worded(key, run.training[key])))
    if run.bases_seen:
        rows.append(("bases trained on", f"{run.bases_seen:,}"))
    return [*rows, ("SHA-256 of the weights", run.weights_sha256)]


def flattened(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted keys and values of nested settings, in their order."""
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flattened(value, f"{name}.")
        else:
            yield name, _worded(key, value)


def _worded(key: str, value: Any) -> str:
    """Write a setting as text: the start of lists, files without folders, durations in minutes, counts like 1,000."""
    if isinstance(value, Mapping):
        return ", ".join(map(str, value.values()))
    if key == "fasta":
        return ", ".join(PurePath(str(path)).name for path in (value if isinstance(value, list | tuple) else [value]))
    if isinstance(value, list | tuple):
        more = f" and {len(value) - LISTED:,} more" if len(value) > LISTED else ""
        return ", ".join(map(str, value[:LISTED])) + more
    if key == "seconds" and isinstance(value, int | float) and math.isfinite(value):
        return f"{value:.0f} s" if value < 120 else f"{value / 60:.1f} min"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and key != "seed":
        return f"{value:,}"
    return str(value)
