"""Greedy decoding from kept states, and the rule that the network is held against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from titans_dna.model.backbone import Backbone
from titans_dna.model.state import StreamState
from titans_dna.recall import RecallLanes, unpack

Read = Callable[[np.ndarray, Any], tuple[np.ndarray, Any]]  # ids (B, T) and a state to the next base (B,) and a state


def decode(read: Read, state: Any, questions: np.ndarray, bases: int) -> np.ndarray:
    """Read questions from the rows of a state and go on with what is most likely, base by base.

    Parameters
    ----------
    read
        Reads ids from a state; returns the most likely next base of each row, and the state behind the ids.
    state
        Of as many rows as there are questions; it does not change.
    questions
        (B, T) ids.
    bases
        How many to decode.

    Returns
    -------
    np.ndarray
        (B, bases) uint8.
    """
    found, ids = np.zeros((len(questions), bases), dtype=np.uint8), questions
    for at in range(bases):
        found[:, at], state = read(ids, state)
        ids = found[:, at : at + 1]
    return found


def by_network(model: Backbone) -> Read:
    """Return a reader that gives the base with the highest logit."""

    def read(ids: np.ndarray, state: StreamState) -> tuple[np.ndarray, StreamState]:
        out = model.stream(torch.from_numpy(ids.astype(np.int64)), state)
        return out.logits[:, -1, :4].argmax(-1).numpy(), out.state

    return torch.inference_mode()(read)


def by_rule(ids: np.ndarray, lanes: RecallLanes) -> tuple[np.ndarray, RecallLanes]:
    """Believe the place with the longest run, then the one with the most hits, then the newest; no network."""
    codes, lanes = lanes.read(ids)
    last = unpack(codes[:, -1])
    worth = ((last.run * 64 + last.hits) * 32 + 31 - last.age) * last.held  # parts of 6, 6 and 5 bits
    best = worth.argmax(1)
    return last.base[np.arange(len(best)), best].astype(np.uint8), lanes
