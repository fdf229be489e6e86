"""A needle in a genome: is a payload of 8 bases still known 1 kb to 2 Mb after it was read?

Every model is trained from its start at the same small size on sequences of at most 512 bases, and asked after up to
2,097,152 bases of random and of real DNA (contigs that no training saw). ``needle_task`` tells what is planted. Each
case (a model and a seed) is kept under ``build/``, so a run that was stopped goes on where it was.

    python benchmarks/evidence/needle.py --budget small                      # a minute; the real DNA is data/demo.fa
    python benchmarks/evidence/needle.py --budget full --fasta yeast.fa.gz   # an hour and a quarter of one core
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from needle_budget import BUDGETS, Budget
from needle_report import report
from record import in_child

PROJECT = Path(__file__).resolve().parents[2]
DEMO, DEMO_HELD_OUT = PROJECT / "data" / "demo.fa", "chrC"


def case(budget: Budget, name: str, seed: int, fasta: Path, held_out: Sequence[str], log: Path) -> dict[str, Any]:
    """Train and score one model; return plain values."""
    import numpy as np
    import torch
    from needle_filler import read_genome
    from needle_models import parameters
    from needle_scores import capacity, score
    from needle_training import train

    torch.set_num_threads(1)
    began = time.process_time()

    def note(words: str) -> None:
        with log.open("a") as file:
            file.write(f"{time.process_time() - began:.0f} s: {words}\n")

    learned, kept = read_genome(fasta, held_out)
    trained = train(name, seed, budget.plan, learned, note)
    torch.save(trained.model.state_dict(), log.with_suffix(".pt"))
    rng = np.random.default_rng([seed, 1])
    started = time.process_time()
    held = {n: vars(t) for n, t in capacity(trained.model, budget.counts, budget.count_rows, rng).items()}
    note(f"capacity {held}")
    scores = score(trained.model, budget.groups(name), budget.distances, kept, rng, note)
    far = budget.far(name, seed)
    further = score(trained.model, far[0], far[1], kept, rng, note).to_json() if far else None
    return {
        "model": name,
        "seed": seed,
        "parameters": parameters(trained.model),
        "training_seconds": round(trained.cpu_seconds, 1),
        "training_steps": trained.steps,
        "training_accuracy": round(trained.accuracy, 4),
        **scores.to_json(),
        "far": further,
        "capacity": held,
        "scoring_seconds": round(time.process_time() - started, 1),
    }


def main() -> int:
    """Run all cases that are not there yet, and write tables, figures and claims."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", choices=list(BUDGETS), default="small")
    parser.add_argument("--fasta", type=Path, default=DEMO, help="genome of the real DNA")
    parser.add_argument("--held-out", nargs="*", help="contigs for the test; IV and XV if a FASTA is given")
    parser.add_argument("--seed", type=int, default=0, help="of the first training; further ones count on")
    parser.add_argument("--jobs", type=int, default=1, help="cases at a time")
    parser.add_argument("--models", nargs="*", help="run these alone; the report has all that are there")
    parser.add_argument("--cache", type=Path, default=PROJECT / "build" / "needle", help="folder of finished cases")
    parser.add_argument("--fresh", action="store_true", help="run cases again that are there")
    parser.add_argument("--child", nargs=2, metavar=("MODEL", "SEED"))
    options = parser.parse_args()
    budget = BUDGETS[options.budget]
    held_out = options.held_out or ([DEMO_HELD_OUT] if options.fasta == DEMO else ["IV", "XV"])
    folder = options.cache / options.budget
    folder.mkdir(parents=True, exist_ok=True)

    def path(name: str, seed: int) -> Path:
        return folder / f"{name.replace(', ', '-').replace(' ', '_')}-{seed}.json"

    if options.child:
        name, seed = options.child[0], int(options.child[1])
        print(json.dumps(case(budget, name, seed, options.fasta, held_out, path(name, seed).with_suffix(".log"))))
        return 0

    def run(name: str, seed: int) -> None:
        kept = path(name, seed)
        if kept.exists() and not options.fresh:
            return
        arguments = ["--budget", options.budget, "--fasta", str(options.fasta), "--cache", str(options.cache)]
        arguments += ["--held-out", *held_out]
        found = in_child(__file__, *arguments, "--child", name, str(seed), threads=1)
        kept.write_text(json.dumps(found) + "\n")
        print(f"{name}, seed {seed}: {found['training_seconds']} + {found['scoring_seconds']} s", flush=True)

    wanted = [(name, seed) for seed in range(options.seed, options.seed + budget.seeds) for name in budget.models]
    with ThreadPoolExecutor(options.jobs) as pool:
        chosen = [(name, seed) for name, seed in wanted if not options.models or name in options.models]
        list(pool.map(lambda c: run(*c), chosen))
    cases = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    cases = [found for found in cases if (found["model"], found["seed"]) in wanted]
    return report(options.budget, budget, cases, options.fasta.name, held_out)


if __name__ == "__main__":
    sys.exit(main())
