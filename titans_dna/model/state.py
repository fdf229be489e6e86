"""The state of a stream between two calls: immutable values, one row per sample.

A state belongs to one contig and one strand. It can be copied to several continuations (``select``), joined into one
batch (``concatenate``) and detached; no call changes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from titans_dna.errors import CheckpointError
from titans_dna.ops.state import MemoryState, map_tensors
from titans_dna.recall import CopyMemory, RecallLanes

S = TypeVar("S")


@dataclass(frozen=True, kw_only=True)
class AttentionState:
    """Keys and values of the last W tokens, before rotary positions; other tokens may attend to those ``valid``."""

    keys: Float[Tensor, "B W H D"]
    values: Float[Tensor, "B W H D"]
    valid: Bool[Tensor, "B W"]


@dataclass(frozen=True, kw_only=True)
class NeuralMemoryState:
    """A neural memory, and the last inputs of the convolution before it."""

    memory: MemoryState
    tail: Float[Tensor, "B K N"]  # the last K = convolution_tokens - 1 inputs of the convolution
    since_reset: Int[Tensor, " B"]  # tokens read since the last reset; counted only if the memory has a reset period


@dataclass(frozen=True, kw_only=True)
class SegmentState:
    """A segment of MAC that is not full yet: what its later tokens attend to, and the weights with which it reads."""

    keys: Float[Tensor, "B S H D"]  # of the segment's tokens so far, before rotary positions
    values: Float[Tensor, "B S H D"]
    recalled_keys: Float[Tensor, "B S H D"]  # of what the memories recalled for these tokens
    recalled_values: Float[Tensor, "B S H D"]
    valid: Bool[Tensor, "B S"]
    weights: tuple[tuple[Tensor, ...], ...]  # weights of each memory at the start of the segment


@dataclass(frozen=True, kw_only=True)
class BlockState:
    """The states of a block's parts; None or empty if the block has no such part."""

    attention: AttentionState | None = None
    memories: tuple[NeuralMemoryState, ...] = ()
    segment: SegmentState | None = None


@dataclass(frozen=True, kw_only=True)
class StreamState:
    """The state of a stream: one state per block, the last ids, and the number of tokens read."""

    blocks: tuple[BlockState, ...]
    recent: Tensor  # (B, R) the last ids, for the embedding of words
    position_tokens: int = 0
    recall: RecallLanes | None = None  # readers of the copy memory; None without one


def select(state: S, rows: Sequence[int] | Tensor) -> S:
    """Return the state of ``rows``, in that order; a row may be named several times."""
    index = torch.as_tensor(rows)
    out = map_tensors(state, lambda x: x.index_select(0, index.to(x.device)))
    if isinstance(out, StreamState) and out.recall is not None:
        out = replace(out, recall=out.recall.select(index.tolist()))
    return out


def detach(state: S) -> S:
    """Return the state without the graph of autograd that made it, so that no gradient flows back into it."""
    return map_tensors(state, Tensor.detach)


def where(mask: Bool[Tensor, " B"], first: S, second: S) -> S:
    """Return, row by row, ``first`` where ``mask`` is true and ``second`` elsewhere."""

    def pick(a: Any, b: Any) -> Any:
        if isinstance(a, Tensor):
            return torch.where(mask.view(-1, *[1] * (a.ndim - 1)), a, b)
        if isinstance(a, RecallLanes):
            return a.where(mask.tolist(), b)
        if isinstance(a, tuple):
            return tuple(pick(x, y) for x, y in zip(a, b, strict=True))
        if is_dataclass(a) and not isinstance(a, type):
            return replace(a, **{f.name: pick(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)})
        return b

    return pick(first, second)


def concatenate(states: Sequence[S]) -> S:
    """Join the states of several batches to one; ``Backbone.join`` also checks that they fit together."""
    first = states[0]
    if isinstance(first, Tensor):
        return torch.cat(list(states))  # type: ignore[arg-type, return-value]
    if isinstance(first, RecallLanes):
        return RecallLanes.join(states)  # type: ignore[arg-type, return-value]
    if isinstance(first, tuple):
        return tuple(concatenate(parts) for parts in zip(*states, strict=True))  # type: ignore[return-value]
    if is_dataclass(first) and not isinstance(first, type):
        return replace(
            first, **{f.name: concatenate([getattr(state, f.name) for state in states]) for f in fields(first)}
        )
    return first


def attach(state: StreamState, ids_of: Callable[[int], np.ndarray], before: CopyMemory | None = None) -> StreamState:
    """Return a state from a file with the copy memories given back that it had when it was saved.

    Parameters
    ----------
    state
        State from ``load_state``. A state without copy memory, or with a complete one, is returned as it is.
    ids_of
        Gives what a row had read: its ids from the first, the token of the start among them.
    before
        What every row had read before its own stream began (``Backbone.read_before``).

    Raises
    ------
    CheckpointError
        If these are not the ids that the state had read.
    """
    if state.recall is None or not state.recall.checksums:
        return state
    if len(state.recall.streams) != state.recent.shape[0]:
        raise CheckpointError("the saved state has not one reader of a copy memory for every row; begin anew")
    return replace(state, recall=state.recall.attach(ids_of, before))


def state_numbers(state: object) -> int:
    """Return how many numbers the state holds, over all rows, without the copy memory."""
    total = 0

    def count(x: Tensor) -> Tensor:
        nonlocal total
        total += x.numel()
        return x

    map_tensors(state, count)
    return total
