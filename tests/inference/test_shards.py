"""Shards divide the work, hold every record once, and are put back in order."""

from __future__ import annotations

import numpy as np
import pytest

from titans_dna.errors import FormatError
from titans_dna.jobs.shards import (
    describe_track_shard,
    merge_order,
    read_ranges,
    shard_of_records,
    stretches_of,
    write_ranges,
)


def test_contigs_stay_whole_where_they_can():
    contigs = ["a"] * 5 + ["b"] * 5 + ["c"] * 5
    found = shard_of_records(contigs, [1] * 15, [1.0] * 15, {"a": 1000, "b": 1000, "c": 2000}, 2)
    assert [len(set(found[at : at + 5])) for at in (0, 5, 10)] == [1, 1, 1]
    assert found[0] == found[5] != found[10]  # 2,000 bases each


def test_a_contig_with_most_of_the_work_is_divided_by_position():
    positions = np.random.default_rng(0).permutation(1000)
    found = shard_of_records(["a"] * 1000, positions, [300.0] * 1000, {"a": 1000}, 4)
    assert np.bincount(found, minlength=5)[1:].min() >= 249
    by_place = found[np.argsort(positions)]
    assert (np.diff(by_place) != 0).sum() == 3  # four stretches


def test_work_counts_not_records():
    """Ten records without work and one with: the one does not share its shard with another contig."""
    contigs = ["a"] * 10 + ["b", "c"]
    work = [0.0] * 10 + [100.0, 100.0]
    found = shard_of_records(contigs, list(range(12)), work, {"a": 10**6, "b": 5000, "c": 5000}, 2)
    assert found[10] != found[11]


def test_every_record_has_one_shard_even_without_contig():
    found = shard_of_records(["", "a", ""], [0, 5, 0], [0.0, 1.0, 0.0], {"a": 10}, 3)
    assert sorted(set(found)) != []
    assert ((found >= 1) & (found <= 3)).all()
    assert len(shard_of_records([], [], [], {}, 2)) == 0


def test_ranges_go_there_and_back():
    mask = np.array([True, False, True, True, False, False, True])
    text = write_ranges(mask)
    assert read_ranges(text) == (7, [(0, 1), (2, 4), (6, 7)])
    order = merge_order([text, write_ranges(~mask)], ["1/2", "2/2"])
    assert order == [(0, 1), (1, 1), (0, 2), (1, 2), (0, 1)]


@pytest.mark.parametrize(
    ("texts", "shards", "message"),
    [
        (["2:0-1"], ["1/2"], "shard 2/2 is missing"),
        (["2:0-1", "2:0-1"], ["1/2", "1/2"], "shard 2/2 is missing"),
        (["2:0-1", "2:1-2", "2:1-2"], ["1/2", "2/2", "2/2"], "Give each shard of one run once"),
        (["2:0-1", "2:0-1"], ["1/2", "2/2"], "are given twice or missing"),
        (["3:0-1", "3:1-2"], ["1/2", "2/2"], "hold 2 rows of 3"),
        (["2:0-1", "3:1-2"], ["1/2", "2/3"], "Give each shard of one run once"),
        (["nonsense", "2:1-2"], ["1/2", "2/2"], "not total:start-end"),
        ([], [], "shards are none. Give each shard"),
    ],
)
def test_what_is_no_whole_is_refused(texts, shards, message):
    with pytest.raises(FormatError, match=message):
        merge_order(texts, shards)


def test_stretches_of_tracks_go_there_and_back():
    lengths = {"a": 10, "empty": 0, "b": 5, "c": 4}
    held = [[("a", 0, 4), ("b", 0, 5), ("a", 4, 6)], [("c", 0, 4), ("a", 6, 10)], []]
    told = [describe_track_shard(lengths, spans) for spans in held]
    assert told[0]["rows"] == "19:0-6,10-15"
    order = merge_order([each["rows"] for each in told], ["1/3", "2/3", "3/3"])
    assert stretches_of(order, lengths) == {
        "a": [(0, 0, 6), (1, 6, 10)], "empty": [], "b": [(0, 0, 5)], "c": [(1, 0, 4)],
    }  # fmt: skip
    whole = describe_track_shard(lengths, [("a", 0, 10), ("b", 0, 5), ("c", 0, 4)])
    assert stretches_of(merge_order([whole["rows"]], ["1/1"]), lengths) == {
        "a": [(0, 0, 10)], "empty": [], "b": [(0, 0, 5)], "c": [(0, 0, 4)],
    }  # fmt: skip
    with pytest.raises(FormatError, match="not the bases of their contigs"):
        stretches_of(order, {"a": 10})
