"""The dual form: a chunk is computed by a few matrix products, without a weight matrix for each token.

Within a chunk all gradients are taken at the weights of its border, so the rule is linear there. With
``G = A W E diag(theta)`` (W = 1 on active tokens), ``b`` and ``m`` the products of the gates since the border, and
``f = A W m``:

    read    z_l = b * (x_l W_l^T) + f * (x_l S_l^T) - (G_l . (x_l a_l^T)) delta_l
    state   W_l <- b_C W_l + f_C S_l - (G_l[C,:] * delta_l)^T a_l
            S_l <- m_C S_l - ((E_l[C,:] theta_l) * delta_l)^T a_l

``gates`` and ``network`` explain the other letters; x_l is the input of matrix l on the query pass. Only the keys run
chunk by chunk. Reads change nothing, so those of a group of chunks are computed in one batch. W and S of a written
matrix are one tensor, transposed: (R, ways * in, out), with ways = 2 (1 without momentum) and R samples times heads.
The form was derived for this project (ops/README.md); tests/ops/test_chunked.py compares it with ``reference``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from titans_dna.ops.bound import Bound, bounded_step, earlier_steps, gram
from titans_dna.ops.form import MemoryForm
from titans_dna.ops.gates import decay_products
from titans_dna.ops.network import KeyPass, Matrices, activate, normalise, run_keys
from titans_dna.ops.state import stack_tensors, unstack_tensors


@dataclass(frozen=True)
class ChunkGates:
    """Products of the gates of one written matrix over each chunk; N chunks, R rows, C tokens."""

    step: Tensor  # (N, R, C) theta, 0 where inactive
    writes: Tensor  # (N, R, C, C) A W E: weight of write i in the memory of token t
    reads: Tensor  # (N, R, C, ways) b and f: weights of the border's W and S in the memory of token t
    carry: Tensor  # (N, R, C, ways) last rows of A W E and of E: weight of write i in W and S after the chunk
    transfer: Tensor  # (N, R, ways, ways) weights of the border's W and S in W and S after the chunk


def chunk_gates(
    step: Tensor, momentum: Tensor, forgetting: Tensor, active: Tensor | None, form: MemoryForm
) -> tuple[ChunkGates, ...]:
    """Return the products of gates (L, N, R, C) of all chunks N of each of L written matrices, made in one batch."""
    keep = 1.0 - forgetting
    # A token that is not active has a step of 0 and keeps everything, as if it were not there.
    if active is not None:
        step = step * active
        keep = torch.where(active, keep, 1.0)
        momentum = torch.where(active, momentum, 1.0)
    if not form.forgetting:
        keep = torch.ones_like(keep)
    if not form.momentum:  # nothing of S_t enters a later M: the state's momentum is left as it is
        retention, b = decay_products(keep)
        writes = retention if active is None else retention * active.unsqueeze(-2)
        gates = ChunkGates(step, writes, b[..., None], writes[..., -1, :, None], b[..., -1:, None])
        return tuple(unstack_tensors(gates, len(step)))
    # One product for both decays: a batch of two is faster than two calls.
    squares, prefixes = decay_products(torch.stack([keep, momentum]))
    (retention, carry), (b, m) = squares.unbind(0), prefixes.unbind(0)
    writes = retention @ (carry if active is None else carry * active.unsqueeze(-1))
    f = writes[..., 0] * momentum[..., :1]  # A W m: m is the first column of E times the first momentum
    last = torch.stack([b[..., -1], f[..., -1], torch.zeros_like(m[..., -1]), m[..., -1]], -1)
    ends = torch.stack([writes[..., -1, :], carry[..., -1, :]], -1)
    gates = ChunkGates(step, writes, torch.stack([b, f], -1), ends, last.unflatten(-1, (2, 2)))
    return tuple(unstack_tensors(gates, len(step)))


@dataclass(frozen=True)
class Group:
    """Everything but the queries from which a group of N chunks is computed; shapes as in ``write_chunks``."""

    k: Tensor
    offsets: Tensor
    gates: tuple[ChunkGates, ...]
    frozen: Matrices
    states: Matrices
    gain: Tensor | None


@dataclass(frozen=True)
class Trace:
    """What is kept of the keys of a chunk or, stacked, of all chunks of a group."""

    keys: KeyPass
    bounds: tuple[Bound, ...]  # of each written matrix; empty without a bound
    steps: Matrices  # theta', the bounded steps, of each written matrix
    states: Matrices  # state of each written matrix before the chunk


def flat_ways(x: Tensor, weights: Tensor) -> Tensor:
    """Return ``x`` (..., C, in) times each column of ``weights`` (..., C, ways), side by side (..., C, ways * in)."""
    return (x.unsqueeze(-2) * weights.unsqueeze(-1)).flatten(-2)


def step_share(form: MemoryForm) -> float:
    """Return the factor of bounded steps that makes up for momentum, which adds up to 1 / (1 - limit) times a step."""
    return 1.0 - form.momentum_limit if form.bounded and form.momentum else 1.0


def write_chunks(group: Group, form: MemoryForm, learning: bool) -> tuple[Trace, Matrices]:
    """Run keys (N, R, C, D) through the memory, chunk after chunk; return their trace, stacked, and the states after.

    ``offsets`` is that of ``network.run_keys``, ``frozen`` the matrices that are not written, (R, in, out), and
    ``states`` those that are, (R, ways * in, out). Without ``learning`` the trace has what the reads need alone.
    """
    k, gates, states = group.k, group.gates, group.states
    first, ways = form.first_written, gates[0].reads.shape[-1]
    products = [unstack_tensors(g, len(k)) for g in gates]
    earlier = [earlier_steps(g.step, len(gates)).unbind(0) for g in gates] if form.bounded else []
    key_gram = gram(k).unbind(0) if form.bounded and not first else ()
    buffers = [z.new_empty(len(k) + 1, *z.shape) for z in states]  # a state is made where it is kept
    for buffer, state in zip(buffers, states, strict=True):
        buffer[0] = state
    traces = []
    # Keys go chunk by chunk, because the gradients of a chunk are taken at the state after the chunk before.
    for n, (key, offset) in enumerate(zip(k.unbind(0), group.offsets.unbind(0), strict=True)):
        weights = (*group.frozen, *(z[:, : z.shape[1] // ways] for z in states))
        found = run_keys(key, offset, weights, group.gain, form)
        steps, bounds = [], []
        for index, (state, delta) in enumerate(zip(states, found.deltas, strict=True)):
            g, a = products[index][n], found.inputs[first + index]
            step = g.step
            if form.bounded:  # otherwise many similar tokens in a chunk together overshoot their target by far
                product = gram(a) if first + index else key_gram[n]
                bounds.append(bounded_step(step, product, delta, found.loss, earlier[index][n], len(gates)))
                step = step_share(form) * bounds[-1].step
            write = flat_ways(a, g.carry * step.unsqueeze(-1))
            _decay(state, g.transfer, buffers[index][n + 1]).baddbmm_(write.mT, delta, alpha=-1)
            steps.append(step)
        kept = (found, tuple(bounds)) if learning else (found.for_reads(), ())
        traces.append(Trace(*kept, tuple(steps), ()))
        states = tuple(buffer[n + 1] for buffer in buffers)
    trace = replace(stack_tensors(traces), states=tuple(buffer[:-1] for buffer in buffers))
    return trace, tuple(state.clone() for state in states)


def _decay(state: Tensor, transfer: Tensor, out: Tensor) -> Tensor:
    """Put ``transfer state`` into ``out``, elementwise: a matrix product with only two rows is slower."""
    ways = transfer.shape[-1]
    kept = out.unflatten(1, (ways, -1))
    torch.mul(state.unflatten(1, (ways, -1)), transfer.diagonal(dim1=-2, dim2=-1)[..., None, None], out=kept)
    if ways > 1:  # S enters W, but W never enters S
        kept[:, 0].addcmul_(state[:, state.shape[1] // ways :], transfer[:, :1, 1:])
    return out


@dataclass(frozen=True)
class QueryPass:
    """What is kept of the reads of a group."""

    reads: Tensor  # (N, R, C, D)
    inputs: Matrices  # x_l of every matrix, (N, R, C, in)
    outputs: Matrices  # z_l
    products: Matrices  # x_l a_l^T of each written matrix, (N, R, C, C)
    norm: Matrices  # n, mean and inverse deviation; empty without a norm


def read_chunks(q: Tensor, trace: Trace, group: Group, form: MemoryForm) -> QueryPass:
    """Read a group of chunks with queries (N, R, C, D); ``trace`` is the stacked trace of its keys."""
    # All chunks at once: a read changes nothing, and the states at the borders are known from the keys.
    xs, zs, products = [q], [], []
    for matrix in range(form.depth):
        x, index = xs[-1], matrix - form.first_written
        if index < 0:
            zs.append(x @ group.frozen[matrix])
        else:
            g = group.gates[index]
            products.append(x @ trace.keys.inputs[matrix].mT)
            scores = products[-1] * g.writes * trace.steps[index].unsqueeze(-2)
            z = flat_ways(x, g.reads) @ trace.states[index]
            delta = trace.keys.deltas[index].flatten(0, 1)
            zs.append(z.flatten(0, 1).baddbmm_(scores.flatten(0, 1), delta, alpha=-1).view_as(z))
        if matrix + 1 < form.depth:
            xs.append(activate(zs[-1], form))
    norm = normalise(zs[-1]) if form.norm else ()
    y = norm[0] if norm else zs[-1]
    if norm and group.gain is not None:
        y = torch.addcmul(q, y, group.gain) if form.residual else y * group.gain
    elif form.residual:
        y = q + y
    return QueryPass(y, tuple(xs), tuple(zs), tuple(products), tuple(norm))
