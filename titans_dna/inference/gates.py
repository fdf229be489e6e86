"""What the memories of each layer do while they read: surprise and forgetting along a stream, and statistics of gates.

Surprise is the memory's loss at a token before it is written. Forgetting is the share of the memory that the token
erases (alpha of arXiv 2501.00663, equation 13). Both are averaged over the heads and memories of a layer. A memory
whose step gate is 0 at every token never writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from titans_dna.inference.model import SequenceModel
from titans_dna.model.backbone import Backbone
from titans_dna.model.memory import MemoryRead, NeuralMemory
from titans_dna.ops import Gates

RANDOM_BASES = 4096  # length of the sequence that `random_gates` reads
RANDOM_SEED = 0


class DepthTrace:
    """Collects surprise and forgetting of all memories between two calls of ``take``."""

    def __init__(self, model: Backbone) -> None:
        self.layers = [
            layer
            for layer, block in enumerate(model.blocks)
            if any(isinstance(m, NeuralMemory) for m in block.modules())
        ]
        self._members: list[dict[NeuralMemory, list[torch.Tensor]]] = [
            {m: [] for m in model.blocks[layer].modules() if isinstance(m, NeuralMemory)} for layer in self.layers
        ]

    def note(self, memory: NeuralMemory, inputs: tuple[Any, ...], read: MemoryRead) -> None:
        """Keep surprise and forgetting of one call of a memory; used as a forward hook."""
        # The memory does not return its gates, so they are computed a second time; they are cheap beside the memory
        # itself. Row 0 is the only one of a stream.
        forgetting = memory.gate(inputs[0]).forgetting.mean((-1, -2))
        both = torch.stack([read.surprise.float().mean(-1), forgetting.float()])[:, 0].cpu()
        for members in self._members:
            if memory in members:
                members[memory].append(both)

    def take(self) -> dict[str, np.ndarray]:
        """Return (tokens,) float32 of ``surprise_layerN`` and ``forgetting_layerN``, layers counted from 1."""
        found = {}
        for layer, members in zip(self.layers, self._members, strict=True):
            surprise, forgetting = torch.stack([torch.cat(parts, 1) for parts in members.values()]).mean(0).numpy()
            found[f"surprise_layer{layer + 1}"], found[f"forgetting_layer{layer + 1}"] = surprise, forgetting
            for parts in members.values():
                parts.clear()
        return found


@contextmanager
def trace_memories(model: Backbone) -> Iterator[DepthTrace]:
    """Yield a trace that collects what the memories do as long as the context lasts."""
    trace = DepthTrace(model)
    with watch([module for module in model.modules() if isinstance(module, NeuralMemory)], trace.note):
        yield trace


@contextmanager
def watch(
    memories: Iterable[NeuralMemory], note: Callable[[NeuralMemory, tuple[Any, ...], MemoryRead], None]
) -> Iterator[None]:
    """Call ``note`` with every memory, its inputs and what it read, whenever it has read inside the block."""
    handles = [memory.register_forward_hook(note) for memory in memories]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True, kw_only=True)
class GateStatistics:
    """The gates of one memory along a sequence; means and shares are taken over tokens, heads and matrices."""

    layer: int  # counted from 1
    memory: int  # number of the memory within its layer, counted from 1
    mean_step: float  # in [0, 1]
    step_at_0: float  # share of step gates that are exactly 0
    step_at_1: float  # share of step gates that are exactly 1
    mean_momentum: float  # below momentum_limit; 0 where the memory has no momentum
    mean_forgetting: float  # share of the memory that a token erases; 0 where the memory does not forget
    writes: float  # share of tokens whose step is above 0 in any head and matrix


@torch.inference_mode()
def gate_statistics(model: Backbone, ids: Int[Tensor, "B T"]) -> list[GateStatistics]:
    """Read sequences from their start and return the statistics of every memory, layer by layer.

    Tokens that are never written (N, start, padding) do not count; if there are no others, all numbers are nan.
    """
    places = [
        (layer, number, memory)
        for layer, block in enumerate(model.blocks, 1)
        for number, memory in enumerate((m for m in block.modules() if isinstance(m, NeuralMemory)), 1)
    ]
    if not places:
        return []
    with _recorded([memory for *_, memory in places]) as found:
        model.stream(ids)
    return [_statistics(layer, number, memory, found[memory]) for layer, number, memory in places]


def random_gates(model: SequenceModel) -> list[GateStatistics]:
    """Return the statistics on the start token and ``RANDOM_BASES`` random bases, which are the same every time."""
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)
    sequence = letters[np.random.default_rng(RANDOM_SEED).integers(0, 4, RANDOM_BASES)].tobytes()
    ids = np.concatenate([[model.bos], model.tokenizer.encode(sequence).astype(np.int64)])
    return gate_statistics(model.backbone, torch.from_numpy(ids).to(model.device)[None])


@contextmanager
def _recorded(memories: list[NeuralMemory]) -> Iterator[dict[NeuralMemory, list[Gates]]]:
    """Record the gates of the tokens that may be written, (tokens, heads, matrices), of every call."""
    found: dict[NeuralMemory, list[Gates]] = {memory: [] for memory in memories}

    def note(memory: NeuralMemory, inputs: tuple[Any, ...], read: MemoryRead) -> None:
        x, _, active = inputs
        gates = memory.gate(x)
        kept = Gates(step=gates.step[active], momentum=gates.momentum[active], forgetting=gates.forgetting[active])
        found[memory].append(kept)

    with watch(memories, note):
        yield found


def _statistics(layer: int, number: int, memory: NeuralMemory, parts: list[Gates]) -> GateStatistics:
    step, momentum, forgetting = (
        torch.cat([getattr(part, name) for part in parts]).double() for name in ("step", "momentum", "forgetting")
    )
    return GateStatistics(
        layer=layer, memory=number, mean_step=float(step.mean()),
        step_at_0=float((step == 0).double().mean()), step_at_1=float((step == 1).double().mean()),
        mean_momentum=float(momentum.mean()) if memory.form.momentum else 0.0,
        mean_forgetting=float(forgetting.mean()) if memory.form.forgetting else 0.0,
        writes=float((step > 0).flatten(1).any(1).double().mean()),
    )  # fmt: skip
