"""The optimiser, AdamW, and its learning rate along a run."""

from __future__ import annotations

import math

import torch
from torch import nn

from titans_dna.training.config import TrainingConfig


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """Return AdamW with weight decay on matrices only: not on gains, biases, embeddings and initial memories."""
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim >= 2 and not name.startswith("embedding") and "persistent" not in name
        (decayed if matrix and "memory.weights" not in name else kept).append(parameter)
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.95), eps=1e-8)


def learning_rate(step: int, steps: int, peak: float, *, warmup: float, final: float) -> float:
    """Return the learning rate of a step: a linear rise to the peak, then a cosine down.

    Parameters
    ----------
    step
        Number of the step, from 0.
    steps
        Number of steps of the run.
    peak
        Highest learning rate.
    warmup
        Share of the steps in which the rate rises.
    final
        Last learning rate divided by the peak.
    """
    warm = max(1, round(warmup * steps))
    if step < warm:
        return peak * (step + 1) / warm
    along = (step - warm) / max(1, steps - warm)
    return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * along)))
