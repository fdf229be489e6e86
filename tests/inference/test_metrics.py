"""Ranking metrics against values worked out by hand and against a plain double loop."""

from __future__ import annotations

import math

import numpy as np
import pytest

from titans_dna.inference.metrics import (
    auroc,
    auroc_interval,
    average_precision,
    precision_recall_curve,
    roc_curve,
)


def by_pairs(scores, labels):
    """The definition: every positive against every negative, a tie is half a win."""
    wins = 0.0
    pairs = 0
    for score, label in zip(scores, labels, strict=True):
        for other, other_label in zip(scores, labels, strict=True):
            if label and not other_label:
                pairs += 1
                wins += 1.0 if score > other else 0.5 if score == other else 0.0
    return wins / pairs


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([1, 2, 3, 4], [0, 0, 1, 1], 1.0),
        ([4, 3, 2, 1], [0, 0, 1, 1], 0.0),
        ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.75),
        ([1, 1, 1, 1], [0, 1, 0, 1], 0.5),
        ([1, 2, 2, 3], [0, 0, 1, 1], 0.875),
    ],
)
def test_auroc_by_hand(scores, labels, expected):
    assert auroc(scores, labels) == pytest.approx(expected)


def test_auroc_with_many_ties_equals_the_definition():
    random = np.random.default_rng(1)
    scores = random.integers(0, 6, 200).astype(float)
    labels = random.random(200) < 0.3
    assert auroc(scores, labels) == pytest.approx(by_pairs(scores, labels), abs=1e-12)


def test_auroc_is_the_area_under_the_roc_curve():
    random = np.random.default_rng(2)
    scores = np.round(random.normal(size=300), 1)
    labels = random.random(300) < 0.4
    false_rate, true_rate = roc_curve(scores, labels)
    assert (false_rate[0], true_rate[0], false_rate[-1], true_rate[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(true_rate, false_rate) == pytest.approx(auroc(scores, labels), abs=1e-12)
    assert len(false_rate) == len(np.unique(scores)) + 1


def test_order_of_tied_records_does_not_matter():
    scores, labels = np.zeros(10), np.array([1] * 5 + [0] * 5)
    assert average_precision(scores, labels) == average_precision(scores, labels[::-1]) == 0.5


def test_average_precision_by_hand():
    # Ranked: positive (precision 1), negative, positive (precision 2/3): 1/2 * 1 + 1/2 * 2/3.
    assert average_precision([0.9, 0.8, 0.7], [1, 0, 1]) == pytest.approx(5 / 6)
    precision, recall = precision_recall_curve([0.9, 0.8, 0.7], [1, 0, 1])
    assert precision.tolist() == pytest.approx([1, 0.5, 2 / 3])
    assert recall.tolist() == pytest.approx([0.5, 0.5, 1])


def test_delong_interval_by_hand():
    # Placements of the positives 1, 1, 0.5 (variance 1/12) and of the negatives 0, 1/3 (variance 1/18):
    # area 5/6, variance (1/12)/3 + (1/18)/2 = 1/18, half width 1.959964 / sqrt(18).
    low, high = auroc_interval([3, 4, 1.5, 1, 2], [1, 1, 1, 0, 0])
    assert low == pytest.approx(5 / 6 - 1.959964 / math.sqrt(18), abs=1e-6)
    assert high == 1.0


def test_one_class_alone_has_no_area():
    assert math.isnan(auroc([1, 2], [1, 1]))
    assert math.isnan(average_precision([1, 2], [0, 0]))
    assert all(math.isnan(bound) for bound in auroc_interval([1, 2, 3], [1, 0, 0]))
    with pytest.raises(ValueError, match="one positive and one negative"):
        roc_curve([1, 2], [1, 1])
    with pytest.raises(ValueError, match="one positive"):
        precision_recall_curve([], [])


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([1, 2], [1], "shape"),
        ([1, float("nan")], [1, 0], "finite"),
        ([1, 2], [1, 2], "neither 0 nor 1"),
    ],
)
def test_bad_input_is_refused(scores, labels, message):
    with pytest.raises(ValueError, match=message):
        auroc(scores, labels)


def test_level_outside_the_open_interval_is_refused():
    with pytest.raises(ValueError, match="level is 95"):
        auroc_interval([1, 2, 3, 4], [1, 0, 1, 0], level=95)
