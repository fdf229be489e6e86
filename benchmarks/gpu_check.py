"""The fused kernels against the dual form in float64, values and gradients: what ``gpu.py`` does before it measures.

Needs Python, PyTorch and Triton alone; without a CUDA device the kernels run in Triton's interpreter, at a toy size.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from bare import CUDA

from titans_dna.ops import Gates, MemoryForm, initial_state, neural_memory
from titans_dna.ops.triton.plan import TOLERANCES

CHUNK = 64


def checked() -> str:
    """Run the check where it can be run, and say with what result; end the program if it fails."""
    if importlib.util.find_spec("triton") is None:
        return "not run: Triton is not installed"
    precisions = ("highest", "high", "medium") if CUDA else ("float64",)
    errors = check("cuda", 300, 64, precisions) if CUDA else check("cpu", 8, 6, precisions)
    if max(errors.values()) > 1.0:
        sys.exit(f"the fused kernels differ from the dual form; error over tolerance: {errors}")
    where = "on the GPU" if CUDA else "in Triton's interpreter, on CPU"
    return f"passed {where}; largest error over tolerance: " + ", ".join(f"{n} {e:.2g}" for n, e in errors.items())


def check(device: str, tokens: int, width: int, precisions: tuple[str, ...]) -> dict[str, float]:
    """Return the largest error relative to its tolerance, by precision, of values and gradients."""
    found = {}
    for precision in precisions:
        worst = 0.0
        for form in (MemoryForm(), MemoryForm.linear(), MemoryForm(written="last")):
            case = _case(form, tokens, width, device)
            ours, theirs = (_results(case, form, name, precision) for name in ("triton", "chunked"))
            for a, b, limit in zip(ours, theirs, TOLERANCES[precision], strict=True):
                worst = max(worst, *(_error(x, y) / limit for x, y in zip(a, b, strict=True)))
        found[precision] = worst
    return found


def _error(found: torch.Tensor, expected: torch.Tensor) -> float:
    error = float((found - expected).abs().max() / expected.abs().max().clamp(min=1.0))
    return error if error == error else float("inf")


def _case(form: MemoryForm, tokens: int, width: int, device: str) -> dict[str, torch.Tensor]:
    shape, gate = (1, tokens, 2, width), (1, tokens, 2, form.written_matrices)
    unit = torch.nn.functional.normalize
    case = {"q": unit(torch.randn(shape), dim=-1), "k": unit(torch.randn(shape), dim=-1), "v": torch.randn(shape)}
    case |= {"step": torch.rand(gate), "momentum": 0.9 * torch.rand(gate), "forgetting": 0.1 * torch.rand(gate)}
    case |= {f"w{i}": 0.3 * torch.randn(2, *s) for i, s in enumerate(form.shapes(width))}
    return {name: x.to(device) for name, x in (case | {"gain": torch.ones(2, width)}).items()}


def _results(case: dict[str, torch.Tensor], form: MemoryForm, name: str, precision: str) -> tuple[list, list]:
    wide = name == "chunked" or precision == "float64"
    leaves = {n: x.to(torch.float64 if wide else torch.float32).requires_grad_() for n, x in case.items()}
    gates = Gates(**{n: leaves[n] for n in ("step", "momentum", "forgetting")})
    state = initial_state(tuple(x for n, x in leaves.items() if n.startswith("w")), 1, form)
    with matmul_precision("highest" if wide else precision):
        out = neural_memory(
            leaves["q"], leaves["k"], leaves["v"], gates, state,
            chunk_tokens=min(CHUNK, len(case["q"][0]) // 2), form=form, gain=leaves["gain"], implementation=name,
        )  # fmt: skip
        total = out.reads.square().sum() + out.surprise.sum() + sum(w.sum() for w in out.state.weights)
        gradients = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    values = [out.reads, out.surprise, *out.state.weights, *out.state.momentum]
    return [x.detach() for x in values], [torch.zeros(1) if g is None else g.cpu() for g in gradients]


@contextmanager
def matmul_precision(name: str) -> Iterator[None]:
    """Set how float32 products are made."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
