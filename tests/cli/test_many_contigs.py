"""Drafts of hundreds of thousands of contigs are listed, in time that grows with their number and no faster."""

from __future__ import annotations

import os
import resource
import subprocess
import sys


def listed(path, count: int) -> float:
    """List a draft of `count` contigs by `info`; return the CPU seconds that it took."""
    path.write_text("".join(f">contig{number}\n{'ACGT' * 25}\n" for number in range(count)))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "titans_dna", "info", str(path)], capture_output=True, text=True, check=True,
        env={**os.environ, "TITANS_DNA_CACHE": str(path.parent / "cache")},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = done.stdout.splitlines()
    assert len(lines) == count + 1
    assert lines[-1].startswith(f"contig{count - 1}\t100\t")
    return after.ru_utime - before.ru_utime


def test_a_draft_of_200_000_contigs_is_listed(tmp_path):
    start, some, all_of_them = (listed(tmp_path / f"{count}.fa", count) for count in (1, 40_000, 200_000))
    # Five times as many take some five times as long; were each looked for among all, it would be 25 times.
    assert all_of_them - start < 12 * (some - start)
