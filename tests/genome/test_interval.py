from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_dna.errors import ContigUnknown, FormatError, TitansDNAError
from titans_dna.genome import Interval, iterate_tiles, merge_intervals

LENGTHS = {"chrA": 5000, "HLA-A*01:01": 300, "x:1-2": 10}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chrA:1,001-2,000", ("chrA", 1000, 2000)),
        ("chrA:1-1", ("chrA", 0, 1)),
        ("chrA:11", ("chrA", 10, 5000)),
        ("chrA:11-", ("chrA", 10, 5000)),
        ("chrA:-20", ("chrA", 0, 20)),
        ("chrA", ("chrA", 0, 5000)),
        ("HLA-A*01:01", ("HLA-A*01:01", 0, 300)),
        ("HLA-A*01:01:5-6", ("HLA-A*01:01", 4, 6)),
        ("{HLA-A*01:01}:5-6", ("HLA-A*01:01", 4, 6)),
        ("x:1-2", ("x:1-2", 0, 10)),
        (" chrA:2-3 ", ("chrA", 1, 3)),
    ],
)
def test_region_strings_read_as_in_samtools(text, expected):
    region = Interval.parse(text, LENGTHS)
    assert (region.contig, region.start, region.end) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":1-2",
        "chrA:",
        "chrA:0-5",
        "chrA:9-3",
        "chrA:1-x",
        "chrA:-",
        "chrA:1..5",
        "a b:1-2",
        "chrA:6000-",
        "{chrA:1-2",
        "chrA:\u0661-\u0662",
    ],
)
def test_what_is_no_region_is_refused_in_one_line(text):
    with pytest.raises(TitansDNAError) as caught:
        Interval.parse(text, LENGTHS)
    assert "\n" not in str(caught.value)


def test_open_end_needs_lengths_and_unknown_contigs_are_named():
    with pytest.raises(FormatError, match="has no end"):
        Interval.parse("chrA")
    with pytest.raises(ContigUnknown, match="chrZ"):
        Interval.parse("chrZ:1-2", LENGTHS)
    assert Interval.parse("chrZ:1-2") == Interval("chrZ", 0, 2)


def test_string_is_one_based_and_reads_back():
    region = Interval("chrA", 1000, 2000)
    assert str(region) == "chrA:1001-2000"
    assert Interval.parse(str(region)) == region


def test_overlap_shares_a_base_and_half_open_ends_do_not_touch():
    assert Interval("a", 0, 10).overlaps(Interval("a", 9, 11))
    assert not Interval("a", 0, 10).overlaps(Interval("a", 10, 11))
    assert not Interval("a", 0, 10).overlaps(Interval("b", 0, 10))
    assert not Interval("a", 5, 5).overlaps(Interval("a", 0, 10))


def test_clamp_and_impossible_intervals():
    assert Interval("a", 5, 20).clamp(10) == Interval("a", 5, 10)
    assert Interval("a", 15, 20).clamp(10).length_bp == 0
    for bad in [("a", -1, 5, "+"), ("a", 5, 4, "+"), ("", 0, 1, "+"), ("a", 0, 1, "x")]:
        with pytest.raises(FormatError):
            Interval(*bad)


def test_tiles_cover_once_and_the_last_is_shorter():
    tiles = list(iterate_tiles(Interval("a", 3, 13, name="g"), 4))
    assert [(t.start, t.end) for t in tiles] == [(3, 7), (7, 11), (11, 13)]
    assert {t.name for t in tiles} == {"g"}
    assert [(t.start, t.end) for t in iterate_tiles(Interval("a", 0, 10), 6, 2)] == [(0, 6), (2, 8), (4, 10)]
    with pytest.raises(FormatError):
        list(iterate_tiles(Interval("a", 0, 1), 0))


def test_merging_joins_overlaps_contained_and_touching_intervals():
    merged = merge_intervals(
        [
            Interval("a", 0, 100, "+", "x"),
            Interval("b", 1, 2),
            Interval("a", 10, 20, "-", "y"),
            Interval("a", 90, 110),
            Interval("a", 110, 111),
            Interval("a", 115, 120),
        ]
    )
    assert [(i.contig, i.start, i.end) for i in merged] == [("a", 0, 111), ("a", 115, 120), ("b", 1, 2)]
    assert (merged[0].strand, merged[0].name) == (".", "x,y")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(max_size=30) | st.from_regex(r"chrA(:[0-9,]*(-[0-9,]*)?)?", fullmatch=True))
def test_any_string_is_a_region_or_an_error_of_the_tree(text):
    try:
        region = Interval.parse(text, LENGTHS)
    except TitansDNAError:
        return
    assert 0 <= region.start <= region.end
