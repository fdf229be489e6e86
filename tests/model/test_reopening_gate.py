"""A gate reaches 0 and 1 exactly, has the gradient of its formula between them, and comes back from both."""

from __future__ import annotations

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from titans_dna.model import memory as memory_module
from titans_dna.model.config import BackboneConfig
from titans_dna.model.memory import STRETCH, NeuralMemory, inverse_gate, stretched_sigmoid

FAR = [-200.0, -20.0, -2.5, 2.5, 20.0, 200.0]  # at these the gate is exactly 0 or 1


def clamped(x: torch.Tensor) -> torch.Tensor:
    """The formula, with the gradient that torch gives it: what the gate was before."""
    return ((1.0 + 2.0 * STRETCH) * torch.sigmoid(x) - STRETCH).clamp(0.0, 1.0)


def gradient(function, x: torch.Tensor, outer: torch.Tensor) -> torch.Tensor:
    leaf = x.clone().requires_grad_(True)
    function(leaf).backward(outer)
    assert leaf.grad is not None
    return leaf.grad


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_values_are_those_of_the_formula_to_the_bit(dtype):
    x = torch.cat([torch.linspace(-30, 30, 5001), torch.linspace(-2.41, -2.39, 999), torch.tensor(FAR)]).to(dtype)
    assert torch.equal(stretched_sigmoid(x), clamped(x))
    assert torch.equal(stretched_sigmoid(x[-6:]), torch.tensor([0, 0, 0, 1, 1, 1], dtype=dtype))
    assert torch.isnan(stretched_sigmoid(torch.tensor([torch.nan], dtype=dtype))).all()


def test_the_inverse_gives_the_gate_back():
    for gate in (0.001, 0.02, 0.5, 0.99):
        assert float(stretched_sigmoid(torch.tensor(inverse_gate(gate), dtype=torch.float64))) == pytest.approx(gate)


def test_the_gradient_between_the_ends_is_that_of_the_formula():
    x = torch.linspace(-2.39, 2.39, 401, dtype=torch.float64)
    outer = torch.randn(401, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found, wanted = gradient(stretched_sigmoid, x, outer), gradient(clamped, x, outer)
    assert found.numpy() == pytest.approx(wanted.numpy(), rel=1e-12)
    leaf = x.clone().requires_grad_(True)
    assert torch.autograd.gradcheck(stretched_sigmoid, leaf)


@pytest.mark.parametrize("far", FAR)
def test_at_an_end_only_the_way_back_has_a_gradient(far):
    x = torch.tensor([far, far], dtype=torch.float64)
    back = -1.0 if far < 0 else 1.0  # a step against it moves the gate inside
    found = gradient(stretched_sigmoid, x, torch.tensor([back, -back], dtype=torch.float64))
    at_the_end = torch.tensor([inverse_gate(1e-9 if far < 0 else 1 - 1e-9)], dtype=torch.float64)
    inside = gradient(clamped, at_the_end, torch.tensor([back], dtype=torch.float64))
    assert float(found[0]) == pytest.approx(float(inside), rel=1e-6)  # as steep as where the gate reaches its end
    assert found[1] == 0
    assert torch.equal(gradient(clamped, x, torch.ones_like(x)), torch.zeros_like(x))  # the old gate had none


def test_a_recomputed_gate_has_the_same_gradient():
    x = torch.linspace(-6, 6, 50, dtype=torch.float64)
    outer = torch.linspace(1, -1, 50, dtype=torch.float64)
    again = gradient(lambda leaf: checkpoint(stretched_sigmoid, leaf, use_reentrant=False), x, outer)
    assert torch.equal(again, gradient(stretched_sigmoid, x, outer))


def trained_memory(steps: int = 60, precision: torch.dtype = torch.float32) -> tuple[NeuralMemory, float, float]:
    """Train the gates' biases of a memory that does not write, where writing lowers its surprise at what repeats."""
    torch.manual_seed(0)
    config = BackboneConfig(width=16, layers=1, attention_heads=1, memory_heads=1, chunk_tokens=8)
    memory = NeuralMemory(config, config.memories[0]).requires_grad_(False)
    bias = memory.gates.bias.requires_grad_(True)
    with torch.no_grad():
        bias[:2] = -20.0  # the step gates of both matrices
    x = torch.randn(2, 8, 16).repeat(1, 8, 1)
    active, surprises = torch.ones(2, 64, dtype=torch.bool), []
    optimizer = torch.optim.Adam([bias], lr=0.5)
    for _ in range(steps):
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            surprise = memory(x, memory.initial_state(2), active).surprise.mean()
        optimizer.zero_grad()
        surprise.backward()
        optimizer.step()
        surprises.append(float(surprise.detach()))
    return memory, surprises[0], surprises[-1]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_memory_that_never_writes_learns_to_write(precision):
    memory, before, after = trained_memory(precision=precision)
    memory.requires_grad_(False)
    assert float(memory.gate(torch.zeros(1, 1, 16)).step.min()) > 0.01
    assert after < 0.9 * before


def test_with_the_formula_alone_it_never_would(monkeypatch):
    monkeypatch.setattr(memory_module, "stretched_sigmoid", clamped)
    memory, before, after = trained_memory()
    memory.requires_grad_(False)
    assert float(memory.gate(torch.zeros(1, 1, 16)).step.max()) == 0
    assert after == before
