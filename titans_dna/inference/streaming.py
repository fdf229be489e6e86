"""Streams whole strands of a contig through the model, piece by piece, at constant memory.

The model reads a start token and then the bases, so base i is input i + 1, and the logits at input i predict base i.
The features of the model know base i from input i + 1 on. Bases are counted along the strand that is read, from 0.

Where only some bases are asked for, the network reads the `Stretches` around them, and the copy memory the rest too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from titans_dna.inference.repeats import Repeats
from titans_dna.inference.strand import TokenIds
from titans_dna.model.backbone import Backbone, StreamOutput
from titans_dna.model.state import StreamState, attach

if TYPE_CHECKING:
    from titans_dna.inference.stretches import Stretches

PIECE_TOKENS = 4096  # most tokens in a piece, which bounds the memory that a stream needs
SCANNED_TOKENS = 1 << 16  # tokens among which the end of a run of N is looked for at once


@dataclass(frozen=True, kw_only=True)
class Piece:
    """The results of one piece of a stream; bases are counted along the strand that is read, from 0."""

    start: int  # first base that is predicted
    log_probabilities: np.ndarray  # (n,) float32, ln of the probability of bases start, start + 1, ...; nan if unknown
    read_start: int  # first base that is read: start - 1, or 0 at the start of the strand
    surprise: np.ndarray  # (m,) float32, the memories' loss at bases read_start, read_start + 1, ...; nan if unknown
    hidden: torch.Tensor | None  # (m, width) features after reading bases read_start, read_start + 1, ..., if asked for
    distributions: np.ndarray | None  # (n, targets) float32, ln of all probabilities of the same tokens, if asked for
    entropy_bits: np.ndarray | None  # (n,) entropy of the distributions, per base; nan where the base is unknown
    next_input: int  # the next input to read: the start token is input 0, token i is input i + 1
    state: StreamState  # state before that input
    bases: int  # number of bases that are read
    inner: tuple[torch.Tensor, ...] = ()  # (m, width) each: residual streams of the same bases, if asked for
    read_bases: np.ndarray | None = None  # number of bases of each token that is read; None for one each
    skimmed: bool = False  # whether the copy memory alone has read it: then there are no results
    repeated: bool = False  # whether all of this was found for an earlier piece, so that the network was not run
    skipped: int = 0  # bases of a run of N left out behind this piece, whose pieces would be like it


@torch.inference_mode()
def stream_bases(
    model: Backbone,
    ids: TokenIds,
    bos: int,
    *,
    cuts: Iterable[int] = (),
    piece_tokens: int = PIECE_TOKENS,
    hidden: bool = False,
    distributions: bool = False,
    position: int = 0,
    state: StreamState | None = None,
    inner: Sequence[int] = (),
    new_bases: np.ndarray | None = None,
    skips: bool = False,
    stretches: Stretches | None = None,
) -> Iterator[Piece]:
    """Yield the pieces of a strand in order; the last one predicts no base.

    Parameters
    ----------
    model
        Backbone in evaluation mode.
    ids
        Token ids of the strand.
    bos
        Id of the start token.
    cuts
        Inputs before which a piece must end, because their state is needed.
    piece_tokens
        Most tokens in a piece.
    hidden
        Whether to return the features.
    distributions
        Whether to return the probabilities of all targets.
    position, state
        Where to go on: ``next_input`` and ``state`` of an earlier piece.
    inner
        Blocks after which the residual stream is returned too (see `Backbone.stream`).
    new_bases
        Number of bases that each token is the first to cover; None for one each.
    skips
        Whether pieces of a run of N that are like the one before may be left out (`Piece.skipped`).
    stretches
        Inputs that the network must read; None for all. What lies between is skimmed (`Piece.skimmed`).
    """
    device = next(model.parameters()).device
    start = position
    first = 0 if new_bases is None else int(new_bases[:position].sum(dtype=np.int64))
    if state is None:
        state = model.initial_state(1)
    else:
        state = attach(state, lambda _: inputs_before(ids, bos, position), model.read_before)
    repeats: Repeats[Piece] = Repeats(model, piece_tokens)
    borders = sorted([*cuts, *(stretches.borders if stretches else ())])
    for end in piece_ends(len(ids) + 1, borders, piece_tokens, position):
        if end <= start:  # skipped
            continue
        tokens = read_inputs(ids, bos, start, end + 1)  # the inputs, and the token that follows if there is one
        if stretches and stretches.begins(start):
            state = model.restart(state)
        if stretches and not stretches.reads(start):
            before = state.position_tokens
            state = skim(model, tokens[None, : end - start], state)
            if tokens[end - start - 1] == model.config.targets:
                state = model.skim_gap(state, gap_inputs([ids], end, borders, model.config.targets))
            end = start + state.position_tokens - before
            piece = _skimmed(start, end, state)
        elif found := repeats.again(tokens[None], end - start, state):
            before = state.position_tokens
            state, like = found
            moved = start - like.start
            if skips and repeats.settled:
                state = repeats.skip(state, gap_inputs([ids], end, borders, model.config.targets))
            skipped = state.position_tokens - before - (end - start)
            end += skipped
            piece = replace(
                like, start=start, read_start=like.read_start + moved, next_input=end, state=state, repeated=True,
                skipped=skipped,
            )  # fmt: skip
        else:
            out = model.stream(torch.from_numpy(tokens[None, : end - start]).to(device), state, inner)
            piece = _piece_of(out, tokens, start, model.config.targets, hidden=hidden, distributions=distributions)
            repeats.keep(tokens[None], state, out.state, piece)
            state = out.state
        if new_bases is None:
            yield piece
        else:
            last = end - piece.skipped  # the tokens that are skipped are N, of one base each
            yield _by_base(piece, first, new_bases[start:last], new_bases[piece.read_start : last - 1])
            first += int(new_bases[start:end].sum(dtype=np.int64))
        start = end


def _piece_of(
    out: StreamOutput, tokens: np.ndarray, start: int, targets: int, *, hidden: bool, distributions: bool
) -> Piece:
    """Return the results of the inputs from ``start`` on; ``tokens`` are these, and the one that follows."""
    read = tokens[: out.logits.shape[1]]
    predicted = tokens[1:]
    log_p = out.logits[0, : len(predicted)].log_softmax(-1).cpu().numpy()
    skip = 1 if start == 0 else 0  # the start token is no base
    surprise = out.surprise[0, skip:].float().cpu().numpy()
    return Piece(
        start=start,
        log_probabilities=pick_known(log_p, predicted, targets),
        read_start=start - 1 + skip,
        surprise=np.where(read[skip:] < targets, surprise, np.nan).astype(np.float32),
        hidden=out.hidden[0, skip:] if hidden else None,
        distributions=log_p if distributions else None,
        entropy_bits=entropy_of(log_p, predicted < targets) if distributions else None,
        next_input=start + len(read),
        state=out.state,
        bases=len(surprise),
        inner=tuple(residual[0, skip:] for residual in out.inner),
    )


def skim(model: Backbone, tokens: np.ndarray, state: StreamState) -> StreamState:
    """Return the state after inputs (B, T) that the copy memory alone reads."""
    return model.skim(torch.from_numpy(tokens).to(state.recent.device), state)


def _skimmed(start: int, end: int, state: StreamState) -> Piece:
    """Return a piece that the copy memory alone has read."""
    nothing = np.zeros(0, np.float32)
    bases = end - max(start, 1)
    return Piece(
        start=start, log_probabilities=nothing, read_start=max(start - 1, 0), surprise=nothing, hidden=None,
        distributions=None, entropy_bits=nothing, next_input=end, state=state, bases=bases, skimmed=True,
    )  # fmt: skip


def entropy_of(log_p: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the entropy of each row in bits; nan where the token is unknown."""
    wide = log_p.astype(np.float64)
    return np.where(known, -(np.exp(wide) * wide).sum(1) / np.log(2), np.nan)


def _by_base(piece: Piece, first: int, predicted: np.ndarray, read: np.ndarray) -> Piece:
    """Turn a piece of tokens into one of bases; the distributions stay one row per token.

    Parameters
    ----------
    piece
        The piece, with one row per token.
    first
        Number of bases before its first predicted token.
    predicted, read
        Number of bases of each token that is predicted, and of each that is read.
    """
    ahead = 0 if piece.read_start == piece.start else int(read[0])  # bases of the token read but predicted before
    piece = replace(piece, read_start=first - ahead, bases=int(read.sum(dtype=np.int64)))
    if piece.skimmed:
        return replace(piece, start=first)
    # The log-probability of a token is shared evenly among its bases, so that sums over bases are sums over tokens.
    shares = piece.log_probabilities / np.maximum(predicted, 1)
    times, entropy = torch.from_numpy(read.astype(np.int64)), piece.entropy_bits

    def spread(x: torch.Tensor) -> torch.Tensor:
        return x.repeat_interleave(times.to(x.device), 0)

    return replace(
        piece,
        start=first,
        log_probabilities=np.repeat(shares.astype(np.float32), predicted),
        entropy_bits=None if entropy is None else np.repeat(entropy / np.maximum(predicted, 1), predicted),
        read_bases=read,
        surprise=np.repeat(piece.surprise, read),
        hidden=None if piece.hidden is None else spread(piece.hidden),
        inner=tuple(spread(x) for x in piece.inner),
    )


def piece_ends(inputs: int, cuts: Iterable[int], piece_tokens: int = PIECE_TOKENS, position: int = 0) -> list[int]:
    """Return the ends of the pieces after ``position``: multiples of ``piece_tokens``, cuts, and the last input."""
    # Multiples of the piece, not steps from where the last cut was: a resumed stream then has the same pieces.
    ends = {*range(piece_tokens, inputs, piece_tokens), *(c for c in cuts if 0 < c < inputs), inputs}
    return sorted(end for end in ends if end > position)


def gap_inputs(strands: Sequence[TokenIds], position: int, cuts: Sequence[int], gap: int) -> int:
    """Return for how many inputs after ``position`` a run of N goes on in all strands, and up to the next cut.

    The token that follows the last of these inputs is N too.

    Parameters
    ----------
    strands, position
        Token ids, and where the stream stands.
    cuts
        Inputs before which a piece must end, rising.
    gap
        Id of N.
    """
    place = bisect_left(cuts, position)
    reach = cuts[place] if place < len(cuts) else max(map(len, strands))
    for ids in strands:
        reach = min(reach, _gap_end(ids, position - 1, min(reach, len(ids)), gap))
    return max(0, reach - position)


def _gap_end(ids: TokenIds, start: int, end: int, gap: int) -> int:
    """Return the first token from ``start`` on that is not N, or ``end``."""
    for at in range(start, end, SCANNED_TOKENS):
        others = ids[at : min(at + SCANNED_TOKENS, end)] != gap
        if others.any():
            return at + int(others.argmax())
    return max(start, end)


def read_inputs(ids: TokenIds, bos: int, start: int, end: int) -> np.ndarray:
    """Return inputs ``start`` to ``end`` (half-open) of a strand, int64: the start token, then its tokens."""
    tokens = ids[max(0, start - 1) : end - 1].astype(np.int64)
    return np.concatenate([[bos], tokens]) if start == 0 else tokens


def inputs_before(ids: TokenIds, bos: int, position: int) -> np.ndarray:
    """Return all inputs before a position, uint8: a state from a file needs them for its copy memory."""
    if not position:
        return ids[:0].astype(np.uint8)
    # Of a chromosome: made without a copy in 64 bits on the way.
    return np.concatenate([np.array([bos], np.uint8), ids[: position - 1].astype(np.uint8, copy=False)])


def pick_known(log_p: np.ndarray, ids: np.ndarray, targets: int) -> np.ndarray:
    """Return the log-probabilities of ``ids`` (n <= m,) in ``log_p`` (m, targets); nan where an id is no target."""
    ids = ids.astype(np.int64)
    known = ids < targets
    picked = log_p[np.arange(len(ids)), np.where(known, ids, 0)]
    return np.where(known, picked, np.nan).astype(np.float32)


def flush(*arrays: np.ndarray) -> None:
    """Write the arrays that are files on the disk to it."""
    for array in arrays:
        base = array if isinstance(array, np.memmap) else array.base
        if isinstance(base, np.memmap):
            base.flush()
