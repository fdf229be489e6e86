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
from titans_dna.ops.dual import Group, chunk_gates
from titans_dna.ops.network import Matrices
from titans_dna.ops.state import Call

GROUP_CHUNKS = 16  # chunks that are read as one batch; in training, only the states between groups are kept
GroupMemory = Callable[..., tuple[Tensor, ...]]  # the contract of ``backward.run_memory``


def run(
    x: Call, *, memory: GroupMemory = run_memory, group_chunks: int | None = None
) -> tuple[Tensor, Tensor, Matrices, Matrices]:
    """Run the rule from a chunk border; the same contract as ``reference.run``.

    ``memory`` runs a group of chunks and knows its gradient; ``group_chunks`` is the size of a group.
    """
    batch, tokens, heads, _ = x.q.shape
    form, first = x.form, x.form.first_written
    frozen = tuple(w.flatten(0, 1).mT for w in x.weights[:first])
    pairs = zip(x.weights[first:], x.momentum, strict=True)
    states = tuple(torch.cat([w.mT, s.mT] if form.momentum else [w.mT], 2).flatten(0, 1) for w, s in pairs)
    gain = None if x.gain is None else x.gain.unsqueeze(1).repeat(batch, 1, 1)
    reads, losses, start = [], [], 0
    group = (group_chunks or GROUP_CHUNKS) * x.chunk_tokens
    recompute = torch.is_grad_enabled() and tokens > group
    kept = states
    while start < tokens:
        width = min(x.chunk_tokens, tokens - start)
        end = start + min(group, (tokens - start) // width * width)
        arguments: Any = (x.tokens(start, end), gain, width, memory, frozen, *states)
        if recompute:
            y, loss, *after = checkpoint(_run_group, *arguments, use_reentrant=False, preserve_rng_state=False)
        else:
            y, loss, *after = _run_group(*arguments)
        states = tuple(after)
        kept = states if width == x.chunk_tokens else kept
        reads.append(y)
        losses.append(loss)
        start = end
    ways = 1 + form.momentum
    split = [z.unflatten(0, (batch, heads)).unflatten(2, (ways, -1)).mT.contiguous() for z in kept]
    written, carried = (tuple(z[:, :, way] for z in split) for way in (0, ways - 1))
    after_weights, after_momentum = (*x.weights[:first], *written), carried if form.momentum else x.momentum
    return torch.cat(reads, 1), torch.cat(losses, 1), after_weights, after_momentum


def _run_group(
    x: Call, gain: Tensor | None, width: int, memory: GroupMemory, frozen: Matrices, *states: Tensor
) -> tuple[Tensor, ...]:
    """Run whole chunks of ``width`` tokens; return reads, losses and the states after them."""
    batch, tokens, heads, _ = x.q.shape
    count = tokens // width

    def split(x: Tensor) -> Tensor:  # (B, T, H, ...) -> (N, R, C, ...)
        return x.unflatten(1, (count, width)).movedim(1, 0).transpose(2, 3).flatten(1, 2)

    def join(x: Tensor) -> Tensor:  # (N, R, C, ...) -> (B, T, H, ...)
        return x.unflatten(1, (batch, heads)).movedim(0, 1).transpose(2, 3).flatten(1, 2)

    active = None if x.active is None else split(x.active.unsqueeze(-1).expand(*x.active.shape, heads))
    gates = (x.gates.step, x.gates.momentum, x.gates.forgetting)
    step, momentum, forgetting = (split(gate).movedim(-1, 0) for gate in gates)
    products = chunk_gates(step, momentum, forgetting, active, x.form)
    keys, values = split(x.k), split(x.v)
    offsets = keys - values if x.form.residual else -values
    group = Group(keys, offsets, products, frozen, states, gain)
    y, loss, *after = memory(split(x.q), group, x.form)
    return (join(y), join(loss), *after)
