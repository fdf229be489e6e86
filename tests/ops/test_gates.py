"""Products of gates against their definition, and the bound on repeated writes."""

from __future__ import annotations

import pytest
import torch

from titans_dna.ops import Gates, MemoryForm, initial_state, neural_memory
from titans_dna.ops.bound import bounded_step, earlier_steps, gram
from titans_dna.ops.gates import decay_products


@pytest.mark.parametrize("tokens", [1, 2, 3, 7, 8, 64, 65])
def test_products_by_definition(tokens: int) -> None:
    factors = torch.rand(2, tokens, dtype=torch.float64)
    factors[0, tokens // 2] = 0.0
    square, prefix = decay_products(factors)
    for row in range(2):
        for k in range(tokens):
            assert float(prefix[row, k]) == pytest.approx(float(factors[row, : k + 1].prod()))
            for i in range(tokens):
                expected = float(factors[row, i + 1 : k + 1].prod()) if i <= k else 0.0
                assert float(square[row, k, i]) == pytest.approx(expected)


def test_gradient_of_products_at_gates_of_zero_and_one() -> None:
    factors = torch.rand(3, 9, dtype=torch.float64)
    factors[0, 4], factors[1, :3], factors[2, 2:5] = 0.0, 1.0, 0.0
    factors.requires_grad_()
    naive = torch.stack(
        [torch.stack([factors[:, i + 1 : k + 1].prod(-1) * (i <= k) for i in range(9)], -1) for k in range(9)], -2
    )
    weight = torch.randn(3, 9, 9, dtype=torch.float64)
    square, prefix = decay_products(factors)
    ours = torch.autograd.grad((square * weight).sum() + (prefix * weight[0, 0]).sum(), factors)
    theirs = torch.autograd.grad((naive * weight).sum() + (factors.cumprod(-1) * weight[0, 0]).sum(), factors)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_writes_of_a_repeated_token_never_overshoot() -> None:
    a, delta = torch.tensor([[0.6, 0.8]]).expand(512, 2), torch.tensor([[3.0, 4.0]]).expand(512, 2)
    loss = torch.full((512,), 25.0 / 4)  # delta = 2 e for a linear memory
    theta = torch.full((512,), 1.0)
    step = bounded_step(theta, gram(a), delta, loss, earlier_steps(theta, 1), matrices=1).step
    assert 0.99 < float(2 * step.sum()) < 1.0  # the error is multiplied by 1 - 2 sum(step)


@pytest.mark.parametrize(
    "form", [MemoryForm(), MemoryForm.linear(), MemoryForm(norm=False), MemoryForm(written="last")]
)
@pytest.mark.parametrize("period", [1, 2, 171])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_repeats_keep_the_memory_finite(form: MemoryForm, period: int, momentum: float) -> None:
    torch.manual_seed(0)
    tokens, width = 64 * 400, 16
    unit = torch.nn.functional.normalize(torch.randn(1, period, 1, width), dim=-1)
    k = unit.repeat(1, tokens // period + 1, 1, 1)[:, :tokens]
    v = torch.randn(1, period, 1, width).repeat(1, tokens // period + 1, 1, 1)[:, :tokens]
    gate = torch.ones(1, tokens, 1, form.written_matrices)
    gates = Gates(step=gate, momentum=momentum * gate, forgetting=0 * gate)
    weights = tuple(0.2 * torch.randn(1, *s) for s in form.shapes(width))
    with torch.no_grad():
        out = neural_memory(k, k, v, gates, initial_state(weights, 1, form), chunk_tokens=64, form=form)
    first, last = float(out.surprise[:, :64].mean()), float(out.surprise[:, -64 * 20 :].mean())
    assert torch.isfinite(out.reads).all()
    assert last < 1.5 * first
    assert max(float(w.norm()) for w in out.state.weights) < 1e3


def test_without_the_bound_a_repeat_blows_up() -> None:
    form = MemoryForm.linear(bounded=False)
    tokens, width = 64 * 60, 16
    k = torch.nn.functional.normalize(torch.ones(1, tokens, 1, width), dim=-1)
    gate = torch.ones(1, tokens, 1, 1)
    state = initial_state((torch.zeros(1, width, width),), 1, form)
    with torch.no_grad():
        gates = Gates(step=0.1 * gate, momentum=0 * gate, forgetting=0 * gate)
        out = neural_memory(k, k, k, gates, state, chunk_tokens=64, form=form)
    assert not float(out.surprise[:, -1].abs().max()) < 1e6
