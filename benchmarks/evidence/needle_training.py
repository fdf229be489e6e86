"""Training on the needle task: a curriculum of lengths, loss on asked payloads alone, and a price on writing."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from needle_filler import Filler
from needle_models import make_model, recorded_gates
from needle_task import EASY_SHARES, SHARES, training_row
from torch import Tensor

from titans_dna.model.backbone import Backbone

LEARNED = 0.9  # accuracy that ends the first stage
CLOSED = 5.0  # a gate is free of charge once its logit is below minus this; it is exactly 0 below about -2.4


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Steps of one length."""

    bases: int
    steps: int
    price: float = 0.0  # of a write
    patience: int = 0  # further steps, at most, until the task is learned


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and on what to train. The first stage has needles and asks alone."""

    stages: tuple[Stage, ...] = (
        Stage(bases=96, steps=100, patience=2900),
        Stage(bases=128, steps=70, price=0.1),
        Stage(bases=256, steps=110, price=0.3),
        Stage(bases=512, steps=320, price=2.0),
    )
    batch_bases: int = 4096
    bases_per_item: tuple[int, int] = (128, 36)  # the fewest items of a row, and the most
    learning_rate: float = 1e-2
    cooling: float = 0.4  # share of the steps after the first stage, at the end, in which the rate falls to a fiftieth

    def items(self, rng: np.random.Generator, bases: int) -> int:
        """Draw how many items a row of so many bases holds."""
        fewest, most = (bases // each for each in self.bases_per_item)
        return max(2, int(rng.integers(fewest, most + 1)))

    def rate(self, step: int, first: int) -> float:
        """Return the learning rate of a step (from 0) where the first stage took ``first`` steps, or is not over."""
        after = sum(stage.steps for stage in self.stages[1:])
        left = (1 - max(0, step - first) / after) / self.cooling if after else 1.0
        return self.learning_rate * min(1.0, (step + 1) / 30) * min(1.0, max(0.02, left))


@dataclass(frozen=True)
class Trained:
    """A trained model and what it took."""

    model: Backbone
    cpu_seconds: float
    steps: int
    accuracy: float  # of the last steps, in training


def train(name: str, seed: int, plan: Plan, genome: np.ndarray) -> Trained:
    """Train one model from its start; the same seed gives the same model."""
    model, rng = make_model(name, seed), np.random.default_rng(seed)
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, 0.98))
    started, step, first = time.process_time(), 0, 1 << 30
    with recorded_gates(model) as gates:
        for stage in plan.stages:
            right: list[float] = []
            while len(right) < stage.steps or (len(right) < stage.steps + stage.patience and _mean(right) < LEARNED):
                gates.clear()
                batch = make_batch(rng, stage, plan, genome)
                loss, accuracy = _loss(model, *batch)
                if gates:
                    loss = loss + stage.price * torch.stack([toll(gate) for gate in gates]).mean()
                optimizer.param_groups[0]["lr"] = plan.rate(step, first)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                right.append(accuracy)
                step += 1
            first = min(first, step)
    return Trained(model.eval(), time.process_time() - started, step, _mean(right))


def _mean(right: list[float]) -> float:
    return float(np.mean(right[-25:]))


def make_batch(rng: np.random.Generator, stage: Stage, plan: Plan, genome: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return ids (rows, bases) and which of them are asked for; half of the rows are real DNA."""
    rows = plan.batch_bases // stage.bases
    shares = EASY_SHARES if stage.patience else SHARES
    filler = Filler(rng, rows, genome, real=rows // 2).read(stage.bases)
    asked = np.zeros(0, bool)
    while not asked.any():
        made = [training_row(rng, row, plan.items(rng, stage.bases), shares) for row in filler]
        ids, asked = np.stack([row.ids for row in made]), np.stack([row.asked for row in made])
    return torch.from_numpy(ids).long(), torch.from_numpy(asked)


def toll(gate: Tensor) -> Tensor:
    """Return the price of writes from the logits of their gates.

    It is steep where a gate is nearly closed and flat where it is open, so that gates decide; and a gate that is closed
    has a margin before it is free.
    """
    return torch.sigmoid(2.0 * (gate + 2.5)).mean() + 0.02 * F.relu(gate + CLOSED).mean()


def _loss(model: Backbone, ids: Tensor, asked: Tensor) -> tuple[Tensor, float]:
    """Return the loss of the asked bases, and the share of them that is foretold."""
    logits, wanted = model.stream(ids[:, :-1]).logits[asked[:, 1:]], ids[:, 1:][asked[:, 1:]]
    return F.cross_entropy(logits, wanted), float((logits.argmax(-1) == wanted).float().mean())
