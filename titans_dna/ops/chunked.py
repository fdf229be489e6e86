"""The same function as ``reference``, in the dual form: groups of chunks, each as one differentiable step.

``dual`` has the formulas, and ``backward`` their gradient. tests/ops/test_chunked.py checks that both are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from titans_dna.ops.backward import run_memory
from titans_dna.ops.dual import chunk_gates
from titans_dna.ops.form import MemoryForm
from titans_dna.ops.network import Matrices
from titans_dna.ops.state import Gates

GROUP_CHUNKS = 16  # chunks that are read as one batch; in training, only the states between groups are kept
GroupMemory = Callable[..., tuple[Tensor, ...]]  # the contract of ``backward.run_memory``


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
    *,
    memory: GroupMemory = run_memory,
    group_chunks: int | None = None,
) -> tuple[Tensor, Tensor, Matrices, Matrices]:
    """Run the rule from a chunk border; the same contract as ``reference.run``.

    ``memory`` runs a group of chunks and knows its gradient; ``group_chunks`` is the size of a group.
    """
    batch, heads = q.shape[0], q.shape[2]
    first = form.first_written
    frozen = tuple(w.flatten(0, 1).mT for w in weights[:first])
    pairs = zip(weights[first:], momentum, strict=True)
    states = tuple(torch.cat([w.mT, s.mT] if form.momentum else [w.mT], 2).flatten(0, 1) for w, s in pairs)
    rows = None if gain is None else gain.unsqueeze(1).repeat(batch, 1, 1)
    reads, losses, start, tokens = [], [], 0, q.shape[1]
    group = (group_chunks or GROUP_CHUNKS) * chunk_tokens
    recompute = torch.is_grad_enabled() and tokens > group
    kept = states
    while start < tokens:
        width = min(chunk_tokens, tokens - start)
        end = start + min(group, (tokens - start) // width * width)
        mask = None if active is None else active[:, start:end]
        vectors = (x[:, start:end] for x in (q, k, v))
        arguments: Any = (*vectors, gates.tokens(start, end), mask, rows, form, width, memory, frozen, *states)
        if recompute:
            y, loss, *after = checkpoint(_run_group, *arguments, use_reentrant=False, preserve_rng_state=False)
        else:
            y, loss, *after = _run_group(*arguments)
        states = tuple(after)
        kept = states if width == chunk_tokens else kept
        reads.append(y)
        losses.append(loss)
        start = end
    ways = 1 + form.momentum
    split = [z.unflatten(0, (batch, heads)).unflatten(2, (ways, -1)).mT.contiguous() for z in kept]
    written, carried = (tuple(z[:, :, way] for z in split) for way in (0, ways - 1))
    after_weights, after_momentum = (*weights[:first], *written), carried if form.momentum else momentum
    return torch.cat(reads, 1), torch.cat(losses, 1), after_weights, after_momentum


def _run_group(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gates: Gates,
    active: Tensor | None,
    gain: Tensor | None,
    form: MemoryForm,
    width: int,
    memory: GroupMemory,
    frozen: Matrices,
    *states: Tensor,
) -> tuple[Tensor, ...]:
    """Run whole chunks of ``width`` tokens; return reads, losses and the states after them."""
    batch, _, heads, _ = q.shape
    count = q.shape[1] // width

    def split(x: Tensor) -> Tensor:  # (B, T, H, ...) -> (N, R, C, ...)
        return x.unflatten(1, (count, width)).movedim(1, 0).transpose(2, 3).flatten(1, 2)

    mask = None
    if active is not None:
        mask = split(active.unsqueeze(-1).expand(*active.shape, heads))
    step, momentum, forgetting = (split(g).movedim(-1, 0) for g in (gates.step, gates.momentum, gates.forgetting))
    products = chunk_gates(step, momentum, forgetting, mask, form)
    queries, keys, values = split(q), split(k), split(v)
    offsets = keys - values if form.residual else -values
    y, loss, *after = memory(queries, keys, offsets, products, frozen, states, gain, form)
    joined = y.unflatten(1, (batch, heads)).movedim(0, 1).transpose(2, 3).flatten(1, 2)  # (B, T, H, D)
    return (joined, loss.unflatten(1, (batch, heads)).movedim(0, 1).transpose(2, 3).flatten(1, 2), *after)
