"""Windows: a place is read with a deep memory that begins anew shortly before it, and all else from the copy memory.

A strand is divided into blocks of equal size. What is asked of the bases of a block is read by a network that begins
afresh one block before it, beside a reader of the copy memory that has read the strand from its first base, and the
relatives before that; filling the copy memory costs a hundredth of running the network. So a place costs the same
wherever it lies on a chromosome, and blocks can be read in any order, by any number of processes.

    bases    0 ........ (k-1)N ........ kN ........ (k+1)N
             copy memory | deep memory  | asked for |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from titans_dna.errors import ConfigError
from titans_dna.genome.alphabet import letters_md5
from titans_dna.genome.bases import Bases, pieces_of
from titans_dna.inference.model import SequenceModel, require_single_bases
from titans_dna.inference.strand import Strand, TokenIds
from titans_dna.inference.streaming import read_inputs
from titans_dna.model.state import StreamState
from titans_dna.recall import CopyMemory, RecallLanes, RecallState
from titans_dna.recall.target import append_strand

Each = Callable[[Callable[[int], Any], Iterable[int]], Iterable[Any]]  # ``map``, or the same in several processes

KINDS = ("contig", "region", "window")


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the network reads before a place. The copy memory holds relatives in every context.

    ``contig``
        All that stands before the place on its contig.
    ``window:N``
        At least the N bases before it; the copy memory still holds all of the contig before it.
    ``region``
        Nothing: each region is a sequence by itself.

    Raises
    ------
    ConfigError
        If the kind is unknown, or bases are not given for a window, or for another kind.

    Examples
    --------
    >>> Context.parse("window:8192")
    Context(kind='window', window_bp=8192)
    """

    kind: str = "contig"
    window_bp: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS or (self.window_bp > 0) != (self.kind == "window"):
            raise ConfigError(
                f"context is {self!s}; write contig, region, or window:N with N bases, such as window:8192"
            )

    def __str__(self) -> str:
        return f"{self.kind}:{self.window_bp}" if self.kind == "window" else self.kind

    def told(self) -> dict[str, str]:
        """Return what an output says of it: nothing of the usual one."""
        return {} if self.kind == "contig" else {"context": str(self)}

    @classmethod
    def parse(cls, text: str) -> Context:
        """Return the context of this name.

        Raises
        ------
        ConfigError
            If there is none of this name.
        """
        kind, _, number = text.partition(":")
        if text in ("contig", "region"):
            return cls(kind=text)
        if kind != "window" or not number.isdecimal() or int(number) < 1:
            raise ConfigError(
                f"context is {text!r}; write contig, region, or window:N with N bases, such as window:8192"
            )
        return cls(kind=kind, window_bp=int(number))


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

    Raises
    ------
    ConfigError
        If the model reads tokens of several bases.
    """

    def __init__(self, model: SequenceModel, sequence: Bases, *, reverse: bool, window_bp: int) -> None:
        require_single_bases(model, "windows")
        self.model, self._sequence = model, sequence
        self.strand = Strand.of(sequence, model.tokenizer, reverse=reverse)
        stride = model.backbone.config.period_tokens
        self.block_tokens = -(-window_bp // stride) * stride
        self._memory: tuple[CopyMemory, int] | None = None  # and the position of the start token in it
        self._other: tuple[CopyMemory, int] | None = None  # the same without some stretches

    def remember(self, tokens: int, *, without: Sequence[tuple[int, int]] = ()) -> None:
        """Fill the copy memory with the strand as far as readers before a token may recall.

        Parameters
        ----------
        tokens
            So many from the start of the strand.
        without
            Stretches of the strand, half-open, that a second memory does not hold.

        Raises
        ------
        ConfigError
            If the model's copy memory forgets.
        """
        form = self.model.backbone.config.recall
        if form is None:
            return
        if form.horizon_bases:
            raise ConfigError(
                f"{self.model.name} has a copy memory that forgets, which only the context of the contig suits; "
                "use --context contig"
            )
        self._memory = self._read_ahead() or self._filled(self.strand.first_ids(tokens))
        if without:
            ids = self.strand.ids[:tokens]
            for start, end in without:
                ids[start:end] = self.model.pad
            self._other = self._filled(ids)

    def remember_to(self, base: int, *, without: Sequence[tuple[int, int]] = ()) -> None:
        """Fill the copy memory as far as the block in which the base before this one lies."""
        tokens = -(-base // self.block_tokens) * self.block_tokens
        self.remember(min(tokens, len(self.strand.ids)), without=without)

    def _read_ahead(self) -> tuple[CopyMemory, int] | None:
        """Return the copy memory of the whole strand if it stands ready, and the position of the start token in it."""
        target = self.model.target
        if target is None or all(contig.length_bp != len(self._sequence) for contig in target.contigs):
            return None
        return target.strand(
            letters_md5(*pieces_of(self._sequence)), reverse=self.strand.reverse, before=self.model.backbone.read_before
        )

    def _filled(self, ids: TokenIds) -> tuple[CopyMemory, int]:
        """Return a copy memory that holds the relatives and then these tokens, and where these begin."""
        before, form = self.model.backbone.read_before, self.model.backbone.config.recall
        assert form is not None
        memory = CopyMemory(form) if before is None else before.fork(before.end)
        first = memory.end
        append_strand(memory, ids)
        return memory, first

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

    def has_bases(self, block: int) -> bool:
        """Tell whether a token of a block is a base."""
        return bool((self.strand.ids[slice(*self.span(block))] < self.model.backbone.config.targets).any())

    def begin(self, block: int, *, alone: bool = False, without: bool = False) -> tuple[int, StreamState]:
        """Return the input at which the stream of a block begins, and the state of one row there.

        Parameters
        ----------
        block
            Its number.
        alone
            Whether the strand itself may be recalled, but not the relatives that were read before.
        without
            Whether the stretches that ``remember`` was told to leave out may not be recalled.
        """
        position = max(0, block - 1) * self.block_tokens
        state = self.model.backbone.initial_state(1)
        if position:
            # Words that reach back over the beginning are known; only the memories of the network are new.
            kept = min(state.recent.shape[1], position)
            words = torch.from_numpy(read_inputs(self.strand.ids, self.model.bos, position - kept, position)[None])
            recent = torch.cat([state.recent[:, kept:], words.to(state.recent)], 1)
            state = replace(state, recent=recent, position_tokens=position)
        held = self._other if without and self._other is not None else self._memory
        if held is None:
            return position, state
        memory, first = held
        nothing_before = alone or self.model.backbone.read_before is None
        reader = RecallState(memory=memory, position=first + position, floor=first if nothing_before else 0)
        return position, replace(state, recall=RecallLanes(streams=(reader,)))
