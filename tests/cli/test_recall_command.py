"""A model with a copy memory, from training to scores, through the command line."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

RNG = np.random.default_rng(5)


def bases(count: int) -> str:
    return "".join(RNG.choice(list("ACGT"), count))


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Two contigs of random bases: on the held-out one a stretch comes again, far behind its first copy."""
    path = tmp_path_factory.mktemp("copies") / "copies.fa"
    first, family = bases(400), bases(600)
    learned = "".join(family + bases(300) for _ in range(6))
    path.write_text(f">learned\n{learned}\n>held\n{first}{bases(700)}{first}{bases(20)}\n")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, run, copies):
    folder = tmp_path_factory.mktemp("models") / "recalling"
    result = run(
        "pretrain", "--fasta", copies, "--holdout", "held", "--config", "nano", "--recall", "--steps", 12, "--lanes", 4,
        "--window-tokens", 128, "--seed", 2, "--device", "cpu", "--output", folder,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return folder


def test_the_model_says_that_it_recalls(trained, run):
    assert json.loads((trained / "config.json").read_text())["backbone"]["recall"]["places"] == 16
    assert "recall" in run("info", trained).output


def test_a_copy_is_cheap_where_its_first_was_read(trained, run, copies, tmp_path):
    bed = tmp_path / "places.bed"
    bed.write_text("held\t40\t400\tfirst\nheld\t1140\t1500\tagain\n")
    table = tmp_path / "scored.tsv"
    result = run("score-regions", "--model", trained, "--fasta", copies, "--bed", bed, "--output", table)
    assert result.exit_code == 0, result.output
    with table.open() as file:
        rows = list(csv.DictReader((line for line in file if not line.startswith("##")), delimiter="\t"))
    first, again = (float(row["bits_per_base"]) for row in rows)
    assert again < first - 0.5


def test_no_recall_takes_it_away_and_words_are_refused(run, trained, copies, tmp_path):
    same = ["pretrain", "--fasta", copies, "--config", trained / "config.json", "--steps", 1, "--lanes", 1]
    result = run(*same, "--window-tokens", 64, "--no-recall", "--output", tmp_path / "plain")
    assert result.exit_code == 0, result.output
    assert "recall" not in json.loads((tmp_path / "plain/config.json").read_text())["backbone"]
    result = run(*same, "--tokenizer", "kmer:3", "--output", tmp_path / "words")
    assert result.exit_code == 1
    assert "recall needs the four bases as targets" in result.output
    assert not (tmp_path / "words").exists()
