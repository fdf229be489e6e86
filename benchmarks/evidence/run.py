"""Run all the evidence: one script after the other, each in a process of its own.

python benchmarks/evidence/run.py --budget small     # the demo genome alone; results to build/evidence
python benchmarks/evidence/run.py --budget full      # results to benchmarks/results; goes on where it was stopped
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SCRIPTS = (
    "recall_bits", "recall_needles", "recall_cost", "relatives", "needle", "adaptation", "satellites", "linear_cost",
    "downstream", "stress",
)  # fmt: skip
TAKES_JOBS = ("needle",)


def commands(budget: str, seed: int, jobs: int, folder: Path = FOLDER) -> list[list[str]]:
    """Return the command of every script that is there."""
    return [
        [sys.executable, str(folder / f"{name}.py"), "--budget", budget, "--seed", str(seed),
         *(["--jobs", str(jobs)] if name in TAKES_JOBS else [])]
        for name in SCRIPTS if (folder / f"{name}.py").is_file()
    ]  # fmt: skip


def main() -> int:
    """Run them all; a script that fails does not keep the others from running."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", choices=("small", "full"), default="small")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, where a script has several")
    options = parser.parse_args()
    failed = []
    for command in commands(options.budget, options.seed, options.jobs):
        name, started = Path(command[1]).stem, time.perf_counter()
        print(f"== {name}", flush=True)
        if subprocess.run(command).returncode:
            failed.append(name)
        print(f"== {name}: {time.perf_counter() - started:.0f} s", flush=True)
    print(f"failed: {', '.join(failed)}" if failed else "all of the evidence ran")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
