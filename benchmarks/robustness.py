"""What damaged and hostile files do: the fuzzers of the tests, run for long.

    python benchmarks/robustness.py --hdf5 100000 --text 1000000 --json 100000   # many hours of two cores
    python benchmarks/robustness.py --hdf5 20000 --text 200000                # about half an hour of two cores
    python benchmarks/robustness.py --hdf5 3000 --text 1000000 --minutes 10   # texts for so long, a million at most

A file must be read as what it says or be refused in one line, within 5 seconds and 2 GB. Anything else is a fault.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from record import write

TESTS = Path(__file__).resolve().parents[1] / "tests"
SEED = 11


def damaged(what: str, script: str, runs: int) -> list[Any]:
    """Return the row of a script that damages small files and prints how often each end came.

    Parameters
    ----------
    what
        The files, as the table calls them.
    script
        Path of the script below ``tests/``.
    runs
        Number of files.
    """
    done = subprocess.run(
        [sys.executable, TESTS / script, str(runs), str(SEED)], capture_output=True, text=True, check=False
    )
    found = {}
    if not done.stdout:
        raise RuntimeError(f"{script} failed:\n{done.stderr[-2000:]}")
    for line in done.stdout.splitlines():
        count, _, end = line.partition("\t")
        if count.replace(",", "").isdecimal():
            found[end] = int(count.replace(",", ""))
    good = {end: found.pop(end, 0) for end in ("read", "refused")}
    heavy = sum(count for end, count in found.items() if end.startswith("took"))
    others = sum(found.values()) - heavy
    return [
        what, f"{sum(good.values()) + heavy + others:,}",
        f"{good['read']:,}", f"{good['refused']:,}", f"{heavy:,}", f"{others:,}",
    ]  # fmt: skip


def text(runs: int, minutes: float) -> list[Any] | None:
    """Feed FASTA, VCF, BED, GFF, tables, regions and SAM that are made up to reach new code.

    Parameters
    ----------
    runs
        Most texts.
    minutes
        Most CPU time.
    """
    if importlib.util.find_spec("atheris") is None:
        return None
    sys.path.insert(0, str(TESTS / "io"))
    from test_fuzz import SEEDS

    with tempfile.TemporaryDirectory() as folder:
        for name, data in SEEDS.items():
            Path(folder, name).write_bytes(data)
        options = [f"-runs={runs}", f"-seed={SEED}", "-max_len=2000", "-timeout=5", "-rss_limit_mb=8192"]
        done = subprocess.run(
            [sys.executable, TESTS / "io/fuzz_readers.py", *options, f"-artifact_prefix={folder}/", folder],
            capture_output=True, text=True, check=False, env={**os.environ, "FUZZ_CPU_SECONDS": str(60 * minutes)},
        )  # fmt: skip
    tried = re.findall(r"^#(\d+)", done.stderr, re.MULTILINE)
    return ["text: FASTA, VCF, BED, GFF, tables, regions, SAM", f"{int(tried[-1]) if tried else 0:,}", "-", "-", "0",
            "0" if done.returncode == 0 else "1"]  # fmt: skip


def main() -> None:
    """Run all, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hdf5", type=int, default=20_000, help="damaged HDF5 files")
    parser.add_argument("--text", type=int, default=200_000, help="texts, a million and more if wanted")
    parser.add_argument("--json", type=int, default=20_000, help="damaged settings of models and tokenizers")
    parser.add_argument("--minutes", type=float, default=1e9, help="CPU time after which no more texts are tried")
    options = parser.parse_args()
    with ThreadPoolExecutor(2) as both:  # each waits for a process of its own
        asked = [
            both.submit(damaged, "HDF5: embeddings, scores, tracks, changes of bases", "io/fuzz_hdf5.py", options.hdf5),
            both.submit(text, options.text, options.minutes),
            both.submit(damaged, "config.json and tokenizer.json", "model/fuzz_json.py", options.json),
        ]
    rows = [each.result() for each in asked]
    write(
        "robustness", "Damaged and hostile files",
        ["files", "tried", "read", "refused in one line", "over 5 s or 2 GB", "other faults"],
        [row for row in rows if row], seed=SEED,
    )  # fmt: skip


if __name__ == "__main__":
    main()
