"""The numbers that are made of the relatives' votes."""

from __future__ import annotations

import numpy as np
import pytest

from titans_dna.inference.vote_variants import tolerance, vote_score


@pytest.mark.parametrize(
    ("counts", "context", "expected"),
    [
        ((10, 0, 0), (b"A", b"AC", b"A"), -2.05 - 0.59 * 11 / 12),  # a transversion that no relative has
        ((0, 0, 0), (b"A", b"AC", b"A"), -2.05 - 0.59 / 2),  # no relative has a say
        ((10, 0, 0), (b"A", b"CT", b"G"), -2.05 - 0.59 * 11 / 12 + 1.15 - 0.91),  # a CpG decays
        ((5, 0, 0), (b"A", b"TC", b"G"), -2.05 - 0.59 * 6 / 7 + 1.15 + 0.93),  # a CpG arises
        ((4, 5, 1), (b"A", b"AC", b"A"), -2.05 - 0.59 * 5 / 12 + 1.4 + 3 * 0.5 + 1.02 + 0.31),
    ],
)
def test_tolerance_is_the_sum_of_its_terms(counts, context, expected):
    assert tolerance(np.array(counts, dtype=float), *context) == pytest.approx(expected)


def test_the_vote_is_a_share_of_ref_and_a_bonus_for_alt():
    counts = np.array([(22, 0, 0), (0, 0, 0), (0, 5, 0), (1, 1, 2)], dtype=float)
    assert vote_score(counts) == pytest.approx([-23 / 24, -0.5, 0.9 - 1 / 7, 0.3 - 2 / 6])
