"""The same function as ``reference`` in dual form: a chunk is a few matrix products, and no token has a weight matrix.

Within a chunk all gradients are taken at its border, so the rule is linear there. With ``G = A W E diag(theta)``
(W = 1 on active tokens), ``b`` and ``m`` the products of the gates since the border, and ``f = A W m``:

    read    z_l = b * (x_l W_l^T) + f * (x_l S_l^T) - (G_l . (x_l a_l^T)) delta_l
    state   W_l <- b_C W_l + f_C S_l - (G_l[C,:] * delta_l)^T a_l
            S_l <- m_C S_l - ((E_l[C,:] theta_l) * delta_l)^T a_l

Letters are those of ``gates`` and ``network``; x_l is the input of matrix l on the query pass.
Derived for this project; proved equal to ``reference`` in tests/ops/test_chunked.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from titans_dna.ops.form import MemoryForm
from titans_dna.ops.gates import bounded_step, decay_products
from titans_dna.ops.network import KeyPass, activate, head, run_keys
from titans_dna.ops.state import Gates

Matrices = tuple[Tensor, ...]
GROUP_CHUNKS = 16  # in training, states are kept once per group and recomputed inside it


@dataclass(frozen=True)
class ChunkGates:
    """Products of one written matrix's gates over a chunk; shapes (..., C) and (..., C, C)."""

    step: Tensor  # theta, 0 where inactive
    writes: Tensor  # A W E: weight of write i in the memory of token t
    retention: Tensor  # b
    surprise: Tensor  # f: weight of the border's momentum in the memory of token t
    momentum: Tensor  # m
    carry: Tensor  # E[C, :]: weight of write i in the momentum after the chunk

    def chunks(self) -> list[ChunkGates]:
        """Return the products of each chunk (unbound at once: indexing would fill a whole gradient per chunk)."""
        parts = (getattr(self, name).unbind(0) for name in self.__dataclass_fields__)
        return [ChunkGates(*part) for part in zip(*parts, strict=True)]


def chunk_gates(
    step: Tensor, momentum: Tensor, forgetting: Tensor, active: Tensor | None, form: MemoryForm
) -> ChunkGates:
    """Return the products of gates (N, B, H, C) for all chunks N at once."""
    tokens, keep = step.shape[-1], 1.0 - forgetting
    if active is not None:
        step = step * active
        keep = torch.where(active, keep, 1.0)
        momentum = torch.where(active, momentum, 1.0)
    ones = torch.ones_like(step)
    retention, b = (
        decay_products(keep) if form.forgetting else (ones.unsqueeze(-1).expand(*ones.shape, tokens).tril(), ones)
    )
    if form.momentum:
        carry, m = decay_products(momentum)
        live = carry if active is None else carry * active.unsqueeze(-1)
        past = m if active is None else m * active
        return ChunkGates(step, retention @ live, b, (retention @ past.unsqueeze(-1)).squeeze(-1), m, carry[..., -1, :])
    # without momentum nothing of S_t enters a later M: the state's momentum is left as it is
    writes = retention if active is None else retention * active.unsqueeze(-2)
    return ChunkGates(step, writes, b, 0 * ones, ones, 0 * ones)


def run_chunk(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gates: tuple[ChunkGates, ...],
    weights: Matrices,
    momentum: Matrices,
    gain: Tensor | None,
    form: MemoryForm,
) -> tuple[Tensor, Tensor, Matrices, Matrices]:
    """Read and write one chunk: ``q, k, v`` (B, H, C, D), states (B, H, out, in)."""
    keys = run_keys(k, v, weights, gain, form)
    steps = tuple(_steps(g, keys, index, form) for index, g in enumerate(gates))
    reads = _run_queries(q, keys, gates, steps, weights, momentum, gain, form)
    new_weights, new_momentum = list(weights), list(momentum)
    for index, (g, step) in enumerate(zip(gates, steps, strict=True)):
        a, delta, matrix = keys.inputs[index], keys.deltas[index], form.first_written + index
        pair = torch.cat(
            [(g.writes[..., -1, :] * step).unsqueeze(-1) * delta, (g.carry * step).unsqueeze(-1) * delta], -1
        )
        written, carried = (pair.mT @ a).split(delta.shape[-1], -2)
        old, past = weights[matrix], momentum[index]
        last = (..., -1, None, None)
        new_weights[matrix] = g.retention[last] * old + g.surprise[last] * past - written
        new_momentum[index] = g.momentum[last] * past - carried
    return reads, keys.loss, tuple(new_weights), tuple(new_momentum)


def _steps(gates: ChunkGates, keys: KeyPass, index: int, form: MemoryForm) -> Tensor:
    if not form.bounded:
        return gates.step
    step = bounded_step(gates.step, keys.inputs[index], keys.deltas[index], keys.loss, form.written_matrices)
    return step * (1.0 - form.momentum_limit) if form.momentum else step


def _run_queries(
    q: Tensor,
    keys: KeyPass,
    gates: tuple[ChunkGates, ...],
    steps: tuple[Tensor, ...],
    weights: Matrices,
    momentum: Matrices,
    gain: Tensor | None,
    form: MemoryForm,
) -> Tensor:
    x, z = q, q
    for matrix, weight in enumerate(weights):
        x = activate(z, form) if matrix else q
        index = matrix - form.first_written
        if index < 0:
            z = x @ weight.mT
            continue
        g = gates[index]
        scores = g.writes * steps[index].unsqueeze(-2) * (x @ keys.inputs[index].mT)
        if form.momentum:
            old, past = (x @ torch.cat([weight, momentum[index]], -2).mT).split(weight.shape[-2], -1)
            z = g.retention.unsqueeze(-1) * old + g.surprise.unsqueeze(-1) * past - scores @ keys.deltas[index]
        else:
            z = g.retention.unsqueeze(-1) * (x @ weight.mT) - scores @ keys.deltas[index]
    return head(z, q, gain, form)


def run(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gates: Gates,
    active: Tensor | None,
    weights: Matrices,
    momentum: Matrices,
    gain: Tensor | None,
    form: MemoryForm,
    chunk_tokens: int,
) -> tuple[Tensor, Tensor, Matrices, Matrices]:
    """Run the rule from a chunk border; the same contract as ``reference.run``."""
    reads, losses, start, tokens = [], [], 0, q.shape[1]
    group = GROUP_CHUNKS * chunk_tokens
    recompute = torch.is_grad_enabled() and tokens > group
    while start < tokens:
        width = min(chunk_tokens, tokens - start)
        end = start + min(group, (tokens - start) // width * width)
        pieces = (q[:, start:end], k[:, start:end], v[:, start:end])
        mask = None if active is None else active[:, start:end]
        arguments = (*pieces, gates.tokens(start, end), mask, weights, momentum, gain, form, width)
        if recompute:
            y, loss, after, after_momentum = checkpoint(_run_group, *arguments, use_reentrant=False)
        else:
            y, loss, after, after_momentum = _run_group(*arguments)
        if width == chunk_tokens:
            weights, momentum = after, after_momentum
        reads.append(y)
        losses.append(loss)
        start = end
    return torch.cat(reads, 1), torch.cat(losses, 1), weights, momentum


def _run_group(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gates: Gates,
    active: Tensor | None,
    weights: Matrices,
    momentum: Matrices,
    gain: Tensor | None,
    form: MemoryForm,
    width: int,
) -> tuple[Tensor, Tensor, Matrices, Matrices]:
    """Run whole chunks of ``width`` tokens."""
    count = q.shape[1] // width

    def split(x: Tensor) -> Tensor:  # (B, T, H, ...) -> (N, B, H, C, ...)
        return x.unflatten(1, (count, width)).movedim(1, 0).transpose(2, 3).contiguous()

    queries, keys, values = split(q).unbind(0), split(k).unbind(0), split(v).unbind(0)
    mask = None if active is None else active.unflatten(1, (count, width)).movedim(1, 0).unsqueeze(2)
    steps, etas, alphas = (split(g).unbind(-1) for g in (gates.step, gates.momentum, gates.forgetting))
    matrices = (chunk_gates(*gate, mask, form).chunks() for gate in zip(steps, etas, alphas, strict=True))
    reads, losses = [], []
    for query, key, value, *products in zip(queries, keys, values, *matrices, strict=True):
        y, loss, weights, momentum = run_chunk(query, key, value, tuple(products), weights, momentum, gain, form)
        reads.append(y)
        losses.append(loss)
    y = torch.stack(reads, 1).transpose(2, 3).flatten(1, 2)  # (B, N, H, C, D) -> (B, T, H, D)
    return y, torch.stack(losses, 1).transpose(2, 3).flatten(1, 2), weights, momentum
