"""Previous copies against a search by hand, bins of distance, and the block bootstrap."""

from __future__ import annotations

import copies
import numpy as np
import pytest


def by_hand(ids: np.ndarray, kmer_bases: int) -> list[int]:
    found = []
    for at in range(len(ids)):
        word = ids[at - kmer_bases : at].tolist() if at >= kmer_bases else [4]
        if 4 in word or ids[at] >= 4:
            found.append(copies.UNKNOWN)
            continue
        before = [
            back for back in range(1, at - kmer_bases + 1) if ids[at - back - kmer_bases : at - back].tolist() == word
        ]
        found.append(before[0] if before else copies.NO_COPY)
    return found


@pytest.mark.parametrize("kmer_bases", [1, 3, 5])
@pytest.mark.parametrize("alphabet", [2, 4, 5])
def test_previous_copies_are_those_of_a_search_by_hand(kmer_bases, alphabet):
    ids = np.random.default_rng([kmer_bases, alphabet]).integers(0, alphabet, 120).astype(np.uint8)
    assert copies.previous_copy(ids, kmer_bases).tolist() == by_hand(ids, kmer_bases)


def test_the_base_itself_is_no_part_of_the_word():
    """A copy that ends with another base still counts: else only bases that are easy to copy would."""
    ids = np.array([0, 1, 2, 3, 0, 0, 1, 2, 1], dtype=np.uint8)
    assert copies.previous_copy(ids, 3)[-1] == 5


def test_long_words_do_not_collide():
    ids = np.zeros(70, dtype=np.uint8)
    ids[0] = 3  # differs only at the far end of a word of 31
    distance = copies.previous_copy(ids, 31)
    assert distance[31:33].tolist() == [copies.NO_COPY, copies.NO_COPY]
    assert distance[33] == 1


@pytest.mark.parametrize("bases", [0, 3])
def test_a_contig_shorter_than_a_word_has_none(bases):
    assert copies.previous_copy(np.zeros(bases, dtype=np.uint8), 5).tolist() == [copies.UNKNOWN] * bases


def test_words_longer_than_a_number_are_refused():
    with pytest.raises(ValueError, match="choose 1 to 31"):
        copies.words_before(np.zeros(50, dtype=np.uint8), 32)


def test_distances_fall_into_named_bins():
    distance = np.array([copies.UNKNOWN, copies.NO_COPY, 1, 128, 129, 1023, 1024, 4095, 4096, 262_143, 262_144, 10**8])
    bins, names = copies.distance_bins(distance)
    assert names == ["no copy", "1-129", "129-1k", "1k-4k", "4k-16k", "16k-64k", "64k-256k", "256k+"]
    assert bins.tolist() == [-1, 0, 1, 1, 2, 2, 3, 3, 4, 6, 7, 7]


def test_means_leave_out_what_is_unknown_or_in_no_group():
    values = np.array([1.0, np.nan, 3.0, 5.0, 7.0])
    rows = copies.group_means(values, np.array([0, 0, 0, 1, -1]), 3, segment_bases=2, draws=50)
    assert [row["mean"] for row in rows] == [2.0, 5.0, None]
    assert [row["bases"] for row in rows] == [2, 1, 0]
    assert [row["segments"] for row in rows] == [2, 1, 0]


def test_the_interval_of_a_constant_is_a_point_and_the_seed_fixes_it():
    values, groups = np.full(1000, 0.25), np.zeros(1000, dtype=int)
    row = copies.group_means(values, groups, 1, segment_bases=100)[0]
    assert (row["low"], row["high"]) == (0.25, 0.25)
    noise = np.random.default_rng(0).normal(size=1000)
    assert copies.group_means(noise, groups, 1, seed=3) == copies.group_means(noise, groups, 1, seed=3)


def test_the_bootstrap_covers_the_spread_of_correlated_segments():
    """Segments that share their value: the interval has the width of a mean of 50 numbers, not of 50,000."""
    random = np.random.default_rng(1)
    values = np.repeat(random.normal(size=50), 1000)
    row = copies.group_means(values, np.zeros(len(values), dtype=int), 1, segment_bases=1000, seed=2)[0]
    width = (row["high"] - row["low"]) / (2 * 1.96)
    assert width == pytest.approx(values[::1000].std() / 50**0.5, rel=0.15)
