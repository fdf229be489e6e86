"""Labelled variants: pairs, clusters and intervals with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from titans_dna.benchmark.variants import (
    COLUMNS,
    Labelled,
    VariantTest,
    clusters_of,
    compare_labels,
    matched_pairs,
    read_labelled_scores,
)
from titans_dna.errors import ConfigError, FormatError
from titans_dna.inference.metrics import auroc

TEST = VariantTest(field="LABEL", positive=("bad",), cluster_bp=100, draws=200)
HEADER = """##fileformat=VCFv4.2
##titans_dna_version=0.2.0
##INFO=<ID=LABEL,Number=1,Type=String,Description="x">
##INFO=<ID=TD_LLR,Number=A,Type=Float,Description="x">
##INFO=<ID=TD_OUTCOME,Number=A,Type=String,Description="x">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
"""


def labelled(rows: list[tuple[str, int, str, bool, float]]) -> Labelled:
    contigs, positions, kinds, labels, scores = zip(*rows, strict=True)
    return Labelled(
        contigs=np.array(contigs), positions=np.array(positions), kinds=np.array(kinds), labels=np.array(labels),
        scores={"llr": np.array(scores)},
    )  # fmt: skip


def test_each_positive_gets_the_nearest_negative_of_its_kind_and_contig_once():
    found = labelled([
        ("a", 10, "snv", True, 0), ("a", 12, "deletion", False, 0), ("a", 15, "snv", False, 0),
        ("a", 18, "snv", True, 0), ("a", 90, "snv", False, 0), ("b", 11, "snv", False, 0),
        ("b", 40, "deletion", True, 0),
    ])  # fmt: skip
    # 18 is nearer to 15 than 10 is, so 10 has to take 90; the deletion on b has none.
    assert matched_pairs(found).tolist() == [[0, 4], [3, 2]]


def test_clusters_are_stretches_of_contigs():
    contigs, positions = np.array(["a", "a", "a", "b"]), np.array([1, 100, 101, 1])
    assert clusters_of(contigs, positions, 100).tolist() == [0, 0, 1, 2]
    assert clusters_of(contigs[:0], positions[:0], 100).tolist() == []


def test_figures_are_those_of_all_variants_and_lie_in_their_intervals():
    random = np.random.default_rng(0)
    labels = random.random(120) < 0.4
    scores = random.normal(size=120) - labels
    rows = [
        ("a", 20 * n + 1, "snv", bool(label), float(s)) for n, (label, s) in enumerate(zip(labels, scores, strict=True))
    ]
    (row,) = compare_labels(labelled(rows), TEST, 0)
    assert set(row) == set(COLUMNS)
    assert row["auroc"] == round(auroc(-scores, labels), 4)
    assert row["clusters"] == 24
    for name in ("auroc", "auprc", "pairs_right"):
        assert row[f"{name}_low"] < row[name] < row[f"{name}_high"]
    assert row == compare_labels(labelled(rows), TEST, 0)[0]


def test_one_cluster_has_no_interval_and_kinds_have_rows_of_their_own():
    rows = [
        ("a", n, kind, n % 2 == 0, float(-(n % 2 == 0))) for n, kind in enumerate(["snv"] * 4 + ["deletion"] * 4, 1)
    ]
    found = compare_labels(labelled(rows), TEST, 0)
    assert [row["kind"] for row in found] == ["all", "deletion", "snv"]
    assert {(row["auroc"], row["auroc_low"], row["pairs_right"]) for row in found} == {(1.0, None, 1.0)}


def test_many_of_one_cluster_do_not_feign_certainty():
    """Forty variants of one stretch, all alike, count as one: the interval reaches to the other's figure."""
    rows = [("a", n, "snv", n % 2 == 0, -1.0 if n % 2 == 0 else 0.0) for n in range(1, 41)]
    rows += [("a", 1000 + n, "snv", n % 2 == 0, 1.0 if n % 2 == 0 else 0.0) for n in range(1, 41)]
    (row,) = compare_labels(labelled(rows), TEST, 0)
    assert (row["auroc_low"], row["auroc_high"]) == (0.0, 1.0)


def test_labels_are_read_from_a_scored_vcf(tmp_path):
    path = tmp_path / "s.vcf"
    records = [
        (5, "G", "LABEL=bad;TD_LLR=-2;TD_OUTCOME=scored"), (9, "AG", "LABEL=good;TD_LLR=1;TD_OUTCOME=scored"),
        (10, "T", "LABEL=unsure;TD_LLR=0;TD_OUTCOME=scored"), (11, "T", "LABEL=bad;TD_LLR=.;TD_OUTCOME=ref_mismatch"),
        (12, "T", "TD_LLR=3;TD_OUTCOME=scored"),
    ]  # fmt: skip
    lines = [f"c\t{position}\t.\tA\t{alt}\t.\t.\t{info}" for position, alt, info in records]
    path.write_text(HEADER + "\n".join(lines) + "\n")
    found = read_labelled_scores(path, TEST)
    assert (found.positions.tolist(), found.labels.tolist()) == ([5, 9, 10], [True, False, False])
    assert found.kinds.tolist() == ["snv", "insertion", "snv"]
    named = VariantTest(field="LABEL", positive=("bad",), negative=("good",))
    assert read_labelled_scores(path, named).positions.tolist() == [5, 9]
    for test, said in (
        (VariantTest(field="NONE", positive=("bad",)), "no scored variant is positive by NONE; its values are none"),
        (VariantTest(field="LABEL", positive=("x",)), "positive by LABEL; its values are bad, good, unsure"),
        (
            VariantTest(field="LABEL", positive=("bad",), negative=("x",)),
            "negative by LABEL; its values are bad, good",
        ),
    ):
        with pytest.raises(FormatError, match=said):
            read_labelled_scores(path, test)


def test_labels_of_both_classes_are_refused():
    with pytest.raises(ConfigError, match="none that is negative as well"):
        VariantTest(field="X", positive=("a",), negative=("a", "b"))
    with pytest.raises(ConfigError, match="at least one positive"):
        VariantTest(field="X", positive=())
