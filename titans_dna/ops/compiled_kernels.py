"""The loops of ``compiled``: a row's chunks one after the other, compiled by numba.

Letters are those of ``network`` and ``gates``. The products of gates are not matrices here but run along the tokens:
``writes_t = keep_t writes_{t-1} + carry_t`` and ``carry_t = eta_t carry_{t-1}``, with a 1 for token t itself. Of every
matrix of pairs of tokens the lower triangle alone is computed. Sizes are multiples of 4, so that four rows of a matrix
and two tokens are taken at a time: each number that is loaded is then used in several products. What is computed of a
token does not depend on how many follow it in its chunk: where one is left over, its partner is a row that nobody
reads, so that the same instructions are run. A way of its own for it would round otherwise on some processors.

Only `run_row` is kept on the disk, and all that it calls is put into it (``forceinline``). Otherwise a part would be
taken from where it was first compiled or from where it is kept, which are optimised otherwise, and round otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from titans_dna.numba_cache import KEPT
from titans_dna.ops.bound import LOSS_FLOOR
from titans_dna.ops.gates import negligible
from titans_dna.ops.network import NORM_EPSILON

# Sums may be taken in another order, and products and sums fused; nothing else may be assumed of numbers. A division
# by 0 gives what it gives in C: a check of each would keep loops from being vectorised.
MATH: dict[str, Any] = {"fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy"}
ZERO, HALF, ONE, TWO = (np.float32(x) for x in (0, 0.5, 1, 2))
LOWEST = np.float32(-87)  # e^x is no normal number below
LOG2_E, LN2_HIGH, LN2_LOW = (np.float32(x) for x in (1.44269504, 0.693359375, 2.12194440e-4))
E1, E2, E3, E4, E5 = (
    np.float32(x) for x in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1)
)
# erf by Abramowitz and Stegun 7.1.26, to 1.5e-7; P for x rather than x / sqrt(2)
P, A1, A2, A3, A4, A5 = (
    np.float32(x) for x in (0.3275911 * 0.5**0.5, 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
)
DENSITY = np.float32(0.3989422804)  # of the normal distribution at 0
LEAST = np.float32(negligible(torch.float32))  # products of gates below it are 0, as in ``gates``
LOSS, EPSILON = np.float32(LOSS_FLOOR), np.float32(NORM_EPSILON)
_WORD = ir.IntType(32)


@intrinsic
def _rounded(typing_context: Any, x: Any) -> Any:
    """Cut a float32 off towards 0; numba itself would go through 64 bits, for which there is no vector instruction."""
    return types.float32(types.float32), lambda context, builder, signature, args: builder.sitofp(
        builder.fptosi(args[0], _WORD), ir.FloatType()
    )


@intrinsic
def _power_of_two(typing_context: Any, n: Any) -> Any:
    """Return 2^n of a whole float32, -126 to 127, by its exponent's bits."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        exponent = builder.add(builder.fptosi(args[0], _WORD), ir.Constant(_WORD, 127))
        return builder.bitcast(builder.shl(exponent, ir.Constant(_WORD, 23)), ir.FloatType())

    return types.float32(types.float32), build


@njit(inline="always", **MATH)
def _exp(x: float) -> float:
    """Return e^x for x <= 0 to 2e-7, without a call that would keep a loop from being vectorised (Cephes, expf)."""
    x = x if x > LOWEST else LOWEST
    n = _rounded(x * LOG2_E - HALF)
    r = x - n * LN2_HIGH + n * LN2_LOW
    p = ((((E1 * r + E2) * r + E3) * r + E4) * r + E5) * r + HALF
    return (p * r * r + r + ONE) * _power_of_two(n)


@njit(forceinline=True, **MATH)
def _gelu(z: np.ndarray, out: np.ndarray, slope: np.ndarray, rows: int) -> None:
    """Put ``g(z)`` into ``out`` and ``g'(z)`` into ``slope``; both need the same exponential."""
    for t in range(rows):
        for j in range(z.shape[1]):
            x = z[t, j]
            e = _exp(-HALF * x * x)
            u = ONE / (ONE + P * abs(x))
            # What lies beyond |x| on one side.
            half = HALF * e * (u * (A1 + u * (A2 + u * (A3 + u * (A4 + u * A5)))))
            below = half if x < ZERO else ONE - half
            out[t, j] = x * below
            slope[t, j] = below + x * e * DENSITY


@njit(forceinline=True, **MATH)
def _multiply(x: np.ndarray, w: np.ndarray, out: np.ndarray, rows: int) -> None:
    """Put ``x w`` into ``out``."""
    columns = w.shape[1]
    for t in range(0, rows, 2):
        last = t + 1
        for j in range(columns):
            out[t, j] = ZERO
            out[last, j] = ZERO
        for k in range(0, w.shape[0], 4):
            a0, a1, a2, a3 = x[t, k], x[t, k + 1], x[t, k + 2], x[t, k + 3]
            b0, b1, b2, b3 = x[last, k], x[last, k + 1], x[last, k + 2], x[last, k + 3]
            for j in range(columns):
                w0, w1, w2, w3 = w[k, j], w[k + 1, j], w[k + 2, j], w[k + 3, j]
                out[t, j] += a0 * w0 + a1 * w1 + a2 * w2 + a3 * w3
                out[last, j] += b0 * w0 + b1 * w1 + b2 * w2 + b3 * w3


@njit(forceinline=True, **MATH)
def _pairs(x: np.ndarray, columns: np.ndarray, out: np.ndarray, rows: int) -> None:
    """Put the inner products of token t of ``x`` and tokens up to t into ``out``; ``columns`` (width, C) are these."""
    for t in range(0, rows, 2):
        last = t + 1
        for j in range(last + 1):
            out[t, j] = ZERO
            out[last, j] = ZERO
        for k in range(0, columns.shape[0], 4):
            a0, a1, a2, a3 = x[t, k], x[t, k + 1], x[t, k + 2], x[t, k + 3]
            b0, b1, b2, b3 = x[last, k], x[last, k + 1], x[last, k + 2], x[last, k + 3]
            for j in range(last + 1):
                c0, c1, c2, c3 = columns[k, j], columns[k + 1, j], columns[k + 2, j], columns[k + 3, j]
                out[t, j] += a0 * c0 + a1 * c1 + a2 * c2 + a3 * c3
                out[last, j] += b0 * c0 + b1 * c1 + b2 * c2 + b3 * c3


@njit(forceinline=True, **MATH)
def _turn(x: np.ndarray, out: np.ndarray, rows: int) -> None:
    """Put the transpose of the first rows of ``x`` into ``out``."""
    for t in range(rows):
        for k in range(x.shape[1]):
            out[k, t] = x[t, k]


@njit(forceinline=True, **MATH)
def _steps(
    theta: np.ndarray, inputs: np.ndarray, deltas: np.ndarray, root: np.ndarray, share: float, out: np.ndarray,
    rows: int,
) -> None:  # fmt: skip
    """Put the bounded steps (``bound``) of a matrix into ``out``, from the inner products of inputs and of deltas."""
    for t in range(rows):
        before = ZERO
        for j in range(t):
            before += abs(deltas[t, j] * inputs[t, j]) * root[j] * theta[j]
        before = ONE + before * root[t]
        after = before + abs(deltas[t, t] * inputs[t, t]) * root[t] * root[t] * theta[t]
        out[t] = share * theta[t] / (before * after)


@njit(forceinline=True, **MATH)
def _weigh(
    products: np.ndarray, gates: np.ndarray, step: np.ndarray, ends: np.ndarray, work: np.ndarray, rows: int
) -> None:
    """Multiply the inner products (t, i) by the weight of write i in the memory of token t.

    ``gates`` has keep, eta and active of each token. ``ends`` (3, C) gets b and f of each token and m of the last;
    ``work`` (2, C) the weights of each write in W and S after the chunk.
    """
    writes, carry = work[0], work[1]
    b, f, m = ONE, ZERO, ONE
    for t in range(rows):
        keep, eta, active = gates[0, t], gates[1, t], gates[2, t]
        b, m = b * keep, m * eta
        b = b if b >= LEAST else ZERO
        m = m if m >= LEAST else ZERO
        f = f * keep + active * m
        ends[0, t], ends[1, t] = b, f
        carry[t], writes[t] = ONE, ZERO
        for i in range(t):
            c = carry[i] * eta
            carry[i] = c if c >= LEAST else ZERO
        for i in range(t + 1):
            writes[i] = writes[i] * keep + active * carry[i]
            products[t, i] *= writes[i] * step[i]
    ends[2, 0] = m
    for t in range(rows):
        writes[t] *= step[t]
        carry[t] *= step[t]


@njit(forceinline=True, **MATH)
def _read(
    x: np.ndarray, state: np.ndarray, weighed: np.ndarray, delta: np.ndarray, ends: np.ndarray, out: np.ndarray,
    rows: int,
) -> None:  # fmt: skip
    """Put ``z_l`` of the query pass into ``out``: what stands in W and S, less what was written since the border."""
    columns = out.shape[1]
    for t in range(0, rows, 2):
        last = t + 1
        b0, f0, b1, f1 = ends[0, t], ends[1, t], ends[0, last], ends[1, last]
        for j in range(columns):
            out[t, j] = ZERO
            out[last, j] = ZERO
        for k in range(0, x.shape[1], 2):
            p0, p1, q0, q1 = x[t, k] * b0, x[t, k + 1] * b0, x[t, k] * f0, x[t, k + 1] * f0
            r0, r1, s0, s1 = x[last, k] * b1, x[last, k + 1] * b1, x[last, k] * f1, x[last, k + 1] * f1
            for j in range(columns):
                w0, w1, v0, v1 = state[0, k, j], state[0, k + 1, j], state[1, k, j], state[1, k + 1, j]
                out[t, j] += p0 * w0 + p1 * w1 + q0 * v0 + q1 * v1
                out[last, j] += r0 * w0 + r1 * w1 + s0 * v0 + s1 * v1
        weighed[t, t + 1] = ZERO  # a chunk has an even number of tokens
        for i in range(0, last + 1, 2):
            p0, p1, r0, r1 = weighed[t, i], weighed[t, i + 1], weighed[last, i], weighed[last, i + 1]
            for j in range(columns):
                d0, d1 = delta[i, j], delta[i + 1, j]
                out[t, j] -= p0 * d0 + p1 * d1
                out[last, j] -= r0 * d0 + r1 * d1


@njit(forceinline=True, **MATH)
def _write(
    state: np.ndarray, inputs: np.ndarray, delta: np.ndarray, ends: np.ndarray, work: np.ndarray, rows: int
) -> None:
    """Move W and S of a matrix to the end of a chunk; ``inputs`` (in, C) are the columns of a_l."""
    writes, carry = work[0], work[1]
    b, f, m = ends[0, rows - 1], ends[1, rows - 1], ends[2, 0]
    for k in range(state.shape[1]):
        for j in range(state.shape[2]):
            w, s = state[0, k, j], state[1, k, j]
            state[0, k, j], state[1, k, j] = b * w + f * s, m * s
        for t in range(0, rows, 4):
            a0, a1, a2, a3 = inputs[k, t], inputs[k, t + 1], inputs[k, t + 2], inputs[k, t + 3]
            p0, p1, p2, p3 = a0 * writes[t], a1 * writes[t + 1], a2 * writes[t + 2], a3 * writes[t + 3]
            q0, q1, q2, q3 = a0 * carry[t], a1 * carry[t + 1], a2 * carry[t + 2], a3 * carry[t + 3]
            for j in range(state.shape[2]):
                d0, d1, d2, d3 = delta[t, j], delta[t + 1, j], delta[t + 2, j], delta[t + 3, j]
                state[0, k, j] -= p0 * d0 + p1 * d1 + p2 * d2 + p3 * d3
                state[1, k, j] -= q0 * d0 + q1 * d1 + q2 * d2 + q3 * d3


@njit(forceinline=True, **MATH)
def _norm(z: np.ndarray, t: int) -> tuple[float, float]:
    """Return mean and inverse deviation of a row."""
    width, mean, square = z.shape[1], ZERO, ZERO
    for j in range(width):
        mean += z[t, j]
    mean /= np.float32(width)
    for j in range(width):
        square += (z[t, j] - mean) * (z[t, j] - mean)
    return mean, ONE / np.sqrt(square / np.float32(width) + EPSILON)


@njit(cache=KEPT, nogil=True, **MATH)
def run_row(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, gates: np.ndarray, gain: np.ndarray, first: np.ndarray,
    second: np.ndarray, chunk: int, share: float, reads: np.ndarray, losses: np.ndarray,
) -> None:  # fmt: skip
    """Run all chunks of one row; the states are moved in place to the last whole chunk's end.

    Parameters
    ----------
    q, k, v
        (T, D) float32.
    gates
        (2, 4, T) of each matrix: keep, eta, active and theta.
    gain
        (D,) of the LayerNorm.
    first, second
        (2, D, E) and (2, E, D): W and S of each matrix, transposed.
    chunk, share
        Tokens of a chunk, a multiple of 4; factor of bounded steps.
    reads, losses
        (T, D) and (T,), to be filled.
    """
    tokens, width = k.shape
    hidden = first.shape[2]
    # Zeros, for the row beside a token that is left over is computed with, and must hold numbers.
    wide = np.zeros((6, chunk, hidden), np.float32)
    z1, a2, slope, d1, back, x2 = wide[0], wide[1], wide[2], wide[3], wide[4], wide[5]
    narrow = np.zeros((5, chunk, width), np.float32)
    z2, d2, y2, key, query = narrow[0], narrow[1], narrow[2], narrow[3], narrow[4]
    a1t, d2t = np.zeros((width, chunk), np.float32), np.zeros((width, chunk), np.float32)
    a2t, d1t = np.zeros((hidden, chunk), np.float32), np.zeros((hidden, chunk), np.float32)
    turned = np.empty((width, hidden), np.float32)
    inputs, deltas = np.zeros((chunk, chunk), np.float32), np.zeros((chunk, chunk), np.float32)
    step1, step2, root = np.empty(chunk, np.float32), np.empty(chunk, np.float32), np.empty(chunk, np.float32)
    work, ends = np.empty((2, chunk), np.float32), np.zeros((3, chunk), np.float32)
    for start in range(0, tokens, chunk):
        rows = min(chunk, tokens - start)
        key[:rows], query[:rows] = k[start : start + rows], q[start : start + rows]
        # The keys forward through the weights at the border, and their loss back.
        _multiply(key, first[0], z1, rows)
        _gelu(z1, a2, slope, rows)
        _multiply(a2, second[0], z2, rows)
        for t in range(rows):
            mean, inverse = _norm(z2, t)
            loss, total, along = ZERO, ZERO, ZERO
            for j in range(width):
                n = (z2[t, j] - mean) * inverse
                error = n * gain[j] + key[t, j] - v[start + t, j]
                g = TWO * error * gain[j]
                loss += error * error
                total += g
                along += g * n
                d2[t, j], z2[t, j] = g, n
            total /= np.float32(width)
            along /= np.float32(width)
            for j in range(width):
                d2[t, j] = inverse * (d2[t, j] - total - z2[t, j] * along)
            losses[start + t] = loss
            root[t] = ONE / np.sqrt(loss + LOSS)
        _turn(second[0], turned, hidden)
        _multiply(d2, turned, back, rows)
        for t in range(rows):
            for j in range(hidden):
                d1[t, j] = back[t, j] * slope[t, j]
        # Steps by the overlap of the gradients, which are outer products: two inner products for a pair of tokens.
        _turn(key, a1t, rows)
        _turn(a2, a2t, rows)
        _turn(d1, d1t, rows)
        _turn(d2, d2t, rows)
        _pairs(key, a1t, inputs, rows)
        _pairs(d1, d1t, deltas, rows)
        _steps(gates[0, 3, start:], inputs, deltas, root, share, step1, rows)
        _pairs(a2, a2t, inputs, rows)
        _pairs(d2, d2t, deltas, rows)
        _steps(gates[1, 3, start:], inputs, deltas, root, share, step2, rows)
        # The queries through each matrix as it is at their token, and the matrix on to the end of the chunk.
        _pairs(query, a1t, inputs, rows)
        _weigh(inputs, gates[0, :, start:], step1, ends, work, rows)
        _read(query, first, inputs, d1, ends, z1, rows)
        if rows == chunk:
            _write(first, a1t, d1, ends, work, rows)
        _gelu(z1, x2, slope, rows)
        _pairs(x2, a2t, inputs, rows)
        _weigh(inputs, gates[1, :, start:], step2, ends, work, rows)
        _read(x2, second, inputs, d2, ends, y2, rows)
        if rows == chunk:
            _write(second, a2t, d2, ends, work, rows)
        for t in range(rows):
            mean, inverse = _norm(y2, t)
            for j in range(width):
                reads[start + t, j] = query[t, j] + (y2[t, j] - mean) * inverse * gain[j]
