"""The main job from end to end on a tiny genome, and what other programs make of its files."""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pyBigWig
import pysam
import pytest

from titans_dna.io.embeddings.reader import open_embeddings
from titans_dna.io.tables.tsv import read_tsv, write_tsv
from titans_dna.version import __version__

OUTCOMES = {
    "scored": 6, "spanning_deletion": 1, "unclear_length": 1, "no_alt": 1, "ref_mismatch": 1, "beyond_contig": 1,
    "contig_unknown": 1, "reference_n": 1, "too_long": 1, "malformed": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def scored(tmp_path_factory, run, model, genome, variants) -> Path:
    path = tmp_path_factory.mktemp("scored") / "toy.scored.vcf.gz"
    result = run("score-variants", "--model", model, "--fasta", genome, "--vcf", variants, "-o", path)
    assert result.exit_code == 0, result.output
    told = [line for line in result.stderr.splitlines() if not line.startswith("contigs matched")]
    counts = dict(line.split() for line in told)
    assert {name: int(n) for name, n in counts.items()} == OUTCOMES | {"total": sum(OUTCOMES.values())}
    assert result.stdout == ""
    return path


def test_the_model_folder(model):
    assert sorted(p.name for p in model.iterdir()) == [
        "best", "checkpoints", "config.json", "gates.csv", "log.csv", "model.safetensors", "run.json", "splits.bed",
        "tokenizer.json", "training.json",
    ]  # fmt: skip
    record = json.loads((model / "training.json").read_text())
    assert record["holdout_contigs"] == ["chr2"]
    assert record["train_contigs"] == ["chrA", "chrB"]
    assert (record["seed"], record["steps"], record["model"]) == (4, 3, "nano")
    assert record["package_version"] == __version__
    with (model / "log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["step"], row["split"]) for row in rows] == [
        ("1", "train"), ("2", "train"), ("2", "validation"), ("3", "train"), ("3", "validation"),
    ]  # fmt: skip
    assert all(1 < float(row["bits_per_base"]) < 4 for row in rows)
    with (model / "gates.csv").open() as stream:
        gates = list(csv.DictReader(stream))
    assert [(row["step"], row["layer"], row["memory"]) for row in gates] == [
        ("2", "1", "1"), ("2", "2", "1"), ("3", "1", "1"), ("3", "2", "1"),
    ]  # fmt: skip
    for row, last in zip(gates[2:], record["gates"], strict=True):
        assert {key: float(row[key]) for key in last} == pytest.approx(last, rel=1e-5)
    assert [row["writes"] for row in record["gates"]] == [1, 1]  # every gate is open before training


def test_a_seed_gives_the_same_bytes(run, model, pretrain_arguments, tmp_path):
    result = run(*pretrain_arguments, "--output", tmp_path / "again")
    assert result.exit_code == 0
    assert "bits per base" in result.stdout
    assert (tmp_path / "again/model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    other = [*pretrain_arguments, "--output", tmp_path / "other"]
    other[other.index("--seed") + 1] = 5
    assert run(*other).exit_code == 0
    assert (tmp_path / "other/model.safetensors").read_bytes() != (model / "model.safetensors").read_bytes()


def test_evaluate(run, model, genome, tmp_path, sequences):
    result = run("evaluate", "--model", model, "--fasta", genome, "-o", tmp_path / "e.json")
    assert result.exit_code == 0, result.output
    values = json.loads((tmp_path / "e.json").read_text())
    assert values["contigs"] == ["chr2"]  # the one held out
    assert values["bases"] == len(sequences["chr2"])
    assert values["baseline_contigs"] == ["chrA", "chrB"]
    assert [row["name"] for row in values["baselines"]] == ["order-2", "order-6", "order-12"]
    assert 1.5 < values["bits_per_base"] < 3
    assert 1.5 < values["bits_per_base_memory_reset"] < 3
    assert f"{values['bits_per_base']:.4f}" in result.stdout


def test_every_record_is_in_the_output_with_its_outcomes(scored, variants):
    before = [line for line in variants.read_text().splitlines() if not line.startswith("#")][:-1]
    with pysam.VariantFile(str(scored)) as vcf:
        after = list(vcf)
        assert any("titans_dna_model" in str(line) for line in vcf.header.records)
    assert [record.id for record in after] == [line.split("\t")[2] for line in before]
    counts = Counter(outcome for record in after for outcome in record.info["TD_OUTCOME"])
    assert counts + Counter(malformed=1) == Counter(OUTCOMES)
    for record, line in zip(after, before, strict=True):
        assert [record.chrom, str(record.pos), record.ref] == [line.split("\t")[i] for i in (0, 1, 3)]
        assert record.info["TRUTH"] == "x"
        assert len(record.info["TD_OUTCOME"]) == max(1, len(record.alts or ()))
        for place, outcome in enumerate(record.info["TD_OUTCOME"] if record.alts else ()):
            both, forward, reverse = (record.info[f"TD_LLR{end}"][place] for end in ("", "_FWD", "_REV"))
            if outcome == "scored":
                assert math.isfinite(both)
                assert both == pytest.approx((forward + reverse) / 2, abs=1e-4)
            else:
                assert both is None
                assert forward is None


def test_cyvcf2_and_bcftools_read_it(scored):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cyvcf2
    found = [v.INFO.get("TD_OUTCOME") for v in cyvcf2.VCF(str(scored))]
    assert found[1] == "scored,scored,spanning_deletion,unclear_length"
    region = list(cyvcf2.VCF(str(scored))("2:100-100"))
    assert len(region) == 1
    if shutil.which("bcftools") is None:
        pytest.skip("bcftools is not installed")
    done = subprocess.run(
        ["bcftools", "query", "-f", "%ID\t%INFO/TD_OUTCOME\n", str(scored)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[0] == "v0\tscored"
    assert len(done.stdout.splitlines()) == 11


def test_the_table_says_the_same(run, scored, model, genome, variants, tmp_path):
    result = run("score-variants", "--model", model, "--fasta", genome, "--vcf", variants, "-o", tmp_path / "x.tsv")
    assert result.exit_code == 0, result.output
    rows = list(read_tsv(tmp_path / "x.tsv"))
    assert Counter(row["outcome"] for row in rows) == Counter(OUTCOMES)
    with pysam.VariantFile(str(scored)) as vcf:
        wanted = [value for record in vcf for value in (record.info["TD_LLR"] if record.alts else (None,))]
    assert len(rows) == len(wanted) + 1  # and the malformed line
    for row, value in zip(rows, wanted, strict=False):
        assert (row["llr"] == "NA") == (value is None)
        if value is not None:
            assert float(row["llr"]) == pytest.approx(value, abs=1e-4)


def test_standard_input_to_standard_output(scored, model, genome, variants):
    command = [sys.executable, "-c", "from titans_dna.cli import main; main()", "score-variants"]
    command += ["--model", str(model), "--fasta", str(genome), "--vcf", "-", "--output", "-"]
    done = subprocess.run(
        command, input=variants.read_bytes(), capture_output=True, timeout=120, env=os.environ, check=False
    )
    assert done.returncode == 0, done.stderr
    with gzip.open(scored, "rt") as stream:
        wanted = [line for line in stream.read().splitlines() if not line.startswith("#")]
    assert [line for line in done.stdout.decode().splitlines() if not line.startswith("#")] == wanted


def test_regions_and_track(run, model, genome, bed, tmp_path, sequences):
    table, track = tmp_path / "r.tsv", tmp_path / "s.bw"
    result = run("score-regions", "--model", model, "--fasta", genome, "--bed", bed, "--track", track, "-o", table)
    assert result.exit_code == 0, result.output
    rows = {row["name"]: row for row in read_tsv(table)}
    assert [(n, r["outcome"], r["bases"]) for n, r in rows.items()] == [
        ("one", "scored", "100"), ("whole", "scored", "900"), ("gap", "reference_n", "0"),
        ("nowhere", "contig_unknown", "0"), ("end", "clipped", "10"),
    ]  # fmt: skip
    assert rows["whole"]["contig"] == "chrA"  # asked for as A
    assert [row["strand"] for row in rows.values()] == ["-", ".", ".", ".", "."]  # one line alone says its strand
    assert "chrZ" in result.stderr
    one = rows["one"]
    assert float(one["bits_per_base"]) == pytest.approx(-float(one["log_likelihood"]) / 100 / math.log(2), rel=1e-3)
    with pyBigWig.open(str(track)) as bigwig:
        assert bigwig.chroms() == {name: len(text) for name, text in sequences.items()}
        values = np.array(bigwig.values("chrA", 100, 200))
        assert np.isfinite(values).all()
        assert values.mean() == pytest.approx(float(one["memory_surprise"]), rel=1e-3)
        assert np.isnan(bigwig.values("chrB", 100, 150)).all()


def test_regions_by_name_are_one_based(run, model, genome, tmp_path):
    table = tmp_path / "r.tsv"
    result = run("score-regions", "--model", model, "--fasta", genome, "--region", "A:101-200", "-o", table)
    assert result.exit_code == 0, result.output
    (row,) = read_tsv(table)
    assert (row["contig"], row["start"], row["end"], row["bases"]) == ("chrA", "100", "200", "100")


def test_embeddings(run, model, genome, bed, tmp_path):
    path = tmp_path / "e.h5"
    result = run("embed", "--model", model, "--fasta", genome, "--bed", bed, "--strand", "both", "-o", path)
    assert result.exit_code == 0, result.output
    with open_embeddings(path) as embeddings:
        assert (len(embeddings), embeddings.width) == (5, 64)
        vectors, intervals = embeddings.vectors(0, 5), embeddings.intervals(0, 5)
        assert [interval.name for interval in intervals] == ["one", "whole", "gap", "nowhere", "end"]
        assert (intervals[0].contig, intervals[0].start, intervals[0].end, intervals[0].strand) == (
            "chrA",
            100,
            200,
            "-",
        )
        assert np.isfinite(vectors).all(1).tolist() == [True, True, False, False, True]
        assert embeddings.attributes["strand"] == "both"
        assert len(embeddings.attributes["weights_sha256"]) == 64
    info = run("info", path)
    assert info.exit_code == 0
    assert "regions            5" in info.output


def test_info_counts_the_rows_of_a_table(run, tmp_path):
    for name in ("t.tsv", "t.tsv.gz"):
        write_tsv(tmp_path / name, ["contig", "llr"], [{"contig": "c", "llr": 0.5}, {"contig": "d"}])
        said = run("info", tmp_path / name)
        assert said.exit_code == 0, said.output
        assert said.stdout.split() == ["rows", "2", "columns", "contig", "llr"]


def test_info_and_doctor(run, model, genome, default_model):
    said = run("info", model)
    assert said.exit_code == 0, said.output
    assert "toy" in said.output
    assert "nucleotide" in said.output
    assert "gates              read on the start token and 4,096 random bases (seed 0):" in said.output
    for layer in (1, 2):
        line = rf"^memory of layer {layer}  writes at 100.0% of the bases, mean step 0\.0\d+, momentum 0\.\d+, "
        assert re.search(line + r"forgetting \d\S*$", said.output, re.MULTILINE), said.output
    assert run("info", model).output == said.output
    table = run("info", genome).output.splitlines()
    assert table[0] == "contig\tlength\tmd5"
    assert [line.split("\t")[:2] for line in table[1:]] == [["chrA", "900"], ["chrB", "500"], ["chr2", "400"]]
    doctor = run("doctor")
    assert doctor.exit_code == 0, doctor.output
    assert all(line.startswith("ok  ") for line in doctor.output.splitlines())
