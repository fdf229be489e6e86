"""A needle in a genome: is a payload of 8 bases still known 1 kb to 16 Mb after it was read?

Every model is trained from its start at the same small size on sequences of at most 512 bases, and asked after up to
2,097,152 bases of random and of real DNA (contigs that no training saw), MAG after 16,777,216 random ones.
``needle_task`` tells what is planted. Each case (a model and a seed) is kept under ``build/``, so a run that was
stopped goes on where it was.

    python benchmarks/evidence/needle.py --budget small                      # a minute; the real DNA is data/demo.fa
    python benchmarks/evidence/needle.py --budget full --fasta yeast.fa.gz   # hours of one core
"""

from __future__ import annotations

import argparse
import itertools
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
YEAST = PROJECT.parent / "shared" / "data" / "genomes" / "yeast_R64-1-1.fa.gz"


def case(
    budget: Budget, name: str, seed: int, fasta: Path, held_out: Sequence[str], kept: Path, part: str, up_to: int
) -> None:
    """Train one model and ask it, from where an earlier call stopped; write what is found, distance by distance."""
    import numpy as np
    import torch
    from needle_filler import read_genome
    from needle_scores import Progress, begin, capacity, load_progress, score

    torch.set_num_threads(1)
    far = part == "far"
    learned, aside = read_genome(fasta, held_out)
    model, about = trained_before(kept.with_suffix(".pt"), budget, name, seed, learned)
    found: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {"model": name, "seed": seed, **about}
    rng = np.random.default_rng([seed, 1 + far])
    started = time.process_time()
    stopped = kept.with_suffix(f".{part}")

    def keep(progress: Progress) -> None:
        torch.save(progress, stopped)
        found[part] = progress.scores.to_json()
        found[f"{part}_reached"] = progress.distance
        found[f"{part}_seconds"] = round(spent + time.process_time() - started, 1)
        write_whole(kept, found)

    spent = found.get(f"{part}_seconds", 0.0)
    if stopped.exists():
        progress = load_progress(stopped)
    else:
        if not far:
            tallies = capacity(model, budget.counts, budget.count_rows, rng)
            found["capacity"] = {str(n): vars(tally) for n, tally in tallies.items()}
        progress = begin(model, budget.far_groups if far else budget.groups(name), aside, rng)
    distances = budget.far_distances if far else budget.distances
    score(model, progress, [distance for distance in distances if distance <= up_to], keep)


def trained_before(file: Path, budget: Budget, name: str, seed: int, genome: Any) -> tuple[Any, dict[str, Any]]:
    """Return a trained model and what its training took; train it only if ``file`` does not hold it."""
    import torch
    from needle_models import make_model, parameters
    from needle_training import train

    if not file.exists():
        done = train(name, seed, budget.plan_of(name), genome)
        about = {
            "training_seconds": round(done.cpu_seconds, 1),
            "training_steps": done.steps,
            "training_accuracy": round(done.accuracy, 4),
            "parameters": parameters(done.model),
        }
        torch.save({"weights": done.model.state_dict(), "about": about}, file)
    saved, model = torch.load(file), make_model(name, seed)
    model.load_state_dict(saved["weights"])
    return model.eval(), saved["about"]


def write_whole(path: Path, values: dict[str, Any]) -> None:
    """Write JSON so that a reader sees the old file or the new one."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(values) + "\n")
    partial.replace(path)


def reached(path: Path, part: str, distance: int) -> bool:
    """Tell whether a case has been asked up to ``distance``."""
    return path.exists() and json.loads(path.read_text()).get(f"{part}_reached", 0) >= distance


def parse() -> argparse.Namespace:
    """Return the options; contigs held out follow from the FASTA."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", choices=list(BUDGETS), default="small")
    parser.add_argument("--fasta", type=Path, help="genome of the real DNA; yeast at the full budget, else the demo's")
    parser.add_argument("--held-out", nargs="*", help="contigs for the test; IV and XV if a FASTA is given")
    parser.add_argument("--seed", type=int, default=0, help="of the first training; further ones count on")
    parser.add_argument("--jobs", type=int, default=1, help="cases at a time")
    parser.add_argument("--up-to", type=int, default=1 << 40, help="bases; ask no further than that")
    parser.add_argument("--models", nargs="*", help="run these alone; the report has all that are there")
    parser.add_argument("--cache", type=Path, default=PROJECT / "build" / "needle", help="folder of finished cases")
    parser.add_argument("--fresh", action="store_true", help="run again what is there; the small budget always does")
    parser.add_argument("--report-only", action="store_true", help="run nothing")
    parser.add_argument("--child", nargs=3, metavar=("MODEL", "SEED", "PART"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.fasta = options.fasta or (YEAST if options.budget == "full" and YEAST.exists() else DEMO)
    options.held_out = options.held_out or ([DEMO_HELD_OUT] if options.fasta == DEMO else ["IV", "XV"])
    return options


def case_file(options: argparse.Namespace, name: str, seed: int) -> Path:
    """Return where a case is kept."""
    folder = options.cache / options.budget
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name.replace(', ', '-').replace(' ', '_')}-{seed}.json"


def run(options: argparse.Namespace, name: str, seed: int, part: str) -> None:
    """Run one part of a case in a process of its own, if it is not there yet."""
    budget = BUDGETS[options.budget]
    distances = [d for d in (budget.far_distances if part == "far" else budget.distances) if d <= options.up_to]
    if not distances or reached(case_file(options, name, seed), part, distances[-1]):
        return
    arguments = ["--budget", options.budget, "--fasta", str(options.fasta), "--cache", str(options.cache)]
    arguments += ["--held-out", *options.held_out, "--up-to", str(options.up_to), "--child", name, str(seed), part]
    in_child(__file__, *arguments, threads=1)
    print(f"{name}, seed {seed}, {part}: done", flush=True)


def main() -> int:
    """Run all cases that are not there yet, and write tables, figures and claims."""
    options = parse()
    budget = BUDGETS[options.budget]
    if options.child:
        name, seed, part = options.child[0], int(options.child[1]), options.child[2]
        file = case_file(options, name, seed)
        case(budget, name, seed, options.fasta, options.held_out, file, part, options.up_to)
        print("{}")
        return 0
    seeds = range(options.seed, options.seed + budget.seeds)
    wanted = [(name, seed, "scores") for seed in seeds for name in budget.models]
    wanted += [(budget.far_model, options.seed, "far")] if budget.far_model else []
    files = [case_file(options, name, seed) for name, seed, part in wanted if part == "scores"]
    if (options.fresh or options.budget == "small") and not options.report_only:
        for file, suffix in itertools.product(files, (".json", ".pt", ".scores", ".far")):
            file.with_suffix(suffix).unlink(missing_ok=True)
    if not options.report_only:
        with ThreadPoolExecutor(options.jobs) as pool:
            chosen = [one for one in wanted if one[0] in (options.models or budget.models)]
            list(pool.map(lambda one: run(options, *one), chosen))
    cases = [json.loads(file.read_text()) for file in files if file.exists()]
    return report(options.budget, budget, cases, options.fasta.name, options.held_out)


if __name__ == "__main__":
    sys.exit(main())
