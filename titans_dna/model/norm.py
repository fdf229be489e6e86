"""Normalisation with statistics in float32, even under autocast."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def wide(x: Tensor) -> Tensor:
    """Return ``x`` in at least float32: states, gates and norms are never kept in half precision."""
    return x if x.dtype == torch.float64 else x.float()


class RMSNorm(nn.RMSNorm):
    """Root-mean-square norm with a learned gain (arXiv 1910.07467), in at least float32."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-6)

    def forward(self, x: Float[Tensor, "... N"]) -> Float[Tensor, "... N"]:
        """Return ``x`` divided by its root mean square, times the gain."""
        return F.rms_norm(wide(x), self.normalized_shape, self.weight, self.eps)
