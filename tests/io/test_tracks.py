from __future__ import annotations

import numpy as np
import pyBigWig
import pytest

from titans_dna.errors import ContigUnknown, FormatError, OutputError
from titans_dna.io import BigWigTrack

LENGTHS = {"chrB": 1000, "chrA": 600_000}


def test_values_and_gaps_come_back(tmp_path):
    path = tmp_path / "a.bw"
    values = np.random.default_rng(0).normal(size=590_000).astype(np.float32)
    values[100:200] = np.nan
    values[-1] = np.nan
    with BigWigTrack(path, LENGTHS) as track:
        track.add("chrB", 0, np.array([1.5, np.nan, 2.5]))
        track.add("chrB", 10, np.full(5, np.nan))
        track.add("chrB", 20, np.array([3.0]))
        track.add("chrA", 5, values)
    assert track.values == 3 + 590_000 - 101
    with pyBigWig.open(str(path)) as back:
        assert back.chroms() == LENGTHS
        assert np.array_equal(back.values("chrA", 5, 590_005), values, equal_nan=True)
        assert back.intervals("chrB") == ((0, 1, 1.5), (2, 3, 2.5), (20, 21, 3.0))


def test_order_bounds_and_infinite_values_are_checked(tmp_path):
    path = tmp_path / "a.bw"
    with BigWigTrack(path, LENGTHS) as track:
        track.add("chrA", 10, np.ones(5))
        for contig, start, values in [
            ("chrA", 14, [1.0]),
            ("chrB", 0, [1.0]),
            ("chrA", -1, [1.0]),
            ("chrA", 599_999, [1, 2]),
            ("chrA", 50, [np.inf]),
        ]:
            with pytest.raises(FormatError):
                track.add(contig, start, np.array(values))
        with pytest.raises(ContigUnknown):
            track.add("chrZ", 0, np.ones(1))
        track.add("chrA", 15, np.ones(1))
    with pyBigWig.open(str(path)) as back:
        assert back.intervals("chrA")[0] == (10, 11, 1.0)


def test_a_track_without_values_is_refused_and_errors_leave_no_file(tmp_path):
    with pytest.raises(OutputError, match="no values"), BigWigTrack(tmp_path / "a.bw", LENGTHS):
        pass
    with pytest.raises(ZeroDivisionError):
        _fail_while_writing(tmp_path / "a.bw")
    assert list(tmp_path.iterdir()) == []


def _fail_while_writing(path):
    with BigWigTrack(path, LENGTHS) as track:
        track.add("chrA", 0, np.ones(3))
        raise ZeroDivisionError
