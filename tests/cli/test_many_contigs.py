"""Drafts of hundreds of thousands of contigs are listed in seconds."""

from __future__ import annotations

import os
import resource
import subprocess
import sys


def test_a_draft_of_200_000_contigs_is_listed_in_five_seconds(tmp_path):
    path = tmp_path / "draft.fa"
    path.write_text("".join(f">contig{number}\n{'ACGT' * 25}\n" for number in range(200_000)))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "titans_dna", "info", str(path)], capture_output=True, text=True, check=True,
        env={**os.environ, "TITANS_DNA_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = done.stdout.splitlines()
    assert len(lines) == 200_001
    assert lines[-1].startswith("contig199999\t100\t")
    assert after.ru_utime - before.ru_utime < 5
