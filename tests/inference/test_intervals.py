"""Sums in one pass equal a loop over every interval and base."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_dna.inference.region_sums import IntervalSums

spans = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted), min_size=0, max_size=12)


@settings(max_examples=200, deadline=None)
@given(spans=spans, cuts=st.sets(st.integers(0, 40)), unknown=st.sets(st.integers(0, 39)), columns=st.integers(1, 3))
def test_equals_a_loop(spans, cuts, unknown, columns):
    values = np.random.default_rng(len(spans)).normal(size=(40, columns))
    values[list(unknown), 0] = np.nan
    starts, ends = (np.array([s[i] for s in spans], dtype=int) for i in (0, 1))
    sums = IntervalSums(starts, ends, columns)
    edges = sorted({0, 40} | cuts)
    for a, b in itertools.pairwise(edges):
        sums.add(a, values[a:b])
    totals, counts = sums.results()
    for (start, end), total, count in zip(spans, totals, counts, strict=True):
        known = [row for row in values[start:end] if np.isfinite(row).all()]
        assert count == len(known)
        assert total == pytest.approx(np.sum(known, axis=0) if known else np.zeros(columns), abs=1e-9)


def test_a_piece_without_bases_and_one_beyond_all():
    sums = IntervalSums(np.array([2]), np.array([5]), 1)
    sums.add(0, np.zeros((0, 1)))
    sums.add(0, np.ones((8, 1)))
    sums.add(8, np.ones((8, 1)))
    totals, counts = sums.results()
    assert totals.tolist() == [[3.0]]
    assert counts.tolist() == [3]
