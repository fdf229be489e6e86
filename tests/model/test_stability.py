"""Long repeats leave every block finite and bounded, in float32 and bfloat16, before and after training on them."""

from __future__ import annotations

import pytest
import torch

from titans_dna.model.backbone import Backbone
from titans_dna.model.config import BLOCKS, BackboneConfig
from titans_dna.model.memory import NeuralMemory
from titans_dna.model.state import map_tensors

MEMORY_BLOCKS = [block for block in BLOCKS if block not in ("transformer", "window")]
MONOMER = torch.randint(0, 4, (171,), generator=torch.Generator().manual_seed(5))
REPEATS = {"poly-A": torch.tensor([0]), "(CA)n": torch.tensor([1, 0]), "171-base monomers": MONOMER}


def make(block: str) -> Backbone:
    torch.manual_seed(3)
    model = Backbone(
        BackboneConfig(
            width=16, layers=1, attention_heads=2, memory_heads=1, window_tokens=16, segment_tokens=64, block=block
        )
    )
    torch.nn.init.normal_(model.head.weight, std=0.5)
    return model


def train_on(model: Backbone, unit: torch.Tensor, steps: int = 8) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-2)
    ids = unit.repeat(1024 // len(unit) + 1)[:1024].view(2, 512)
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(model(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.isfinite(loss.detach())


def largest(state: object) -> float:
    values = [0.0]

    def note(x: torch.Tensor) -> torch.Tensor:
        if x.is_floating_point() and x.numel():
            assert torch.isfinite(x).all()
            values.append(float(x.abs().max()))
        return x

    map_tensors(state, note)
    return max(values)


def read(model: Backbone, unit: torch.Tensor, bases: int, dtype: torch.dtype) -> tuple[float, float]:
    """Return the largest number of the state after a tenth of the bases and after all."""
    state, found, piece = model.initial_state(1), [], 2048
    ids = unit.repeat(piece // len(unit) + 2)
    with torch.inference_mode(), torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        for start in range(0, bases, piece):
            shift = start % len(unit)
            out = model.stream(ids[None, shift : shift + piece], state)
            state = out.state
            found.append(largest(state))
            assert torch.isfinite(out.logits).all()
    return found[len(found) // 10], found[-1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("repeat", REPEATS)
@pytest.mark.parametrize("block", MEMORY_BLOCKS)
def test_repeats(block: str, repeat: str, dtype: torch.dtype) -> None:
    model = make(block)
    for trained in (False, True):
        if trained:
            train_on(model, REPEATS[repeat])
        early, late = read(model, REPEATS[repeat], 24_576, dtype)
        assert late < 10 * early + 100, trained


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("repeat", REPEATS)
@pytest.mark.parametrize("block", MEMORY_BLOCKS)
def test_a_megabase_of_repeats(block: str, repeat: str, dtype: torch.dtype) -> None:
    model = make(block)
    train_on(model, REPEATS[repeat])
    early, late = read(model, REPEATS[repeat], 1_000_000, dtype)
    assert late < 10 * early + 100


@pytest.mark.parametrize(("heads", "expected"), [(1, [1e-4]), (2, [1e-5, 1e-3]), (3, [1e-5, 1e-4, 1e-3])])
def test_heads_start_with_forgetting_spread_over_the_range(heads: int, expected: list[float]) -> None:
    config = BackboneConfig(width=24, attention_heads=1, memory_heads=heads)
    memory = NeuralMemory(config, config.memories[0])
    rates = memory.gates.bias.view(3, heads, -1)[2].sigmoid()
    torch.testing.assert_close(rates, torch.tensor(expected).unsqueeze(-1).expand_as(rates))
