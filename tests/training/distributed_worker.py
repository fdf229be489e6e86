"""Run under ``torchrun`` by test_distributed: train, and write the losses and checkpoints of every strategy."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from titans_dna.loading.lanes import Contig
from titans_dna.model.backbone import Backbone
from titans_dna.model.config import BackboneConfig
from titans_dna.recall import RecallForm
from titans_dna.training.checkpoints import load_snapshot, save_snapshot
from titans_dna.training.config import TrainingConfig
from titans_dna.training.distributed import World
from titans_dna.training.loop import LogRow, Trainer, train

MODEL = BackboneConfig(width=16, layers=2, attention_heads=2, memory_heads=2, window_tokens=16, chunk_tokens=8)
STREAMS = TrainingConfig(steps=6, lanes=4, window_tokens=32, restart=0.3, random_share=0.25, evaluate_every=3)
WINDOWS = TrainingConfig(steps=6, lanes=2, window_tokens=256, restart=1.0, evaluate_every=99, strategy="context")
FORM = RecallForm(words=("1" * 11,), sample_every=(1,), index_bits=12, places=4)
RUNS = {
    "ddp": (MODEL, STREAMS),
    "parts": (MODEL, replace(STREAMS, accumulate=2)),
    "fsdp": (MODEL, replace(STREAMS, strategy="fsdp")),
    "context": (replace(MODEL, reset_tokens=16), WINDOWS),
    "ddp with recall": (replace(MODEL, recall=FORM), replace(STREAMS, accumulate=2)),
    "fsdp with recall": (replace(MODEL, recall=FORM), replace(STREAMS, strategy="fsdp")),
    "context with recall": (replace(MODEL, reset_tokens=16, recall=FORM), WINDOWS),
}


def trainer_of(name: str, world: World) -> Trainer:
    model, config = RUNS[name]
    torch.manual_seed(0)
    ids = np.random.default_rng(1).choice(5, 4000, p=[0.24, 0.24, 0.24, 0.24, 0.04]).astype(np.uint8)
    ids[2000:3500] = ids[:1500]
    return Trainer(Backbone(model), [Contig(codes=ids)], config, world=world)


def run(name: str, world: World, steps: int, folder: Path | None = None, resume: bool = False) -> list[LogRow]:
    """Take steps up to ``steps``; keep or use a checkpoint in ``folder``."""
    trainer = trainer_of(name, world)
    if resume:
        assert folder is not None
        trainer.restore(load_snapshot(folder))
    held_out = [np.tile([0, 1, 2, 3, 3], 60).astype(np.uint8)]
    rows: list[LogRow] = []
    train(trainer, held_out, report=rows.append, stop=lambda: trainer.counters.step >= steps)
    if folder is not None and not resume:
        snapshot = trainer.snapshot()
        if world.leads:
            folder.mkdir(parents=True, exist_ok=True)
            save_snapshot(folder, snapshot)
    return rows


def losses(rows: list[LogRow]) -> list[tuple[int, str, float, float, int]]:
    return [(r.step, r.split, r.bits_per_base, r.gradient_norm, r.bases) for r in rows]


def main() -> None:
    output = Path(sys.argv[1])
    dist.init_process_group("gloo")
    world = World(rank=int(os.environ["RANK"]), processes=int(os.environ["WORLD_SIZE"]))
    found = {name: losses(run(name, world, 6)) for name in RUNS}
    for name in ("ddp", "fsdp", "ddp with recall"):
        run(name, world, 3, output / name)
        dist.barrier()
        one = output / ("one with recall" if "recall" in name else "one")
        found[f"{name} from one process"] = losses(run(name, world, 6, one, resume=True))
    if world.leads:
        (output / "losses.json").write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
