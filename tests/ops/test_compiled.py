"""The compiled loop: the rule of the reference, and the same bits wherever a stream is cut and whatever its batch."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from titans_dna.errors import ConfigError
from titans_dna.ops import Gates, MemoryForm, choose, initial_state, neural_memory
from titans_dna.ops.state import map_tensors

FORM = MemoryForm()


def drawn(tokens: int, *, batch=2, heads=2, width=16, seed=0, dtype=torch.float32, repeats=False) -> tuple:
    """Queries, keys, values, gates and gain, and the state before."""
    random = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(batch, tokens, heads, width, generator=random) for _ in range(3))
    if repeats:
        k, v = k[:, :1].expand_as(k).contiguous(), v[:, :1].expand_as(v).contiguous()
    q, k = (x / x.norm(dim=-1, keepdim=True) for x in (q, k))
    gates = torch.rand(3, batch, tokens, heads, 2, generator=random)
    gates = Gates(step=gates[0], momentum=0.9 * gates[1], forgetting=0.1 * gates[2])
    weights = tuple(torch.randn(heads, *shape, generator=random) * shape[1] ** -0.5 for shape in FORM.shapes(width))
    state = initial_state(weights, batch, FORM)
    gain = torch.rand(heads, width, generator=random)
    return map_tensors((q, k, v, gates, state, gain), lambda x: x.to(dtype))


def run(given: tuple, name: str, *, chunk=8, active=None, gain=True):
    q, k, v, gates, state, learned = given
    with torch.inference_mode(name != "reference"):  # which is made of gradients
        return neural_memory(
            q, k, v, gates, state, chunk_tokens=chunk, form=FORM, gain=learned if gain else None, active=active,
            implementation=name,
        )  # fmt: skip


def tensors(out) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    map_tensors((out.reads, out.surprise, out.state.weights, out.state.momentum), lambda x: found.append(x) or x)
    return found


def assert_close(one, other, scale=1.0):
    for a, b in zip(tensors(one), tensors(other), strict=True):
        assert torch.isfinite(a).all()
        torch.testing.assert_close(a.double(), b.double(), atol=2e-5 * scale, rtol=2e-5)


@pytest.mark.parametrize("tokens", [1, 2, 7, 63, 64, 65, 100])
@pytest.mark.parametrize(("width", "chunk"), [(4, 4), (16, 64), (20, 12)])
def test_it_is_the_rule_of_the_reference(tokens, width, chunk):
    given = drawn(tokens, width=width)
    exact = run(map_tensors(given, lambda x: x.double()), "reference", chunk=chunk)
    scale = 5 if width == 4 else 1  # rows of four numbers can be nearly alike, and their LayerNorm magnifies rounding
    assert_close(run(given, "compiled", chunk=chunk), exact, scale)
    assert_close(run(given, "compiled", chunk=chunk), run(given, "chunked", chunk=chunk), scale)


@pytest.mark.parametrize("tokens", [300, 777])
def test_long_streams_of_the_usual_size_are_those_of_the_dual_form(tokens):
    given = drawn(tokens, width=64, heads=1)
    active = torch.rand(2, tokens, generator=torch.Generator().manual_seed(3)) > 0.2
    for mask in (None, active, torch.zeros_like(active)):
        assert_close(run(given, "compiled", chunk=64, active=mask), run(given, "chunked", chunk=64, active=mask), 3)


def test_without_a_gain_and_with_repeated_tokens():
    assert_close(run(drawn(90), "compiled", gain=False), run(drawn(90), "chunked", gain=False))
    given = drawn(200, repeats=True)  # a run of one base: the bound keeps it from overshooting
    assert_close(run(given, "compiled", chunk=64), run(given, "chunked", chunk=64))


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("name", ["step", "momentum", "forgetting"])
def test_gates_at_their_ends(name, value):
    q, k, v, gates, state, gain = drawn(70)
    ends = replace(gates, **{name: torch.full_like(gates.step, value)})
    given = (q, k, v, ends, state, gain)
    assert_close(run(given, "compiled"), run(given, "chunked"))


@pytest.mark.parametrize("cut", [1, 8, 9, 31, 64, 99])
def test_a_stream_that_is_cut_gives_the_same_bits(cut):
    q, k, v, gates, state, gain = drawn(100, width=64)
    whole = run((q, k, v, gates, state, gain), "compiled", chunk=32)
    first = run((q[:, :cut], k[:, :cut], v[:, :cut], gates.tokens(0, cut), state, gain), "compiled", chunk=32)
    rest = (q[:, cut:], k[:, cut:], v[:, cut:], gates.tokens(cut, 100), first.state, gain)
    second = run(rest, "compiled", chunk=32)
    assert torch.equal(torch.cat([first.reads, second.reads], 1), whole.reads)
    assert torch.equal(torch.cat([first.surprise, second.surprise], 1), whole.surprise)
    for a, b in zip(tensors(second)[2:], tensors(whole)[2:], strict=True):
        assert torch.equal(a, b)


CUTS = """
import test_compiled
for cut in (1, 9, 31, 64, 99):
    test_compiled.test_a_stream_that_is_cut_gives_the_same_bits(cut)
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names of x86 processors")
@pytest.mark.parametrize("processor", ["x86-64", "haswell"])  # no AVX; AVX2 without AVX-512
def test_a_stream_that_is_cut_gives_the_same_bits_on_other_processors(processor, tmp_path):
    environment = {
        **os.environ, "NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }  # fmt: skip
    subprocess.run([sys.executable, "-c", CUTS], env=environment, check=True)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_sample_alone_has_the_bits_that_it_has_among_others(threads):
    q, k, v, gates, state, gain = drawn(70, batch=3)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        together = run((q, k, v, gates, state, gain), "compiled")
    finally:
        torch.set_num_threads(before)
    for row in range(3):
        one = map_tensors((q, k, v, gates, state), lambda x, row=row: x[row : row + 1])
        alone = run((*one, gain), "compiled")
        for a, b in zip(tensors(alone), tensors(together), strict=True):
            assert torch.equal(a[0], b[row])


def test_states_and_inputs_are_not_changed():
    given = drawn(50)
    before = [x.clone() for x in tensors(run(given, "compiled"))]
    again = tensors(run(given, "compiled"))
    assert all(torch.equal(a, b) for a, b in zip(before, again, strict=True))


def test_it_is_taken_where_it_can_run_and_says_why_not():
    assert choose("auto", "cpu")[0] == "compiled"
    for changes, reason in (
        ({"learning": True}, "no gradient"),
        ({"dtype": torch.float64}, "not float64"),
        ({"form": MemoryForm(written="last")}, "written is last"),
        ({"form": MemoryForm(depth=3)}, "depth is 3"),
        ({"head_width": 18}, "in fours, not 18 and 64"),
        ({"chunk_tokens": 6}, "in fours, not 64 and 6"),
    ):
        name, said = choose("auto", "cpu", **changes)
        assert name == "chunked"
        assert reason in said
        with pytest.raises(ConfigError, match="memory implementation compiled cannot run"):
            choose("compiled", "cpu", **changes)
    with pytest.raises(ConfigError, match="for a CPU, not cuda"):
        choose("compiled", "cuda")


COMPILED = """
import hashlib, torch
from titans_dna.ops import Gates, MemoryForm, initial_state, neural_memory
torch.set_num_threads(1)
torch.manual_seed(0)
form, tokens = MemoryForm(), 256
q, k, v = torch.nn.functional.normalize(torch.randn(3, 1, tokens, 2, 16), dim=-1)
gate = torch.rand(1, tokens, 2, 2)
gates = Gates(step=0.3 * gate, momentum=0.9 * gate, forgetting=0.01 * gate)
state = initial_state(tuple(torch.randn(2, *shape) / 4 for shape in form.shapes(16)), 1, form)
with torch.inference_mode():
    out = neural_memory(q, k, v, gates, state, chunk_tokens=16, form=form, implementation="compiled")
print(hashlib.sha256(out.reads.numpy().tobytes()).hexdigest())
"""


def test_what_is_compiled_now_and_what_is_read_from_the_disk_round_alike(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    first, second = (
        subprocess.run([sys.executable, "-c", COMPILED], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    assert any((tmp_path / "kept").rglob("*.nbc"))
    assert first.stdout == second.stdout
