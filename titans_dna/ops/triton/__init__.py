"""The memory on a GPU: the dual form as fused kernels in Triton, forward and backward.

| file | what |
|---|---|
| ``plan.py`` | sizes and switches that a kernel is compiled for |
| ``parts.py`` | tiles, products, the memory's network and the bound |
| ``write.py`` | the keys, chunk after chunk, weights and momentum on chip |
| ``read.py`` | the reads of all chunks at once, and their gradient |
| ``write_backward.py`` | the gradient of the writes, from the last chunk to the first |
| ``fused.py`` | a group of chunks as one differentiable step |

Nothing that needs Triton is imported before the kernels run. With ``TRITON_INTERPRET=1`` they run slowly on any CPU,
which is how they are tested without a GPU.
"""

from __future__ import annotations

import functools
import os
from importlib.metadata import PackageNotFoundError, version

import torch
from torch import Tensor

from titans_dna.ops import chunked
from titans_dna.ops.form import MemoryForm
from titans_dna.ops.network import Matrices
from titans_dna.ops.state import Call
from titans_dna.ops.triton.plan import block, operand_products

MOST_CHUNK_TOKENS = 64  # larger chunks are large matrix products, at which PyTorch is as good
MOST_TILE = 64 * 128  # most numbers in a matrix of the memory, four of which stay in registers of a multiprocessor
MOST_WIDE_TILE = 64 * 64  # the same for training with float32 operands: 64 x 128 would need 256 KB of shared memory
LEAST_VERSION = (3, 3)  # of Triton: kernels take tuples as arguments
LEAST_CAPABILITY = (8, 0)  # of the device: it computes matrix products in TF32 and bfloat16


def interpreted() -> bool:
    """Return whether kernels run in Triton's interpreter, on CPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def obstacle(
    device: torch.device,
    form: MemoryForm,
    head_width: int,
    chunk_tokens: int,
    dtype: torch.dtype,
    learning: bool = False,
) -> str | None:
    """Return in words why the kernels cannot compute a call; None if they can."""
    if device.type != "cuda" and not interpreted():
        return f"fused kernels need a CUDA device, this is {device.type}"
    tile = block(head_width) * block(head_width * form.expansion if form.depth > 1 else head_width)
    if form.depth > 2:
        return f"a memory of {form.depth} matrices has no fused kernels; the dual form serves every depth"
    if chunk_tokens > MOST_CHUNK_TOKENS:
        return f"chunks of {chunk_tokens} tokens are matrix products large enough for the dual form"
    if tile > MOST_TILE:
        return f"matrices of head width {head_width} and expansion {form.expansion} do not stay on chip"
    if learning and device.type == "cuda" and tile > MOST_WIDE_TILE and operand_products() != "bf16":
        return (
            f"the gradient at head width {head_width} with float32 operands does not fit shared memory; "
            "train in bfloat16, or call torch.set_float32_matmul_precision('medium')"
        )
    return _environment(device, dtype)


@functools.cache
def installed() -> tuple[int, ...]:
    """Return major and minor version of Triton; an empty tuple if it is not installed."""
    try:
        return tuple(int(part) for part in version("triton").split(".")[:2])
    except PackageNotFoundError:
        return ()


def _environment(device: torch.device, dtype: torch.dtype) -> str | None:
    if not installed():
        return "Triton is not installed; run: pip install 'titans-dna[gpu]'"
    if installed() < LEAST_VERSION:
        return f"Triton {_dotted(installed())} is older than {_dotted(LEAST_VERSION)}"
    if device.type == "cuda" and dtype != torch.float32:
        return f"fused kernels hold a float32 state, this is {dtype}"
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < LEAST_CAPABILITY:
        return f"the device's compute capability is below {_dotted(LEAST_CAPABILITY)}"
    return None


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


def run(x: Call) -> tuple[Tensor, Tensor, Matrices, Matrices]:
    """Run the rule from a chunk border; the contract of ``reference.run``."""
    from titans_dna.ops.triton.fused import group_chunks, run_memory

    batch, _, heads, width = x.q.shape
    return chunked.run(x, memory=run_memory, group_chunks=group_chunks(batch * heads, x.form, width))
