"""Nano models trained on two contigs of the demo genome: seconds to minutes each, chrC is never seen."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from setting import BUILD, DEMO, Setting

from titans_dna.inference.model import SequenceModel, load_model
from titans_dna.model.config import SIZES
from titans_dna.training.config import TrainingConfig
from titans_dna.training.data import Source, Split
from titans_dna.training.run import SUMMARY, RunSettings, pretrain_model

HOLDOUT = "chrC"
TOLD = ("parameters", "steps", "bases", "seconds", "lanes", "window_tokens", "restart", "learning_rate", "seed")


def nano(setting: Setting, seed: int, steps: int, block: str = "mag") -> tuple[SequenceModel, dict[str, Any]]:
    """Return a nano model and what is to be said of its training; what was trained before is loaded.

    A lane keeps its memory for 50 windows of 1,024 bases in the mean, so that copies further back than one window
    count while training.
    """
    folder = BUILD / "models" / f"nano-{block}-{setting.budget}-{steps}-seed{seed}"
    if not (folder / SUMMARY).is_file():
        window = 1024 if setting.full else 256
        training = TrainingConfig(
            steps=steps, lanes=8, window_tokens=window, restart=0.02, learning_rate=5e-3, soft_mask_weight=1.0,
            evaluate_every=steps, evaluation_bases=window, save_every=steps, seed=seed,
        )  # fmt: skip
        settings = RunSettings(
            sources=(Source(path=DEMO),), backbone=replace(SIZES["nano"], block=block), training=training,
            split=Split(holdout=(HOLDOUT,)), size=f"nano, {block}", device="cpu",
        )  # fmt: skip
        print(f"nano {block}, seed {seed}: {pretrain_model(folder, settings).summary}", flush=True)
    summary = json.loads((folder / SUMMARY).read_text())
    return load_model(folder, "cpu"), {name: summary[name] for name in TOLD}
