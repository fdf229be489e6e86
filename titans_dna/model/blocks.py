"""The blocks. Each mixes tokens and then applies a SwiGLU, both on a normalised residual stream.

==============  ==========================================================  =================================
block           mixing                                                      arXiv 2501.00663
==============  ==========================================================  =================================
``MAC``         attention to [persistent | recalled | segment], written     section 4.1, equations 21 to 25
``MAG``         window attention, and the memory beside it as a gate        section 4.2, equations 26 to 28
``MAL``         the memory, then window attention                           section 4.3, equations 29 to 31
``LMM``         the memory alone                                            section 4.3, last paragraph
``Transformer`` full causal attention: the quadratic baseline
``Window``      window attention alone: the linear baseline
==============  ==========================================================  =================================
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from titans_dna.model.attention import FullAttention, SegmentAttention, SlidingWindowAttention
from titans_dna.model.config import BackboneConfig
from titans_dna.model.memory import NeuralMemory
from titans_dna.model.norm import RMSNorm
from titans_dna.model.state import BlockState, NeuralMemoryState, SegmentState

Features = Float[Tensor, "B T N"]
Mask = Bool[Tensor, "B T"]


class BlockOutput(NamedTuple):
    """The output of a block."""

    hidden: Features
    state: BlockState
    surprise: Float[Tensor, "B T"] | None  # loss of the memories, averaged over memories and heads; None without any


class Memories(nn.Module):
    """The memories of a block, each with its own length of chunk and reset period; their reads are added up."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.members = nn.ModuleList(NeuralMemory(config, layout) for layout in config.memories)

    def initial_states(self, batch: int) -> tuple[NeuralMemoryState, ...]:
        """Return the states before the first token."""
        return tuple(member.initial_state(batch) for member in self.members)  # type: ignore[operator]

    def forward(
        self, x: Features, states: tuple[NeuralMemoryState, ...], active: Mask
    ) -> tuple[Features, tuple[NeuralMemoryState, ...], Float[Tensor, "B T"]]:
        """Return the sum of the reads, the states after the last token, and the mean surprise."""
        reads = [member(x, state, active) for member, state in zip(self.members, states, strict=True)]
        values = torch.stack([read.values for read in reads]).sum(0)
        surprise = torch.stack([read.surprise.mean(-1) for read in reads]).mean(0)
        return values, tuple(read.state for read in reads), surprise

    def recall(self, queries: Features, weights: tuple[tuple[Tensor, ...], ...]) -> Features:
        """Return the sum of the memories' reads for ``queries`` at fixed weights; nothing is written."""
        parts = [m.recall(queries, w) for m, w in zip(self.members, weights, strict=True)]  # type: ignore[operator]
        return torch.stack(parts).sum(0)


class SwiGLU(nn.Module):
    """Feed-forward ``W2(silu(W1 x) * W3 x)`` (arXiv 2002.05202)."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        hidden = round(config.width * config.feed_forward)
        self.enter = nn.Linear(config.width, 2 * hidden, bias=False)
        self.leave = nn.Linear(hidden, config.width, bias=False)

    def forward(self, x: Features) -> Features:
        """Return the transformed features."""
        gate, value = self.enter(x).chunk(2, -1)
        return self.leave(F.silu(gate) * value)


class MacroBlock(nn.Module, ABC):
    """The part that all blocks share: norms, output map and feed-forward. A subclass defines ``mix``."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.norm = RMSNorm(config.width)
        self.out = nn.Linear(config.width, config.width, bias=False)
        self.feed_forward_norm = RMSNorm(config.width)
        self.feed_forward = SwiGLU(config)

    @abstractmethod
    def initial_state(self, batch: int) -> BlockState:
        """Return the state before the first token."""

    @abstractmethod
    def mix(self, x: Features, state: BlockState, active: Mask) -> BlockOutput:
        """Mix the tokens; the result goes through the output map and is added to the residual stream."""

    def forward(self, x: Features, state: BlockState, active: Mask) -> BlockOutput:
        """Return the features after the block, its state after the last token, and the memory's surprise."""
        mixed = self.mix(self.norm(x), state, active)
        x = x + self.out(mixed.hidden)
        return BlockOutput(x + self.feed_forward(self.feed_forward_norm(x)), mixed.state, mixed.surprise)


class MAC(MacroBlock):
    """Memory as context: a segment attends to what the memory recalls for it, and the result is written to the memory.

    It is causal: token i attends to what is recalled for tokens up to i, and is gated by the memory as it is at i.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__(config)
        self.segment_tokens = config.segment_tokens
        self.query = nn.Linear(config.width, config.width, bias=False)
        self.attention = SegmentAttention(config)
        self.attention_norm = RMSNorm(config.width)
        self.memory = Memories(config)

    def initial_state(self, batch: int) -> BlockState:
        """Return the state before the first token."""
        states = self.memory.initial_states(batch)
        return BlockState(memories=states, segment=self._new_segment(batch, states))

    def _new_segment(self, batch: int, states: tuple[NeuralMemoryState, ...]) -> SegmentState:
        blank = self.attention.empty(batch, 0)
        return SegmentState(
            keys=blank.keys, values=blank.values, recalled_keys=blank.keys, recalled_values=blank.values,
            valid=blank.valid, weights=tuple(state.memory.weights for state in states),
        )  # fmt: skip

    def mix(self, x: Features, state: BlockState, active: Mask) -> BlockOutput:
        """Read, attend, write and gate, segment by segment."""
        parts, surprises, start = [], [], 0
        while start < x.shape[1]:
            assert state.segment is not None
            end = min(x.shape[1], start + self.segment_tokens - state.segment.keys.shape[1])
            out = self._mix_piece(x[:, start:end], state, active[:, start:end])
            parts.append(out.hidden)
            surprises.append(out.surprise)
            state, start = out.state, end
        return BlockOutput(torch.cat(parts, 1), state, torch.cat(surprises, 1))  # type: ignore[arg-type]

    def _mix_piece(self, x: Features, state: BlockState, active: Mask) -> BlockOutput:
        segment = state.segment
        assert segment is not None
        # Equations 21 to 25: the whole segment is read with the memory as it was at the start of the segment; what
        # attention makes of it is written (24), and gated by a read of the written memory (25).
        recalled = self.memory.recall(self.query(x), segment.weights)
        near, caches = self.attention(x, recalled, segment, active)
        near = self.attention_norm(near)
        far, memories, surprise = self.memory(near, state.memories, active)
        segment = replace(segment, **caches)
        if segment.keys.shape[1] == self.segment_tokens:
            segment = self._new_segment(x.shape[0], memories)
        # Doubled, so that a read of 0, which gives a sigmoid of 1/2, leaves the features as they are.
        return BlockOutput(near * 2.0 * torch.sigmoid(far), BlockState(memories=memories, segment=segment), surprise)


class MAG(MacroBlock):
    """Memory as a gate: sliding-window attention and the memory side by side.

    Both branches are normalised with learned vectors. The memory enters through a gate that depends on the input; if
    the gate is shut, only the attention branch is left.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__(config)
        self.attention = SlidingWindowAttention(config)
        self.attention_norm = RMSNorm(config.width)
        self.memory = Memories(config)
        self.gate = nn.Linear(config.width, config.width)

    def initial_state(self, batch: int) -> BlockState:
        """Return the state before the first token."""
        return BlockState(attention=self.attention.initial_state(batch), memories=self.memory.initial_states(batch))

    def mix(self, x: Features, state: BlockState, active: Mask) -> BlockOutput:
        """Run attention and memory side by side, and add the gated memory."""
        near, attention = self.attention(x, state.attention, active)
        far, memories, surprise = self.memory(x, state.memories, active)
        # Equation 28 of the paper multiplies the branches. A sum leaves attention intact while the memory knows nothing
        # yet.
        mixed = self.attention_norm(near) + torch.sigmoid(self.gate(x)) * far
        return BlockOutput(mixed, BlockState(attention=attention, memories=memories), surprise)


class MAL(MacroBlock):
    """Memory as a layer: first the memory, added to the input, and then sliding-window attention."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__(config)
        self.memory = Memories(config)
        self.memory_out = nn.Linear(config.width, config.width, bias=False)
        self.between_norm = RMSNorm(config.width)
        self.attention = SlidingWindowAttention(config)
        self.attention_norm = RMSNorm(config.width)

    def initial_state(self, batch: int) -> BlockState:
        """Return the state before the first token."""
        return BlockState(attention=self.attention.initial_state(batch), memories=self.memory.initial_states(batch))

    def mix(self, x: Features, state: BlockState, active: Mask) -> BlockOutput:
        """Run the memory, and then attention on its result."""
        far, memories, surprise = self.memory(x, state.memories, active)
        x = self.between_norm(x + self.memory_out(far))
        near, attention = self.attention(x, state.attention, active)
        return BlockOutput(
            self.attention_norm(near) + far, BlockState(attention=attention, memories=memories), surprise
        )


class LMM(MacroBlock):
    """The long-term memory alone, instead of attention."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__(config)
        self.memory = Memories(config)

    def initial_state(self, batch: int) -> BlockState:
        """Return the state before the first token."""
        return BlockState(memories=self.memory.initial_states(batch))

    def mix(self, x: Features, state: BlockState, active: Mask) -> BlockOutput:
        """Run the memory."""
        far, memories, surprise = self.memory(x, state.memories, active)
        return BlockOutput(far, BlockState(memories=memories), surprise)


class Window(MacroBlock):
    """Sliding-window attention in the same macro block, without a memory: the linear baseline."""

    attention_class: type[SlidingWindowAttention] | type[FullAttention] = SlidingWindowAttention

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__(config)
        self.attention = self.attention_class(config)
        self.attention_norm = RMSNorm(config.width)

    def initial_state(self, batch: int) -> BlockState:
        """Return the state before the first token."""
        return BlockState(attention=self.attention.initial_state(batch))

    def mix(self, x: Features, state: BlockState, active: Mask) -> BlockOutput:
        """Run attention."""
        near, attention = self.attention(x, state.attention, active)
        return BlockOutput(self.attention_norm(near), BlockState(attention=attention), None)


class Transformer(Window):
    """Full causal attention in the same macro block: the quadratic baseline."""

    attention_class = FullAttention


BLOCK_CLASSES: dict[str, type[MacroBlock]] = {
    "mac": MAC,
    "mag": MAG,
    "mal": MAL,
    "lmm": LMM,
    "transformer": Transformer,
    "window": Window,
}
