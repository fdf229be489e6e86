"""Memories that are read but not written, and memories put back to their start: what a stream is without them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import torch

from titans_dna.model.backbone import Backbone
from titans_dna.model.memory import NeuralMemory, Tokens
from titans_dna.model.state import BlockState, NeuralMemoryState, StreamState
from titans_dna.recall import RecallLanes
from titans_dna.recall.reader import NO_PLACES


@contextmanager
def frozen_memories(model: Backbone) -> Iterator[None]:
    """Read the memories of ``model`` as they stand, and write nothing to them, while this lasts.

    Attention, convolutions and counted words go on as ever. A stream that is frozen from its start keeps the learned
    initial weights; one that is frozen later keeps what it had learned of its sequence until then.
    """
    with ExitStack() as stack:
        for memory in (module for module in model.modules() if isinstance(module, NeuralMemory)):
            stack.enter_context(mock.patch.object(memory, "_run", partial(_read_only, memory._run)))
        yield


def _read_only(run: Callable[..., Any], tokens: Tokens, _: torch.Tensor | None, state: NeuralMemoryState) -> Any:
    nothing = torch.zeros(tokens[0].shape[:2], dtype=torch.bool, device=tokens[0].device)
    return run(tokens, nothing, state)


def forget(model: Backbone, state: StreamState) -> StreamState:
    """Return the state with every memory at its start, the copy memory among them; all else stays as it is.

    Call it between two chunks, and with MAC between two segments: tokens that wait to be written are lost.
    """
    start = model.initial_state(state.recent.shape[0])
    blocks = tuple(_forgotten(*pair) for pair in zip(state.blocks, start.blocks, strict=True))
    return replace(state, blocks=blocks, recall=state.recall and _without_places(state.recall))


def _without_places(readers: RecallLanes) -> RecallLanes:
    """Return readers that stand where these do and recall nothing from before."""
    streams = (replace(state, floor=state.position, places=NO_PLACES) for state in readers.streams)
    return replace(readers, streams=tuple(streams))


def _forgotten(state: BlockState, start: BlockState) -> BlockState:
    memories = tuple(replace(new, tail=old.tail) for old, new in zip(state.memories, start.memories, strict=True))
    segment = state.segment
    if segment is not None and start.segment is not None:
        segment = replace(segment, weights=start.segment.weights)
    return replace(state, memories=memories, segment=segment)
