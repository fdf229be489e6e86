"""The bound on the steps of a chunk (derived in ops/README.md), and its vector-Jacobian product.

Let ``K[t, j] = L |<g_j, g_t>| / (2 sqrt(loss_j loss_t))`` be the overlap of the gradients of two tokens, with L the
number of written matrices, and ``s_t = sum_{j<t} theta_j K[t, j]``. Then token t takes the step
``theta_t / ((1 + s_t)(1 + s_t + theta_t K[t, t]))``. For a token that is repeated, the sum of these steps telescopes:
all its writes in a chunk together move the memory at most once to its target.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

LOSS_FLOOR = 1e-4  # added to each loss under the square root, so errors below 0.01 are hardly bounded


@dataclass(frozen=True)
class Bound:
    """Bounded steps, and the two factors by which they were divided."""

    step: Tensor  # (*N, C)
    before: Tensor  # 1 + s_t
    after: Tensor  # 1 + s_t + theta_t K[t, t]


@dataclass(frozen=True)
class BoundGradient:
    """The gradients at all values of which a bound was made; the one at the deltas is ``scaled * root``."""

    step: Tensor
    inputs: Tensor
    scaled: Tensor
    root: Tensor  # (*N, C, 1)
    loss: Tensor


def gram(x: Float[Tensor, "*N C D"]) -> Float[Tensor, "*N C C"]:
    """Return the inner products of all pairs of rows."""
    return x @ x.mT


def scale_deltas(deltas: Float[Tensor, "*N C O"], loss: Float[Tensor, "*N C"]) -> Float[Tensor, "*N C O"]:
    """Return the deltas divided by the square root of their loss."""
    return deltas * torch.rsqrt(loss + LOSS_FLOOR).unsqueeze(-1)


def earlier_steps(step: Float[Tensor, "*N C"], matrices: int) -> Float[Tensor, "*N C C"]:
    """Return the weight of earlier token j in the sum of token t: ``matrices / 2 * theta_j`` where j < t."""
    return (0.5 * matrices * step).unsqueeze(-2).expand(*step.shape, step.shape[-1]).tril(-1)


def bounded_step(
    step: Float[Tensor, "*N C"],
    inputs_gram: Float[Tensor, "*N C C"],
    deltas: Float[Tensor, "*N C O"],
    loss: Float[Tensor, "*N C"],
    earlier: Float[Tensor, "*N C C"],
    matrices: int,
) -> Bound:
    """Return the steps that a chunk may take without overshooting; ``earlier`` comes from ``earlier_steps``."""
    # The gradient of a matrix is an outer product, so the overlap of two is a product of two inner products.
    overlap = (gram(scale_deltas(deltas, loss)) * inputs_gram).abs_()
    before = torch.linalg.vecdot(overlap, earlier) + 1.0
    after = torch.addcmul(before, overlap.diagonal(dim1=-2, dim2=-1), step, value=0.5 * matrices)
    return Bound(step / (before * after), before, after)


class BoundedStep:
    """The gradient of ``bounded_step`` for many chunks; what does not depend on the incoming one is computed once."""

    def __init__(self, step: Tensor, inputs: Tensor, deltas: Tensor, loss: Tensor, bound: Bound, matrices: int) -> None:
        scaled, product = scale_deltas(deltas, loss), gram(inputs)
        deltas_gram = gram(scaled)
        overlap = deltas_gram * product
        # Computed for all chunks in one batch, so that the loop over chunks needs only a few small products.
        signs = torch.sign(overlap) * (0.5 * matrices * step).unsqueeze(-2)
        self._inputs, self._scaled = inputs.unbind(0), scaled.unbind(0)
        self._overlap = (overlap.abs_() * (0.5 * matrices)).unbind(0)
        self._to_inputs, self._to_deltas = (signs * deltas_gram).unbind(0), (signs * product).unbind(0)
        self._before, self._after = (1.0 / bound.before).unbind(0), (1.0 / bound.after).unbind(0)
        self._step = step.unbind(0)
        root = torch.rsqrt(loss + LOSS_FLOOR).unsqueeze(-1)
        self._root, self._fall = root.unbind(0), (-0.5 * root * root * scaled).unbind(0)
        self._strict = torch.ones_like(overlap[0, 0]).tril_(-1)

    def backward(self, chunk: int, gradient: Tensor, inputs: Tensor) -> BoundGradient:
        """Return the gradients of a chunk from that at its bounded steps; ``inputs`` is added to that at the inputs."""
        factor = gradient * self._before[chunk] * self._after[chunk]
        own = -(factor * self._step[chunk]) * self._after[chunk]
        weight = (own - factor * self._step[chunk] * self._before[chunk]).unsqueeze(-1) * self._strict
        weight.diagonal(dim1=-2, dim2=-1).copy_(own)
        step = factor + (weight * self._overlap[chunk]).sum(-2)
        to_inputs, to_deltas = weight * self._to_inputs[chunk], weight * self._to_deltas[chunk]
        inputs = torch.baddbmm(inputs, to_inputs + to_inputs.mT, self._inputs[chunk])
        scaled = torch.bmm(to_deltas + to_deltas.mT, self._scaled[chunk])
        loss = torch.linalg.vecdot(scaled, self._fall[chunk])
        return BoundGradient(step, inputs, scaled, self._root[chunk], loss)
