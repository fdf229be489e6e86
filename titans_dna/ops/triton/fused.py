"""A group of chunks as one differentiable step of four kernels; the counterpart of ``ops.backward``.

``run_memory`` has the contract of ``backward.run_memory``. The forward pass is ``write_kernel`` (one program per row,
with the state on chip) and ``read_kernel`` (one program per chunk); the backward pass is their mirror image. Sums over
chunks or rows, for which a kernel would need atomics, are computed by PyTorch, so that results are the same in every
run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from titans_dna.ops.dual import Group
from titans_dna.ops.form import MemoryForm
from titans_dna.ops.triton.parts import GateTensors
from titans_dna.ops.triton.plan import Plan, make_plan, operand_products
from titans_dna.ops.triton.read import ReadGradients, read_backward_kernel, read_kernel
from titans_dna.ops.triton.write import write_kernel
from titans_dna.ops.triton.write_backward import GateGradients, write_backward_kernel

LAUNCH = {"num_warps": 8, "num_stages": 1}  # for every kernel: all registers for the state, no tiles loaded ahead
GROUP_CHUNKS = 64  # most chunks in a group
GROUP_BYTES = 1 << 30  # most device memory for the states at the borders of a group, and for their gradients
allocate: Callable[..., Tensor] = torch.empty  # tests replace it by a function that fills with NaN


def run_memory(q: Tensor, group: Group, form: MemoryForm) -> tuple[Tensor, ...]:
    """Return reads (N, R, C, D), losses (N, R, C) and the states after N chunks; shapes as in ``chunked``."""
    k, gates = group.k, group.gates
    plan = make_plan(form, k.shape[2], k.shape[3], group.gain is not None, operand_products())
    flat = [x for g in gates for x in (g.step, g.writes, g.reads, g.carry, g.transfer)]
    gain = k.new_ones(()) if group.gain is None or not plan.gain else group.gain
    return _FusedGroup.apply(plan, len(gates), q, k, group.offsets, gain, *flat, *group.frozen, *group.states)


def group_chunks(rows: int, form: MemoryForm, width: int) -> int:
    """Return how many chunks are one group: few enough that the states of all rows at their borders fit memory."""
    numbers = sum(a * b for a, b in form.shapes(width)[form.first_written :]) * (1 + form.momentum)
    return max(1, min(GROUP_CHUNKS, GROUP_BYTES // (8 * numbers * rows)))


class _FusedGroup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: Plan, written: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        x = Inputs.of(plan, written, tensors)
        with _on(x.k.device):
            trace, reads, loss = _forward(x)
        if any(ctx.needs_input_grad):
            ctx.plan, ctx.written, ctx.inputs = plan, written, len(tensors)
            ctx.save_for_backward(*tensors, *trace.flat())
        return (reads, loss, *(border[-1].clone() for border in trace.borders))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, reads_: Tensor, loss_: Tensor, *after_: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors  # asked for only once, because a checkpoint computes it again at every access
        x = Inputs.of(ctx.plan, ctx.written, saved[: ctx.inputs])
        trace = Trace.of(ctx.written, saved[ctx.inputs :])
        with _on(x.k.device):
            return (None, None, *_backward(x, trace, reads_.contiguous(), loss_.contiguous(), after_))


def _on(device: torch.device) -> AbstractContextManager[Any]:
    """Make the device of the tensors the current one, on which Triton launches kernels."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


@dataclass(frozen=True)
class Inputs:
    """The tensors of a group, contiguous. Kernels take pairs of them: for the first and for the last matrix."""

    plan: Plan
    q: Tensor
    k: Tensor
    offsets: Tensor
    gain: Tensor
    gates: list[GateTensors]  # of each written matrix
    frozen: list[Tensor]
    states: list[Tensor]

    @classmethod
    def of(cls, plan: Plan, written: int, tensors: Sequence[Tensor]) -> Inputs:
        """Give the tensors of a flat list their names."""
        q, k, offsets, gain, *rest = (x.contiguous() for x in tensors)
        gates = [GateTensors(*rest[5 * i : 5 * i + 5]) for i in range(written)]
        return cls(plan, q, k, offsets, gain, gates, rest[5 * written : -written], rest[-written:])

    def empty(self, *shape: int) -> Tensor:
        """Return a tensor that a kernel fills."""
        return allocate(*shape, dtype=self.k.dtype, device=self.k.device)

    def per_token(self, *shape: int) -> Tensor:
        """Return a tensor (N, R, C, ...) that a kernel fills."""
        return self.empty(*self.k.shape[:3], *shape)


@dataclass(frozen=True)
class Trace:
    """What the forward kernels keep for the backward ones."""

    z: Tensor  # output of the first matrix on the key pass, (N, R, C, hidden)
    z1: Tensor  # the same on the query pass
    z2: Tensor  # output of the last matrix on the query pass, (N, R, C, D)
    borders: list[Tensor]  # of each written matrix, (N + 1, R, ways * in, out)
    deltas: list[Tensor]
    steps: list[Tensor]

    def flat(self) -> list[Tensor]:
        """Return all tensors; ``of`` names them again."""
        return [self.z, self.z1, self.z2, *self.borders, *self.deltas, *self.steps]

    @classmethod
    def of(cls, written: int, tensors: Sequence[Tensor]) -> Trace:
        """Name the tensors of ``flat``."""
        z, z1, z2, *rest = tensors
        return cls(z, z1, z2, *(rest[i * written : (i + 1) * written] for i in range(3)))


def _pair(written: list[Any], frozen: list[Any]) -> tuple[Any, Any]:
    """Return what belongs to the first and to the last matrix; in a memory of one matrix, kernels ignore the first."""
    return ([*frozen, *written][0], written[-1])


def _forward(x: Inputs) -> tuple[Trace, Tensor, Tensor]:
    """Run both forward kernels; return their trace, the reads and the losses."""
    plan, chunks, rows = x.plan, *x.k.shape[:2]
    outs = [z.shape[-1] for z in x.states]
    hidden = plan.hidden if plan.depth == 2 else 0
    borders = [x.empty(chunks + 1, *z.shape) for z in x.states]
    for border, state in zip(borders, x.states, strict=True):
        border[0] = state
    deltas, steps = [x.per_token(out) for out in outs], [x.per_token() for _ in outs]
    trace = Trace(x.per_token(hidden), x.per_token(hidden), x.per_token(plan.width), borders, deltas, steps)
    reads, loss = x.per_token(plan.width), x.per_token()
    gates, states = _pair(x.gates, []), _pair(borders, x.frozen)
    known = (_pair(deltas, []), _pair(steps, []))
    write_kernel[(rows,)](
        x.k, x.offsets, x.gain, gates, states, trace.z, *known, loss, chunks, rows, plan, **LAUNCH
    )  # fmt: skip
    read_kernel[(chunks * rows,)](
        x.q, x.k, x.gain, gates, states, trace.z, *known, reads, trace.z1, trace.z2, rows, plan, **LAUNCH
    )  # fmt: skip
    return trace, reads, loss


def _backward(x: Inputs, t: Trace, reads_: Tensor, loss_: Tensor, after_: Sequence[Tensor]) -> list[Tensor | None]:
    """Run both backward kernels; return the gradients in the order of ``Inputs.of``."""
    plan, chunks, rows = x.plan, *x.k.shape[:2]
    q_, k_, offsets_ = (x.per_token(plan.width) for _ in range(3))
    gates, states, steps = _pair(x.gates, []), _pair(t.borders, x.frozen), _pair(t.steps, [])
    back = [_read_gradients(x, g, z) for g, z in zip(x.gates, x.states, strict=True)]
    of_reads, of_writes = x.empty(chunks, rows, plan.width), x.empty(rows, plan.width)
    # One gradient for each chunk, summed up afterwards: programs of several chunks must not write to one place.
    frozen_ = [x.empty(chunks, *w.shape) for w in x.frozen]
    read_backward_kernel[(chunks * rows,)](
        reads_, x.q, x.k, x.gain, gates, states, t.z, _pair(t.deltas, []), steps, t.z1, t.z2, q_, of_reads,
        frozen_[0] if frozen_ else q_, _pair(back, []), rows, plan, **LAUNCH,
    )  # fmt: skip
    to = [GateGradients(*(x.empty(*y.shape) for y in (g.step, g.carry, g.transfer))) for g in x.gates]
    # Cloned, because the kernel carries the gradient back through the chunks in place.
    states_ = [y.clone(memory_format=torch.contiguous_format) for y in after_]
    moved = [w.sum(0) for w in frozen_]
    write_backward_kernel[(rows,)](
        loss_, x.k, x.offsets, x.gain, gates, states, t.z, steps, _pair(back, []), k_, offsets_, of_writes,
        _pair(states_, moved), _pair(to, []), chunks, rows, plan, **LAUNCH,
    )  # fmt: skip
    gain_ = (of_reads.sum(0) + of_writes).view_as(x.gain) if plan.gain else None
    of_gates = [y for a, b in zip(to, back, strict=True) for y in (a.step, b.writes, b.reads, a.carry, a.transfer)]
    return [q_, k_, offsets_, gain_, *of_gates, *moved, *states_]


def _read_gradients(x: Inputs, gates: GateTensors, state: Tensor) -> ReadGradients:
    ways, (inner, out) = x.plan.ways, state.shape[1:]
    return ReadGradients(
        inputs=x.per_token(inner // ways),
        deltas=x.per_token(out),
        steps=x.per_token(),
        states=x.empty(len(x.k), *state.shape),
        writes=x.empty(*gates.writes.shape),
        reads=x.empty(*gates.reads.shape),
    )
