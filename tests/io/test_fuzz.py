from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fuzz_readers.py")
SEEDS = {
    "fasta": b"\x00>a b\nACGT\nAC\n>b\nNN\n",
    "vcf": b"\x011\t10\trs1\tA\tG,<DEL>\t50\tPASS\tAF=0.5\n1\tx\t.\tA\t*\t.\t.\t.\n",
    "bed": b"\x02chr1\t0\t10\tn\t0\t+\t0\t0\t0\t1\t5,\t0,\n",
    "gff": b"\x03c\tx\texon\t1\t5\t.\t+\t.\tID=a;Name=b\n",
    "table": b"\x041\t5\tA\tG\n1:5:A:G\n",
    "strings": b"\x05chr1:1,000-2,000",
    "copy": b"\x071\t10\trs1\tA\tG,<DEL>\t50\tPASS\tI=5;X=a\tGT:Q\t0|1:1.5\t1\n",
    "sam": b"\x06@SQ\tSN:c\tLN:9\nr\t0\tc\t1\t60\t4M\t*\t0\t0\tACGT\tIIII\tNM:i:1\n",
}


def test_a_bounded_run_of_coverage_guided_fuzzing_finds_nothing(tmp_path):
    """No traceback, no hang, no record that vanishes: 6,000 inputs from a fixed seed."""
    pytest.importorskip("atheris", reason="coverage-guided fuzzing needs the package atheris")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name, data in SEEDS.items():
        (corpus / name).write_bytes(data)
    # A child's peak memory begins at that of the process that forks it, and a worker of the suite may have had 2 GB.
    options = [
        "-rss_limit_mb=8192",
        "-runs=6000",
        "-seed=1",
        "-max_len=300",
        "-timeout=10",
        f"-artifact_prefix={tmp_path}/",
    ]
    result = subprocess.run(
        [sys.executable, str(SCRIPT), *options, str(corpus)],
        capture_output=True, text=True, errors="replace", timeout=120, check=False, cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    assert "Done 6000 runs" in result.stderr
