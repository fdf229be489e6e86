"""Bits of every base of a contig, with the memory carried, reset, or frozen; all else is the same in all of them."""

from __future__ import annotations

import math
from contextlib import nullcontext

import numpy as np
import torch
from frozen import forget, frozen_memories

from titans_dna.inference.model import SequenceModel
from titans_dna.inference.streaming import pick_known, read_inputs
from titans_dna.model.backbone import Recalled

DEEP = ("carried", "reset", "frozen", "frozen later")  # what is asked of the deep memory
MEMORY = (*DEEP, "no copies")
PIECE_TOKENS = 4096
RESET_TOKENS = 1024  # inputs between two resets: the window of the default model's training


@torch.inference_mode()
def bits_along(model: SequenceModel, ids: np.ndarray, memory: str, frozen_from: int = 0) -> np.ndarray:
    """Return the bits of each base, (n,) float32, nan where it is not known.

    Parameters
    ----------
    model
        One token per base.
    ids
        Of the contig.
    memory
        ``carried``: written along the whole contig. ``reset``: put back to its initial weights every 1,024 inputs.
        ``no copies``: carried, but nothing is recalled by a copy memory.
        ``frozen``: never written, the initial weights. ``frozen later``: not written from ``frozen_from`` on. Window
        attention, convolutions and counted words go on as ever in all of them.
    frozen_from
        First base that is not written; a multiple of a piece.
    """
    if memory not in MEMORY:
        raise ValueError(f"memory is {memory!r}; choose one of {', '.join(MEMORY)}")
    piece = RESET_TOKENS if memory == "reset" else PIECE_TOKENS
    if frozen_from % piece:
        raise ValueError(f"frozen_from is {frozen_from}; choose a multiple of {piece}")
    backbone, bits = model.backbone, np.full(len(ids), np.nan, dtype=np.float32)
    state = backbone.initial_state(1)
    for start in range(0, len(ids), piece):
        end = min(len(ids), start + piece)
        if memory == "reset":
            state = forget(backbone, state)
        frozen = memory == "frozen" or (memory == "frozen later" and start >= frozen_from)
        read = torch.from_numpy(read_inputs(ids, model.bos, start, end)[None])
        nothing = Recalled(torch.zeros(*read.shape, 1, dtype=torch.int32), None) if memory == "no copies" else None
        with frozen_memories(backbone) if frozen else nullcontext():
            out = backbone.stream(read, state, recalled=nothing)
        state = out.state
        log_p = out.logits[0].log_softmax(-1).numpy()
        bits[start:end] = -pick_known(log_p, ids[start:end], backbone.config.targets) / math.log(2)
    return bits
