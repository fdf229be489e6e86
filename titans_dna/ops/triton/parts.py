"""The parts that the kernels share: tiles, products, the memory's network and the bound (letters: ``ops.network``).

A tile holds one chunk or one matrix. Its rows and columns beyond the chunk's or matrix's size are 0, and every function
here keeps them 0.
"""

from __future__ import annotations

from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor

from titans_dna.ops.bound import LOSS_FLOOR
from titans_dna.ops.network import NORM_EPSILON

FLOOR = tl.constexpr(LOSS_FLOOR)
EPSILON = tl.constexpr(NORM_EPSILON)
ROOT_HALF = tl.constexpr(0.5**0.5)
ROOT_TWO_PI = tl.constexpr(0.3989422804014327)  # 1 / sqrt(2 pi)


class GateTensors(NamedTuple):
    """``dual.ChunkGates`` as a kernel takes it: (N, R, ...) each."""

    step: Tensor
    writes: Tensor
    reads: Tensor
    carry: Tensor
    transfer: Tensor


@triton.jit
def load_rows(at, rows, height: tl.constexpr):
    """Load a vector of ``height`` values."""
    return tl.load(at + rows, mask=rows < height, other=0.0)


@triton.jit
def load_column(at, rows, height: tl.constexpr, way: tl.constexpr, ways: tl.constexpr):
    """Load one column of a matrix (height, ways)."""
    return tl.load(at + rows * ways + way, mask=rows < height, other=0.0)


@triton.jit
def load_tile(at, rows, columns, height: tl.constexpr, width: tl.constexpr):
    """Load a row-major matrix (height, width); if it fills the tile, no mask and fewer registers are needed."""
    where = at + rows[:, None] * width + columns[None, :]
    if height == rows.shape[0] and width == columns.shape[0]:
        return tl.load(where)
    else:
        return tl.load(where, mask=(rows[:, None] < height) & (columns[None, :] < width), other=0.0)


@triton.jit
def store_rows(at, value, rows, height: tl.constexpr):
    """Store a vector."""
    tl.store(at + rows, value, mask=rows < height)


@triton.jit
def store_column(at, value, rows, height: tl.constexpr, way: tl.constexpr, ways: tl.constexpr):
    """Store one column of a matrix (height, ways)."""
    tl.store(at + rows * ways + way, value, mask=rows < height)


@triton.jit
def store_tile(at, value, rows, columns, height: tl.constexpr, width: tl.constexpr):
    """Store a row-major matrix (height, width)."""
    where = at + rows[:, None] * width + columns[None, :]
    if height == rows.shape[0] and width == columns.shape[0]:
        tl.store(where, value)
    else:
        tl.store(where, value, mask=(rows[:, None] < height) & (columns[None, :] < width))


@triton.jit
def times(left, right, P: tl.constexpr):
    """Return the matrix product, with operands in the precision of the plan and sums in float32."""
    if P.products == "bf16":
        return tl.dot(left.to(tl.bfloat16), right.to(tl.bfloat16))
    else:
        return tl.dot(left, right, input_precision=P.products)


@triton.jit
def activate(z, P: tl.constexpr):
    """Return ``g(z)``."""
    if P.activation == "gelu":
        return 0.5 * z * (1.0 + tl.erf(z * ROOT_HALF))
    elif P.activation == "silu":
        return z / (1.0 + tl.exp(-z))
    else:
        return tl.where(z > 0.0, z, 0.0)


@triton.jit
def slope(z, P: tl.constexpr):
    """Return ``g'(z)``."""
    if P.activation == "gelu":
        return 0.5 * (1.0 + tl.erf(z * ROOT_HALF)) + z * tl.exp(-0.5 * z * z) * ROOT_TWO_PI
    elif P.activation == "silu":
        s = 1.0 / (1.0 + tl.exp(-z))
        return s * (1.0 + z * (1.0 - s))
    else:
        return tl.where(z > 0.0, 1.0, 0.0)


@triton.jit
def curvature(z, P: tl.constexpr):
    """Return ``g''(z)``."""
    if P.activation == "gelu":
        return tl.exp(-0.5 * z * z) * (2.0 - z * z) * ROOT_TWO_PI
    elif P.activation == "silu":
        s = 1.0 / (1.0 + tl.exp(-z))
        return s * (1.0 - s) * (2.0 + z * (1.0 - 2.0 * s))
    else:
        return z * 0.0


@triton.jit
def normalise(z, columns, P: tl.constexpr):
    """Return the LayerNorm of ``z`` without gain, and the inverse deviation of each row."""
    # Tiles are padded to a power of two; the padding must not count in the deviation.
    centred = tl.where(columns[None, :] < P.width, z - (tl.sum(z, 1) / P.width)[:, None], 0.0)
    inverse = tl.rsqrt(tl.sum(centred * centred, 1) / P.width + EPSILON)
    return centred * inverse[:, None], inverse


@triton.jit
def through_norm(gradient, normal, inverse, columns, P: tl.constexpr):
    """Return the gradient at the input of a LayerNorm, from the one at its output."""
    mean = (tl.sum(gradient, 1) / P.width)[:, None]
    along = (tl.sum(gradient * normal, 1) / P.width)[:, None]
    found = (gradient - mean - normal * along) * inverse[:, None]
    return tl.where(columns[None, :] < P.width, found, 0.0)


@triton.jit
def run_error(z, offset, gain, columns, P: tl.constexpr):
    """Return the error, the gradient of its square at the last output ``z``, the norm and its inverse deviation."""
    if P.norm:
        normal, inverse = normalise(z, columns, P)
        error = normal * gain[None, :] + offset
        delta = through_norm(2.0 * error * gain[None, :], normal, inverse, columns, P)
        return error, delta, normal, inverse
    else:
        error = z + offset
        return error, 2.0 * error, z, tl.sum(z, 1)


@triton.jit
def load_gain(GAIN, row, columns, P: tl.constexpr):
    """Load the gain of a row, which is 1 without a learned gain."""
    if P.gain:
        return load_rows(GAIN + row * P.width, columns, P.width)
    else:
        return tl.where(columns < P.width, 1.0, 0.0).to(GAIN.dtype.element_ty)


@triton.jit
def overlaps(inputs, deltas, loss, P: tl.constexpr):
    """Return the two grams of the bound, the deltas divided by the root of their loss, and the inverse of that root."""
    root = tl.rsqrt(loss + FLOOR)
    scaled = deltas * root[:, None]
    return times(inputs, tl.trans(inputs), P), times(scaled, tl.trans(scaled), P), scaled, root


@triton.jit
def bound_factors(step, overlap, rows):
    """Return ``1 + s_t`` and ``1 + s_t + theta_t K[t, t]``; ``overlap`` is K."""
    seen = overlap * step[None, :]
    before = 1.0 + tl.sum(tl.where(rows[:, None] > rows[None, :], seen, 0.0), 1)
    return before, before + tl.sum(tl.where(rows[:, None] == rows[None, :], seen, 0.0), 1)


@triton.jit
def half_matrices(P: tl.constexpr):
    """Return half the number of written matrices, a factor of the overlap."""
    return 0.5 * (P.depth - P.first_written)


@triton.jit
def bounded_step(step, inputs, deltas, loss, rows, P: tl.constexpr):
    """Return the steps that are taken: those of ``bound.bounded_step``, or ``step`` without a bound."""
    if P.bounded:
        inputs_gram, deltas_gram, _, _ = overlaps(inputs, deltas, loss, P)
        overlap = tl.abs(inputs_gram * deltas_gram) * half_matrices(P)
        before, after = bound_factors(step, overlap, rows)
        return P.share * step / (before * after)
    else:
        return step
