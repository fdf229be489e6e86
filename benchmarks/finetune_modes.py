"""What fine-tuning costs and brings by mode: all weights, the last block, adapters, a linear classifier alone, k-mers.

Exons of yeast against what lies between; learned from all chromosomes but XII, and tested on XII, which the default
model never saw either. Passes and learning rates are those of ``titans-dna benchmark classification``; none was chosen
on this set. Needs the real genomes beside the project.

    python benchmarks/finetune_modes.py        # about ten minutes of one core
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from record import write

from titans_dna.benchmark.classification import METRICS, ClassificationTest
from titans_dna.checkpoints import model_folder
from titans_dna.inference.model import load_model
from titans_dna.training.finetune import MODES, finetune_model
from titans_dna.training.labelled import read_labelled

sys.path.insert(0, str(Path(__file__).parent / "evidence"))
from labelled import write_set
from setting import Setting

SET, LEARNED, TESTED, RUNS, EPOCHS = "yeast exons", 400, 300, 3, 10


def main() -> None:
    """Learn, test, and write the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    setting = Setting(budget="full", seed=1, data=Path(__file__).resolve().parents[2] / "shared/data")
    data = read_labelled(write_set(SET, setting, LEARNED, TESTED), None, 0.2, 0)
    model, test = load_model(model_folder("default"), "cpu"), ClassificationTest(modes=MODES, runs=RUNS, epochs=EPOCHS)
    found: dict[str, list[dict[str, Any]]] = {mode: [] for mode in MODES}
    for run in range(RUNS):  # in turn, so that other work on the machine meets all modes
        for mode in MODES:
            with tempfile.TemporaryDirectory() as folder:
                started = time.process_time()
                result = finetune_model(model, data, Path(folder) / "out", test.config(mode, run))
            found[mode].append({**result, "processor": time.process_time() - started})
            print(mode, run, result["model"], flush=True)
    rows = [row(mode, found[mode]) for mode in MODES]
    baseline = found[MODES[0]][0]["kmer_baseline"]
    rows.append(["6-mers", len(data.classes) * (4**6 + 1), *(round(baseline[name], 4) for name in METRICS), "-", "-"])
    write(
        "finetune_modes", "Fine-tuning by mode: yeast exons, tested on chromosome XII",
        ["mode", "weights trained", *METRICS, "least to greatest AUROC", "CPU s"], rows,
        learned=len(data.training), tested=len(data.tested), runs=RUNS, epochs=EPOCHS,
    )  # fmt: skip


def row(mode: str, runs: list[dict[str, Any]]) -> list[Any]:
    """Return the row of a mode: means of its runs."""
    means = [round(statistics.mean(run["model"][name] for run in runs), 4) for name in METRICS]
    areas = [run["model"]["auroc"] for run in runs]
    seconds = round(statistics.median(run["processor"] for run in runs), 1)
    return [mode, runs[0]["parameters_trained"], *means, f"{min(areas):.4f} to {max(areas):.4f}", seconds]


if __name__ == "__main__":
    main()
