"""Runs of N cost next to nothing: a piece of a stream that was read before, from the same state, is not read again.

N writes to no memory, so some pieces into a long run of N the state of a stream stays what it is. From there on every
piece is like the one before it, or like the one a period before it where a memory resets. Nothing is assumed of the
model: what is read and the state are compared bit by bit, so a result that is given again is the one that the network
would give again. Once a whole period ends in the state in which it began, further periods of the run do too, and are
skipped in one step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from titans_dna.model.backbone import Backbone
from titans_dna.model.state import StreamState
from titans_dna.recall import RecallLanes

T = TypeVar("T")
MOST_PIECES = 64  # most pieces of a period that are kept, which bounds the memory that they need


@dataclass(kw_only=True)
class _Kept(Generic[T]):
    """A piece without a base: its tokens, the states before and after it, and what came of it."""

    tokens: np.ndarray
    inputs: int
    before: StreamState
    after: StreamState
    result: T


class Repeats(Generic[T]):
    """The last pieces of a run of N, to be given again.

    Parameters
    ----------
    model
        What reads the stream.
    piece_tokens
        Tokens of a whole piece.
    """

    def __init__(self, model: Backbone, piece_tokens: int) -> None:
        self._model, self._kept = model, dict[int, _Kept[T]]()
        # The cache of full attention grows with every token, so its state is never the same again.
        period = 0 if model.config.block == "transformer" else model.config.period_tokens
        self._piece_tokens, self._period_tokens = piece_tokens, math.lcm(period, piece_tokens)
        self._used = 0 < self._period_tokens <= MOST_PIECES * piece_tokens
        self._row = 0  # tokens of whole pieces of N that were given again, one after the other

    def again(self, tokens: np.ndarray, inputs: int, state: StreamState) -> tuple[StreamState, T] | None:
        """Return the state after a piece, and its result, if the same piece was read from the same state.

        Parameters
        ----------
        tokens
            (B, T) or (B, T + 1) the inputs of the piece and the token that follows: all that its result depends on.
        inputs
            Number of inputs, T.
        state
            Before the piece.
        """
        row, self._row = self._row, 0
        if not self._is_gap(tokens):
            self._kept.clear()
            return None
        kept = self._kept.get(self._model.config.phase(state.position_tokens))
        if kept is None or kept.inputs != inputs or not np.array_equal(kept.tokens, tokens):
            return None
        if not same(kept.before, state):
            return None
        # Pieces that are cut elsewhere are rounded otherwise, so only whole ones tell of others to come.
        self._row = row + inputs if inputs == self._piece_tokens and (tokens == self._model.config.targets).all() else 0
        kept.before = state  # the next comparison then meets the same objects, which costs nothing
        # The tape of the copy memory goes on, for positions count.
        recalled = self._model.recall(torch.from_numpy(tokens[:, :inputs]), state)
        position = state.position_tokens + inputs
        return replace(kept.after, position_tokens=position, recall=recalled.lanes if recalled else None), kept.result

    @property
    def settled(self) -> bool:
        """Whether the last pieces came back to a state a period before, so that they would do so for ever."""
        return self._row > self._period_tokens

    def skip(self, state: StreamState, inputs: int) -> StreamState:
        """Return the state after as many further periods as ``inputs`` hold, all of them N and in whole pieces."""
        assert self.settled
        skipped = inputs // self._period_tokens * self._period_tokens
        recall = state.recall.read_gap(skipped) if state.recall else None
        return replace(state, position_tokens=state.position_tokens + skipped, recall=recall)

    def keep(self, tokens: np.ndarray, before: StreamState, after: StreamState, result: T) -> None:
        """Note what came of a piece."""
        if self._is_gap(tokens):
            phase = self._model.config.phase(before.position_tokens)
            inputs = after.position_tokens - before.position_tokens
            self._kept[phase] = _Kept(tokens=tokens, inputs=inputs, before=before, after=after, result=result)

    def _is_gap(self, tokens: np.ndarray) -> bool:
        return self._used and bool((tokens >= self._model.config.targets).all())


def same(a: Any, b: Any) -> bool:
    """Tell whether two states are equal to the last bit, but for where they stand and what the copy memory holds.

    A gap ends all places that a copy memory follows, so its reader does not tell one piece of N from another.
    """
    if a is b or (isinstance(a, RecallLanes) and isinstance(b, RecallLanes)):
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        alike = a.shape == b.shape and a.dtype == b.dtype
        return alike and torch.equal(*(x.contiguous().view(torch.uint8) for x in (a, b)))
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a) if f.name != "position_tokens")
    return bool(a == b)
