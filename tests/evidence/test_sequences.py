"""Elements of the demo genome, Alu by its words, labelled sets and their splits."""

from __future__ import annotations

import csv

import labelled
import numpy as np
import pytest
import sequences

from titans_dna.tokenizers import base_ids


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TITANS_DNA_CACHE", str(tmp_path / "cache"))


def test_first_and_later_copies_of_planted_families():
    contig = sequences.demo("chrC")
    counts = dict(zip(contig.kinds, np.bincount(contig.element, minlength=6).tolist(), strict=True))
    assert counts["private family, later copy"] > counts["private family, first copy"] > 0
    assert sum(counts.values()) == len(contig.ids) == 250_000


def test_an_alu_is_found_on_either_strand_and_random_bases_are_none():
    random = np.random.default_rng(5)
    alu = base_ids(sequences.ALU)
    changed = random.random(len(alu)) < 0.1
    copy = np.where(changed, random.integers(0, 4, len(alu)), alu).astype(np.uint8)
    flank = random.integers(0, 4, 1000).astype(np.uint8)
    found = sequences.like_alu(np.concatenate([flank, copy, flank, (3 - copy)[::-1], flank]))
    assert found[1000:1282].mean() > 0.8
    assert found[2282:2564].mean() > 0.8
    assert not found[:900].any()
    assert not found[-900:].any()


def test_windows_keep_off_what_is_to_be_avoided():
    covered = labelled.cover({"a": 2000}, [("a", 400, 800)])
    spans = labelled.gaps(covered)
    assert spans == [("a", 0, 320), ("a", 320, 400), ("a", 800, 1120), ("a", 1120, 1440), ("a", 1440, 1760),
                     ("a", 1760, 2000)]  # fmt: skip
    found = labelled.windows(spans, covered, 100)
    assert [s for _, s, _ in found] == [80, 1200, 1520, 1800]
    assert all(not covered["a"][s - 80 : e + 80].any() for _, s, e in found)


def test_a_set_has_equal_classes_and_tests_on_the_contig_held_out(setting, monkeypatch, tmp_path):
    monkeypatch.setattr(labelled, "BUILD", tmp_path)
    path = labelled.write_set("demo promoters", setting, 40, 20)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    counts = {(split, label): sum(r["split"] == split and r["label"] == label for r in rows)
              for split in ("train", "test") for label in ("yes", "no")}  # fmt: skip
    assert list(counts.values()) == [20, 20, 10, 10]
    held_out = sequences.ids_of(sequences.DEMO, "chrC")
    letters = labelled.LETTERS[np.minimum(held_out, 4)].tobytes().decode()
    assert all((row["sequence"] in letters) == (row["split"] == "test") for row in rows)
    text = path.read_bytes()
    assert labelled.write_set("demo promoters", setting, 40, 20).read_bytes() == text


def test_published_rows_stand_beside_their_own_split_only():
    assert labelled.published("human_enhancers_cohn", 6948)["Mamba"] == 0.732
    assert labelled.published("human_enhancers_cohn", 6947) == {}
    assert labelled.published("yeast exons", 6948) == {}
