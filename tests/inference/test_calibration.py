"""Shuffles keep dinucleotides, p-values and quantiles are what their definitions say."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_dna.inference.alleles import Allele
from titans_dna.inference.calibration import _surroundings as surroundings
from titans_dna.inference.calibration import (
    empirical_p,
    length_class,
    quantiles,
    shuffle_dinucleotides,
    shuffled_scores,
)


@settings(max_examples=150, deadline=None)
@given(text=st.text("ACGTN", max_size=60), seed=st.integers(0, 5))
def test_a_shuffle_keeps_every_dinucleotide(text, seed):
    sequence = text.encode()
    shuffled = shuffle_dinucleotides(sequence, np.random.default_rng(seed))
    assert Counter(pairwise(shuffled)) == Counter(pairwise(sequence))
    assert (shuffled[:1], shuffled[-1:]) == (sequence[:1], sequence[-1:])


def test_all_arrangements_come_up_equally_often():
    """AACAGA has 6 sequences with its dinucleotides: AA, AC, CA, AG and GA in any order of the three loops at A."""
    random = np.random.default_rng(0)
    seen = Counter(shuffle_dinucleotides(b"AACAGA", random) for _ in range(6000))
    assert len(seen) == 6
    assert max(abs(count - 1000) for count in seen.values()) < 150  # five standard deviations


def test_scores_in_shuffled_surroundings_equal_reruns_of_the_whole_contig(log_probabilities, model, random_bases):
    sequence, horizon = random_bases(200, 12), 25
    alleles = [Allele(0, 100, 101, b"A", 100, 101), Allele(1, 3, 3, b"GG", 3, 4), Allele(2, 196, 199, b"", 196, 199)]
    found = shuffled_scores(model, sequence, alleles, horizon_bp=horizon, shuffles=3, seed=7)
    for row, allele in enumerate(alleles):
        low, high = max(0, allele.first - horizon), min(len(sequence), allele.last + horizon)
        for number in range(3):
            both = [surroundings(sequence, allele, horizon, (7, number), alt) for alt in (False, True)]
            texts = [sequence[:low] + window + sequence[high:] for window in both]
            total = 0.0
            for reverse in (False, True):
                sums = []
                for text, window in zip(texts, both, strict=True):
                    read = text if not reverse else text[::-1].translate(bytes.maketrans(b"ACGT", b"TGCA"))
                    start = allele.first if not reverse else len(sequence) - allele.last
                    stop = (low if not reverse else len(sequence) - high) + len(window)
                    sums.append(log_probabilities(model, read)[start:stop].sum())
                total += (sums[1] - sums[0]) / 2
            assert found[row, number] == pytest.approx(total, abs=1e-4)
    again = shuffled_scores(model, sequence, alleles[::-1], horizon_bp=horizon, shuffles=3, seed=7)[::-1]
    assert again == pytest.approx(found, abs=1e-4)  # a shuffle does not depend on the order
    assert shuffled_scores(model, sequence, alleles, horizon_bp=horizon, shuffles=3, seed=8) != pytest.approx(found)


def test_p_values_count_the_score_itself():
    null = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    assert empirical_p(np.array([2.0, 0.5, np.nan]), null) == pytest.approx([3 / 4, 1 / 4, np.nan], nan_ok=True)


def test_quantiles_by_class():
    background = {"substitution": np.arange(20.0), "indel": np.arange(5.0)}
    scores = np.array([-1.0, 0.0, 9.5, 30.0, 1.0, np.nan])
    classes = ["substitution"] * 4 + ["indel", "substitution"]
    wanted = [0.0, 0.025, 0.5, 1.0, np.nan, np.nan]  # five indels are too few to tell
    assert quantiles(scores, classes, background) == pytest.approx(wanted, nan_ok=True)
    assert (length_class(1, 1), length_class(2, 1), length_class(3, 3)) == ("substitution", "indel", "substitution")
