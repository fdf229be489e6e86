"""Reads many haplotypes that branch off from a strand, each from the state that the strand had there.

A strand is streamed once. Its state at a chunk border is an immutable value, from which any number of haplotypes can be
read. Haplotypes wait until there are enough for a batch of the same phase (place within a chunk) and of similar length.
A shorter haplotype is filled up at its end, which a causal model cannot see from before. A long one, such as that of a
duplication, is read piece by piece in a smaller batch, so that memory does not grow with its length.

At multiples of ``SETTLE_INPUTS`` all waiting haplotypes are read, so the results up to there depend on the input alone:
a run that is resumed from such a place repeats an uninterrupted one to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch

from titans_dna.inference.lanes import stream_lanes
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.region_sums import IntervalSums
from titans_dna.inference.strand import Strand
from titans_dna.inference.streaming import PIECE_TOKENS, read_inputs
from titans_dna.inference.stretches import Stretches
from titans_dna.model.state import StreamState, select, state_numbers

BATCH_BRANCHES = {"cpu": 32, "cuda": 256}  # haplotypes read at once
WAITING_BATCHES = 4  # batches that collect before they are sorted by length and read
LONG_BATCH_TOKENS = 1 << 19  # most tokens of a batch of haplotypes that are longer than one piece
WAITING_BYTES = 1 << 29  # most bytes of the states that waiting haplotypes keep in memory
SETTLE_INPUTS = 1 << 17  # inputs between two places at which all waiting haplotypes are read


@dataclass(frozen=True, kw_only=True)
class Branches:
    """Haplotypes to read; each array has one entry per haplotype."""

    lanes: np.ndarray  # number of the strand that the haplotype leaves
    cuts: np.ndarray  # token of the strand at which it leaves: the first one that is read from the haplotype
    lengths: np.ndarray  # number of tokens to read
    # Token ids to read, (T,), and the share of each that counts, (T,), or (T, columns) for several sums.
    haplotype: Callable[[int], tuple[np.ndarray, np.ndarray]]
    columns: int = 1  # sums of each haplotype

    def __len__(self) -> int:
        return len(self.cuts)


class Checkpoint(Protocol):
    """Saves the state of a stream, so that a later call can go on from there."""

    def load(self) -> tuple[int, StreamState, dict[str, np.ndarray]] | None:
        """Return next input, state and arrays as saved last, or None."""
        ...

    def due(self) -> bool:
        """Tell whether it is time to save."""
        ...

    def save(self, position: int, state: StreamState, arrays: dict[str, np.ndarray]) -> None:
        """Save the next input, the state before it, and arrays of results so far."""
        ...


@torch.inference_mode()
def read_branches(
    model: SequenceModel,
    strands: Sequence[Strand],
    branches: Branches,
    spans: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    begin: tuple[int, StreamState] | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Stream the strands once, side by side, and read all haplotypes that leave them.

    Parameters
    ----------
    model
        Model and tokenizer.
    strands
        One or more strands; each is read only as far as it is needed.
    branches
        The haplotypes that leave them.
    spans
        For each strand, starts and ends of stretches whose log-likelihood is wanted, in its own coordinates.
    begin
        Input at which all strands begin, and the state there, with a row for each; None for the first input.
    checkpoint
        Saves the work, so that a later call can go on.
    progress
        Called with the number of bases streamed since the last call, over all strands.

    Returns
    -------
    tuple
        Log-likelihood of each haplotype, (n, columns) float64, and of the stretches of each strand; unknown bases add
        nothing.
    """
    return _Reading(model, strands, branches, spans).run(begin, checkpoint, progress)


class _Reading:
    """One call of ``read_branches``."""

    def __init__(
        self,
        model: SequenceModel,
        strands: Sequence[Strand],
        branches: Branches,
        spans: Sequence[tuple[np.ndarray, np.ndarray]],
    ) -> None:
        self.model, self.strands, self.branches = model, strands, branches
        self.backbone, self.device = model.backbone, model.device
        self.sums = [IntervalSums(starts, ends, columns=1) for starts, ends in spans]
        self.found = np.zeros((len(branches), branches.columns))
        self.batch = BATCH_BRANCHES.get(self.device.type, BATCH_BRANCHES["cpu"])
        self.waiting_bytes = 0  # upper bound for the states in the queues; counted exactly only when it is large
        self.order = np.lexsort((np.arange(len(branches)), branches.cuts))  # haplotypes in the order of leaving
        self.cuts = branches.cuts[self.order]
        self.queues: dict[int, list[tuple[StreamState, int]]] = {}  # by phase: only such states can be one batch
        self.spans, self.ends = spans, [self._end(lane, ends) for lane, (_, ends) in enumerate(spans)]

    def _end(self, lane: int, ends: np.ndarray) -> int:
        """Return how many inputs of a lane are read: input i predicts token i.

        A lane ends with a chunk, or with its strand: where one ends a piece ends for all lanes, and a piece that ends
        within a chunk changes the rounding of what follows.
        """
        leave = self.branches.cuts[self.branches.lanes == lane]
        strand, chunk = self.strands[lane], min(layout.chunk_tokens for layout in self.backbone.config.memories)
        needed = int(max(strand.tokens_to(int(ends.max(initial=0))), leave.max(initial=0)))
        return min(-(-needed // chunk) * chunk, len(strand.ids))

    def _stretches(self, lane: int) -> Stretches | None:
        """Return what the network must read of a lane: to the states that haplotypes leave from, and the spans."""
        leave = self.branches.cuts[self.branches.lanes == lane]
        return Stretches.around(self.backbone.config, (leave, leave), self.strands[lane].inputs(*self.spans[lane]))

    def run(
        self,
        begin: tuple[int, StreamState] | None,
        checkpoint: Checkpoint | None,
        progress: Callable[[int], None],
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        last = max(self.ends, default=0)
        # At fixed inputs everything that waits is read, so that a run that was killed goes on with the same batches:
        # what is in a batch must not depend on where the run was cut.
        settle = range(SETTLE_INPUTS, last, SETTLE_INPUTS)
        position, state = begin or self._take_up(checkpoint.load() if checkpoint else None)
        if position:
            progress(sum(self._bases(lane, 0, min(position, end)) for lane, end in enumerate(self.ends)))
        if position == 0:
            rows = [lane for lane, end in enumerate(self.ends) if end > 0]
            fresh = self.backbone.initial_state(len(self.ends))
            self._leave(0, 0, partial(select, fresh))
            state = self.backbone.initial_state(len(rows)) if rows else None
        pieces = stream_lanes(
            self.backbone,
            [strand.ids for strand in self.strands],
            self.model.bos,
            ends=self.ends,
            cuts=np.unique(np.concatenate([self.cuts, np.array(settle, dtype=np.int64)])).tolist(),
            position=position,
            state=state,
            stretches=[] if begin else [self._stretches(lane) for lane in range(len(self.strands))],
        )
        for piece in pieces:
            for lane, values in zip(piece.lanes, piece.log_probabilities, strict=True):
                strand = self.strands[lane]
                self.sums[lane].add(strand.bases_before(piece.start), strand.share(values, piece.start)[:, None])
            self._leave(piece.start + 1, piece.next_input, piece.state)
            going = (*piece.lanes, *piece.skimmed)
            progress(sum(self._bases(lane, piece.start, piece.next_input) for lane in going))
            if piece.next_input in settle:
                self._read_waiting(everything=True)
                if checkpoint and checkpoint.due():
                    rest = sorted(lane for lane in going if self.ends[lane] > piece.next_input)
                    checkpoint.save(piece.next_input, piece.state(rest), self._arrays())
        self._read_waiting(everything=True)
        progress(sum(self._bases(lane, end, len(self.strands[lane].ids)) for lane, end in enumerate(self.ends)))
        return self.found, [sums.results()[0][:, 0] for sums in self.sums]

    def _bases(self, lane: int, start: int, end: int) -> int:
        """Count the bases of a strand's tokens ``start`` to ``end``."""
        return self.strands[lane].bases_before(end) - self.strands[lane].bases_before(start)

    def _take_up(self, saved: tuple[int, StreamState, dict[str, np.ndarray]] | None) -> tuple[int, Any]:
        if saved is None:
            return 0, None
        position, state, arrays = saved
        self.found[:] = arrays["found"]
        for lane, sums in enumerate(self.sums):
            sums.restore(arrays[f"sums_{lane}"], arrays[f"counts_{lane}"])
        return position, state

    def _arrays(self) -> dict[str, np.ndarray]:
        kept = {"found": self.found}
        for lane, sums in enumerate(self.sums):
            kept[f"sums_{lane}"], kept[f"counts_{lane}"] = sums.partial()
        return kept

    def _leave(self, low: int, high: int, state_of: Callable[[Sequence[int]], StreamState]) -> None:
        """Queue the haplotypes whose cut lies in ``low`` to ``high``: at ``high``, since pieces end at every cut."""
        first, last = np.searchsorted(self.cuts, [low, high + 1])
        if first == last:
            self._read_waiting(everything=self._lags(high))
            return
        # The rows of a batch must end their chunks together, so a state waits with others at the same place in a chunk.
        phase = self.backbone.config.phase(high)
        own: dict[int, StreamState] = {}
        for index in self.order[first:last].tolist():
            lane = int(self.branches.lanes[index])
            # All haplotypes that leave a strand at one place share one state.
            if lane not in own:
                own[lane] = state_of([lane])
                self.waiting_bytes += _bytes(own[lane])
            if self.branches.lengths[index] > 0:
                self.queues.setdefault(phase, []).append((own[lane], index))
        self._read_waiting(everything=self._lags(high))

    def _lags(self, position: int) -> bool:
        """Tell whether the next piece would make the copy memory forget what a waiting haplotype still recalls."""
        lag = self.backbone.config.recall.lag_tokens if self.backbone.config.recall else 0
        places = (state.position_tokens for queue in self.queues.values() for state, _ in queue)
        return lag > 0 and position + PIECE_TOKENS - min(places, default=position) > lag

    def _read_waiting(self, *, everything: bool = False) -> None:
        """Read the queues that hold enough batches, or all queues if the waiting states take too much memory."""
        if self.waiting_bytes > WAITING_BYTES:
            states = {id(state): state for queue in self.queues.values() for state, _ in queue}
            self.waiting_bytes = sum(map(_bytes, states.values()))
            everything = everything or self.waiting_bytes > WAITING_BYTES
        if everything:
            self.waiting_bytes = 0
        for queue in self.queues.values():
            if not (everything or len(queue) >= WAITING_BATCHES * self.batch):
                continue
            # By length, so that little is padded; by number where lengths are equal, so that batches are always the
            # same.
            queue.sort(key=lambda waiting: (int(self.branches.lengths[waiting[1]]), waiting[1]))
            while queue:
                size = self._batch_size([int(self.branches.lengths[index]) for _, index in queue[: self.batch]])
                self._read_batch(queue[:size])
                del queue[:size]

    @staticmethod
    def _batch_size(lengths: list[int]) -> int:
        """Return how many of the next haplotypes, which rise in length, are read together."""
        for number, length in enumerate(lengths[1:], start=1):
            # Beside long ones, short ones would be filled up at great cost.
            if length > PIECE_TOKENS and (length > 2 * lengths[0] or (number + 1) * length > LONG_BATCH_TOKENS):
                return number
        return len(lengths)

    def _read_batch(self, waiting: Sequence[tuple[StreamState, int]]) -> None:
        """Read one batch and note the log-likelihoods."""
        members = [index for _, index in waiting]
        length = int(self.branches.lengths[members].max())
        inputs = np.zeros((len(members), length), dtype=np.int64)  # filled up with A, which no earlier token can see
        targets = np.full_like(inputs, self.model.pad)
        shares = np.zeros((*inputs.shape, self.branches.columns))
        for row, index in enumerate(members):
            ids, counted = self.branches.haplotype(index)
            cut = int(self.branches.cuts[index])
            strand = self.strands[int(self.branches.lanes[index])]
            # Input i predicts token i, so the first input is the strand's last token before the cut.
            inputs[row, 0] = read_inputs(strand.ids, self.model.bos, cut, cut + 1)[0]
            inputs[row, 1 : len(ids)] = ids[:-1]
            targets[row, : len(ids)], shares[row, : len(ids)] = ids, counted.reshape(len(ids), -1)
        state = self.backbone.join([state for state, _ in waiting])
        if state.recall is not None:  # the strand goes on writing to its copy memory; a haplotype must write elsewhere
            state = replace(state, recall=state.recall.leave())
        for start in range(0, length, PIECE_TOKENS):
            piece = slice(start, start + PIECE_TOKENS)
            out = self.backbone.stream(torch.from_numpy(inputs[:, piece]).to(self.device), state)
            wanted = torch.from_numpy(targets[:, piece]).to(self.device)
            known = wanted < self.backbone.config.targets
            picked = out.logits.log_softmax(-1).gather(-1, wanted.where(known, 0).unsqueeze(-1)).squeeze(-1)
            logs = torch.where(known, picked, 0.0).double().cpu().numpy()
            for column in range(self.branches.columns):
                self.found[members, column] += (logs * shares[:, piece, column]).sum(-1)
            state = out.state


def _bytes(state: StreamState) -> int:
    return 4 * state_numbers(state)
