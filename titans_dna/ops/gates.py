"""Products of gates inside a chunk, and the bound on the steps of a chunk.

======  ===========  ==========  ===============================================  ===========================
letter  word         range       meaning                                          arXiv 2501.00663
======  ===========  ==========  ===============================================  ===========================
alpha   forgetting   [0, 1)      share of the memory that a token erases          equation 13
eta     momentum     [0, 1)      share of the past surprise that goes on          equation 10
theta   step         [0, inf)    weight of the momentary surprise                 equation 10
A       retention    [0, 1]      A[t,k] = prod_{j=k+1..t} (1 - alpha_j)           section 3.2, per token
E       carry        [0, 1]      E[k,i] = prod_{j=i+1..k} eta_j                   section 3.2, per token
======  ===========  ==========  ===============================================  ===========================

All products are built by doubling: no logarithm, no ratio, so gates of exactly 0 and 1 are exact, gradients included.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

LOSS_FLOOR = 1e-4  # added to the loss under the square root of the overlap; errors below its root are not bounded


def negligible(dtype: torch.dtype) -> float:
    """Return the product of gates that counts as 0: its fourth power is the smallest normal number of ``dtype``."""
    return float(torch.finfo(dtype).tiny ** 0.25)


def decay_products(factors: Float[Tensor, "*N C"]) -> tuple[Float[Tensor, "*N C C"], Float[Tensor, "*N C"]]:
    """Return ``D[k, i] = prod_{j=i+1..k} factors[j]`` (0 above the diagonal) and ``p[k] = prod_{j<=k} factors[j]``.

    Blocks of 1, 2, 4, ... tokens are merged: the lower left block of a pair is the outer product of the right
    block's prefix products with the left block's last row. Products below ``negligible`` are 0: they would not change a
    sum by one rounding, and their own products would be subnormal numbers, which slow a CPU down a hundredfold.
    """
    tokens, least = factors.shape[-1], negligible(factors.dtype)
    whole = 1 << (tokens - 1).bit_length()
    prefix = F.pad(factors, (0, whole - tokens), value=1.0).unsqueeze(-1)  # (*N, blocks, 1)
    square = torch.ones_like(prefix).unsqueeze(-1)  # (*N, blocks, 1, 1)
    while prefix.shape[-2] > 1:
        left, right = square[..., 0::2, :, :], square[..., 1::2, :, :]
        left_prefix, right_prefix = prefix[..., 0::2, :], prefix[..., 1::2, :]
        corner = right_prefix.unsqueeze(-1) * left[..., -1:, :]
        upper = torch.cat([left, torch.zeros_like(left)], -1)
        square = _drop(torch.cat([upper, torch.cat([corner, right], -1)], -2), least)
        prefix = _drop(torch.cat([left_prefix, right_prefix * left_prefix[..., -1:]], -1), least)
    return square[..., 0, :tokens, :tokens], prefix[..., 0, :tokens]


def _drop(products: Tensor, least: float) -> Tensor:
    """Return ``products`` with those below ``least`` as 0; exact zeros keep their gradient."""
    return torch.where((products < least) & (products > 0.0), 0.0, products)


def bounded_step(
    step: Float[Tensor, "*N C"],
    inputs: Float[Tensor, "*N C I"],
    deltas: Float[Tensor, "*N C O"],
    loss: Float[Tensor, "*N C"],
    matrices: int,
) -> Float[Tensor, "*N C"]:
    """Return the steps that a chunk may take without overshooting (derived in ops/README.md).

    With ``K[j, t] = matrices * |<g_j, g_t>| / (2 sqrt(loss_j loss_t))`` the overlap of the gradients of two tokens
    and ``s_t = sum_{j<t} step_j K[j, t]``, token t takes ``step_t / ((1 + s_t)(1 + s_t + step_t K[t, t]))``.
    For a repeated token the sum telescopes: all its writes of a chunk together take it at most once to its target.
    """
    scale = torch.rsqrt(loss + LOSS_FLOOR).unsqueeze(-1)
    scaled = deltas * scale
    overlap = (0.5 * matrices) * ((inputs @ inputs.mT) * (scaled @ scaled.mT)).abs()
    before = (overlap.tril(-1) @ step.unsqueeze(-1)).squeeze(-1)
    own = step * overlap.diagonal(dim1=-2, dim2=-1)
    return step / ((1.0 + before) * (1.0 + before + own))
