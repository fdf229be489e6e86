"""Every pooling against the plain definition, however the stream is cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_dna.errors import ConfigError
from titans_dna.inference.pooling import POOLS, Pooling

BASES, COLUMNS = 60, 3
VALUES = np.random.default_rng(2).normal(size=(BASES, COLUMNS)).astype(np.float32)
KNOWN = np.random.default_rng(3).random(BASES) > 0.2
KNOWN[40:50] = False


def plainly(kind: str, start: int, end: int) -> np.ndarray:
    """One region, read off the definition: (vectors, columns)."""
    if kind == "none":
        return np.where(KNOWN[start:end, None], VALUES[start:end], np.nan)
    if kind.startswith("bins"):
        number, bases = int(kind[5:]), np.arange(end - start)
        cells = [
            bases[(bases >= k * len(bases) // number) & (bases * number < (k + 1) * len(bases))] for k in range(number)
        ]
        return np.concatenate([plain_mean(cell + start) for cell in cells])
    if kind == "center":
        end = start + (end - start) // 2 + 1
    used = np.flatnonzero(KNOWN[start:end]) + start
    if not len(used):
        return np.full((1, COLUMNS), np.nan)
    if kind == "mean":
        return plain_mean(used)
    return VALUES[used].max(0, keepdims=True) if kind == "max" else VALUES[used[-1:]]


def plain_mean(bases: np.ndarray) -> np.ndarray:
    used = bases[KNOWN[bases]]
    return VALUES[used].mean(0, keepdims=True) if len(used) else np.full((1, COLUMNS), np.nan)


def pooled(kind: str, spans, cuts, reverse: bool = False) -> list[np.ndarray]:
    pooling = Pooling.parse(kind)
    starts, ends = np.array(spans).T
    each = ends - starts if pooling.ragged else np.full(len(spans), pooling.bins)
    targets = np.cumsum(each) - each
    pool = pooling.pool(starts, ends, targets, COLUMNS, reverse=reverse)
    found = np.full((int(each.sum()), COLUMNS), np.inf, np.float32)
    borders = sorted({0, BASES, *cuts})
    for start, end in pairwise(borders):
        for numbers, vectors in pool.add(start, VALUES[start:end], KNOWN[start:end]):
            assert np.isinf(found[numbers]).all()  # each target once
            found[numbers] = vectors
    assert not np.isinf(found).any()
    return [found[at : at + number] for at, number in zip(targets, each, strict=True)]


SPANS = st.lists(
    st.tuples(st.integers(0, BASES - 1), st.integers(1, BASES)).map(lambda p: (p[0], min(BASES, p[0] + p[1]))),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("kind", ["mean", "max", "last", "center", "none", "bins:1", "bins:4", "bins:7"])
@settings(max_examples=40, deadline=None)
@given(spans=SPANS, cuts=st.sets(st.integers(1, BASES - 1), max_size=5))
def test_equal_to_the_definition(kind, spans, cuts):
    for (start, end), found in zip(spans, pooled(kind, spans, cuts), strict=True):
        assert found == pytest.approx(plainly(kind, start, end), abs=1e-5, nan_ok=True)


def test_a_reversed_strand_numbers_bins_and_bases_from_the_other_end():
    for kind in ("none", "bins:4"):
        forward, backward = pooled(kind, [(3, 17)], ()), pooled(kind, [(3, 17)], (), reverse=True)
        assert np.array_equal(forward[0], backward[0][::-1], equal_nan=True)


def test_bins_are_symmetric_so_that_both_strands_agree():
    for length in range(1, 40):
        for bins in (1, 2, 3, 7):
            low = np.arange(bins) * length // bins
            high = -(-(np.arange(bins) + 1) * length // bins)
            assert np.array_equal(length - high[::-1], low)
            assert (high > low).all()


def test_memory_is_that_of_the_open_regions():
    starts = np.arange(0, 50_000, 5)
    pool = Pooling(kind="mean").pool(starts, starts + 10, np.arange(len(starts)), 4, reverse=False)
    largest = 0
    for start in range(0, 50_010, 100):
        list(pool.add(start, np.ones((100, 4), np.float32), np.ones(100, bool)))
        largest = max(largest, len(pool._values))
    assert largest <= 2


@pytest.mark.parametrize("text", ["", "median", "bins", "bins:0", "bins:-1", "bins:x", "bins:N"])
def test_unknown_names_are_refused(text):
    with pytest.raises(ConfigError, match=r"bins:10"):
        Pooling.parse(text)


def test_names_come_back():
    assert [str(Pooling.parse(text)) for text in (*POOLS[:-1], "bins:12")] == [*POOLS[:-1], "bins:12"]
