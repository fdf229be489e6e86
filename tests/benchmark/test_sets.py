"""Labelled sets in the layouts of published benchmarks, learned beside k-mers."""

from __future__ import annotations

import random

import pytest

from titans_dna.benchmark.classification import COLUMNS, ClassificationTest, classify_set
from titans_dna.benchmark.sets import read_parts, read_set
from titans_dna.errors import ConfigError, FormatError, InputMissing
from titans_dna.training.labelled import LabelledData


def sequence(draw: random.Random, gc: float) -> str:
    return "".join(draw.choice("GC" if draw.random() < gc else "AT") for _ in range(60))


@pytest.fixture(scope="module")
def genomic_benchmarks(tmp_path_factory):
    folder, draw = tmp_path_factory.mktemp("sets") / "demo_set", random.Random(1)
    for split, count in (("train", 40), ("test", 20)):
        for name, gc in (("negative", 0.2), ("positive", 0.8)):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                (folder / split / name / f"{number}.txt").write_text(sequence(draw, gc) + "\n")
    return folder


def test_the_layout_of_genomic_benchmarks(genomic_benchmarks):
    data = read_set(genomic_benchmarks)
    assert data.classes == ("negative", "positive")
    assert (len(data.training), len(data.tested)) == (80, 40)
    assert data.tested_labels.tolist() == [0] * 20 + [1] * 20
    assert data.outcomes == {"used": 120}


def test_the_layout_of_gue_leaves_the_dev_part_out(tmp_path):
    for split, rows in (("train", "ACGT,0\nGGGG,1\nACGA,0\n"), ("dev", "TTTT,0\n"), ("test", "CCCC,1\nAAAA,0\n")):
        (tmp_path / f"{split}.csv").write_text("sequence,label\n" + rows)
    data = read_set(tmp_path)
    assert (len(data.training), len(data.tested), data.tested_labels.tolist()) == (3, 2, [1, 0])
    assert [ids.tolist() for ids in data.tested] == [[1, 1, 1, 1], [0, 0, 0, 0]]


def test_a_fasta_of_each_class(tmp_path):
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "one.fa").write_text(">a\nACGT\n>b\nACGA\n")
        (tmp_path / split / "two.fa").write_text(">a\nGGGG\n")
    data = read_set(tmp_path)
    assert (data.classes, len(data.training), len(data.tested)) == (("one", "two"), 3, 3)


def test_two_files_are_the_two_parts_whatever_they_say(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("sequence,label,split\nACGT,x,test\nGGGG,y,train\n")
    data = read_parts(tmp_path / "a.csv", tmp_path / "b.csv")
    assert (len(data.training), len(data.tested)) == (2, 2)


def test_what_is_no_set_is_refused_in_one_line(tmp_path):
    with pytest.raises(ConfigError, match="has no layout that is known; give a labelled file, a folder"):
        read_set(tmp_path)
    with pytest.raises(InputMissing, match="no such file or folder"):
        read_set(tmp_path / "missing")
    for split in ("train", "test"):
        (tmp_path / split / "x").mkdir(parents=True)
    (tmp_path / "train/x/1.txt").write_text("hello")
    with pytest.raises(FormatError, match=r"1.txt: 'e' is no nucleotide code|1.txt: 'E' is no nucleotide code"):
        read_set(tmp_path)


def test_a_set_is_learned_several_times_and_stands_beside_kmers(make_model, genomic_benchmarks):
    data, model, done = read_set(genomic_benchmarks), make_model(), []
    test = ClassificationTest(modes=("frozen",), runs=2, epochs=8, kmer_bases=2)
    rows = classify_set(model, "demo_set", data, test, 0, advance=done.append)
    assert [row["classifier"] for row in rows] == [f"{model.name}, frozen", "2-mers"]
    assert all(set(row) == set(COLUMNS) for row in rows)
    assert [row["runs"] for row in rows] == [2, 1]
    assert rows[1]["auroc"] > 0.99
    assert rows[0]["auroc_least"] <= rows[0]["auroc"] <= rows[0]["auroc_greatest"]
    assert sum(done) == test.passes(data) == 2 * 8 * 80
    assert rows == classify_set(model, "demo_set", data, test, 0)


def test_labels_that_say_nothing_are_not_learned(make_model, genomic_benchmarks):
    data = read_set(genomic_benchmarks)
    order = random.Random(3).sample(range(40), 40)
    shuffled = LabelledData(
        classes=data.classes, training=data.training, training_labels=data.training_labels, tested=data.tested,
        tested_labels=data.tested_labels[order], outcomes=data.outcomes,
    )  # fmt: skip
    (baseline,) = classify_set(make_model(), "x", shuffled, ClassificationTest(modes=("frozen",), runs=1, epochs=1), 0)[
        1:
    ]
    assert 0.2 < baseline["auroc"] < 0.8


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="mode is 'half'"):
        ClassificationTest(modes=("half",))
    with pytest.raises(ConfigError, match="runs"):
        ClassificationTest(runs=0)
