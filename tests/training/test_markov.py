"""Markov baselines against counts made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from titans_dna.training.markov import MarkovModel
from titans_dna.training.word_counts import words_before


def ids(text: str) -> np.ndarray:
    return np.array(["ACGTN".index(letter) for letter in text], dtype=np.uint8)


def test_words_skip_unknown_bases():
    word, base = words_before(ids("ACGNTTA"), 1)
    assert list(zip(word.tolist(), base.tolist(), strict=True)) == [(0, 1), (1, 2), (3, 3), (3, 0)]
    assert [x.tolist() for x in words_before(ids("ACN"), 0)] == [[0, 0], [0, 1]]
    assert [len(x) for x in words_before(ids("AC"), 5)] == [0, 0]


def test_counts_of_both_strands_by_hand():
    model = MarkovModel(1, [ids("AACG")])  # the other strand reads CGTT
    counts = np.zeros((4, 4), dtype=int)
    for word, base in ["AA", "AC", "CG", "CG", "GT", "TT"]:
        counts["ACGT".index(word), "ACGT".index(base)] += 1
    assert model.counts.tolist() == counts.tolist()


def test_bits_by_hand():
    model = MarkovModel(1, [ids("AACG")])

    def bits(a: float) -> float:  # the held-out CGC holds CG and GC
        return -(math.log2((2 + a) / (2 + 4 * a)) + math.log2(a / (1 + 4 * a))) / 2

    assert model.bits_per_base([ids("CGC")]) == pytest.approx(min(bits(a) for a in (1, 0.25, 1 / 16, 1 / 64)))


def test_counts_equal_a_plain_loop():
    sequence = np.random.default_rng(0).choice(5, 300, p=[0.24] * 4 + [0.04]).astype(np.uint8)
    counts = np.zeros((64, 4), dtype=int)
    other = np.where(sequence < 4, 3 - sequence, 4)[::-1]
    for strand in (sequence, other):
        for i in range(3, 300):
            if (strand[i - 3 : i + 1] < 4).all():
                counts[int(strand[i - 3]) * 16 + int(strand[i - 2]) * 4 + int(strand[i - 1]), strand[i]] += 1
    assert np.array_equal(MarkovModel(3, [sequence]).counts, counts)


def test_even_odds_are_two_bits_and_a_period_is_none():
    random = np.random.default_rng(1).integers(0, 4, 20_000).astype(np.uint8)
    assert MarkovModel(2, [random]).bits_per_base([random]) == pytest.approx(2.0, abs=0.01)
    period = ids("ACGGT" * 200)
    assert MarkovModel(6, [period]).bits_per_base([period]) < 0.02


@pytest.mark.parametrize("order", [-1, 13])
def test_orders_out_of_range(order):
    with pytest.raises(ValueError, match=f"Markov order is {order}"):
        MarkovModel(order, [])


def test_many_contigs_are_counted_as_one_by_one(monkeypatch):
    monkeypatch.setattr("titans_dna.training.markov.JOINED_BASES", 50)
    pieces = [np.random.default_rng(n).integers(0, 4, 30).astype(np.uint8) for n in range(5)]
    alone = sum(MarkovModel(2, [piece]).counts for piece in pieces)
    assert np.array_equal(MarkovModel(2, pieces).counts, alone)
