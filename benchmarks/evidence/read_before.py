"""What was read before: the state of a stream whose copy memory read everything, and whose network read the end alone.

What is recalled depends on the ids alone, so reading ahead for it costs the index of the copy memory and not the
network: a tenth of a microsecond a base. A stream can so begin behind a whole chromosome, or behind relatives.

    tape     start token | contig 1 | no base ... | start token | contig 2 | no base ... | start token | ...
             ^ multiple of 64                     ^ multiple of 64                       ^ multiple of 64

Every contig begins at a chunk border, so its words are written as if it were read alone; no word and no followed place
reaches over a token that is no base.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from titans_dna.errors import ConfigError
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.streaming import PIECE_TOKENS
from titans_dna.model.state import StreamState
from titans_dna.recall import CopyMemory, RecallLanes, RecallState
from titans_dna.recall.form import CHUNK


@torch.inference_mode()
def state_after(
    model: SequenceModel, contigs: Sequence[np.ndarray], *, context_tokens: int | None = None
) -> StreamState:
    """Return the state of a stream of one row that has read contigs one after the other.

    Parameters
    ----------
    model
        In evaluation mode, with a copy memory.
    contigs
        Token ids of the bases of each, (n,), in the order in which they are read.
    context_tokens
        Tokens at the end of the last contig that the network reads too, from a fresh deep memory; it begins at the
        chunk border before them, and reads the start token if they are the whole contig. The contig can then be read
        on. None: the last contig has ended like the others, and the state stands before the start token of one more.

    Returns
    -------
    StreamState
        Its ``position_tokens`` counts what the network has read; its reader stands behind everything.

    Raises
    ------
    ConfigError
        If the model has no copy memory.
    """
    form = model.backbone.config.recall
    if form is None:
        raise ConfigError(
            f"{model.name} has no copy memory to read ahead with; use a model whose configuration has recall"
        )
    memory = CopyMemory(form)
    ended, last = (contigs, None) if context_tokens is None else (contigs[:-1], contigs[-1:])
    for ids in ended:
        memory.append(_from_start(model, ids))
        memory.append(np.full(-memory.end % CHUNK, model.pad, dtype=np.uint8))
    if last is None:
        return _fresh(model, memory)
    inputs = _from_start(model, *last)
    assert context_tokens is not None
    ahead = max(0, len(inputs) - context_tokens) // CHUNK * CHUNK
    memory.append(inputs[:ahead])
    state, device = _fresh(model, memory), next(model.backbone.parameters()).device
    for start in range(ahead, len(inputs), PIECE_TOKENS):
        read = torch.from_numpy(inputs[start : start + PIECE_TOKENS].astype(np.int64))[None]
        state = model.backbone.stream(read.to(device), state).state
    return state


def _from_start(model: SequenceModel, ids: np.ndarray) -> np.ndarray:
    """Return the inputs of a contig: the start token, then its bases."""
    return np.concatenate([[model.bos], ids]).astype(np.uint8)


def _fresh(model: SequenceModel, memory: CopyMemory) -> StreamState:
    """Return the state of a network that has read nothing, beside a reader that stands at the end of a memory."""
    reader = RecallState(memory=memory, position=memory.end)
    return replace(model.backbone.initial_state(1), recall=RecallLanes(streams=(reader,)))
