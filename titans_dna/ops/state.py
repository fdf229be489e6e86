"""The state of a memory between two calls: an immutable value, for each sample and head."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from typing import TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from titans_dna.errors import ConfigError
from titans_dna.ops.form import MemoryForm
from titans_dna.ops.network import Matrices

S = TypeVar("S")


def map_tensors(state: S, function: Callable[[Tensor], Tensor]) -> S:
    """Return ``state``, made of dataclasses and tuples, with ``function`` applied to every tensor in it."""
    if isinstance(state, Tensor):
        return function(state)  # type: ignore[return-value]
    if isinstance(state, tuple):
        return tuple(map_tensors(part, function) for part in state)  # type: ignore[return-value]
    if is_dataclass(state) and not isinstance(state, type):
        return replace(state, **{f.name: map_tensors(getattr(state, f.name), function) for f in fields(state)})
    return state


def note(x: Tensor, found: list[Tensor], instead: Tensor | None = None) -> Tensor:
    """Append ``x`` to ``found`` and return it, or ``instead``; used with ``map_tensors`` to collect tensors."""
    found.append(x)
    return x if instead is None else instead


def stack_tensors(states: Sequence[S]) -> S:
    """Return one state with the tensors of all ``states``, stacked along a new first axis."""
    columns: list[list[Tensor]] = []
    for state in states:
        found: list[Tensor] = []
        map_tensors(state, partial(note, found=found))
        columns.append(found)
    return _fill(states[0], iter([torch.stack(column) for column in zip(*columns, strict=True)]))


def unstack_tensors(state: S, count: int) -> list[S]:
    """Return the ``count`` states that ``stack_tensors`` stacked."""
    found: list[Tensor] = []
    map_tensors(state, partial(note, found=found))
    columns = zip(*(x.unbind(0) for x in found), strict=True) if found else [()] * count
    return [_fill(state, iter(column)) for column in columns]


def _fill(state: S, tensors: Iterator[Tensor]) -> S:
    return map_tensors(state, lambda _: next(tensors))


@dataclass(frozen=True, kw_only=True)
class Gates:
    """The gates of every token, head and written matrix, which depend on the input; all of shape (B, T, H, L).

    ``step`` is theta >= 0, ``momentum`` is eta in [0, 1), ``forgetting`` is alpha in [0, 1) (arXiv 2501.00663,
    equations 10, 13 and 14).
    """

    step: Float[Tensor, "B T H L"]
    momentum: Float[Tensor, "B T H L"]
    forgetting: Float[Tensor, "B T H L"]

    def tokens(self, start: int, end: int) -> Gates:
        """Return the gates of tokens ``start`` to ``end`` (half-open)."""
        return Gates(
            step=self.step[:, start:end], momentum=self.momentum[:, start:end], forgetting=self.forgetting[:, start:end]
        )


@dataclass(frozen=True, kw_only=True)
class Pending:
    """Tokens of a chunk that is not full yet; they are written for good when the chunk is full."""

    keys: Float[Tensor, "B P H D"]
    values: Float[Tensor, "B P H D"]
    gates: Gates
    active: Bool[Tensor, "B P"]


@dataclass(frozen=True, kw_only=True)
class MemoryState:
    """Weights and momentum at the last chunk border, and the tokens since then.

    Each matrix has shape (B, H, out, in). ``momentum`` has one matrix for each written weight.
    """

    weights: tuple[Float[Tensor, "B H _ _"], ...]
    momentum: tuple[Float[Tensor, "B H _ _"], ...]
    pending: Pending | None = None

    @property
    def chunk_position(self) -> int:
        """Number of tokens read since the last chunk border."""
        return 0 if self.pending is None else self.pending.keys.shape[1]


@dataclass(frozen=True, kw_only=True)
class Call:
    """What the rule runs on, from a chunk border on; see ``titans_dna.ops.neural_memory`` for the shapes."""

    q: Tensor
    k: Tensor
    v: Tensor
    gates: Gates
    active: Tensor | None
    weights: Matrices
    momentum: Matrices
    gain: Tensor | None
    form: MemoryForm
    chunk_tokens: int

    def tokens(self, start: int, end: int) -> Call:
        """Return the same for some of the tokens."""
        q, k, v = (x[:, start:end] for x in (self.q, self.k, self.v))
        active = None if self.active is None else self.active[:, start:end]
        return replace(self, q=q, k=k, v=v, gates=self.gates.tokens(start, end), active=active)


def initial_state(weights: tuple[Tensor, ...], batch: int, form: MemoryForm) -> MemoryState:
    """Return the state before the first token.

    Parameters
    ----------
    weights
        Learned initial weights, (H, out, in) for each matrix.
    batch
        Number of samples; each has its own memory.
    form
        Shape and rule of the memory.

    Raises
    ------
    ConfigError
        If the number of matrices differs from the depth of the form.
    """
    if len(weights) != form.depth:
        raise ConfigError(f"the memory has depth {form.depth} but {len(weights)} initial matrices were given")
    # Expanded without a copy: states are never written in place.
    own = tuple(w.unsqueeze(0).expand(batch, *w.shape) for w in weights)
    momentum = tuple(torch.zeros_like(w) for w in own[form.first_written :])
    return MemoryState(weights=own, momentum=momentum)
