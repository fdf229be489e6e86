"""Streams several strands through the model side by side, as one batch: one strand alone leaves a processor half idle.

All lanes start at input 0 and are read in step. A lane that has been read as far as needed leaves the batch. The
results of a lane do not depend on the lanes beside it, except for rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from titans_dna.inference.repeats import Repeats
from titans_dna.inference.streaming import PIECE_TOKENS, inputs_before, pick_known, piece_ends, read_inputs
from titans_dna.model.backbone import Backbone
from titans_dna.model.state import StreamState, attach, select


@dataclass(frozen=True, kw_only=True)
class LanePiece:
    """The same stretch of all lanes that are still being read; bases are counted along each strand, from 0."""

    start: int  # first base that is predicted
    lanes: tuple[int, ...]  # numbers of the lanes, in the order of the rows
    log_probabilities: list[np.ndarray]  # of each row, (n,) float32 for bases start, start + 1, ...; nan if unknown
    next_input: int  # the next input to read: the start token is input 0, base i is input i + 1
    state: StreamState  # state of all rows before that input


@torch.inference_mode()
def stream_lanes(
    model: Backbone,
    lanes: Sequence[np.ndarray],
    bos: int,
    *,
    ends: Sequence[int],
    cuts: Iterable[int] = (),
    position: int = 0,
    state: StreamState | None = None,
) -> Iterator[LanePiece]:
    """Yield the pieces of all lanes, in order.

    Parameters
    ----------
    model
        Backbone in evaluation mode.
    lanes
        Token ids of each strand.
    bos
        Id of the start token.
    ends
        Number of inputs of each lane to read, at most one more than it has tokens.
    cuts
        Inputs before which a piece must end, because their state is needed.
    position, state
        Where to go on: ``next_input`` and ``state`` of an earlier piece, with a row for every lane that goes on there.
    """
    device = next(model.parameters()).device
    rows = tuple(lane for lane, end in enumerate(ends) if end > position)
    if state is None:
        state = model.initial_state(len(rows))
    else:
        state = attach(state, lambda row: inputs_before(lanes[rows[row]], bos, position), model.read_before)
    last, repeats = max(ends, default=0), Repeats[list[np.ndarray]](model, PIECE_TOKENS)
    for end in piece_ends(last, [*cuts, *ends], PIECE_TOKENS, position):
        going = tuple(lane for lane in rows if ends[lane] > position)
        if going != rows:
            state, rows = select(state, [rows.index(lane) for lane in going]), going
        tokens = np.stack([_tokens_of(lanes[lane], bos, position, end) for lane in rows])
        if found := repeats.again(tokens, end - position, state):
            state, picked = found
        else:
            out = model.stream(torch.from_numpy(tokens[:, :-1]).to(device), state)
            log_p = out.logits.log_softmax(-1).cpu().numpy()
            picked = [
                pick_known(log_p[row], lanes[lane][position:end], model.config.targets) for row, lane in enumerate(rows)
            ]
            repeats.keep(tokens, state, out.state, picked)
            state = out.state
        yield LanePiece(start=position, lanes=rows, log_probabilities=picked, next_input=end, state=state)
        position = end


def _tokens_of(ids: np.ndarray, bos: int, start: int, end: int) -> np.ndarray:
    """Return inputs ``start`` to ``end`` (half-open) and the token that follows; -1 where the lane has none."""
    tokens = read_inputs(ids, bos, start, end + 1)
    return tokens if len(tokens) > end - start else np.append(tokens, -1)
