"""The dual form of a group of chunks as one differentiable step, with a gradient that is written by hand.

The memory itself learns by gradients, so the outer gradient contains second derivatives: those of the key pass
(``network.run_keys``) and of the bound. The gradient of the reads is computed for all chunks in one batch; only the
gradient at the states runs from the last chunk to the first. It is written by hand because autograd would keep a graph
of hundreds of nodes for each chunk. tests/ops/test_chunked.py compares it with the reference at 1e-10.

A name followed by ``_`` is the gradient with respect to the value of that name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from titans_dna.ops.bound import BoundedStep
from titans_dna.ops.dual import ChunkGates, Group, QueryPass, Trace, flat_ways, read_chunks, step_share, write_chunks
from titans_dna.ops.form import MemoryForm
from titans_dna.ops.network import KeyPass, Matrices, curvature, through_activation, through_norm
from titans_dna.ops.state import map_tensors, note, stack_tensors, unstack_tensors


def run_memory(q: Tensor, group: Group, form: MemoryForm) -> tuple[Tensor, ...]:
    """Return reads (N, R, C, D), losses (N, R, C) and the states after N chunks; shapes as in ``chunked``."""
    group = group if form.norm else replace(group, gain=None)
    # autograd.Function takes tensors one by one, so the group is taken apart here and put together inside.
    tensors: list[Tensor] = []
    shape = map_tensors(group, lambda x: note(x, tensors))
    return _MemoryGroup.apply(shape, form, q, *tensors)


class _MemoryGroup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, group: Group, form: MemoryForm, q: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        arguments = iter(tensors)
        group = map_tensors(group, lambda _: next(arguments))
        learning = any(ctx.needs_input_grad)
        trace, after = write_chunks(group, form, learning)
        queries = read_chunks(q, trace, group, form)
        if learning:
            # Kept through save_for_backward, not on ctx: only so does autograd free them and notice in-place changes.
            saved: list[Tensor] = []
            ctx.form, blank = form, q.new_empty(0)
            ctx.shape = map_tensors((group, trace, queries), lambda x: note(x, saved, blank))
            ctx.save_for_backward(*saved)
            ctx.set_materialize_grads(False)
        return (queries.reads, trace.keys.loss, *after)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, reads_: Tensor | None, loss_: Tensor | None, *after_: Tensor | None) -> tuple[Any, ...]:
        saved = iter(ctx.saved_tensors)
        group, trace, queries = map_tensors(ctx.shape, lambda _: next(saved))
        reads_ = torch.zeros_like(queries.reads) if reads_ is None else reads_
        loss_ = torch.zeros_like(trace.keys.loss) if loss_ is None else loss_
        states_ = [torch.zeros_like(z) if x is None else x for x, z in zip(after_, group.states, strict=True)]
        # Reads first: their gradients at the written values are needed by every chunk on the way back.
        back = _through_reads(reads_, group, trace, queries, ctx.form)
        gradient = _through_writes(back, loss_, states_, group, trace, ctx.form)
        tensors: list[Tensor] = []
        map_tensors(gradient, lambda x: note(x, tensors))
        return (None, None, back.q, *tensors)


@dataclass(frozen=True)
class _ReadGradient:
    """The gradients that come from the reads, for all chunks."""

    q: Tensor
    gain: Tensor | None
    frozen: Matrices
    inputs: Matrices  # one per written matrix, like all fields below
    deltas: Matrices
    steps: Matrices
    states: Matrices  # at the border of each chunk
    writes: Matrices  # fields of ChunkGates
    reads: Matrices


def _through_reads(y_: Tensor, group: Group, trace: Trace, queries: QueryPass, form: MemoryForm) -> _ReadGradient:
    gain_, z_ = None, y_
    if form.norm:
        normal, mean, inverse = queries.norm
        if group.gain is not None:
            gain_, z_ = (y_ * normal).sum((0, 2)).unsqueeze(1), y_ * group.gain
        z_ = through_norm(z_, queries.outputs[-1], mean, inverse)
    frozen_, written = [], []
    # All chunks at once: a read depends on the state before its chunk, which is known from the forward pass.
    for matrix in range(form.depth - 1, -1, -1):
        x, index = queries.inputs[matrix], matrix - form.first_written
        if index < 0:
            frozen_.append((x.mT @ z_).sum(0))
            x_ = z_ @ group.frozen[matrix].mT
        else:
            x_, *parts = _through_read(z_, x, index, group.gates[index], trace, queries.products[index], form)
            written.append(parts)
        if matrix:
            z_ = through_activation(x_, queries.outputs[matrix - 1], form)
    columns = (tuple(reversed(column)) for column in zip(*written, strict=True))
    return _ReadGradient(x_ + y_ if form.residual else x_, gain_, tuple(reversed(frozen_)), *columns)


def _through_read(
    z_: Tensor, x: Tensor, index: int, gates: ChunkGates, trace: Trace, product: Tensor, form: MemoryForm
) -> tuple[Tensor, ...]:
    """Return the gradients at the values of one written matrix: x, inputs, deltas, steps, states, writes, reads."""
    a, delta = trace.keys.inputs[form.first_written + index], trace.keys.deltas[index]
    step, state = trace.steps[index].unsqueeze(-2), trace.states[index]
    # The read was  x (reads . state) - (weight * x a^T) delta:  the state, and what the chunk has written so far.
    ways_ = (z_ @ state.mT).unflatten(-1, (gates.reads.shape[-1], -1))
    reads_ = torch.linalg.vecdot(ways_, x.unsqueeze(-2))
    state_ = flat_ways(x, gates.reads).mT @ z_
    score_, weight = -(z_ @ delta.mT), gates.writes * step
    product_, both = score_ * weight, score_ * product
    delta_ = -((weight * product).mT @ z_)
    x_ = (ways_ * gates.reads.unsqueeze(-1)).sum(-2) + product_ @ a
    return x_, product_.mT @ x, delta_, (both * gates.writes).sum(-2), state_, both * step, reads_


def _through_writes(
    back: _ReadGradient, loss_: Tensor, states_: list[Tensor], group: Group, trace: Trace, form: MemoryForm
) -> Group:
    """Return the gradients at all tensors of ``group``, from the last chunk to the first."""
    count, first, share = len(group.k), form.first_written, step_share(form)
    traces = unstack_tensors(trace, count)
    reads = unstack_tensors(_Border(back.inputs, back.deltas, back.steps, back.states), count)
    gates = unstack_tensors(group.gates, count)
    bounds = [
        BoundedStep(g.step, trace.keys.inputs[first + i], trace.keys.deltas[i], trace.keys.loss, b, len(group.gates))
        for i, (g, b) in enumerate(zip(group.gates, trace.bounds, strict=False))
    ]
    frozen_, gain_ = list(back.frozen), back.gain
    rows: list[tuple[Tensor, Tensor, tuple[tuple[Tensor, ...], ...]]] = []
    # The only loop over chunks: the gradient at a state adds what later chunks read of it, so it runs backwards.
    for n in range(count - 1, -1, -1):
        chunk, border = traces[n], reads[n]
        error_loss_, inputs_, deltas_, gates_ = loss_[n], [], [], []
        for i, gate in enumerate(gates[n]):
            written = _through_write(states_[i], border, gate, chunk, i, form)
            step_ = border.steps[i] + torch.linalg.vecdot(written.weights, gate.carry)
            input_, delta_ = written.inputs, written.deltas
            if form.bounded:  # the step was shrunk by a bound that depends on inputs, deltas and loss in its turn
                bound = bounds[i].backward(n, share * step_, input_)
                step_, error_loss_ = bound.step, error_loss_ + bound.loss
                input_, delta_ = bound.inputs, torch.addcmul(delta_, bound.scaled, bound.root)
            inputs_.append(input_)
            deltas_.append(delta_)
            gates_.append((step_, written.weights * chunk.steps[i].unsqueeze(-1), written.transfer))
            states_[i] = written.state
        keys = _through_keys(inputs_, deltas_, error_loss_, chunk, group, form)
        # The key pass ran on the states too; its weights are the first way of each state.
        for i, weight_ in enumerate(keys.weights[first:]):
            states_[i][:, : weight_.shape[1]] += weight_
        frozen_ = [x + y for x, y in zip(frozen_, keys.weights[:first], strict=True)]
        gain_ = None if gain_ is None or keys.gain is None else gain_ + keys.gain
        rows.append((keys.k, keys.error, tuple(gates_)))
    k_, offsets_, per_matrix = stack_tensors(rows[::-1])
    gates_found = tuple(
        ChunkGates(step, writes, reads_, carry, transfer)
        for (step, carry, transfer), writes, reads_ in zip(per_matrix, back.writes, back.reads, strict=True)
    )
    return Group(k_, offsets_, gates_found, tuple(frozen_), tuple(states_), gain_)


@dataclass(frozen=True)
class _Border:
    """The gradients that come from the reads of one chunk, for each written matrix."""

    inputs: Matrices
    deltas: Matrices
    steps: Matrices
    states: Matrices


@dataclass(frozen=True)
class _WriteGradient:
    inputs: Tensor
    deltas: Tensor
    weights: Tensor  # (R, C, ways) at carry * step
    transfer: Tensor
    state: Tensor


def _through_write(
    state_: Tensor, back: _Border, gates: ChunkGates, trace: Trace, index: int, form: MemoryForm
) -> _WriteGradient:
    """Go back through ``state' = transfer state - (a * (carry * step))^T delta``, and add to the reads' gradients."""
    a, delta = trace.keys.inputs[form.first_written + index], trace.keys.deltas[index]
    weights, state = gates.carry * trace.steps[index].unsqueeze(-1), trace.states[index]
    rows, ways = len(state), weights.shape[-1]
    write_ = torch.bmm(delta, state_.mT).unflatten(-1, (ways, -1))
    flat_, flat = state_.reshape(rows, ways, -1), state.view(rows, ways, -1)
    # One product per way, W and S, instead of one over both: the two share the inputs but not the weights.
    input_ = back.inputs[index]
    for way in range(ways):
        input_ = torch.addcmul(input_, write_[..., way, :], weights[..., way, None], value=-1)
    return _WriteGradient(
        inputs=input_,
        deltas=torch.baddbmm(back.deltas[index], flat_ways(a, weights), state_, alpha=-1),
        weights=-torch.linalg.vecdot(write_, a.unsqueeze(-2)),
        transfer=torch.bmm(flat_, flat.mT),
        state=torch.baddbmm(back.states[index].view_as(flat), gates.transfer.mT, flat_).view_as(state),
    )


@dataclass(frozen=True)
class _KeyGradient:
    k: Tensor
    error: Tensor
    weights: list[Tensor]  # of every matrix
    gain: Tensor | None


def _through_keys(
    inputs_: Sequence[Tensor], deltas_: list[Tensor], loss_: Tensor, trace: Trace, group: Group, form: MemoryForm
) -> _KeyGradient:
    """Go back through ``network.run_keys``: first through its backward pass, from the first matrix to the last."""
    keys, first, last = trace.keys, form.first_written, form.depth - 1
    ways = group.gates[0].reads.shape[-1]
    weights = [*group.frozen, *(z[:, : z.shape[1] // ways] for z in trace.states)]
    weights_: list[Tensor | None] = [None] * form.depth
    outputs_: list[Tensor | None] = [None] * form.depth
    # Deltas were made by a backward pass of the memory: going through them runs forwards, with second derivatives.
    for matrix in range(first, last):
        i, z = matrix - first, keys.outputs[matrix]
        back_ = through_activation(deltas_[i], z, form)
        outputs_[matrix] = deltas_[i] * keys.backs[i] * curvature(z, form)
        weights_[matrix + 1] = torch.bmm(back_.mT, keys.deltas[i + 1])
        deltas_[i + 1] = torch.baddbmm(deltas_[i + 1], back_, weights[matrix + 1])
    error_, outputs_[last], gain_ = _through_error(deltas_[-1], loss_, keys, group.gain, form)
    # Then the ordinary backward pass through the outputs, with what the second derivatives added to them.
    for matrix in range(last, -1, -1):
        z_, a = outputs_[matrix], keys.inputs[matrix]
        assert z_ is not None
        weights_[matrix] = _add_product(weights_[matrix], a.mT, z_)
        a_ = _add_product(inputs_[matrix - first] if matrix >= first else None, z_, weights[matrix].mT)
        if matrix:
            outputs_[matrix - 1] = _add(outputs_[matrix - 1], through_activation(a_, keys.outputs[matrix - 1], form))
    return _KeyGradient(a_, error_, [w for w in weights_ if w is not None], gain_)


def _through_error(
    delta_: Tensor, loss_: Tensor, keys: KeyPass, gain: Tensor | None, form: MemoryForm
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the gradients at the error, the last output and the gain, from those at the last delta and the loss."""
    of_loss = 2.0 * keys.error * loss_.unsqueeze(-1)
    if not form.norm:
        error_ = torch.add(of_loss, delta_, alpha=2.0)
        return error_, error_, None
    normal, mean, inverse = keys.norm
    z, delta = keys.outputs[-1], keys.deltas[-1]
    pull = 2.0 * keys.error if gain is None else 2.0 * keys.error * gain  # delta is the norm's gradient of it
    pull_ = through_norm(delta_, z, mean, inverse)  # that map is its own transpose
    error_ = torch.add(of_loss, pull_ if gain is None else pull_ * gain, alpha=2.0)
    gain_ = None
    normal_ = error_
    if gain is not None:
        gain_ = (2.0 * pull_ * keys.error + error_ * normal).sum(1, keepdim=True)
        normal_ = error_ * gain
    # The norm's own gradient was part of delta, so its mean and its scale are gone through a second time.
    scaled = inverse * delta_
    along_pull, along_scaled = (pull * normal).mean(-1, keepdim=True), (scaled * normal).mean(-1, keepdim=True)
    normal_ = normal_ - scaled * along_pull - pull * along_scaled
    stretch = torch.linalg.vecdot(delta_, delta).unsqueeze(-1) * inverse / z.shape[-1]
    return error_, through_norm(normal_, z, mean, inverse) - stretch * normal, gain_


def _add(one: Tensor | None, other: Tensor) -> Tensor:
    return other if one is None else one + other


def _add_product(one: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
    return torch.bmm(left, right) if one is None else torch.baddbmm(one, left, right)
