"""How long `make demo` takes, from the times that Snakemake kept of its jobs.

make demo && python benchmarks/demo.py     # writes benchmarks/results/demo.md
python benchmarks/demo.py --say            # one line about it, which `make demo` begins with
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

from record import RESULTS, write

JOBS = RESULTS.parents[1] / "results/demo/benchmarks"


def rows(folder: Path) -> tuple[list[list[object]], float]:
    """Return the seconds and processor seconds of every job, the longest first, and minutes from first to last."""
    found, starts, ends = [], [], []
    for path in folder.rglob("*.tsv"):
        with path.open() as file:
            job = next(csv.DictReader(file, delimiter="\t"))
        end, seconds = path.stat().st_mtime, float(job["s"])
        starts.append(end - seconds)
        ends.append(end)
        found.append([str(path.relative_to(folder).with_suffix("")), seconds, float(job["cpu_time"])])
    if not found:
        raise SystemExit(f"{folder} holds no times of jobs: run `make demo` first")
    return sorted(found, key=lambda row: -float(str(row[1]))), (max(ends) - min(starts)) / 60


def say(result: Path) -> str:
    """Return the line about it."""
    known = json.loads(result.read_text())
    minutes, cpu = known["minutes"], known["machine"]["cpu"]
    return f"The demo took {minutes:.0f} minutes on a busy machine ({cpu}); if it is stopped, `make demo` goes on."


def main() -> None:
    """Write the table, or say the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--say", action="store_true", help="print one line about the committed measurement")
    if parser.parse_args().say:
        print(say(RESULTS / "demo.json"))
        return
    jobs, minutes = rows(JOBS)
    columns = ["job", "seconds", "processor seconds"]
    write("demo", "The demo, job by job", columns, jobs, minutes=round(minutes, 1), beside="other work on both cores")


if __name__ == "__main__":
    main()
