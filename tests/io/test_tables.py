from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from titans_dna.errors import FormatError, OutputError, TitansDNAError
from titans_dna.io import TsvWriter, read_tsv, write_tsv


def test_rows_come_back_and_floats_hold_32_bits(tmp_path):
    """Trap 11: scores are not rounded to 16 bits."""
    values = np.random.default_rng(1).normal(size=50).astype(np.float32)
    for name in ("a.tsv", "a.tsv.gz"):
        path = tmp_path / name
        rows = [{"contig": "1", "score": v, "n": np.int64(3), "ok": True} for v in values] + [{"contig": "a\tb\n"}]
        assert write_tsv(path, ["contig", "score", "n", "ok", "none"], rows) == 51
        back = list(read_tsv(path))
        assert [np.float32(r["score"]) for r in back[:-1]] == list(values)
        assert back[0] | {"score": ""} == {"contig": "1", "score": "", "n": "3", "ok": "true", "none": "NA"}
        assert back[-1] == {"contig": "a b ", "score": "NA", "n": "NA", "ok": "NA", "none": "NA"}
    assert gzip.decompress((tmp_path / "a.tsv.gz").read_bytes()) == (tmp_path / "a.tsv").read_bytes()


def test_not_a_number_is_missing_and_false_is_false(tmp_path):
    write_tsv(tmp_path / "a", ["x", "y", "z"], [{"x": float("nan"), "y": False, "z": np.bool_(True)}])
    assert (tmp_path / "a").read_text() == "x\ty\tz\nNA\tfalse\ttrue\n"


def test_unknown_columns_and_errors_leave_no_file(tmp_path):
    with pytest.raises(FormatError, match="'b'"), TsvWriter(tmp_path / "a.tsv", ["a"]) as writer:
        writer.write({"a": 1, "b": 2})
    assert list(tmp_path.iterdir()) == []


def test_stdout(capfdbinary):
    write_tsv("-", ["a"], [{"a": 1}])
    assert capfdbinary.readouterr().out == b"a\n1\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is empty"),
        ("## only\n", "is empty"),
        ("a\ta\n", ":1: column names"),
        ("a\tb\n1\n", ":2: 1 columns"),
        ("a\t\n", ":1: column names"),
    ],
)
def test_broken_tables_are_named(write, text, what):
    with pytest.raises(FormatError, match=what):
        list(read_tsv(write("t.tsv", text)))


def test_comments_above_the_header_and_a_hash_before_it(write):
    assert list(read_tsv(write("t.tsv", "\ufeff##x\n#a\tb\n1\t2\n\n"))) == [{"a": "1", "b": "2"}]


@settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=40) | st.text("ab\t\n#1 é", max_size=30).map(str.encode))
def test_any_bytes_are_a_table_or_an_error_of_the_tree(tmp_path, data):
    path = tmp_path / "fuzz.tsv"
    path.write_bytes(data)
    try:
        rows = list(read_tsv(path))
    except TitansDNAError:
        return
    assert all(row.keys() == rows[0].keys() for row in rows)


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
def test_a_table_that_fills_the_disk_leaves_nothing_behind(tmp_path, monkeypatch, name):
    """What a buffer still holds is refused at the end only."""
    real = Path.open

    def full(self, *arguments, **settings):
        return real(Path("/dev/full"), *arguments, **settings) if ".partial-" in self.name else real(self)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OutputError, match="disk is full"):
        write_tsv(tmp_path / name, ["x"], [{"x": 1}])
    assert not list(tmp_path.iterdir())
