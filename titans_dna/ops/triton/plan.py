"""The sizes and switches for which the kernels of a call are compiled; this module needs no Triton."""

from __future__ import annotations

from typing import NamedTuple

import torch

from titans_dna.ops.dual import step_share
from titans_dna.ops.form import MemoryForm

TOLERANCES = {  # error of values and of gradients against float64, over a tensor's largest number (at least 1)
    "float64": (1e-10, 1e-10),
    "highest": (2e-5, 1e-4),
    "high": (5e-3, 2e-2),
    "medium": (3e-2, 1e-1),
}
LEAST_BLOCK = 16  # smallest side of a matrix product in Triton


class Plan(NamedTuple):
    """Sizes and switches of a call. They are constants to the compiler, so what is switched off is not in the kernel.

    ``hidden`` is the number of inputs of the last matrix, which is the head width in a memory of one matrix. The sides
    of tiles (``block_*``) are powers of two; beyond the sizes, tiles are 0.
    """

    tokens: int
    width: int
    hidden: int
    block_tokens: int
    block_width: int
    block_hidden: int
    depth: int
    first_written: int
    ways: int  # 2 with momentum, else 1
    activation: str
    norm: bool
    gain: bool
    residual: bool
    bounded: bool
    share: float  # factor of bounded steps that makes up for momentum
    products: str  # ieee, tf32x3, tf32 or bf16: the operands of matrix products; sums are float32


def block(side: int) -> int:
    """Return the side of the tile that holds ``side`` rows or columns."""
    return max(LEAST_BLOCK, 1 << (side - 1).bit_length())


def make_plan(form: MemoryForm, tokens: int, width: int, gain: bool, products: str) -> Plan:
    """Return the plan of chunks of ``tokens`` tokens and heads of ``width`` features."""
    hidden = width * form.expansion if form.depth > 1 else width
    return Plan(
        tokens=tokens,
        width=width,
        hidden=hidden,
        block_tokens=block(tokens),
        block_width=block(width),
        block_hidden=block(hidden),
        depth=form.depth,
        first_written=form.first_written,
        ways=1 + form.momentum,
        activation=form.activation,
        norm=form.norm,
        gain=gain and form.norm,
        residual=form.residual,
        bounded=form.bounded,
        share=step_share(form),
        products=products,
    )


def operand_products() -> str:
    """Return the precision of operands in products, as set by ``torch.set_float32_matmul_precision``.

    ``highest`` (PyTorch's default) is float32 in all but the last bit, by three products of TF32; ``high`` is TF32;
    ``medium`` is bfloat16 operands with float32 sums. The state is float32 throughout.
    """
    return {"highest": "tf32x3", "high": "tf32", "medium": "bf16"}[torch.get_float32_matmul_precision()]
