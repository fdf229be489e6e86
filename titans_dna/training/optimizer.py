"""AdamW, and its learning rate along a run."""

from __future__ import annotations

import math

import torch
from torch import nn

from titans_dna.training.config import TrainingConfig


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """Return AdamW with weight decay on matrices alone (not on gains, biases and embeddings)."""
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim >= 2 and not name.startswith("embedding") and "persistent" not in name
        (decayed if matrix and "memory.weights" not in name else kept).append(parameter)
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.95), eps=1e-8)


def learning_rate(step: int, config: TrainingConfig) -> float:
    """Return the rate of ``step`` (from 0): linear warm-up, then a cosine down to the final rate."""
    warm = max(1, round(config.warmup * config.steps))
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    along = (step - warm) / max(1, config.steps - warm)
    share = config.final_rate + (1 - config.final_rate) * 0.5 * (1 + math.cos(math.pi * along))
    return config.learning_rate * share
