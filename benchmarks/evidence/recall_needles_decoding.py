"""Greedy decoding from kept states, and the rule that the network is held against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from records import unpack

from titans_dna.model.backbone import Backbone
from titans_dna.model.state import StreamState
from titans_dna.recall import Found, RecallState, recall

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


def by_rule(ids: np.ndarray, readers: Sequence[RecallState]) -> tuple[np.ndarray, list[RecallState]]:
    """Believe the place with the longest run, then the one with the most hits, then the newest; no network."""
    found = [recall(reader, row, sources=True) for reader, row in zip(readers, ids, strict=True)]
    return np.array([_believed(one) for one in found], dtype=np.uint8), [one.state for one in found]


def _believed(found: Found) -> int:
    """Return the base that is believed behind the last token; 0 where no place is followed."""
    assert found.sources is not None
    last = unpack(found.codes[-1])
    order = np.lexsort([found.sources[-1], last.hits, last.run, last.held])  # the last key counts most
    return int(last.base[order[-1]])
