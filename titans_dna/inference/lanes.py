"""Streams several strands side by side, as lanes of one batch, because one alone leaves a processor half idle.

All lanes start at input 0 and are read in step. A lane that has been read as far as needed leaves the batch, and so
does one that is skimmed (see `titans_dna.inference.stretches`), for as long as it is. The results of a lane do not
depend on the lanes beside it, except for rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from titans_dna.inference.repeats import Repeats
from titans_dna.inference.strand import TokenIds
from titans_dna.inference.streaming import (
    PIECE_TOKENS,
    gap_inputs,
    inputs_before,
    pick_known,
    piece_ends,
    read_inputs,
    skim,
)
from titans_dna.inference.stretches import Stretches
from titans_dna.model.backbone import Backbone
from titans_dna.model.state import StreamState, attach, concatenate, select

Part = tuple[tuple[int, ...], StreamState]  # lanes, and their state with a row for each


@dataclass(frozen=True, kw_only=True)
class LanePiece:
    """The same stretch of all lanes that are still being read; bases are counted along each strand, from 0.

    Where a run of N was skipped, less is predicted than the stretch holds, and of the rest no base is known.
    """

    start: int  # first base that is predicted
    lanes: tuple[int, ...]  # numbers of the lanes that the network has read
    log_probabilities: list[np.ndarray]  # of each of them, (n,) float32 for bases start, start + 1, ...; nan if unknown
    skimmed: tuple[int, ...]  # lanes that the copy memory alone has read
    next_input: int  # the next input to read: the start token is input 0, base i is input i + 1
    parts: list[Part]  # states before that input

    def state(self, lanes: Sequence[int]) -> StreamState:
        """Return the state of some lanes before the next input, with a row for each."""
        return _state_of(self.parts, tuple(lanes))


def _state_of(parts: Sequence[Part], lanes: tuple[int, ...]) -> StreamState:
    """Return the state of some lanes, whose rows may stand in several states."""
    used = [(members, state) for members, state in parts if set(members) & set(lanes)]
    if [members for members, _ in used] == [lanes]:
        return used[0][1]
    order = [lane for members, _ in used for lane in members if lane in lanes]
    rows = [select(state, [row for row, lane in enumerate(members) if lane in lanes]) for members, state in used]
    joined = concatenate(rows) if len(rows) > 1 else rows[0]
    return joined if tuple(order) == lanes else select(joined, [order.index(lane) for lane in lanes])


@torch.inference_mode()
def stream_lanes(
    model: Backbone,
    lanes: Sequence[TokenIds],
    bos: int,
    *,
    ends: Sequence[int],
    cuts: Iterable[int] = (),
    position: int = 0,
    state: StreamState | None = None,
    stretches: Sequence[Stretches | None] = (),
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
    stretches
        Of each lane, the inputs that the network must read; None for all. Elsewhere the lane is without results.
    """
    device = next(model.parameters()).device
    going = tuple(lane for lane, end in enumerate(ends) if end > position)
    if state is None:
        state = model.initial_state(len(going))
    else:
        state = attach(state, lambda row: inputs_before(lanes[going[row]], bos, position), model.read_before)
    parts: list[Part] = [(going, state)]
    wanted = {lane: asked for lane, asked in enumerate(stretches) if asked}
    last, repeats = max(ends, default=0), Repeats[list[np.ndarray]](model, PIECE_TOKENS)
    borders = sorted([*cuts, *ends, *(border for asked in wanted.values() for border in asked.borders)])
    for end in piece_ends(last, borders, PIECE_TOKENS, position):
        if end <= position:  # skipped
            continue
        going = tuple(lane for lane in going if ends[lane] > position)
        read = tuple(lane for lane in going if lane not in wanted or wanted[lane].reads(position))
        skimmed = tuple(lane for lane in going if lane not in read)
        gap = partial(gap_inputs, [lanes[lane] for lane in going], end, borders, model.config.targets)
        ahead, after, picked = 0, list[Part](), list[np.ndarray]()
        if read:
            tokens = np.stack([_tokens_of(lanes[lane], bos, position, end) for lane in read])
            fresh = tuple(lane for lane in read if lane in wanted and wanted[lane].begins(position))
            state = _state_of(_begun(model, parts, fresh), read)
            if found := repeats.again(tokens, end - position, state):
                before = state.position_tokens + end - position
                state, picked = found
                if repeats.settled:
                    state = repeats.skip(state, gap())
                    ahead = state.position_tokens - before
            else:
                out = model.stream(torch.from_numpy(tokens[:, :-1]).to(device), state)
                log_p = out.logits.log_softmax(-1).cpu().numpy()
                picked = [
                    pick_known(log_p[row], lanes[lane][position:end], model.config.targets)
                    for row, lane in enumerate(read)
                ]
                repeats.keep(tokens, state, out.state, picked)
                state = out.state
            after.append((read, state))
        if skimmed:
            tokens = np.stack([read_inputs(lanes[lane], bos, position, end) for lane in skimmed])
            state = skim(model, tokens, _state_of(parts, skimmed))
            if not read and (tokens[:, -1] == model.config.targets).all():
                ahead = gap()
            after.append((skimmed, model.skim_gap(state, ahead)))
        parts, end = after, end + ahead
        yield LanePiece(
            start=position, lanes=read, log_probabilities=picked, skimmed=skimmed, next_input=end, parts=parts
        )
        position = end


def _begun(model: Backbone, parts: Sequence[Part], fresh: tuple[int, ...]) -> list[Part]:
    """Return the states of lanes, of which the fresh ones begin with blank blocks."""
    if not fresh:
        return list(parts)
    others = tuple(lane for members, _ in parts for lane in members if lane not in fresh)
    begun = [(fresh, model.restart(_state_of(parts, fresh)))]
    return [*begun, (others, _state_of(parts, others))] if others else begun


def _tokens_of(ids: TokenIds, bos: int, start: int, end: int) -> np.ndarray:
    """Return inputs ``start`` to ``end`` (half-open) and the token that follows; -1 where the lane has none."""
    tokens = read_inputs(ids, bos, start, end + 1)
    return tokens if len(tokens) > end - start else np.append(tokens, -1)
