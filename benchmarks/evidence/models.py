"""The models of the evidence: the one that ships, and nano models trained on two contigs of the demo genome."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from setting import BUILD, DEMO, Setting

from titans_dna.checkpoints import model_folder
from titans_dna.inference.model import SequenceModel, load_model
from titans_dna.model.config import SIZES
from titans_dna.training.config import TrainingConfig
from titans_dna.training.data import Source, Split
from titans_dna.training.evaluation import training_record
from titans_dna.training.run import SUMMARY, RunSettings, pretrain_model

HOLDOUT = "chrC"
STEM: dict[str, Any] = {"stem_tokens": 16, "initial_step": 0.1}  # tokens carry the last 16 bases; larger first steps
INDUCTION: dict[str, Any] = {**STEM, "induction": True}
TOLD = ("parameters", "steps", "bases", "seconds", "lanes", "window_tokens", "restart", "learning_rate", "seed")


def default() -> SequenceModel:
    """Return the model that ships."""
    return load_model("default", "cpu")


def told_default(model: SequenceModel) -> str:
    """Say what the model that ships is and what it was trained on."""
    about = training_record(model_folder("default"))
    megabases, minutes = about["bases"] / 1e6, about["seconds"] / 60
    numbers = f"{about['parameters']:,} parameters, {megabases:.1f} Mb read in {minutes:.0f} min"
    return f"default {model.weights_sha256[:12]}: {numbers}, one seed"


def told_nano(trainings: list[dict[str, Any]], name: str = "nano") -> str:
    """Say what nano models are and what they were trained on."""
    if not trainings:
        return "none"
    about, seeds = trainings[0], ", ".join(str(t["seed"]) for t in trainings)
    minutes = sum(t["seconds"] for t in trainings) / len(trainings) / 60
    numbers = f"{about['parameters']:,} parameters, {about['bases'] / 1e6:.2g} Mb of demo chrA and chrB"
    return f"{name}: {numbers}, {about['steps']} steps, {minutes:.1f} min each on a shared core, seeds {seeds}"


def nano(
    setting: Setting, seed: int, steps: int, block: str = "mag", label: str = "", **changes: Any
) -> tuple[SequenceModel, dict[str, Any]]:
    """Return a nano model and what is to be said of its training; what was trained before is loaded.

    ``changes`` are of its configuration, and ``label`` names them in the folder of the model.
    A lane keeps its memory for 50 windows of 1,024 bases in the mean, so that copies further back than one window
    count while training.
    """
    name = "-".join(filter(None, ["nano", block, label]))
    folder = BUILD / "models" / f"{name}-{setting.budget}-{steps}-seed{seed}"
    if not (folder / SUMMARY).is_file():
        window = 1024 if setting.full else 256
        training = TrainingConfig(
            steps=steps, lanes=8, window_tokens=window, restart=0.02, learning_rate=5e-3, soft_mask_weight=1.0,
            evaluate_every=steps, evaluation_bases=window, save_every=steps, seed=seed,
        )  # fmt: skip
        settings = RunSettings(
            sources=(Source(path=DEMO),), backbone=replace(SIZES["nano"], block=block, **changes), training=training,
            split=Split(holdout=(HOLDOUT,)), size=name, device="cpu",
        )  # fmt: skip
        print(f"{name}, seed {seed}: {pretrain_model(folder, settings).summary}", flush=True)
    summary = json.loads((folder / SUMMARY).read_text())
    return load_model(folder, "cpu"), {name: summary[name] for name in TOLD}
