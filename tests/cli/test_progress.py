"""Without a terminal, lines that say how far the work is; their number grows slowly."""

from __future__ import annotations

import re

import pytest

from titans_dna.cli import terminal


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = [1000.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    return now


def test_short_work_writes_no_line(clock, capsys):
    with terminal.progress_bar("scoring", 100) as advance:
        clock[0] += 29
        advance(100)
    assert capsys.readouterr() == ("", "")


def test_a_line_says_how_far_the_work_is(clock, capsys):
    with terminal.progress_bar("scoring", 0) as advance:
        clock[0] += 40
        advance(1000, 4000)
        clock[0] += 1
        advance(500, 4000)
        clock[0] += 39
        advance(500, 4000, note="step 3 of 9")
    output, error = capsys.readouterr()
    assert output == ""
    when = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d scoring: "
    first, second = error.splitlines()
    assert re.fullmatch(when + re.escape("1,000 b of 4,000 (25%), 25 b/s, 0:02:00 left"), first)
    assert re.fullmatch(when + re.escape("2,000 b of 4,000 (50%), 25 b/s, 0:01:20 left, step 3 of 9"), second)


def test_work_of_unknown_extent(clock, capsys):
    with terminal.progress_bar("reading", 0, "rows") as advance:
        clock[0] += 50
        advance(100)
    assert capsys.readouterr().err.endswith(" reading: 100 rows, 2 rows/s\n")


def test_long_work_does_not_flood_a_log(clock, capsys):
    with terminal.progress_bar("training", 10**6) as advance:
        for _ in range(24 * 3600):  # a day
            clock[0] += 1
            advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert 50 < len(lines) < 150
