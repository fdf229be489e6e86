"""The memory as a network: its forward pass on keys or queries, and the backward pass of its loss.

Weights are kept transposed, (in, out), so that rows of features are multiplied from the left.

=======  ======================  ===================================================================
letter   word                    meaning
=======  ======================  ===================================================================
a_l      inputs                  input of matrix l on the key pass, (R, C, in)
z_l      outputs                 a_l W_l^T, (R, C, out)
n        normal                  LayerNorm of the last output, (R, C, D)
e        error                   M(k) - v, (R, C, D)
delta_l  deltas                  gradient of ||e||^2 at z_l, (R, C, out)
=======  ======================  ===================================================================

R is samples times heads. The loss is ||M(k) - v||^2 (arXiv 2501.00663, equation 12).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from titans_dna.ops.form import MemoryForm

NORM_EPSILON = 1e-5  # added to the variance of the LayerNorm
Matrices = tuple[Tensor, ...]
_aten = torch.ops.aten


def activate(z: Tensor, form: MemoryForm) -> Tensor:
    """Return ``g(z)``."""
    if form.activation == "gelu":
        return F.gelu(z)
    if form.activation == "silu":
        return F.silu(z)
    return F.relu(z)


def through_activation(gradient: Tensor, z: Tensor, form: MemoryForm) -> Tensor:
    """Return ``gradient * g'(z)``."""
    if form.activation == "gelu":
        return _aten.gelu_backward(gradient, z)
    if form.activation == "silu":
        return _aten.silu_backward(gradient, z)
    return _aten.threshold_backward(gradient, z, 0)


def curvature(z: Tensor, form: MemoryForm) -> Tensor:
    """Return ``g''(z)``."""
    if form.activation == "gelu":
        square = z * z
        return torch.exp(-0.5 * square) * (2.0 - square) * (1.0 / math.sqrt(2.0 * math.pi))
    if form.activation == "silu":
        s = torch.sigmoid(z)
        return s * (1.0 - s) * (2.0 + z * (1.0 - 2.0 * s))
    return torch.zeros_like(z)


def normalise(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the LayerNorm of ``z`` without gain, its mean and its inverse deviation."""
    return torch.native_layer_norm(z, z.shape[-1:], None, None, NORM_EPSILON)


def through_norm(gradient: Tensor, z: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
    """Return the gradient at ``z`` of a gradient at its LayerNorm."""
    mask = [True, False, False]
    return _aten.native_layer_norm_backward(gradient, z, z.shape[-1:], mean, inverse, None, None, mask)[0]


def head(z: Tensor, x: Tensor, gain: Tensor | None, form: MemoryForm) -> Tensor:
    """Return the memory's output from the output ``z`` of its last matrix and its input ``x``."""
    if form.norm:
        z = F.layer_norm(z, z.shape[-1:], eps=NORM_EPSILON)
        if gain is not None:
            z = z * gain
    return x + z if form.residual else z


def read_weights(x: Tensor, weights: Matrices, gain: Tensor | None, form: MemoryForm) -> Tensor:
    """Return ``M(x)`` for ``x`` (..., T, D) at fixed ``weights`` (..., out, in); ``gain`` broadcasts over x."""
    z = x
    for index, weight in enumerate(weights):
        z = (activate(z, form) if index else z) @ weight.mT
    return head(z, x, gain, form)


@dataclass(frozen=True)
class KeyPass:
    """What is kept of the keys of a chunk, run at the weights of the chunk's border."""

    inputs: Matrices  # a_l of every matrix
    outputs: Matrices  # z_l
    deltas: Matrices  # delta_l of each written matrix
    backs: Matrices  # delta_{l+1} W_{l+1} of each written matrix but the last
    loss: Tensor  # (R, C)
    error: Tensor
    norm: Matrices  # n, mean and inverse deviation; empty without a norm

    def for_reads(self) -> KeyPass:
        """Return only what the reads need; the rest is for the gradient."""
        # The loss stands in for the error, which has no meaning for reads but must be a tensor.
        return replace(self, outputs=(), backs=(), error=self.loss, norm=())


def run_keys(keys: Tensor, offsets: Tensor, weights: Matrices, gain: Tensor | None, form: MemoryForm) -> KeyPass:
    """Run ``keys`` (R, C, D) forward through ``weights`` (R, in, out) and the loss back.

    ``offsets`` is what is added to the prediction to give the error: ``keys - values`` with a residual, else
    ``-values``; ``gain`` is (R, 1, D).
    """
    inputs, outputs = [keys], []
    for index, weight in enumerate(weights):
        outputs.append(torch.bmm(inputs[-1], weight))
        if index + 1 < form.depth:
            inputs.append(activate(outputs[-1], form))
    norm = normalise(outputs[-1]) if form.norm else ()
    prediction = norm[0] if norm else outputs[-1]
    error = prediction + offsets if gain is None or not norm else torch.addcmul(offsets, prediction, gain)
    delta = 2.0 * error
    if norm:
        delta = through_norm(delta if gain is None else delta * gain, outputs[-1], norm[1], norm[2])
    deltas, backs = [delta], []
    # Back-propagation by hand, one matrix at a time; it ends at the first matrix that is written.
    for index in range(form.depth - 1, form.first_written, -1):
        backs.append(torch.bmm(deltas[-1], weights[index].mT))
        deltas.append(through_activation(backs[-1], outputs[index - 1], form))
    loss = torch.linalg.vecdot(error, error)
    return KeyPass(
        tuple(inputs), tuple(outputs), tuple(reversed(deltas)), tuple(reversed(backs)), loss, error, tuple(norm)
    )
