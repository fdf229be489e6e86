"""The backbone: it reads token ids, predicts the next token, and returns a state from which a stream goes on."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Self

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from titans_dna.errors import CheckpointError, ConfigError
from titans_dna.model.blocks import BLOCK_CLASSES
from titans_dna.model.config import BackboneConfig
from titans_dna.model.embedding import TokenEmbedding
from titans_dna.model.memory import NeuralMemory
from titans_dna.model.norm import RMSNorm
from titans_dna.model.state import BlockState, StreamState, concatenate
from titans_dna.model.trust import Trust
from titans_dna.model.word_counts import WordCounts
from titans_dna.recall import CopyMemory, RecallLanes


class StreamOutput(NamedTuple):
    """The output of ``Backbone.stream``."""

    logits: Float[Tensor, "B T V"]  # of the next token, over the targets
    state: StreamState
    hidden: Float[Tensor, "B T N"]  # final features of every token
    surprise: Float[Tensor, "B T"]  # mean loss of all memories at every token; 0 in a model without memories
    inner: tuple[Float[Tensor, "B T N"], ...] = ()  # residual streams after the blocks that were asked for


class Recalled(NamedTuple):
    """The output of ``Backbone.recall``: what the copy memory recalls for a piece of a batch."""

    codes: Int[Tensor, "B T S"]  # int32: records of the places followed after each token (``recall/record.py``)
    lanes: RecallLanes | None  # the readers after the piece


class Backbone(nn.Module):
    """A causal stack of Titans blocks.

    Ids below ``config.targets`` are bases (or words). All others (N, padding, start) write nothing to a memory, and no
    other token attends to them.
    """

    read_before: CopyMemory | None = None  # what every stream has in its copy memory before its first token

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = TokenEmbedding(config)
        self.counts = WordCounts(config, config.word_counts) if config.word_counts else None
        self.trust = Trust(config.width, config.recall) if config.recall else None
        layers = range(1, config.layers + 1)
        self.blocks = nn.ModuleList(BLOCK_CLASSES[config.block_of(layer)](config) for layer in layers)
        self.norm = RMSNorm(config.width)
        self.head = nn.Linear(config.width, config.targets, bias=False)
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        for name, parameter in self.named_parameters():
            if name.startswith(("counts.", "trust.")):
                continue
            if name.endswith(("project.weight", "query.weight", "enter.weight", "gate.weight")):
                parameter.normal_(std=self.config.width**-0.5)
            # Maps into the residual stream start smaller the more layers there are, so that its size does not grow.
            elif name.endswith(("out.weight", "leave.weight")):
                parameter.normal_(std=(2 * self.config.layers * parameter.shape[1]) ** -0.5)
            elif name == "head.weight":
                # An untrained model then predicts all bases alike, or what its word counts say.
                parameter.zero_()
        if self.config.induction:
            for module in self.modules():
                if isinstance(module, NeuralMemory):
                    module.start_as_induction()

    def behind(self, memory: CopyMemory) -> Self:
        """Return this backbone, sharing its weights, with streams that begin behind what a copy memory has read.

        Raises
        ------
        ConfigError
            If the memory's settings are not those that this backbone was trained with.
        """
        if self.config.recall != memory.form:
            raise ConfigError("the memory was made with other settings than the model's; make it again for this model")
        other = copy.copy(self)
        other.read_before = memory
        return other

    def initial_state(self, batch: int) -> StreamState:
        """Return the state before the first token of a contig."""
        blocks = tuple(block.initial_state(batch) for block in self.blocks)  # type: ignore[operator]
        lanes = RecallLanes.start(self.config.recall, batch, self.read_before) if self.config.recall else None
        recent = self.embedding.initial_recent(batch)
        return StreamState(blocks=blocks, recent=recent, position_tokens=0, recall=lanes)

    def recall(self, ids: Int[Tensor, "B T"], state: StreamState | None = None) -> Recalled | None:
        """Return what the copy memory recalls along ``ids``, for ``stream``; None for a model without a copy memory.

        It depends on the ids alone, so it can be computed ahead of the network, in another thread or on the processor
        beside a GPU.

        Raises
        ------
        ConfigError
            If the state has no readers, because what its pieces recalled was given to ``stream``.
        CheckpointError
            If the state comes from a file and was not attached to the ids it had read, or is of another model.
        """
        if self.config.recall is None:
            return None
        lanes = state.recall if state else self.initial_state(ids.shape[0]).recall
        if lanes is None:
            raise ConfigError("the state has no readers of a copy memory; pass what was recalled with every piece")
        if len(lanes.streams) != len(ids) or any(s.memory.form != self.config.recall for s in lanes.streams):
            raise CheckpointError("the state's readers of a copy memory are not those of this model; begin anew")
        codes, after = lanes.read(ids.cpu().numpy())
        return Recalled(torch.from_numpy(codes.view(np.int32)).to(ids.device), after)

    def stream(
        self,
        ids: Int[Tensor, "B T"],
        state: StreamState | None = None,
        inner: Sequence[int] = (),
        recalled: Recalled | None = None,
        versions: Int[Tensor, " B"] | None = None,
    ) -> StreamOutput:
        """Read ``ids`` from ``state`` on; a sequence may be cut anywhere without changing the result.

        Parameters
        ----------
        ids
            Token ids. ``logits[:, t]`` predicts ``ids[:, t + 1]``.
        state
            State from an earlier call; None at the start of a contig.
        inner
            Blocks after which the residual stream is returned too; 1 is the first block, 0 the token embedding.
        recalled
            What ``recall`` returned for the same ids and state; None to compute it here.
        versions
            Which of several tables of counted words each sample reads, while training; None for the last.
        """
        state = self.initial_state(ids.shape[0]) if state is None else state
        recalled = self.recall(ids, state) if recalled is None else recalled
        active: Bool[Tensor, "B T"] = ids < self.config.targets
        x, recent = self.embedding(ids, state.recent)
        if self.counts is not None:
            evidence = self.counts(ids, state.recent, versions)
            x = x + self.counts.enter(evidence)
        if self.trust is not None and recalled is not None:
            places = self.trust.places(recalled.codes)
            x = x + self.trust.enter(self.trust.early_vote(places, x).to(x.dtype))
        blocks, surprises = [], []
        residuals = {0: x} if 0 in inner else {}
        for number, (block, block_state) in enumerate(zip(self.blocks, state.blocks, strict=True), 1):
            x, after, surprise = block(x, block_state, active)
            if number in inner:
                residuals[number] = x
            blocks.append(after)
            if surprise is not None:
                surprises.append(surprise)
        hidden = self.norm(x)
        position = state.position_tokens + ids.shape[1]
        lanes = recalled.lanes if recalled else None
        after = StreamState(blocks=tuple(blocks), recent=recent, position_tokens=position, recall=lanes)
        # In float32 also under autocast: three votes are added up, and a softmax follows.
        logits = self.head(hidden).float()
        if self.counts is not None:
            logits = logits + self.counts.logits(hidden, evidence)
        if self.trust is not None and recalled is not None:
            logits = logits + self.trust.late_vote(places, hidden).float()
        kept = tuple(residuals[number] for number in inner)
        mean = torch.stack(surprises).mean(0) if surprises else x.new_zeros(ids.shape)
        return StreamOutput(logits, after, hidden, mean, kept)

    def skim(self, ids: Int[Tensor, "B T"], state: StreamState) -> StreamState:
        """Let the copy memory alone read ``ids``; the network can go on behind a later ``restart`` only."""
        recalled = self.recall(ids, state)
        return replace(
            state,
            recent=self.embedding.recent_after(ids, state.recent),
            position_tokens=state.position_tokens + ids.shape[1],
            recall=recalled.lanes if recalled else None,
        )

    def skim_gap(self, state: StreamState, tokens: int) -> StreamState:
        """Let the copy memory alone read so many N, at once."""
        recent = state.recent.new_full((len(state.recent), min(tokens, self.embedding.reach)), self.config.targets)
        return replace(
            state,
            recent=self.embedding.recent_after(recent, state.recent),
            position_tokens=state.position_tokens + tokens,
            recall=state.recall.read_gap(tokens) if state.recall else None,
        )

    def restart(self, state: StreamState) -> StreamState:
        """Return a state that was skimmed to, with blocks that have read nothing, at the phase of its position.

        Read on from ``config.lead_tokens`` before the border of a period, they are what they would have been, from the
        border on.
        """
        blank = self.initial_state(state.recent.shape[0]).blocks
        return replace(state, blocks=tuple(self._at(block, state.position_tokens) for block in blank))

    def _at(self, block: BlockState, position: int) -> BlockState:
        memories = tuple(
            replace(memory, since_reset=memory.since_reset + (position % layout.reset_tokens))
            for memory, layout in zip(block.memories, self.config.memories, strict=False)  # some blocks have none
        )
        return replace(block, memories=memories)

    def join(self, states: Sequence[StreamState]) -> StreamState:
        """Return the states of several streams as one batch.

        Raises
        ------
        ValueError
            If the streams are not at the same phase (see `BackboneConfig.phase`).
        """
        phases = {self.config.phase(state.position_tokens) for state in states}
        if len(phases) > 1:
            raise ValueError(f"streams stand at phases {sorted(phases)}; join only those of one phase")
        return concatenate(states)

    def forward(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Return the logits of the next token, for sequences that are read from their start."""
        return self.stream(ids).logits
