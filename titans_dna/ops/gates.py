"""Products of gates inside a chunk.

======  ===========  ==========  ===============================================  ===========================
letter  word         range       meaning                                          source (arXiv 2501.00663)
======  ===========  ==========  ===============================================  ===========================
theta   step         >= 0        weight of the momentary surprise                 equation 10
eta     momentum     [0, 1)      what is kept of past surprise                    equation 10
alpha   forgetting   [0, 1)      what is lost of the memory                       equation 13
A       retention    [0, 1]      A[t,k] = prod_{j=k+1..t} (1-alpha_j)             section 3.2, per token
E       carry        [0, 1]      E[k,i] = prod_{j=i+1..k} eta_j                   section 3.2, per token
======  ===========  ==========  ===============================================  ===========================

All products are built by doubling, without logarithms or ratios, so gates of exactly 0 and 1 are exact, and so are
their gradients.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def negligible(dtype: torch.dtype) -> float:
    """Return the limit below which a product of gates counts as 0: the fourth root of the smallest normal number."""
    return float(torch.finfo(dtype).tiny ** 0.25)


def decay_products(factors: Float[Tensor, "*N C"]) -> tuple[Float[Tensor, "*N C C"], Float[Tensor, "*N C"]]:
    """Return ``D[k, i] = prod_{j=i+1..k} factors[j]`` (0 above the diagonal) and ``p[k] = prod_{j<=k} factors[j]``.

    Products below ``negligible`` are set to 0. They are too small to change a sum, but their own products would be
    subnormal numbers, which make a CPU a hundred times slower.
    """
    square: Tensor = _DecayProducts.apply(factors)
    return square, square[..., 0] * factors[..., :1]


class _DecayProducts(torch.autograd.Function):
    """``D`` by doubling, with a gradient without divisions: ``dD[k, i] / df_j = D[k, j] D[j-1, i]`` for i < j <= k."""

    @staticmethod
    def forward(ctx: Any, factors: Tensor) -> Tensor:
        tokens, least = factors.shape[-1], negligible(factors.dtype)
        whole = 1 << (tokens - 1).bit_length()
        prefix = F.pad(factors, (0, whole - tokens), value=1.0).unsqueeze(-1)  # (*N, blocks, 1)
        square = torch.ones_like(prefix).unsqueeze(-1)  # (*N, blocks, 1, 1)
        while prefix.shape[-2] > 1:  # merge blocks of 1, 2, 4, ... tokens
            left, right = square[..., 0::2, :, :], square[..., 1::2, :, :]
            left_prefix, right_prefix = prefix[..., 0::2, :], prefix[..., 1::2, :]
            width = left.shape[-1]
            merged = square.new_zeros(*left.shape[:-2], 2 * width, 2 * width)
            merged[..., :width, :width], merged[..., width:, width:] = left, right
            corner = right_prefix.unsqueeze(-1) * left[..., -1:, :]
            merged[..., width:, :width] = corner * (corner >= least)
            prefix = torch.cat([left_prefix, right_prefix * left_prefix[..., -1:]], -1)
            prefix, square = prefix * (prefix >= least), merged
        square = square[..., 0, :tokens, :tokens].contiguous()
        ctx.save_for_backward(square)
        return square

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (square,) = ctx.saved_tensors
        along = square.mT @ gradient  # (j, i): sum over k of D[k, j] dD[k, i]
        inner = (along[..., 1:, :] * square[..., :-1, :]).sum(-1)  # D[j-1, i] is 0 where i >= j
        return F.pad(inner, (1, 0))
