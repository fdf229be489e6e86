"""The same function as ``chunked`` without a gradient, for a CPU: a row's chunks in one loop, compiled by numba.

Where nothing is learned, most of the dual form's time goes to some forty small operators a chunk. Here a sample's head
is one row, and all of its chunks are one call. The numbers of a row depend on that row alone, and those of a token on
the tokens up to it: not on the batch, and not on where a stream is cut.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from titans_dna.ops.dual import step_share
from titans_dna.ops.form import MemoryForm
from titans_dna.ops.network import Matrices
from titans_dna.ops.state import Call

FORM = {"depth": 2, "activation": "gelu", "residual": True, "norm": True, "written": "all", "momentum": True,
        "forgetting": True, "bounded": True}  # fmt: skip


def obstacle(
    device: torch.device, form: MemoryForm, head_width: int, chunk_tokens: int, dtype: torch.dtype, learning: bool
) -> str:
    """Return why the loop cannot run, "" if it can."""
    if device.type != "cpu":
        return f"the compiled loop is for a CPU, not {device.type}"
    if learning:
        return "the compiled loop has no gradient"
    if dtype != torch.float32:
        return f"the compiled loop is for float32, not {str(dtype).removeprefix('torch.')}"
    if odd := [name for name, value in FORM.items() if getattr(form, name) != value]:
        return f"the compiled loop is for the usual memory, and {odd[0]} is {getattr(form, odd[0])}"
    if head_width % 4 or chunk_tokens % 4:
        return f"the compiled loop takes head widths and chunks in fours, not {head_width} and {chunk_tokens}"
    return ""


def run(x: Call) -> tuple[Tensor, Tensor, Matrices, Matrices]:
    """Run the rule from a chunk border; the same contract as ``reference.run``."""
    batch, _, heads, width = x.q.shape
    q, k, v = (_rows(each) for each in (x.q, x.k, x.v))
    gates = _gates(x)
    # Copies: a parameter whose storage NumPy has seen cannot be resized, as sharded training does.
    gain = np.ones((heads, width), np.float32) if x.gain is None else x.gain.detach().clone().numpy()
    # W and S, transposed, of each matrix: (R, 2, in, out). They are copied, for they are moved in place.
    first, second = (
        np.stack([_turned(w), _turned(s)], 1) for w, s in zip(x.weights, x.momentum, strict=True)
    )  # fmt: skip
    reads, losses = np.empty_like(q), np.empty(q.shape[:2], np.float32)
    share = np.float32(step_share(x.form))

    def work(row: int) -> None:
        from titans_dna.ops.compiled_kernels import run_row

        run_row(
            q[row], k[row], v[row], gates[row], np.ascontiguousarray(gain[row % heads]), first[row], second[row],
            x.chunk_tokens, share, reads[row], losses[row],
        )  # fmt: skip

    threads = min(torch.get_num_threads(), batch * heads)
    if threads > 1:
        # A pool of its own for each call: threads do not outlive a fork.
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(batch * heads)))
    else:
        for row in range(batch * heads):
            work(row)
    states = [torch.from_numpy(state).unflatten(0, (batch, heads)).mT for state in (first, second)]
    after = [tuple(state[:, :, way].contiguous() for state in states) for way in (0, 1)]
    return _joined(reads, batch), _joined(losses, batch), after[0], after[1]


def _rows(x: Tensor) -> np.ndarray:
    """Return (B, T, H, ...) as rows (R, T, ...) without gaps."""
    return np.ascontiguousarray(x.detach().transpose(1, 2).flatten(0, 1).numpy())


def _joined(x: np.ndarray, batch: int) -> Tensor:
    return torch.from_numpy(x).unflatten(0, (batch, -1)).transpose(1, 2)


def _turned(x: Tensor) -> np.ndarray:
    """Return weights (B, H, out, in) as (R, in, out)."""
    return x.detach().mT.flatten(0, 1).clone(memory_format=torch.contiguous_format).numpy()


def _gates(x: Call) -> np.ndarray:
    """Return keep, eta, active and theta of each matrix, (R, 2, 4, T); see ``dual.chunk_gates``."""
    step, momentum, keep = x.gates.step, x.gates.momentum, 1.0 - x.gates.forgetting
    active = torch.ones_like(step)
    if x.active is not None:
        mask = x.active[..., None, None]
        step, active = step * mask, active * mask
        keep, momentum = torch.where(mask, keep, 1.0), torch.where(mask, momentum, 1.0)
    return np.ascontiguousarray(_rows(torch.stack([keep, momentum, active, step], -1)).transpose(0, 2, 3, 1))
