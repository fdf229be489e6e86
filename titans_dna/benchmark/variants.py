"""Variants with a label, scored by a checkpoint: how well its scores tell the labels apart, and how sure that is.

Variants near each other share their surroundings, and often a gene, so they are not independent: a hundred of them in
one exon are not a hundred observations. So whole stretches of contigs are drawn again for the intervals. And because
scores depend on the kind of change and on the place too, every positive is also compared with the nearest negative of
the same kind on its contig, each used once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_dna.errors import ConfigError, FormatError, check_least
from titans_dna.genome.variant import Variant
from titans_dna.inference.metrics import auroc, average_precision
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.outcomes import Outcome
from titans_dna.inference.windows import Context
from titans_dna.io.scores import open_scores
from titans_dna.io.sequence.fasta import Genome
from titans_dna.jobs.variant_scores import ScoringOptions
from titans_dna.jobs.variants import score_variant_file

SCORES = ("llr", "vote", "tolerance")  # columns in which a lower value speaks for the positive class
COLUMNS = (
    "score", "kind", "positives", "negatives", "clusters", "auroc", "auroc_low", "auroc_high", "auprc", "auprc_low",
    "auprc_high", "pairs", "pairs_right", "pairs_right_low", "pairs_right_high",
)  # fmt: skip
SCORED = (Outcome.SCORED, Outcome.SWAPPED, Outcome.FORCED)
MADE = ("model", "reference", "relatives", "options")  # what a table of a benchmark repeats of the scores
ALL = "all"


@dataclass(frozen=True, kw_only=True)
class VariantTest:
    """How labels are read and intervals drawn.

    Raises
    ------
    ConfigError
        If a number is out of its range, or no positive value is named.
    """

    field: str  # INFO field that holds the label
    positive: tuple[str, ...]  # its values of variants that should score low
    negative: tuple[str, ...] = ()  # its values of the others; empty for all other values
    cluster_bp: int = 100_000  # contigs are cut into stretches of this length; variants of one are a cluster
    draws: int = 1000  # of clusters, for the intervals

    def __post_init__(self) -> None:
        check_least(1, cluster_bp=self.cluster_bp, draws=self.draws)
        if not self.positive or set(self.positive) & set(self.negative):
            raise ConfigError("name at least one positive label, and none that is negative as well")


@dataclass(frozen=True, kw_only=True, eq=False)
class Labelled:
    """Scored variants with a label, by contig and position; columns of shape (n,)."""

    contigs: NDArray[np.str_]
    positions: NDArray[np.int64]  # 1-based
    kinds: NDArray[np.str_]  # snv, insertion, deletion, ...
    labels: NDArray[np.bool_]  # whether positive
    scores: dict[str, NDArray[np.float64]]  # by column; nan where there is none
    made: dict[str, str] = field(default_factory=dict)  # how the scores were made, as their file says it


def read_labelled_scores(path: Path, test: VariantTest) -> Labelled:
    """Read scored variants and their labels.

    Parameters
    ----------
    path
        VCF that ``score-variants`` wrote.
    test
        Field and values.

    Raises
    ------
    FormatError
        If no scored variant has the field, or one of the two classes is empty.
    """
    table = open_scores(path, info=[test.field])
    found, others = [], set()
    for row in table:
        label = str(row.get(test.field) or "")
        if row["outcome"] not in SCORED or label in ("", "."):
            continue
        if label in test.positive or not test.negative or label in test.negative:
            found.append((row, label in test.positive))
        else:
            others.add(label)
    labels = np.array([positive for _, positive in found], dtype=bool)
    if not labels.any() or labels.all():
        what = "negative" if labels.any() else "positive"
        seen = sorted({str(row[test.field]) for row, _ in found} | others)[:10]
        raise FormatError(
            f"no scored variant is {what} by {test.field}; its values are {', '.join(seen) or 'none'}. Check field and "
            "values.", path=path,
        )  # fmt: skip
    rows = [row for row, _ in found]
    order = sorted(range(len(rows)), key=lambda n: (rows[n]["contig"], rows[n]["position"], rows[n]["alt"]))
    rows = [rows[n] for n in order]
    return Labelled(
        contigs=np.array([row["contig"] for row in rows]),
        positions=np.array([row["position"] for row in rows], dtype=np.int64),
        kinds=np.array([_kind(row) for row in rows]),
        labels=labels[order],
        scores={name: np.array([_number(row.get(name)) for row in rows]) for name in SCORES if name in rows[0]},
        made={key: text for key, text in table.metadata.items() if key in MADE},
    )


def score_labelled(
    model: SequenceModel, genome: Genome, path: Path, test: VariantTest, *, context: str = "contig", workers: int = 1,
    counted: Callable[[dict[str, int]], None] = lambda outcomes: None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Labelled:  # fmt: skip
    """Score the variants of a VCF, and read the scores and labels.

    Parameters
    ----------
    model, genome
        Model and reference.
    path
        VCF or BCF with the label in an INFO field.
    test
        Field and values.
    context
        What is read before a variant: ``contig`` or ``window:N``.
    workers
        Processes that score side by side in windows.
    counted
        Called with the number of ALTs by outcome.
    advance
        Called with (bases read since the last call, bases in all).

    Raises
    ------
    FormatError, InputMissing, ReferenceMismatch
        If the file cannot be used, or has no labels.
    """
    with tempfile.TemporaryDirectory() as folder:
        scored, options = Path(folder) / "scored.vcf.gz", ScoringOptions(context=Context.parse(context))
        counted(score_variant_file(model, genome, path, scored, options=options, workers=workers, advance=advance))
        try:
            return read_labelled_scores(scored, test)
        except FormatError as error:  # the name of a file that is gone would help nobody
            raise FormatError(error.what, path=path) from None


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _kind(row: Mapping[str, Any]) -> str:
    return Variant(contig=row["contig"], position=row["position"], ref=row["ref"], alt=row["alt"]).kind


def clusters_of(contigs: NDArray[np.str_], positions: NDArray[np.int64], cluster_bp: int) -> NDArray[np.int64]:
    """Return the number of each variant's cluster: the stretch of its contig in which it lies, counted from 0."""
    places = [f"{contig}\t{position // cluster_bp}" for contig, position in zip(contigs, positions - 1, strict=True)]
    return np.unique(np.array(places, dtype=np.str_), return_inverse=True)[1].astype(np.int64)


def matched_pairs(found: Labelled) -> NDArray[np.int64]:
    """Return (pairs, 2) rows: each positive with the nearest negative of its kind and contig, the closest pairs first.

    A variant is in one pair at most; positives for which none is left have no pair.
    """
    pairs: list[tuple[int, int]] = []
    groups = np.char.add(np.char.add(found.contigs, "\t"), found.kinds)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        pairs += _nearest(rows[found.labels[rows]], rows[~found.labels[rows]], found.positions)
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def _nearest(
    positives: NDArray[np.int64], negatives: NDArray[np.int64], at: NDArray[np.int64]
) -> list[tuple[int, int]]:
    """Pair two sorted lists greedily by distance; the candidates of each are its nearest hundred."""
    if not len(negatives):
        return []
    candidates = []
    for row in positives.tolist():
        middle = int(np.searchsorted(at[negatives], at[row]))
        for other in negatives[max(0, middle - 50) : middle + 50].tolist():
            candidates.append((abs(int(at[row] - at[other])), row, other))
    used: set[int] = set()
    pairs = []
    for _, row, other in sorted(candidates):
        if row not in used and other not in used:
            used |= {row, other}
            pairs.append((row, other))
    return pairs


def compare_labels(found: Labelled, test: VariantTest, seed: int) -> list[dict[str, Any]]:
    """Return a row with the columns `COLUMNS` for each score and kind of variant in which both classes occur.

    Parameters
    ----------
    found
        From `read_labelled_scores`.
    test
        Clusters and draws.
    seed
        Begins the random numbers of the draws.
    """
    pairs, rows = matched_pairs(found), []
    kinds = np.unique(found.kinds)
    for score, values in found.scores.items():
        for kind in (ALL, *kinds) if len(kinds) > 1 else (ALL,):
            chosen = np.isfinite(values) & ((found.kinds == kind) | (kind == ALL))
            labels = found.labels[chosen]
            if labels.any() and not labels.all():
                rows.append(_row(score, str(kind), found, -values, chosen, pairs, test, seed))
    return rows


def _row(
    score: str, kind: str, found: Labelled, values: NDArray[np.float64], chosen: NDArray[np.bool_],
    pairs: NDArray[np.int64], test: VariantTest, seed: int,
) -> dict[str, Any]:  # fmt: skip
    rows = np.flatnonzero(chosen)
    clusters = clusters_of(found.contigs[rows], found.positions[rows], test.cluster_bp)
    both = pairs[chosen[pairs].all(1)] if len(pairs) else pairs
    # A pair belongs to the cluster of its positive.
    cluster_of = np.full(len(chosen), -1, np.int64)
    cluster_of[rows] = clusters
    right = _right(values[both])
    figures = (
        lambda n: auroc(values[rows[n]], found.labels[rows[n]]),
        lambda n: average_precision(values[rows[n]], found.labels[rows[n]]),
    )
    row: dict[str, Any] = {
        "score": score, "kind": kind, "positives": int(found.labels[rows].sum()),
        "negatives": int((~found.labels[rows]).sum()), "clusters": int(clusters.max()) + 1, "pairs": len(both),
    }  # fmt: skip
    for name, figure in zip(("auroc", "auprc"), figures, strict=True):
        row |= _with_interval(name, figure, clusters, test.draws, seed)
    if len(both):
        of_pairs = cluster_of[both[:, 0]]
        row |= _with_interval("pairs_right", lambda n: float(right[n].mean()) if len(n) else np.nan, of_pairs,
                              test.draws, seed)  # fmt: skip
    return row


def _right(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 where the positive of a pair has the higher value, a half where both have the same, else 0."""
    return (values[:, 0] > values[:, 1]) + 0.5 * (values[:, 0] == values[:, 1])


def _with_interval(
    name: str, figure: Callable[[NDArray[np.int64]], float], clusters: NDArray[np.int64], draws: int, seed: int
) -> dict[str, float | None]:
    """Return a figure of all rows, and its 95% interval when clusters are drawn with replacement (none for one)."""
    names, members = np.unique(clusters), []
    for cluster in names:
        members.append(np.flatnonzero(clusters == cluster))
    found: dict[str, float | None] = {name: round(figure(np.arange(len(clusters))), 4)}
    found |= {f"{name}_low": None, f"{name}_high": None}
    if len(names) < 2:
        return found
    rng = np.random.default_rng([seed, 17])
    values = _drawn(figure, members, draws, rng)
    values = values[np.isfinite(values)]
    if len(values):
        low, high = np.quantile(values, [0.025, 0.975])
        found |= {f"{name}_low": round(float(low), 4), f"{name}_high": round(float(high), 4)}
    return found


def _drawn(
    figure: Callable[[NDArray[np.int64]], float], members: Sequence[NDArray[np.int64]], draws: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:  # fmt: skip
    picked = rng.integers(0, len(members), (draws, len(members)))
    return np.array([figure(np.concatenate([members[n] for n in one])) for one in picked])
