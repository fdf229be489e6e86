"""A head that predicts one number for each class or track at every base, from features of both strands."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

HIDDEN = 64
REACH_BP = 25  # bases on either side of a base that its outputs depend on, beside what the features know


class BaseHead(nn.Module):
    """Two convolutions over the features of neighbouring bases, and a linear map.

    Parameters
    ----------
    columns
        Features of a base.
    outputs
        Classes or tracks.
    """

    mean: Tensor
    scale: Tensor
    target_mean: Tensor
    target_scale: Tensor

    def __init__(self, columns: int, outputs: int) -> None:
        super().__init__()
        self.enter = nn.Linear(columns, HIDDEN)
        self.near = nn.Conv1d(HIDDEN, HIDDEN, 11, padding=5)
        self.far = nn.Conv1d(HIDDEN, HIDDEN, 11, padding=20, dilation=4)
        self.out = nn.Linear(HIDDEN, outputs)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        # Of the training features; the same scale for all columns.
        self.register_buffer("mean", self.enter.weight.new_zeros(columns))
        self.register_buffer("scale", self.enter.weight.new_ones(columns))
        # Of a regression's targets; classes have logits.
        self.register_buffer("target_mean", self.out.bias.new_zeros(outputs))
        self.register_buffer("target_scale", self.out.bias.new_ones(outputs))

    def forward(self, x: Float[Tensor, "B T N"]) -> Float[Tensor, "B T C"]:
        """Return logits, or standardised values, of every base."""
        x = self.enter((x - self.mean) * self.scale).transpose(1, 2)
        x = x + self.near(F.gelu(x))
        x = x + self.far(F.gelu(x))
        out: Tensor = self.out(F.gelu(x).transpose(1, 2))
        return out
