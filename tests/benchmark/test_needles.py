"""Needles: what is planted stands where it should, and a model that recalls is told from one that does not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from inference.test_windows import KINDS

from titans_dna.benchmark.copies import CopyTest, save_by_copies
from titans_dna.benchmark.memory_card import CARD, card_lines, measure_memory, plan, read_card, write_card
from titans_dna.benchmark.needles import (
    DEPTHS,
    ITEM_BP,
    KEY_BP,
    NeedleTest,
    known_bases,
    make_haystack,
    needle_row,
    plan_needles,
    recall_needles,
)
from titans_dna.checkpoints import model_folder
from titans_dna.errors import ConfigError, FormatError
from titans_dna.inference.generate import Sampling, decode_greedily, generate, read_prompt
from titans_dna.inference.metrics import share_interval
from titans_dna.inference.model import load_model
from titans_dna.io.sequence.fasta import open_fasta


@pytest.fixture(scope="module")
def default():
    return load_model(model_folder("default"), "cpu")


@pytest.fixture(scope="module")
def demo(project) -> np.ndarray:
    with open_fasta(project / "data/demo.fa") as genome:
        return known_bases(genome, 1, 200_000)


def found_at(ids: np.ndarray, word: np.ndarray) -> list[int]:
    return [m for m in range(len(ids) - len(word) + 1) if (ids[m : m + len(word)] == word).all()]


def test_needles_stand_at_their_depths_and_decoys_differ_in_as_many_bases_as_they_should(demo):
    test = NeedleTest(haystack_bp=20_000, decoys=4, distance=2)
    haystack = make_haystack(np.random.default_rng(1), test, demo)
    windows = np.lib.stride_tricks.sliding_window_view(haystack.ids, KEY_BP)
    for key, value, depth in zip(haystack.keys, haystack.values, DEPTHS, strict=True):
        apart = (windows != key).sum(1)
        (place,) = np.flatnonzero(apart == 0).tolist()
        assert abs(place / 20_000 - depth) < 0.02
        assert (haystack.ids[place + KEY_BP : place + ITEM_BP] == value).all()
        decoys = np.flatnonzero(apart == 2)
        assert len(decoys) == 4
        assert not any((haystack.ids[at + KEY_BP : at + ITEM_BP] == value).all() for at in decoys)


def test_a_haystack_depends_on_the_seed_alone_and_leaves_its_source_alone(demo):
    test, before = NeedleTest(haystack_bp=20_000, needles=20), demo.copy()
    one, other, again = (make_haystack(np.random.default_rng(seed), test, demo) for seed in (1, 2, 1))
    assert np.array_equal(one.ids, again.ids)
    assert not np.array_equal(one.ids, other.ids)
    assert np.array_equal(demo, before)
    assert len(np.unique(one.keys, axis=0)) == 20


def test_the_default_model_recalls_and_a_model_without_a_copy_memory_guesses(default, make_model, demo):
    test = NeedleTest(haystack_bp=16_384, haystacks=1)
    found = recall_needles(default, demo, test, 0)
    assert (found.asked, found.exact, found.right) == (5, 5, 120)
    small = recall_needles(make_model(), demo, NeedleTest(haystack_bp=4096, haystacks=2), 0)
    assert small.asked == 10
    assert small.exact == 0
    assert small.right < 150
    assert needle_row(test, found)["exact_low"] == pytest.approx(0.5655, abs=1e-3)


@pytest.mark.parametrize("name", KINDS)
def test_greedy_decoding_is_generation_at_a_temperature_of_zero(make_model, random_bases, name):
    model = make_model(**KINDS[name])
    before = random_bases(200, seed=5)
    questions = np.random.default_rng(0).integers(0, 4, (3, 24), dtype=np.uint8)
    prompt = read_prompt(model, "p", before)
    decoded = decode_greedily(model, prompt, questions, 12)
    for question, row in zip(questions, decoded, strict=True):
        asked = read_prompt(model, "q", before + bytes(b"ACGT"[base] for base in question))
        assert row.tolist() == generate(model, asked, 12, Sampling(temperature=0)).ids.tolist()
    assert np.array_equal(decode_greedily(model, prompt, questions[1:2], 12)[0], decoded[1])


def test_the_plan_has_the_haystacks_that_fit_and_refuses_others():
    assert [t.haystack_bp for t in plan_needles(400_000)] == [98_304] * 4 + [393_216] * 4
    assert [t.distance for t in plan_needles(10_000, [9000], decoys=2, distances=[3])] == [0, 3]
    assert len(plan_needles(10_000, [9000], decoys=0)) == 1
    with pytest.raises(ConfigError, match="there are 10 known bases, too few for a haystack of 98,304"):
        plan_needles(10)
    with pytest.raises(ConfigError, match="no room; choose 960 or more"):
        NeedleTest(haystack_bp=500)
    with pytest.raises(ConfigError, match="would be the needle itself"):
        NeedleTest(haystack_bp=50_000, decoys=2)
    with pytest.raises(ConfigError, match="100 decoys: only 72 keys differ in 1; choose fewer"):
        NeedleTest(haystack_bp=500_000, decoys=100, distance=1)


def test_too_short_a_genome_is_refused(project):
    with open_fasta(project / "data/demo.fa") as genome, pytest.raises(ConfigError, match="known bases; 9,000,000 are"):
        known_bases(genome, 9_000_000, 9_000_000)


def test_the_interval_of_a_share_is_wilsons():
    # R: binom::binom.confint(8, 10, methods = "wilson")
    assert share_interval(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    with pytest.raises(ValueError, match="3 hits of 2 trials"):
        share_interval(3, 2)


def test_copies_save_bits_where_they_can_be_recalled_and_none_where_not(default, make_model, demo):
    test = CopyTest(distance_bp=20_000, copies=2, copy_bp=400)
    assert save_by_copies(default, demo, test, 0).bits > 1.0
    assert (
        save_by_copies(default, demo, CopyTest(distance_bp=20_000, copies=2, copy_bp=400, substituted=0.75), 0).bits
        < 0.1
    )
    small = save_by_copies(make_model(), demo, CopyTest(distance_bp=2000, copies=2, copy_bp=400), 0)
    assert abs(small.bits) < 0.05
    with pytest.raises(ConfigError, match="would overlap its original"):
        CopyTest(distance_bp=300)


def test_a_memory_card_is_written_read_and_told(make_model, demo, tmp_path, monkeypatch):
    monkeypatch.setattr("titans_dna.benchmark.memory_card.HELD", (2,))
    monkeypatch.setattr("titans_dna.benchmark.memory_card.COPIES_BP", (1500, 100_000))
    done: list[int] = []
    card = measure_memory(make_model(), demo[:9000], 0, lambda count, total: done.append(count) or done.append(-total))
    assert [n for n in done if n > 0]
    assert sum(n for n in done if n > 0) == -done[1]  # all of what was announced is read
    assert (list(card["needles"]), list(card["decoys"]), list(card["copies"])) == (["2"], ["4", "2", "1"], ["1500"])
    assert card["bytes_per_base"] == 0
    write_card(tmp_path / CARD, card)
    assert read_card(tmp_path) == card
    assert card_lines(card)["copies pay to"] == "nowhere"
    assert read_card(tmp_path / "other") is None


def test_the_plan_of_a_card_fits_into_the_sequence():
    haystack, needles, copies = plan(70_000)
    assert haystack == 65_536
    assert [test.needles for test in needles] == [16, 128, 5, 5, 5]
    assert [test.distance_bp for test in copies] == [10_000]
    assert [test.distance_bp for test in plan(12_000_000)[2]] == [10_000, 100_000, 1_000_000, 10_000_000]


GOOD = {
    "needles": {"16": 1.0}, "decoys": {}, "copies": {}, "haystack_bp": 1, "asked_beside_decoys": 1,
    "copies_pay_to_bp": 0, "bytes_measured_bp": 1, "bytes_per_base": 1.0, "weights_sha256": "0",
}  # fmt: skip
BAD = [{"needles": {"a": 1}}, {"needles": {"1": "b"}}, {"haystack_bp": float("inf")}, {"copies": 3}, {"decoys": None}]


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, *(json.dumps(GOOD | bad) for bad in BAD)])
def test_what_is_no_card_is_refused_in_one_line(tmp_path, text):
    (tmp_path / CARD).write_text(json.dumps(GOOD))
    assert read_card(tmp_path) == GOOD
    (tmp_path / CARD).write_text(text)
    with pytest.raises(FormatError, match=r"memory_card.json: is no memory card. Delete it"):
        read_card(tmp_path)


def test_the_card_of_the_default_model_is_of_its_weights_and_stands_in_its_readme(default):
    folder = model_folder("default")
    card = read_card(folder)
    assert card is not None
    assert card["weights_sha256"] == default.weights_sha256
    readme = (folder / "README.md").read_text()
    for name, words in card_lines(card).items():
        assert f"| {name} | {words} |" in readme
