"""A classifier on disk says what it said when it was tested, row by row; rows without bases keep their line."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

import titans_dna
from titans_dna.cli import main
from titans_dna.errors import CheckpointError, ConfigError, InputMissing
from titans_dna.inference.model import load_model
from titans_dna.io.scores import open_scores
from titans_dna.io.tables.tsv import read_tsv
from titans_dna.model.backbone import Backbone
from titans_dna.model.checkpoint import save_checkpoint
from titans_dna.model.config import BackboneConfig
from titans_dna.tokenizers import NucleotideTokenizer, named_tokenizer
from titans_dna.training.finetune import FinetuneConfig, finetune_model
from titans_dna.training.labelled import read_labelled, read_rows
from titans_dna.training.predict import load_classifier

SMALL = {"width": 16, "layers": 1, "attention_heads": 2, "memory_heads": 1, "window_tokens": 16, "chunk_tokens": 8}


def predict(*arguments: object):
    return CliRunner().invoke(main, ["predict", "--device", "cpu", *(str(x) for x in arguments)])


@pytest.fixture(scope="module")
def rows() -> list[tuple[str, str, str]]:
    """Sequences of two compositions: sequence, label, split."""
    random = np.random.default_rng(3)
    letters = {"gc": list("ACGGCC"), "at": list("ACGTAT")}
    labels = ["gc", "at"] * 40
    return [
        ("".join(random.choice(letters[label], 24 + number % 5)), label, "test" if number >= 60 else "train")
        for number, label in enumerate(labels)
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory, rows):
    """A classifier, and what it said of itself when it was tested."""
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("classifier")
    save_checkpoint(place / "small", Backbone(BackboneConfig(**SMALL)), NucleotideTokenizer().to_json())
    table = place / "all.csv"
    table.write_text("sequence,label,split\n" + "".join(f"{','.join(row)}\n" for row in rows))
    result = finetune_model(
        load_model(place / "small", "cpu"), read_labelled(table, None, 0.2, 0), place / "out",
        FinetuneConfig(epochs=2, kmer_bases=2, learning_rate=0.01),
    )  # fmt: skip
    return place / "out", result


def test_predictions_are_those_of_the_test(made, rows, tmp_path):
    folder, result = made
    tested = [row for row in rows if row[2] == "test"]
    (tmp_path / "t.csv").write_text(
        "name,sequence,label\n" + "".join(f"n{i},{s},{x}\n" for i, (s, x, _) in enumerate(tested))
    )
    said = predict("--model", folder, "--data", tmp_path / "t.csv", "--output", tmp_path / "p.tsv")
    assert said.exit_code == 0, said.output
    found = list(read_tsv(tmp_path / "p.tsv"))
    assert [row["name"] for row in found] == [f"n{i}" for i in range(len(tested))]
    assert [*found[0]] == ["name", "contig", "start", "end", "label", "outcome", "predicted", "p_at", "p_gc"]
    right = sum(row["label"] == row["predicted"] for row in found)
    assert right / len(found) == result["model"]["accuracy"] > 0.6
    assert f"auroc {result['model']['auroc']:.4f}" in said.output
    for row in found:
        p = {name: float(row[f"p_{name}"]) for name in ("at", "gc")}
        assert math.isclose(sum(p.values()), 1.0, abs_tol=1e-6)
        assert row["predicted"] == max(p, key=lambda name: p[name])


def test_classes_are_scores_that_say_what_made_them(made, rows, tmp_path):
    (tmp_path / "t.csv").write_text("name,sequence\n" + "".join(f"n{i},{s}\n" for i, (s, *_) in enumerate(rows[:3])))
    for name in ("p.tsv", "p.tsv.gz"):
        assert predict("--model", made[0], "--data", tmp_path / "t.csv", "-o", tmp_path / name).exit_code == 0
        scores = open_scores(tmp_path / name)
        assert [*scores.metadata] == ["version", "model", "input", "command"]
        assert scores.metadata["input"] == "t.csv"
        frame = scores.to_pandas()
        assert (frame["p_at"] + frame["p_gc"]).tolist() == pytest.approx([1.0] * 3, abs=1e-6)
        assert frame["start"].isna().all()  # sequences lie on no contig
        told = CliRunner().invoke(main, ["info", str(tmp_path / name)])
        assert "rows               3" in told.output
    (tmp_path / "again.tsv").write_text((tmp_path / "p.tsv").read_text().replace("predicted", "sequence"))
    assert [row.example.name for row in read_rows(tmp_path / "again.tsv", None, taught=False)] == ["n0", "n1", "n2"]
    told = CliRunner().invoke(main, ["info", str(made[0] / "finetune.json")])
    assert "model.accuracy" in told.output


def test_labels_may_be_missing_and_bad_rows_keep_their_line(made, tmp_path):
    (tmp_path / "g.fa").write_text(">chr1\n" + "ACGT" * 50 + "\n")
    (tmp_path / "r.bed").write_text("chr1\t0\t30\n1\t10\t40\tone\nchr9\t0\t9\nchr1\t190\t210\n")
    said = predict(
        "--model", made[0], "--data", tmp_path / "r.bed", "--fasta", tmp_path / "g.fa", "-o", tmp_path / "p.tsv"
    )
    assert said.exit_code == 0, said.output
    found = list(read_tsv(tmp_path / "p.tsv"))
    assert [row["outcome"] for row in found] == ["used", "used", "contig_unknown", "beyond_contig"]
    assert [row["p_at"] == "NA" for row in found] == [False, False, True, True]
    assert [(row["contig"], row["start"], row["end"]) for row in found][1] == ("1", "10", "40")
    assert "accuracy" not in said.output
    (tmp_path / "s.csv").write_text("sequence\nACGTACGT\n")
    assert predict("--model", made[0], "--data", tmp_path / "s.csv", "-o", tmp_path / "p.tsv").exit_code == 0
    (tmp_path / "none.csv").write_text("sequence\n\n")
    assert predict("--model", made[0], "--data", tmp_path / "none.csv", "-o", tmp_path / "p.tsv").exit_code == 0


def test_columns_of_the_input_stand_behind_the_classes(made, tmp_path):
    table = "id,sequence,note,outcome,p_at,contig\nv1,ACGT,a b,old,7,chr1\nv2,NNN,,old,7,chr2\n"
    (tmp_path / "t.csv").write_text(table)
    said = predict("--model", made[0], "--data", tmp_path / "t.csv", "-o", tmp_path / "p.tsv")
    assert said.exit_code == 0, said.output
    first, second = read_tsv(tmp_path / "p.tsv")
    assert [*first][-4:] == ["p_at", "p_gc", "id", "note"]
    assert (first["id"], first["note"], first["contig"], first["outcome"]) == ("v1", "a b", "chr1", "used")
    assert (second["id"], second["contig"], second["outcome"], second["p_at"]) == ("v2", "chr2", "reference_n", "NA")


def test_likelihoods_of_a_classifier_are_warned_of(made, tmp_path, caplog):
    (tmp_path / "g.fa").write_text(">c\n" + "ACGT" * 20 + "\n")
    given = ["--model", str(made[0]), "--fasta", str(tmp_path / "g.fa"), "--region", "c:1-9", "--device", "cpu"]
    said = CliRunner().invoke(main, ["score-regions", *given, "-o", str(tmp_path / "r.tsv")])
    assert said.exit_code == 0, said.output
    assert "is a classifier, whose training moved its likelihoods; for score-regions take the model" in said.stderr
    said = CliRunner().invoke(main, ["embed", *given, "-o", str(tmp_path / "e.h5")])
    assert "classifier" not in said.stderr
    titans_dna.load_model(made[0], "cpu")
    assert "its training moved its likelihoods" in caplog.text


def test_what_is_no_classifier_is_refused_by_name(made, tmp_path):
    folder, _ = made
    with pytest.raises(InputMissing, match=r"no head.safetensors.*titans-dna finetune"):
        load_classifier(folder.parent / "small", "cpu")
    copy = shutil.copytree(folder, tmp_path / "copy")
    save_file({"weight": torch.zeros(3, 32), "bias": torch.zeros(3)}, copy / "head.safetensors")
    with pytest.raises(CheckpointError, match="does not fit the model"):
        load_classifier(copy, "cpu")
    (copy / "head.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="does not fit the model"):
        load_classifier(copy, "cpu")
    result = json.loads((copy / "finetune.json").read_text())
    (copy / "finetune.json").write_text(json.dumps({**result, "classes": None}))
    with pytest.raises(CheckpointError, match="is damaged"):
        load_classifier(copy, "cpu")


def test_tokens_of_several_bases_are_refused(made, tmp_path, rows):
    tokenizer = named_tokenizer("kmer:3")
    config = BackboneConfig(**SMALL, vocabulary=len(tokenizer.vocabulary), targets=tokenizer.targets)
    save_checkpoint(tmp_path / "words", Backbone(config), tokenizer.to_json())
    (tmp_path / "t.csv").write_text("sequence,label\n" + "".join(f"{s},{x}\n" for s, x, _ in rows))
    data = read_labelled(tmp_path / "t.csv", None, 0.2, 0)
    with pytest.raises(ConfigError, match="classifiers need one token per base"):
        finetune_model(load_model(tmp_path / "words", "cpu"), data, tmp_path / "out", FinetuneConfig())
