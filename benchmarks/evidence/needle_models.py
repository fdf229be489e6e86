"""The models of the comparison: one block each, the same width, the same stem, and the same start.

Their memories start as an induction: keys are made like queries, one base late, so that what is asked for at a base is
what was written at the base after the same words. Training is free to leave that start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from titans_dna.model.backbone import Backbone
from titans_dna.model.config import BackboneConfig
from titans_dna.model.memory import NeuralMemory
from titans_dna.ops.form import MemoryForm

MODELS: dict[str, dict[str, object]] = {
    "MAG": {"block": "mag"},
    "MAC": {"block": "mac", "segment_tokens": 32},  # an item long: what is asked for lies in an earlier segment
    "MAL": {"block": "mal"},
    "LMM": {"block": "lmm"},
    "LMM, linear memory": {"block": "lmm", "memory": MemoryForm.linear(momentum=False)},
    "LMM, no forgetting": {"block": "lmm", "memory": MemoryForm(momentum=False, forgetting=False)},
    "window attention": {"block": "window"},
}
BASE = {
    "width": 32, "layers": 1, "attention_heads": 1, "memory_heads": 1, "window_tokens": 64, "segment_tokens": 64,
    "chunk_tokens": 32, "stem_tokens": 32, "initial_step": 0.5, "induction": True, "memory": MemoryForm(momentum=False),
}  # fmt: skip
STEM_GAIN = 2.0  # of the stem's first weights: its features start far from the linear part of SiLU


def make_model(name: str, seed: int) -> Backbone:
    """Return an untrained model of ``MODELS``."""
    torch.manual_seed(seed)
    model = Backbone(BackboneConfig(**{**BASE, **MODELS[name]}))  # type: ignore[arg-type]
    with torch.no_grad():
        assert model.embedding.stem is not None
        model.embedding.stem.taps.weight.mul_(STEM_GAIN)
    return model


def memories(model: nn.Module) -> list[NeuralMemory]:
    """Return all neural memories of a model."""
    return [module for module in model.modules() if isinstance(module, NeuralMemory)]


@contextmanager
def recorded_gates(model: nn.Module) -> Iterator[list[Tensor]]:
    """Gather what goes into the step gates, (B, T, heads, matrices) of each call, while the context is open."""
    found: list[Tensor] = []
    hooks = []
    for memory in memories(model):

        def record(_: nn.Module, __: object, out: Tensor, heads: int = memory.heads) -> None:
            found.append(out.unflatten(-1, (3, heads, -1))[..., 0, :, :])

        hooks.append(memory.gates.register_forward_hook(record))
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def parameters(model: nn.Module) -> int:
    """Return the number of trained numbers."""
    return sum(x.numel() for x in model.parameters())
