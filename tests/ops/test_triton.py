"""The fused kernels equal the dual form: values, states and every gradient, with outputs that start as NaN.

Without a CUDA device the kernels run in Triton's interpreter (tests/conftest.py turns it on), in float64 against 1e-10.
With one they run compiled. All limits stand in one table, ``TOLERANCES``; nothing widens them.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_chunked import FORMS, Case, call, flat, make_case

from titans_dna.errors import ConfigError
from titans_dna.model.config import SIZES, named_config
from titans_dna.ops import Gates, MemoryForm, choose, initial_state, neural_memory
from titans_dna.ops.triton.plan import TOLERANCES

pytest.importorskip("triton", reason="Triton is not installed; pip install 'titans-dna[gpu]'")

CUDA = torch.cuda.is_available()
DEVICE, DTYPE = ("cuda", torch.float32) if CUDA else ("cpu", torch.float64)
KERNEL_FORMS = {name: form for name, form in FORMS.items() if form.depth <= 2} | {
    "silu": MemoryForm(activation="silu", written="last", momentum=False),
    "one-matrix": MemoryForm(depth=1, forgetting=False),
    "relu": MemoryForm(activation="relu", residual=False, expansion=1),
}


@pytest.fixture(autouse=True)
def _outputs_start_as_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    def filled(*shape: int, **kind) -> torch.Tensor:
        return torch.full(shape, float("nan"), **kind)

    monkeypatch.setattr("titans_dna.ops.triton.fused.allocate", filled)


@pytest.fixture
def seed() -> int:
    """Return a fresh seed; a failure prints it."""
    seed = secrets.randbelow(1 << 31)
    print(f"seed {seed}")  # noqa: T201
    return seed


def fit(case: Case, dtype: torch.dtype = DTYPE) -> Case:
    """Return a case of ``test_chunked`` on the device of the test."""

    def leaf(x: torch.Tensor) -> torch.Tensor:
        return x.detach().to(DEVICE, dtype).requires_grad_()

    gates = Gates(**{name: leaf(getattr(case.gates, name)) for name in ("step", "momentum", "forgetting")})
    vectors = (leaf(x) for x in (case.q, case.k, case.v))
    return Case(*vectors, gates, tuple(leaf(w) for w in case.weights), leaf(case.gain))


def results(case: Case, form: MemoryForm, name: str, chunk: int, active: torch.Tensor | None, seed: int):
    out = call(case, form, name, chunk, active)
    values = [out.reads, out.surprise, *flat(out.state)]
    torch.manual_seed(seed)
    weights = [torch.randn(x.shape, dtype=torch.float64) for x in values]
    total = sum((x * w.to(x)).sum() for x, w in zip(values, weights, strict=True))
    gradients = torch.autograd.grad(total, case.leaves(), allow_unused=True)
    return [x.detach() for x in values], [torch.zeros((), device=DEVICE) if g is None else g for g in gradients]


def assert_equal(case: Case, form: MemoryForm, chunk: int, active: torch.Tensor | None = None, seed: int = 0) -> None:
    case, active = fit(case), None if active is None else active.to(DEVICE)
    found = results(case, form, "triton", chunk, active, seed)
    expected = results(fit(case, torch.float64), form, "chunked", chunk, active, seed)
    kind = torch.get_float32_matmul_precision() if CUDA else "float64"
    for ours, theirs, limit in zip(found, expected, TOLERANCES[kind], strict=True):
        for index, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            scale = max(1.0, float(b.abs().max()))
            assert float((a - b).abs().max()) <= limit * scale, index  # fails on NaN too


@pytest.mark.parametrize("form", KERNEL_FORMS.values(), ids=KERNEL_FORMS.keys())
def test_equals_the_dual_form(form: MemoryForm, seed: int) -> None:
    torch.manual_seed(seed)
    active = torch.rand(1, 9) < 0.7
    assert_equal(make_case(form, 9, batch=1, heads=2, width=5, seed=seed), form, 4, active, seed)


@pytest.mark.parametrize("tokens", [1, 63, 64, 65, 100, 257])
def test_equals_the_dual_form_at_each_length(tokens: int, seed: int) -> None:
    form = MemoryForm()
    assert_equal(make_case(form, tokens, batch=1, heads=1, width=6, seed=seed), form, 64, seed=seed)


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("gate", ["step", "momentum", "forgetting"])
def test_equals_the_dual_form_with_gates_at_their_ends(gate: str, value: float, seed: int) -> None:
    case = make_case(MemoryForm(), 9, batch=1, heads=1, seed=seed)
    case.gates = replace(case.gates, **{gate: torch.full_like(getattr(case.gates, gate), value)})
    assert_equal(case, MemoryForm(), 4, seed=seed)


def test_an_inactive_chunk_changes_nothing(seed: int) -> None:
    case, form = fit(make_case(MemoryForm(), 8, heads=1, seed=seed)), MemoryForm()
    state = call(case, form, "triton", 4).state
    nothing = torch.zeros(2, 8, dtype=torch.bool, device=DEVICE)
    after = neural_memory(
        case.q, case.k, case.v, case.gates, state,
        chunk_tokens=4, form=form, gain=case.gain, active=nothing, implementation="triton",
    ).state  # fmt: skip
    for a, b in zip(flat(after), flat(state), strict=True):
        assert torch.equal(a, b)


def test_states_at_group_borders_are_enough(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("titans_dna.ops.triton.fused.GROUP_CHUNKS", 2)
    assert_equal(make_case(MemoryForm(), 19, batch=1, heads=1, seed=seed), MemoryForm(), 4, seed=seed)


def test_groups_fit_the_memory_they_may_take() -> None:
    from titans_dna.ops.triton.fused import GROUP_BYTES, GROUP_CHUNKS, group_chunks

    assert group_chunks(4, MemoryForm(), 64) == GROUP_CHUNKS
    many = group_chunks(1000, MemoryForm(), 64)  # W and S of two matrices of 64 x 128, and their gradients
    assert many * 1000 * 2 * (2 * 2 * 64 * 128) * 4 <= GROUP_BYTES < (many + 1) * 1000 * 2 * (2 * 2 * 64 * 128) * 4
    assert group_chunks(10**9, MemoryForm(), 64) == 1


def test_samples_do_not_share_a_memory(seed: int) -> None:
    form, case = MemoryForm(), fit(make_case(MemoryForm(), 9, heads=1, seed=seed))
    whole = call(case, form, "triton", 4).reads
    alone = neural_memory(
        case.q[:1], case.k[:1], case.v[:1], Gates(**{n: getattr(case.gates, n)[:1] for n in vars(case.gates)}),
        initial_state(case.weights, 1, form), chunk_tokens=4, form=form, gain=case.gain, implementation="triton",
    ).reads  # fmt: skip
    assert torch.equal(whole[:1], alone)
    assert torch.equal(whole, call(case, form, "triton", 4).reads)


@pytest.mark.skipif(not CUDA, reason="needs a CUDA device")
@pytest.mark.parametrize(
    ("precision", "width"), [("highest", 24), ("high", 32), ("medium", 24), ("medium", 40), ("medium", 64)]
)
@pytest.mark.parametrize("form", ["default", "linear", "last"])
def test_compiled_kernels_in_each_precision(precision: str, form: str, width: int, seed: int) -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        assert_equal(make_case(FORMS[form], 200, width=width, seed=seed), FORMS[form], 64, seed=seed)
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(
    ("changes", "shape", "words"),
    [
        ({"depth": 3}, {}, "3 matrices"),
        ({}, {"chunk_tokens": 2048}, "2048 tokens"),
        ({}, {"head_width": 80}, "head width 80"),
        ({"expansion": 4}, {}, "expansion 4"),
    ],
)
def test_what_has_no_kernel_is_refused_by_name(changes: dict, shape: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        choose("triton", DEVICE, MemoryForm(**changes), **shape)


def test_auto_takes_the_kernels_on_cuda_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("auto", "cpu")[0] != "triton"
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (9, 0))
    assert choose("auto", "cuda") == ("triton", "fused kernels on cuda")
    name, reason = choose("auto", "cuda", MemoryForm(depth=4))
    assert name == "chunked"
    assert "4 matrices" in reason
    assert choose("auto", "cuda", dtype=torch.float64)[0] == "chunked"
    assert "does not fit shared memory" in choose("auto", "cuda", learning=True)[1]
    assert choose("auto", "cuda", head_width=32, learning=True)[0] == "triton"
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (7, 5))
    assert "capability" in choose("auto", "cuda")[1]


@pytest.mark.parametrize("name", SIZES)
def test_every_named_size_has_kernels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr("titans_dna.ops.triton.operand_products", lambda: "bf16")
    config = named_config(name)
    width = config.width // config.memory_heads
    said = choose("auto", "cuda", config.memory, head_width=width, chunk_tokens=config.chunk_tokens, learning=True)
    assert said == ("triton", "fused kernels on cuda")


@pytest.mark.parametrize(
    ("installed", "words"), [((), "pip install 'titans-dna[gpu]'"), ((3, 2), "Triton 3.2 is older than 3.3")]
)
def test_without_a_fit_triton_auto_says_so(
    installed: tuple[int, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titans_dna.ops.triton.installed", lambda: installed)
    name, reason = choose("auto", "cuda")
    assert name == "chunked"
    assert words in reason


@pytest.mark.slow  # the compiler takes minutes
@pytest.mark.parametrize("written", ["all", "last"])
@pytest.mark.parametrize(("products", "width"), [("tf32x3", "32"), ("bf16", "64")])
def test_kernels_compile_for_an_h100_and_fit_its_shared_memory(products: str, width: str, written: str) -> None:
    script = Path(__file__).with_name("compile_kernels.py")
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_DEFAULT_FP_FUSION": "1"}
    command = [sys.executable, str(script), products, width, written]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    shared = json.loads(done.stdout)
    assert len(shared) == 4
    assert max(shared.values()) <= 227 * 1024


def test_importing_the_memory_loads_no_triton() -> None:
    code = "import sys, titans_dna.ops; sys.exit('triton' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
