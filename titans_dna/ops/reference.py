"""The rule itself, one token at a time, with inner gradients by torch.autograd: slow, but hard to get wrong.

For every token t (arXiv 2501.00663, equations 10 to 14; gradients are taken at the weights of the chunk's border):

    g_t = grad ||M_border(k_t) - v_t||^2        S_t = eta_t S_{t-1} - theta_t g_t
    M_t = (1 - alpha_t) M_{t-1} + S_t           y_t = M_t(q_t)

A token that is not active changes neither M nor S.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from titans_dna.ops.bound import LOSS_FLOOR
from titans_dna.ops.form import MemoryForm
from titans_dna.ops.network import NORM_EPSILON, Matrices
from titans_dna.ops.state import Call


def read_memory(x: Tensor, weights: Matrices, gain: Tensor | None, form: MemoryForm) -> Tensor:
    """Return ``M(x)`` for one token, with ``x`` (B, H, D) and ``weights`` (B, H, out, in)."""
    z = x
    for index, weight in enumerate(weights):
        if index:
            z = F.gelu(z) if form.activation == "gelu" else F.silu(z) if form.activation == "silu" else F.relu(z)
        z = torch.einsum("bhoi,bhi->bho", weight, z)
    if form.norm:
        z = F.layer_norm(z, z.shape[-1:], eps=NORM_EPSILON)
        z = z if gain is None else z * gain
    return x + z if form.residual else z


def token_gradient(
    key: Tensor, value: Tensor, weights: Matrices, gain: Tensor | None, form: MemoryForm
) -> tuple[Matrices, Tensor]:
    """Return the gradient of the loss at each written matrix, and the loss (B, H)."""
    with torch.enable_grad():
        leaves = [w if w.requires_grad else w.detach().requires_grad_() for w in weights]
        loss = (read_memory(key, tuple(leaves), gain, form) - value).square().sum(-1)
        return torch.autograd.grad(loss.sum(), leaves[form.first_written :], create_graph=True), loss


def overlap(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], matrices: int) -> Tensor:
    """Return the overlap ``K`` of two pairs of gradient and loss of one matrix (see ``bound``)."""
    product = (first[0] * second[0]).sum((-2, -1)).abs()
    return 0.5 * matrices * product / ((first[1] + LOSS_FLOOR).sqrt() * (second[1] + LOSS_FLOOR).sqrt())


def run(x: Call) -> tuple[Tensor, Tensor, Matrices, Matrices]:
    """Run the rule from a chunk border.

    Returns the reads (B, T, H, D), the losses (B, T, H), and weights and momentum at the last full chunk's border.
    """
    gates, form = x.gates, x.form
    reads, losses, first = [], [], form.first_written
    border, border_momentum = x.weights, x.momentum
    current, surprise = list(x.weights), list(x.momentum)
    written: list[tuple[Matrices, Tensor, Tensor]] = []  # gradients, loss, step of the tokens of this chunk
    for t in range(x.q.shape[1]):
        gradients, loss = token_gradient(x.k[:, t], x.v[:, t], border, x.gain, form)
        live = torch.ones_like(loss, dtype=torch.bool) if x.active is None else x.active[:, t, None].expand_as(loss)
        step = torch.where(live.unsqueeze(-1), gates.step[:, t], 0.0)
        for index, gradient in enumerate(gradients):
            theta = step[..., index]
            if form.bounded:
                before = sum(
                    (s[..., index] * overlap((g[index], c), (gradient, loss), len(gradients)) for g, c, s in written),
                    torch.zeros_like(loss),
                )
                own = theta * overlap((gradient, loss), (gradient, loss), len(gradients))
                theta = theta / ((1 + before) * (1 + before + own))
                theta = theta * (1.0 - (form.momentum_limit if form.momentum else 0.0))
            eta = gates.momentum[:, t, :, index] if form.momentum else torch.zeros_like(loss)
            alpha = gates.forgetting[:, t, :, index] if form.forgetting else torch.zeros_like(loss)
            new = eta[..., None, None] * surprise[index] - theta[..., None, None] * gradient
            kept = (1 - alpha)[..., None, None] * current[first + index] + new
            mask = live[..., None, None]
            surprise[index] = torch.where(mask, new, surprise[index]) if form.momentum else surprise[index]
            current[first + index] = torch.where(mask, kept, current[first + index])
        written.append((gradients, loss, step))
        reads.append(read_memory(x.q[:, t], tuple(current), x.gain, form))
        losses.append(loss)
        if (t + 1) % x.chunk_tokens == 0:
            border, border_momentum, written = tuple(current), tuple(surprise), []
    return torch.stack(reads, 1), torch.stack(losses, 1), border, border_momentum
