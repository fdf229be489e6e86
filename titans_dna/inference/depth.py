"""Records what the memories of each layer do along a stream: their surprise, and how fast they forget.

Surprise is the memory's loss at a token before it is written. Forgetting is the share of the memory that the token
erases (alpha of arXiv 2501.00663, equation 13). Both are averaged over the heads and memories of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from titans_dna.model.backbone import Backbone
from titans_dna.model.memory import MemoryRead, NeuralMemory


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
