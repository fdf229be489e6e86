"""``--model default`` is the model in the package, everywhere; ``doctor`` tests it."""

from __future__ import annotations

import json
import re

import pytest
import torch

from titans_dna import checkpoints
from titans_dna.checkpoints import model_folder
from titans_dna.errors import CheckpointError, InputMissing
from titans_dna.inference.model import load_model
from titans_dna.training.self_test import SELF_TEST, run_self_test


def test_the_name_is_resolved_in_every_verb(run, genome, model, default_model, tmp_path):
    for verb, words in {
        "evaluate": ("--fasta", genome, "--output", tmp_path / "evaluation.json"),
        "embed": ("--fasta", genome, "--output", tmp_path / "embeddings.h5"),
        "score-regions": ("--fasta", genome, "--output", tmp_path / "regions.tsv"),
        "report": ("--output", tmp_path / "report.html"),
        "tokenize": ("--fasta", genome, "--output", tmp_path / "tokens.tsv"),
    }.items():
        result = run(verb, "--model", "default", *words)
        assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "evaluation.json").read_text())["model"] == "default"
    assert "nucleotide" in run("info", "default").output
    assert load_model("default", "cpu").weights_sha256 == load_model(model, "cpu").weights_sha256


def test_it_is_used_where_no_model_is_named_and_that_is_said(run, genome, default_model, tmp_path):
    asked, named = ("embed", "--fasta", genome, "--output", tmp_path / "e.h5"), ("--model", "default")
    said = "note: using the default model, which is in the package; --model names another\n"
    for words, expected in ((asked, True), ((*asked, *named), False)):
        result = run(*words)
        assert result.exit_code == 0, result.output
        assert (said in result.stderr) == expected
    assert said in run("evaluate", "--fasta", genome, "--output", tmp_path / "e.json").stderr
    for verb in ("score-variants", "score-regions", "mutagenesis", "embed", "evaluate", "finetune"):
        assert re.search(r"--model PATH[^-]*\[default:\s+default\]", run(verb, "--help").output), verb


def test_threads_are_those_that_are_asked_for(run, genome, default_model, tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr(
        "titans_dna.training.evaluation.evaluate_model", lambda *_: found.append(torch.get_num_threads())
    )
    before = torch.get_num_threads()
    run("evaluate", "--fasta", genome, "--threads", before + 2, "--output", tmp_path / "e.json")
    assert (found, torch.get_num_threads()) == ([before + 2], before)
    for verb in (
        "score-variants",
        "score-regions",
        "mutagenesis",
        "embed",
        "evaluate",
        "finetune",
        "predict",
        "pretrain",
    ):
        assert "--threads" in run(verb, "--help").output


def test_a_missing_default_is_said_in_one_line(run, genome, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path)
    result = run("embed", "--model", "default", "--fasta", genome, "--output", tmp_path / "x.h5")
    assert result.exit_code == 1
    assert "this installation holds no default model" in result.output
    assert result.output.count("\n") == 1
    assert "FAIL checkpoint self-test" in run("doctor").output
    with pytest.raises(InputMissing):
        model_folder("default")


def test_doctor_finds_weights_that_are_not_those_of_the_self_test(run, default_model):
    assert "ok   checkpoint self-test" in run("doctor").output
    found, expected = run_self_test(default_model, "cpu")
    assert found == expected
    path = default_model / SELF_TEST
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "bits_per_base": expected + 0.002}))
    result = run("doctor")
    assert result.exit_code == 1
    assert "FAIL checkpoint self-test" in result.output
    path.write_text("{}")
    with pytest.raises(CheckpointError, match="self-test is damaged"):
        run_self_test(default_model, "cpu")
    path.unlink()
    with pytest.raises(InputMissing, match="no self-test"):
        run_self_test(default_model, "cpu")


def test_the_default_model_of_the_package_passes_its_self_test():
    """The real weights, where this checkout has them."""
    try:
        folder = model_folder("default")
    except InputMissing as missing:
        pytest.skip(str(missing))
    found, expected = run_self_test(folder, "cpu")
    assert abs(found - expected) < 1e-3
    shipped = sum(path.stat().st_size for path in folder.iterdir())
    assert shipped <= 12_500_000
    assert (folder / "model.safetensors").stat().st_size <= 12_000_000
    assert (folder / "README.md").is_file()


def test_a_variant_alone_has_the_score_that_it_has_among_others(project):
    """On sequence that the model foretells badly, where its memory would make much of a difference in rounding."""
    from titans_dna.genome.alphabet import reverse_complement
    from titans_dna.inference.alleles import Allele
    from titans_dna.inference.score_variants import score_strands
    from titans_dna.io.sequence.fasta import open_fasta

    default = load_model(model_folder("default"), "cpu")
    with open_fasta(project / "data/demo.fa") as fasta:
        sequence = fasta.fetch("chrA", 0, 12_000).upper()
    sequence += reverse_complement(sequence[2_000:5_000])  # copies, which change what is trusted
    places = [Allele(row, at, at + 1, b"ACGT"[b"ACGT".index(sequence[at]) - 1 :][:1], at, at + 1)
              for row, at in enumerate(range(700, len(sequence), 977)) if sequence[at] in b"ACGT"]  # fmt: skip
    together = score_strands(default, sequence, places)
    for chosen in (places[:1], places[7:8], places[-1:], places[3:9:2]):
        alone = score_strands(default, sequence, chosen)
        rows = [places.index(allele) for allele in chosen]
        assert abs(alone - together[rows]).max() < 1e-6  # to the bit where this was written
