"""The neural memory as a function: one call for all implementations.

>>> import torch
>>> from titans_dna.ops import Gates, MemoryForm, initial_state, neural_memory
>>> form = MemoryForm.linear()
>>> q = k = v = torch.eye(4).view(1, 4, 1, 4)
>>> gate = torch.zeros(1, 4, 1, 1)
>>> state = initial_state((torch.eye(4).view(1, 4, 4),), batch=1, form=form)
>>> out = neural_memory(q, k, v, Gates(step=gate, momentum=gate, forgetting=gate), state, chunk_tokens=2, form=form)
>>> bool(torch.equal(out.reads, v)), out.state.chunk_position
(True, 0)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from titans_dna.errors import ConfigError
from titans_dna.ops import chunked, compiled, reference, triton
from titans_dna.ops.chunked import GROUP_CHUNKS
from titans_dna.ops.form import MemoryForm
from titans_dna.ops.state import Call, Gates, MemoryState, Pending, initial_state

__all__ = [
    "GROUP_CHUNKS",
    "Gates",
    "MemoryForm",
    "MemoryOutput",
    "MemoryState",
    "Pending",
    "choose",
    "initial_state",
    "neural_memory",
]

_RUNS: dict[str, Callable[..., Any]] = {
    "reference": reference.run, "chunked": chunked.run, "compiled": compiled.run, "triton": triton.run
}  # fmt: skip


class MemoryOutput(NamedTuple):
    """The output of `neural_memory`."""

    reads: Float[Tensor, "B T H D"]  # M_t(q_t), the memory after token t read with its query
    state: MemoryState  # state after the last token
    surprise: Float[Tensor, "B T H"]  # ||M_border(k_t) - v_t||^2, the loss whose gradient is the surprise


def choose(
    implementation: str,
    device: torch.device | str,
    form: MemoryForm | None = None,
    *,
    head_width: int = 64,
    chunk_tokens: int = 64,
    dtype: torch.dtype = torch.float32,
    learning: bool = False,
) -> tuple[str, str]:
    """Return the name of the implementation to use, and the reason in words.

    ``auto`` takes the fused kernels or the compiled loop wherever they can run. Without a form, the answer is for the
    default memory.
    ``learning`` says whether gradients are needed.

    Raises
    ------
    ConfigError
        If the name is unknown, or kernels or loop are asked for by name but cannot run.
    """
    device, form = torch.device(device), form or MemoryForm()
    if implementation == "auto" and device.type == "cpu":
        reason = compiled.obstacle(device, form, head_width, chunk_tokens, dtype, learning)
        return ("chunked", f"the dual form, for {reason}") if reason else ("compiled", "a compiled loop on cpu")
    if implementation == "auto" and device.type != "cuda":
        return "chunked", f"the dual form is the fastest implementation on {device.type}"
    named: dict[str, Callable[..., str | None]] = {"triton": triton.obstacle, "compiled": compiled.obstacle}
    if implementation == "auto" or implementation in named:
        name = "triton" if implementation == "auto" else implementation
        obstacle = named[name](device, form, head_width, chunk_tokens, dtype, learning)
        if implementation == "auto":
            return ("chunked", obstacle) if obstacle else ("triton", f"fused kernels on {device.type}")
        if obstacle:
            raise ConfigError(f"memory implementation {name} cannot run: {obstacle}; choose auto or chunked")
    if implementation not in _RUNS:
        raise ConfigError(f"memory implementation is {implementation!r}; choose auto, {', '.join(_RUNS)}")
    return implementation, "asked for by name"


def neural_memory(
    q: Float[Tensor, "B T H D"],
    k: Float[Tensor, "B T H D"],
    v: Float[Tensor, "B T H D"],
    gates: Gates,
    state: MemoryState,
    *,
    chunk_tokens: int,
    form: MemoryForm,
    gain: Float[Tensor, "H D"] | None = None,
    active: Bool[Tensor, "B T"] | None = None,
    implementation: str = "auto",
) -> MemoryOutput:
    """Write keys and values to a memory, token by token, and read it with queries.

    A sequence may be cut anywhere: with the state carried on, the reads are those of one call.

    Parameters
    ----------
    q, k, v
        Queries, keys and values of T tokens, H heads of width D.
    gates
        Step, momentum and forgetting of every token, head and written matrix.
    state
        State before the first token, from ``initial_state`` or from an earlier call.
    chunk_tokens
        Tokens whose gradients are taken at the same weights. Another value is another function, so keep that of
        training.
    form
        Shape and write rule of the memory.
    gain
        Learned gain of the LayerNorm on the output; None for 1.
    active
        Tokens that are written; the others neither write nor forget, and read the memory as it is. None for all.
    implementation
        ``auto`` (see ``choose``), ``triton`` (fused kernels), ``compiled`` (a loop for CPU, no gradient), ``chunked``
        (dual form) or ``reference`` (token by token, autograd).

    Raises
    ------
    ConfigError
        If shapes, chunk or implementation do not fit.

    References
    ----------
    Behrouz et al., Titans: Learning to Memorize at Test Time, arXiv 2501.00663, equations 8 to 14 and section 3.2.
    """
    if chunk_tokens < 1:
        raise ConfigError(f"chunk_tokens is {chunk_tokens}; choose 1 or more")
    if gates.step.shape[-1] != form.written_matrices:
        raise ConfigError(f"gates have {gates.step.shape[-1]} matrices but the form writes {form.written_matrices}")
    name, _ = choose(
        implementation,
        q.device,
        form,
        head_width=q.shape[-1],
        chunk_tokens=chunk_tokens,
        dtype=q.dtype,
        learning=torch.is_grad_enabled(),
    )
    # A chunk that was cut is computed again from its border, with the tokens of the earlier call in front. These have
    # no query any more; their reads are dropped at the end.
    known, pending = state.chunk_position, state.pending
    if pending is not None:
        q = torch.cat([torch.zeros_like(pending.keys), q], 1)
        k, v = torch.cat([pending.keys, k], 1), torch.cat([pending.values, v], 1)
        gates = Gates(
            step=torch.cat([pending.gates.step, gates.step], 1),
            momentum=torch.cat([pending.gates.momentum, gates.momentum], 1),
            forgetting=torch.cat([pending.gates.forgetting, gates.forgetting], 1),
        )
        if active is not None or not bool(pending.active.all()):
            fresh = torch.ones_like(q[:, known:, 0, 0], dtype=torch.bool) if active is None else active
            active = torch.cat([pending.active, fresh], 1)
    call = Call(
        q=q, k=k, v=v, gates=gates, active=active, weights=state.weights, momentum=state.momentum, gain=gain, form=form,
        chunk_tokens=chunk_tokens,
    )  # fmt: skip
    reads, surprise, weights, momentum = _RUNS[name](call)
    rest = k.shape[1] % chunk_tokens
    after = MemoryState(weights=weights, momentum=momentum, pending=_tail(k, v, gates, active, rest))
    return MemoryOutput(reads[:, known:], after, surprise[:, known:])


def _tail(k: Tensor, v: Tensor, gates: Gates, active: Tensor | None, rest: int) -> Pending | None:
    if rest == 0:
        return None
    start, end = k.shape[1] - rest, k.shape[1]
    mask = k.new_ones(k.shape[0], rest, dtype=torch.bool) if active is None else active[:, start:]
    return Pending(keys=k[:, start:], values=v[:, start:], gates=gates.tokens(start, end), active=mask)
