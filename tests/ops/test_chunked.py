"""The dual form equals the rule written token by token with autograd: values, states and every gradient, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from titans_dna.ops import Gates, MemoryForm, MemoryState, initial_state, neural_memory

FORMS = {
    "default": MemoryForm(),
    "linear": MemoryForm.linear(),
    "last": MemoryForm(written="last"),
    "depth3-silu": MemoryForm(depth=3, activation="silu", expansion=1),
    "depth4-relu": MemoryForm(depth=4, activation="relu", residual=False),
    "no-norm": MemoryForm(norm=False),
    "no-momentum": MemoryForm(momentum=False),
    "no-forgetting": MemoryForm(forgetting=False),
    "unbounded": MemoryForm(bounded=False),
}


@dataclass
class Case:
    """Inputs of one call, leaves of the outer graph."""

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    gates: Gates
    weights: tuple[torch.Tensor, ...]
    gain: torch.Tensor

    def leaves(self) -> list[torch.Tensor]:
        g = self.gates
        return [self.q, self.k, self.v, g.step, g.momentum, g.forgetting, self.gain, *self.weights]


def make_case(form: MemoryForm, tokens: int, *, batch: int = 2, heads: int = 2, width: int = 6, seed: int = 0) -> Case:
    torch.manual_seed(seed)

    def leaf(*shape: int, unit: bool = False) -> torch.Tensor:
        x = torch.randn(*shape, dtype=torch.float64)
        return (torch.nn.functional.normalize(x, dim=-1) if unit else x).requires_grad_()

    def gate(low: float, high: float) -> torch.Tensor:
        shape = (batch, tokens, heads, form.written_matrices)
        return (low + (high - low) * torch.rand(*shape, dtype=torch.float64)).requires_grad_()

    k = leaf(batch, tokens, heads, width, unit=True)
    if tokens > 3:  # a repeated key and value
        k = k.detach().clone()
        k[:, 2] = k[:, 0]
        k.requires_grad_()
    weights = tuple((0.4 * torch.randn(heads, *s, dtype=torch.float64)).requires_grad_() for s in form.shapes(width))
    gates = Gates(step=gate(0.0, 0.5), momentum=gate(0.0, 0.9), forgetting=gate(0.0, 0.2))
    return Case(
        leaf(batch, tokens, heads, width, unit=True),
        k,
        leaf(batch, tokens, heads, width),
        gates,
        weights,
        (1.0 + 0.1 * torch.randn(heads, width, dtype=torch.float64)).requires_grad_(),
    )


def flat(state: MemoryState) -> list[torch.Tensor]:
    return [*state.weights, *state.momentum]


def call(case: Case, form: MemoryForm, name: str, chunk: int, active: torch.Tensor | None = None):
    state = initial_state(case.weights, case.q.shape[0], form)
    return neural_memory(
        case.q,
        case.k,
        case.v,
        case.gates,
        state,
        chunk_tokens=chunk,
        form=form,
        gain=case.gain,
        active=active,
        implementation=name,
    )


def assert_equal(case: Case, form: MemoryForm, chunk: int, active: torch.Tensor | None = None) -> None:
    results = []
    for name in ("reference", "chunked"):
        out = call(case, form, name, chunk, active)
        torch.manual_seed(7)
        outputs = [out.reads, out.surprise, *flat(out.state)]
        total = sum((o * torch.randn_like(o)).sum() for o in outputs)
        gradients = torch.autograd.grad(total, case.leaves(), allow_unused=True)
        found = [torch.zeros(()) if g is None else g for g in gradients]
        results.append(([o.detach() for o in outputs], found))
    for ours, theirs in zip(results[1], results[0], strict=True):
        for index, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            scale = max(1.0, float(b.abs().max()))
            assert float((a - b).abs().max()) < 1e-10 * scale, index


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_equals_reference(form: MemoryForm) -> None:
    assert_equal(make_case(form, 21), form, chunk=8)


@pytest.mark.parametrize("tokens", [1, 63, 64, 65, 100, 257])
def test_equals_reference_at_each_length(tokens: int) -> None:
    form = MemoryForm()
    assert_equal(make_case(form, tokens, batch=1, heads=1, width=5), form, chunk=64)


@pytest.mark.parametrize("form", ["default", "no-momentum", "last"])
def test_equals_reference_with_inactive_tokens(form: str) -> None:
    torch.manual_seed(1)
    active = torch.rand(2, 21) < 0.6
    active[0, 8:16] = False  # a whole chunk
    assert_equal(make_case(FORMS[form], 21), FORMS[form], chunk=8, active=active)


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("gate", ["step", "momentum", "forgetting"])
def test_equals_reference_with_gates_at_their_ends(gate: str, value: float) -> None:
    form = MemoryForm()
    case = make_case(form, 21)
    fixed = {n: getattr(case.gates, n) for n in ("step", "momentum", "forgetting")}
    fixed[gate] = torch.full_like(fixed[gate], value, requires_grad=True)
    case.gates = Gates(**fixed)
    assert_equal(case, form, chunk=8)


def test_recomputation_by_groups_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    form = MemoryForm()
    case = make_case(form, 50)
    whole = call(case, form, "chunked", 4)
    expected = torch.autograd.grad(whole.reads.square().sum(), case.leaves())
    monkeypatch.setattr("titans_dna.ops.chunked.GROUP_CHUNKS", 3)
    grouped = call(case, form, "chunked", 4)
    found = torch.autograd.grad(grouped.reads.square().sum(), case.leaves())
    torch.testing.assert_close(grouped.reads, whole.reads, rtol=0, atol=1e-13)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", ["reference", "chunked"])
@pytest.mark.parametrize("masked", [False, True])
def test_cut_anywhere(name: str, masked: bool) -> None:
    form = MemoryForm()
    case = make_case(form, 30)
    active = None
    if masked:
        active = torch.rand(2, 30, generator=torch.Generator().manual_seed(3)) < 0.7
    whole = call(case, form, name, 8, active)
    for cuts in ([1], [8], [7, 9, 10, 25], list(range(1, 30))):
        state, reads = initial_state(case.weights, 2, form), []
        for start, end in zip([0, *cuts], [*cuts, 30], strict=True):
            out = neural_memory(
                case.q[:, start:end],
                case.k[:, start:end],
                case.v[:, start:end],
                case.gates.tokens(start, end),
                state,
                chunk_tokens=8,
                form=form,
                gain=case.gain,
                implementation=name,
                active=None if active is None else active[:, start:end],
            )
            state, reads = out.state, [*reads, out.reads]
        torch.testing.assert_close(torch.cat(reads, 1), whole.reads, rtol=0, atol=1e-12)
        for a, b in zip(flat(state), flat(whole.state), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_inactive_tokens_are_exact_no_ops() -> None:
    form = MemoryForm()
    case = make_case(form, 16)
    state = call(case, form, "chunked", 8).state
    out = neural_memory(
        case.q,
        case.k,
        case.v,
        case.gates,
        state,
        chunk_tokens=8,
        form=form,
        gain=case.gain,
        active=torch.zeros(2, 16, dtype=torch.bool),
    )
    for a, b in zip(flat(out.state), flat(state), strict=True):
        assert torch.equal(a, b)


def test_samples_do_not_share_a_memory() -> None:
    form = MemoryForm()
    case, other = make_case(form, 20), make_case(form, 20)
    with torch.no_grad():
        other.k[1] = torch.randn_like(other.k[1])
        other.v[1] *= 3
    assert torch.equal(call(case, form, "chunked", 8).reads[0], call(other, form, "chunked", 8).reads[0])
    assert torch.equal(call(case, form, "chunked", 8).reads, call(case, form, "chunked", 8).reads)


def test_the_future_is_not_seen() -> None:
    form = MemoryForm()
    case, other = make_case(form, 20), make_case(form, 20)
    with torch.no_grad():
        other.k[:, 13] = torch.randn_like(other.k[:, 13])
        other.gates.step[:, 13] += 0.3
    a, b = call(case, form, "chunked", 8).reads, call(other, form, "chunked", 8).reads
    torch.testing.assert_close(a[:, :13], b[:, :13], rtol=0, atol=1e-12)
    assert float((a[:, 13:] - b[:, 13:]).detach().abs().max()) > 1e-6
