"""Benchmarks from Python give what the command line writes."""

from __future__ import annotations

import pytest

import titans_dna as td
from titans_dna.errors import ConfigError


@pytest.fixture(scope="module")
def default():
    return td.load_model("default", device="cpu")


def test_needles_are_a_frame(default, project):
    found = td.benchmarks.needles(default, project / "data/demo.fa", haystacks_bp=[9000], number=1, distances=[2])
    assert found[["test", "asked", "exact"]].values.tolist()[0] == ["plain", 5, 1.0]
    assert found["decoys"].tolist() == [0, 8]


def test_too_short_a_genome_has_no_card(default, tmp_path):
    (tmp_path / "g.fa").write_text(">a\nACGTACGT\n")
    with pytest.raises(ConfigError, match="has 8 known bases; 65,536 are needed"):
        td.benchmarks.memory_card(default, tmp_path / "g.fa")


def test_labelled_sequences_are_a_frame(default, tmp_path):
    (tmp_path / "set.csv").write_text("sequence,label,split\nACGT,a,train\nGGGG,b,train\nACGA,a,test\nGGGC,b,test\n")
    found = td.benchmarks.classification(
        default, {"mine": tmp_path / "set.csv"}, modes=["frozen"], runs=1, epochs=1, kmer_bases=1
    )
    assert found["set"].tolist() == ["mine", "mine"]
    assert found["classifier"].tolist() == ["default, frozen", "1-mers"]


def test_labelled_variants_are_scored_or_read(default, tmp_path):
    (tmp_path / "g.fa").write_text(">c\n" + "ACGTTGCAAC" * 30 + "\n")
    lines = [f"c\t{10 * n + 1}\t.\tA\tG\t.\t.\tK={'x' if n % 2 else 'y'}" for n in range(20)]
    head = '##fileformat=VCFv4.2\n##INFO=<ID=K,Number=1,Type=String,Description="k">\n'
    (tmp_path / "v.vcf").write_text(head + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "\n".join(lines) + "\n")
    labels = {"field": "K", "positive": "x", "cluster_bp": 50, "draws": 20}
    found = td.benchmarks.variants(tmp_path / "v.vcf", model=default, genome=tmp_path / "g.fa", **labels)
    assert found[["positives", "negatives", "clusters", "pairs"]].values.tolist() == [[10, 10, 4, 10]]
    with pytest.raises(td.errors.FormatError, match=r"v.vcf: no scored variant is negative by K; its values are x, y"):
        td.benchmarks.variants(
            tmp_path / "v.vcf", model=default, genome=tmp_path / "g.fa", **labels | {"negative": ["z"]}
        )
    with pytest.raises(ConfigError, match="by a model on a genome; give both"):
        td.benchmarks.variants(tmp_path / "v.vcf", model=default, **labels)
