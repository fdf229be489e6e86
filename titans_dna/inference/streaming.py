"""A whole strand of a contig through the model, piece by piece, at constant memory.

The model reads a start token and then the bases; its logits at input i predict base i. So base i is known to the
model's features only from input i + 1 on. Bases are counted along the strand that is read, from 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from titans_dna.model.backbone import Backbone
from titans_dna.model.state import StreamState

PIECE_TOKENS = 4096  # bases of a piece: bounds the memory of a stream


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What one piece of a stream gives; bases are counted along the strand that is read, from 0."""

    start: int  # first base that is predicted
    log_probabilities: np.ndarray  # (n,) float32, ln of the probability of bases start, start + 1, ...; nan if unknown
    read_start: int  # first base that is read: start - 1, or 0 at the start of the strand
    surprise: np.ndarray  # (m,) float32, the memories' loss at bases read_start, read_start + 1, ...; nan if unknown
    hidden: torch.Tensor | None  # (m, width) features after reading the same bases, if asked for
    next_input: int  # input that comes next: the start token is input 0, base i is input i + 1
    state: StreamState  # before that input
    inner: tuple[torch.Tensor, ...] = ()  # (m, width) each: residual streams of the same bases, if asked for


@torch.inference_mode()
def stream_bases(
    model: Backbone,
    ids: np.ndarray,
    bos: int,
    *,
    cuts: Iterable[int] = (),
    piece_tokens: int = PIECE_TOKENS,
    hidden: bool = False,
    inner: Sequence[int] = (),
) -> Iterator[Piece]:
    """Yield the pieces of a strand in order; the last one predicts no base.

    Parameters
    ----------
    model
        In evaluation mode.
    ids
        Token id of every base of the strand.
    bos
        Id that stands before the first base.
    cuts
        Inputs before which a piece must end.
    piece_tokens
        Longest piece.
    hidden
        Whether to return features.
    inner
        Blocks after which the residual stream is returned too (see `Backbone.stream`).
    """
    device = next(model.parameters()).device
    targets, state, start = model.config.targets, model.initial_state(1), 0
    for end in _ends(len(ids) + 1, cuts, piece_tokens):
        bases = ids[max(0, start - 1) : end].astype(np.int64)  # read ones, and the last predicted one
        read = np.concatenate([[bos], bases])[: end - start] if start == 0 else bases[: end - start]
        out = model.stream(torch.from_numpy(read[None]).to(device), state, inner)
        state = out.state
        predicted = ids[start:end].astype(np.int64)
        known = predicted < targets
        log_p = out.logits[0, : len(predicted)].log_softmax(-1).cpu().numpy()
        picked = log_p[np.arange(len(predicted)), np.where(known, predicted, 0)]
        skip = 1 if start == 0 else 0  # the start token is no base
        surprise = out.surprise[0, skip:].float().cpu().numpy()
        yield Piece(
            start=start,
            log_probabilities=np.where(known, picked, np.nan).astype(np.float32),
            read_start=start - 1 + skip,
            surprise=np.where(read[skip:] < targets, surprise, np.nan).astype(np.float32),
            hidden=out.hidden[0, skip:] if hidden else None,
            next_input=end,
            state=state,
            inner=tuple(residual[0, skip:] for residual in out.inner),
        )
        start = end


def _ends(inputs: int, cuts: Iterable[int], piece_tokens: int) -> list[int]:
    """Return the end of every piece: every multiple of ``piece_tokens``, every cut, and the last input."""
    return sorted({*range(piece_tokens, inputs, piece_tokens), *(c for c in cuts if 0 < c < inputs), inputs})
