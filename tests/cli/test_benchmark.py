"""`benchmark needle`, `memory`, `classification` and `variants`, as they are typed."""

from __future__ import annotations

import json

import pytest

from titans_dna.io.scores import open_scores


@pytest.fixture(scope="module")
def long_genome(project):
    return project / "data/demo.fa"


def test_needles_and_what_info_says_of_the_table(run, model, long_genome, tmp_path):
    output, card = tmp_path / "needle.tsv", tmp_path / "needle.md"
    result = run(
        "benchmark", "needle", "--model", model, "--fasta", long_genome, "--haystack", 2400, "--number", 1, "--decoys",
        1, "--distance", 2, "--output", output, "--card", card,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = list(open_scores(output))
    assert [(row["test"], row["asked"]) for row in rows] == [("plain", 5.0), ("decoys at distance 2", 5.0)]
    assert card.read_text().startswith("## Needles in a haystack\n")
    assert "| plain | 2,400 | 5 |" in card.read_text()
    assert "rows               2" in run("info", output).output
    assert "exact of 5" in result.output


def test_a_card_is_kept_in_the_model_only_when_asked_and_shown_by_info(run, model, long_genome, tmp_path, monkeypatch):
    monkeypatch.setattr("titans_dna.benchmark.memory_card.HELD", (2,))
    monkeypatch.setattr("titans_dna.benchmark.memory_card.COPIES_BP", ())
    monkeypatch.setattr("titans_dna.benchmark.memory_card.plan", small_plan)
    output, arguments = tmp_path / "card.json", ("benchmark", "memory", "--model", model, "--fasta", long_genome)
    assert run(*arguments, "--output", output).exit_code == 0
    assert not (model / "memory_card.json").exists()
    assert "needles held" not in run("info", model).output
    result = run(*arguments, "--output", output, "--keep")
    assert result.exit_code == 0, result.output
    try:
        assert json.loads((model / "memory_card.json").read_text())["reference"] == "demo.fa"
        assert "needles held" in run("info", model).output
        kept = json.loads(output.read_text()) | {"weights_sha256": "0"}
        (model / "memory_card.json").write_text(json.dumps(kept))
        assert "of other weights; measure it anew" in run("info", model).output
        (model / "memory_card.json").write_text("[]")
        told = run("info", model)
        assert told.exit_code == 1
        assert "memory_card.json: is no memory card" in told.output
    finally:
        (model / "memory_card.json").unlink()
    assert "needles.5          0" in run("info", output).output


def small_plan(bases):
    from titans_dna.benchmark.needles import NeedleTest

    return 2400, [NeedleTest(haystack_bp=2400, haystacks=1), NeedleTest(haystack_bp=2400, decoys=1, distance=1)], []


def test_labelled_sequences(run, model, tmp_path):
    for name, rows in (
        ("train", "ACGTACGT,a\nGGGGCCCC,b\nACGTACGA,a\nGGGGCCCA,b\n"),
        ("test", "ACGTACGG,a\nGGGGCCCT,b\n"),
    ):
        (tmp_path / f"{name}.csv").write_text("sequence,label\n" + rows)
    output = tmp_path / "classes.tsv"
    settings = ("--mode", "frozen", "--runs", 1, "--epochs", 1, "--kmer-bases", 2, "--output", output)
    result = run("benchmark", "classification", "--model", model, "--set", tmp_path, *settings)
    assert result.exit_code == 0, result.output
    assert [row["classifier"] for row in open_scores(output)] == [f"{model.name}, frozen", "2-mers"]
    parts = ("--train", tmp_path / "train.csv", "--test", tmp_path / "test.csv")
    assert run("benchmark", "classification", "--model", model, *parts, *settings).exit_code == 0
    for wrong in ((), ("--set", tmp_path, *parts), parts[:2]):
        refused = run("benchmark", "classification", "--model", model, *wrong, *settings)
        assert refused.exit_code == 1
        assert "give labelled sets by --set, or one by --train together with --test" in refused.output


def test_labelled_variants_scored_here_or_before(run, model, genome, sequences, tmp_path):
    vcf, lines = tmp_path / "v.vcf", []
    for number, position in enumerate(range(20, 420, 10)):
        ref = sequences["chrA"][position - 1]
        alt = "ACGT"["ACGT".index(ref) - 1]
        lines.append(f"chrA\t{position}\t.\t{ref}\t{alt}\t.\t.\tKIND={'bad' if number % 3 else 'good'}")
    head = '##fileformat=VCFv4.2\n##INFO=<ID=KIND,Number=1,Type=String,Description="x">\n'
    vcf.write_text(head + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "\n".join(lines) + "\n")
    labels = ("--field", "KIND", "--positive", "bad", "--cluster-bp", 100, "--draws", 50)
    first, second = tmp_path / "a.tsv", tmp_path / "b.tsv"
    result = run("benchmark", "variants", "--model", model, "--fasta", genome, "--vcf", vcf, *labels, "-o", first)
    assert result.exit_code == 0, result.output
    scored = tmp_path / "scored.vcf.gz"
    assert run("score-variants", "--model", model, "--fasta", genome, "--vcf", vcf, "-o", scored).exit_code == 0
    assert run("benchmark", "variants", "--scored", scored, *labels, "-o", second).exit_code == 0
    told = [open_scores(path).metadata for path in (first, second)]
    assert told[0]["model"] == told[1]["model"] == open_scores(scored).metadata["model"]
    assert told[0]["reference"] == told[1]["reference"]
    one, other = (list(open_scores(path)) for path in (first, second))
    assert one == other
    assert (one[0]["positives"], one[0]["negatives"], one[0]["clusters"]) == (26.0, 14.0, 5.0)
    for wrong in (("--vcf", vcf), ("--scored", scored, "--vcf", vcf, "--fasta", genome), ()):
        refused = run("benchmark", "variants", *wrong, *labels, "-o", second)
        assert refused.exit_code == 1
        assert "or a file that is scored already by --scored" in refused.output
    for option in (("--workers", 1), ("--model", model)):
        useless = run("benchmark", "variants", "--scored", scored, *labels, *option, "-o", second)
        assert f"{option[0]} changes nothing with --scored" in useless.output
