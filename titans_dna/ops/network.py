"""The memory as a network: forward on keys or queries, and the backward pass of its loss, without autograd.

=======  ======================  ===================================================================
letter   word                    meaning
=======  ======================  ===================================================================
a_l      inputs                  input of matrix l on the key pass, (..., C, in)
z_l      pre-activations         a_l W_l^T, (..., C, out)
e        error                   M(k) - v, (..., C, D)
delta_l  deltas                  gradient of ||e||^2 at z_l, (..., C, out)
=======  ======================  ===================================================================

The loss is ||M(k) - v||^2 (arXiv 2501.00663, equation 12).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from titans_dna.ops.form import MemoryForm

NORM_EPSILON = 1e-5  # added to the variance of the LayerNorm


def activate(z: Tensor, form: MemoryForm) -> Tensor:
    """Return ``g(z)``."""
    if form.activation == "gelu":
        return F.gelu(z)
    if form.activation == "silu":
        return F.silu(z)
    return F.relu(z)


def activation_slope(z: Tensor, form: MemoryForm) -> Tensor:
    """Return ``g'(z)``."""
    if form.activation == "gelu":
        cumulative = 0.5 * (1.0 + torch.erf(z * math.sqrt(0.5)))
        return cumulative + z * torch.exp(-0.5 * z * z) * (1.0 / math.sqrt(2.0 * math.pi))
    if form.activation == "silu":
        s = torch.sigmoid(z)
        return s * (1.0 + z * (1.0 - s))
    return (z > 0).to(z.dtype)


def head(z: Tensor, x: Tensor, gain: Tensor | None, form: MemoryForm) -> Tensor:
    """Return the memory's output from its last pre-activation ``z`` and its input ``x``."""
    if form.norm:
        z = F.layer_norm(z, z.shape[-1:], eps=NORM_EPSILON)
        if gain is not None:
            z = z * gain
    return x + z if form.residual else z


def read_weights(x: Tensor, weights: tuple[Tensor, ...], gain: Tensor | None, form: MemoryForm) -> Tensor:
    """Return ``M(x)`` for ``x`` (..., T, D) at fixed ``weights`` (..., out, in); ``gain`` broadcasts over x."""
    z = x
    for index, weight in enumerate(weights):
        z = (activate(z, form) if index else z) @ weight.mT
    return head(z, x, gain, form)


@dataclass(frozen=True)
class KeyPass:
    """What a chunk's keys leave behind at the anchor weights."""

    inputs: tuple[Tensor, ...]  # a_l of each written matrix
    deltas: tuple[Tensor, ...]  # delta_l of each written matrix
    loss: Tensor  # (..., C)


def run_keys(
    keys: Tensor, values: Tensor, weights: tuple[Tensor, ...], gain: Tensor | None, form: MemoryForm
) -> KeyPass:
    """Run ``keys`` (..., C, D) forward through ``weights`` (..., out, in) and the loss back.

    ``gain`` broadcasts over (..., C, D).
    """
    inputs, outputs = [keys], []
    for index, weight in enumerate(weights):
        outputs.append(inputs[-1] @ weight.mT)
        if index + 1 < form.depth:
            inputs.append(activate(outputs[-1], form))
    z = outputs[-1]
    if form.norm:
        centred = z - z.mean(-1, keepdim=True)
        inverse = torch.rsqrt(centred.square().mean(-1, keepdim=True) + NORM_EPSILON)
        normal = centred * inverse
        prediction = normal if gain is None else normal * gain
    else:
        prediction = z
    error = (keys + prediction if form.residual else prediction) - values
    delta = 2.0 * error
    if form.norm:
        delta = delta if gain is None else delta * gain
        mean, along = delta.mean(-1, keepdim=True), (delta * normal).mean(-1, keepdim=True)
        delta = (delta - mean - normal * along) * inverse
    deltas = [delta]
    for index in range(form.depth - 1, form.first_written, -1):
        deltas.append((deltas[-1] @ weights[index]) * activation_slope(outputs[index - 1], form))
    return KeyPass(tuple(inputs[form.first_written :]), tuple(reversed(deltas)), error.square().sum(-1))
