"""Windows: a place is read with a deep memory that begins anew shortly before it, and all else from the copy memory.

A strand is divided into blocks of equal size. What is asked of the bases of a block is read by a network that begins
afresh one block before it, beside a reader of the copy memory that has read the strand from its first base, and the
relatives before that; filling the copy memory costs a hundredth of running the network. So a place costs the same
wherever it lies on a chromosome, and blocks can be read in any order, by any number of processes.

    bases    0 ........ (k-1)N ........ kN ........ (k+1)N
             copy memory | deep memory  | asked for |
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from titans_dna.errors import ConfigError
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.strand import Strand
from titans_dna.inference.streaming import inputs_before
from titans_dna.model.state import StreamState
from titans_dna.recall import CopyMemory, RecallLanes, RecallState

PIECE_TOKENS = 1 << 20  # that are added to a copy memory at once


@dataclass(frozen=True, kw_only=True)
class Context:
    """How much of what stands before a place the network reads.

    Raises
    ------
    ConfigError
        If the window is negative.
    """

    window_bp: int = 0  # at the least; 0 for all of the contig

    def __post_init__(self) -> None:
        if self.window_bp < 0:
            raise ConfigError(f"the window is {self.window_bp} bases; choose 1 or more")

    def __str__(self) -> str:
        return f"window:{self.window_bp}" if self.window_bp else "contig"

    @classmethod
    def parse(cls, text: str) -> Context:
        """Return what ``contig`` or ``window:N`` says.

        Raises
        ------
        ConfigError
            If it says neither.
        """
        kind, _, number = text.partition(":")
        if text == "contig":
            return cls()
        if kind != "window" or not number.isdecimal() or int(number) < 1:
            raise ConfigError(f"context is {text!r}; write contig, or window:N with N bases, such as window:8192")
        return cls(window_bp=int(number))


WHOLE_CONTIG = Context()


class WindowedStrand:
    """A strand of a contig, ready to be read in blocks.

    Parameters
    ----------
    model
        With one token per base.
    sequence
        The whole contig.
    reverse
        Whether its reverse complement is read.
    window_bp
        Bases that the network reads before a block, rounded up to what the model's chunks allow; also the size of a
        block.
    """

    def __init__(self, model: SequenceModel, sequence: bytes, *, reverse: bool, window_bp: int) -> None:
        self.model = model
        self.strand = Strand.of(sequence, model.tokenizer, reverse=reverse)
        config = model.backbone.config
        periods = [n for layout in config.memories for n in (layout.chunk_tokens, layout.reset_tokens) if n]
        stride = math.lcm(*periods, config.segment_tokens if config.block == "mac" else 1)
        self.block_tokens = -(-window_bp // stride) * stride
        self._memory: CopyMemory | None = None

    def remember(self, tokens: int) -> None:
        """Fill the copy memory with the strand as far as readers before a token may recall."""
        form = self.model.backbone.config.recall
        if form is None:
            return
        if form.horizon_bases:
            raise ConfigError(
                f"{self.model.name} has a copy memory that forgets, which only the context of the contig suits; "
                "use --context contig"
            )
        before = self.model.backbone.read_before
        self._memory = memory = CopyMemory(form) if before is None else before.fork(before.end)
        self._first = memory.end
        memory.append(np.array([self.model.bos], dtype=np.uint8))
        for start in range(0, tokens, PIECE_TOKENS):
            memory.append(self.strand.ids[start : min(start + PIECE_TOKENS, tokens)].astype(np.uint8))

    def blocks(self, starts: np.ndarray, ends: np.ndarray) -> list[int]:
        """Return the blocks that half-open stretches of the strand touch, rising."""
        touched = np.zeros(-(-len(self.strand.ids) // self.block_tokens) + 1, dtype=np.int64)
        some = ends > starts
        np.add.at(touched, starts[some] // self.block_tokens, 1)
        np.add.at(touched, (ends[some] - 1) // self.block_tokens + 1, -1)
        return np.flatnonzero(np.cumsum(touched)).tolist()

    def span(self, block: int) -> tuple[int, int]:
        """Return the tokens of a block, half-open."""
        return block * self.block_tokens, min((block + 1) * self.block_tokens, len(self.strand.ids))

    def begin(self, block: int, *, alone: bool = False) -> tuple[int, StreamState]:
        """Return the input at which the stream of a block begins, and the state of one row there.

        Parameters
        ----------
        block
            Its number.
        alone
            Whether the strand itself may be recalled, but not the relatives that were read before.
        """
        position = max(0, block - 1) * self.block_tokens
        state = self.model.backbone.initial_state(1)
        if position == 0:
            return 0, self._reading(state, 0, alone)
        # Words that reach back over the beginning are known; only the memories of the network are new.
        reach = state.recent.shape[1]
        words = inputs_before(self.strand.ids, self.model.bos, position)[position - reach :].astype(np.int64)
        recent = torch.from_numpy(words[None]).to(state.recent)
        return position, self._reading(replace(state, recent=recent, position_tokens=position), position, alone)

    def _reading(self, state: StreamState, position: int, alone: bool) -> StreamState:
        """Return a state with a reader of the copy memory that stands at an input."""
        if self._memory is None:
            return state
        floor = self._first if alone else 0
        reader = RecallState(memory=self._memory, position=self._first + position, floor=floor)
        return replace(state, recall=RecallLanes(streams=(reader,)))
