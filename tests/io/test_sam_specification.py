"""The SAM specification's own files: what must pass is read, what must fail is read or refused with one line."""

from __future__ import annotations

from pathlib import Path

import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from titans_dna.errors import TitansDNAError
from titans_dna.genome import Interval
from titans_dna.io import open_reads

TORTURE = Path(__file__).parents[3] / "shared" / "data" / "torture" / "sam"
PASSED, FAILED = sorted(TORTURE.glob("passed/*.sam")), sorted(TORTURE.glob("failed/*.sam"))


@pytest.fixture(autouse=True)
def quiet():
    """htslib prints its own opinion of these files."""
    before = pysam.set_verbosity(0)
    yield
    pysam.set_verbosity(before)


def read_all(path: Path) -> int:
    with open_reads(path) as reads:
        return sum(1 for name, length in reads.contigs.lengths.items() for _ in reads.reads(Interval(name, 0, length)))


def test_the_set_is_whole(shared_data):
    assert (len(PASSED), len(FAILED)) == (82, 108)
    assert (TORTURE / "failed" / "hdr.HD3.sam").read_bytes() == (TORTURE / "passed" / "hdr.HD6.sam").read_bytes()


@pytest.mark.parametrize("path", PASSED, ids=lambda p: p.stem)
def test_what_must_pass_is_read(path):
    assert read_all(path) >= 0


@pytest.mark.parametrize("path", FAILED, ids=lambda p: p.stem)
def test_what_must_fail_is_read_or_refused(path):
    try:
        read_all(path)
    except TitansDNAError as error:
        assert "\n" not in str(error)  # noqa: PT017


CELL = st.sampled_from(
    [
        "r1",
        "0",
        "16",
        "c",
        "*",
        "5",
        "60",
        "4M",
        "2M2I",
        "=",
        "-3",
        "ACGT",
        "IIII",
        "NM:i:1",
        "XX:B:c,300",
        "",
        "é",
        "@SQ",
        "SN:c",
        "LN:9",
    ]
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(CELL, min_size=1, max_size=13).map("\t".join), max_size=3), st.booleans())
def test_any_lines_are_read_or_refused(tmp_path, lines, headed):
    path = tmp_path / "fuzz.sam"
    path.write_text("".join(f"{line}\n" for line in ["@SQ\tSN:c\tLN:9"] * headed + lines))
    try:
        read_all(path)
    except TitansDNAError as error:
        assert "\n" not in str(error)  # noqa: PT017
