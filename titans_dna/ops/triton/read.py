"""The reads of a group of chunks, and their gradient: one program is one chunk of one row, all at once.

A read changes nothing, so once the states at all borders are known, chunks do not depend on each other. ``dual`` and
``backward`` have the formulas. A name followed by ``_`` is the gradient with respect to the value of that name.
"""

from __future__ import annotations

from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor

from titans_dna.ops.triton.parts import (
    activate,
    load_column,
    load_gain,
    load_rows,
    load_tile,
    normalise,
    slope,
    store_column,
    store_rows,
    store_tile,
    through_norm,
    times,
)
from titans_dna.ops.triton.write import load_state


class ReadGradients(NamedTuple):
    """The gradients that come from the reads, for one written matrix; (N, R, ...) each."""

    inputs: Tensor
    deltas: Tensor
    steps: Tensor
    states: Tensor
    writes: Tensor
    reads: Tensor


@triton.jit
def read(x, inputs, deltas, state, step_at, gates, at, rows, inner, outer, n_in, n_out, P: tl.constexpr):
    """Return the output z of a written matrix for the query-pass inputs ``x``."""
    W, S = load_state(state, inner, outer, n_in, n_out, P)
    weights = gates.reads + at * P.tokens * P.ways
    z = times(x * load_column(weights, rows, P.tokens, 0, P.ways)[:, None], W, P)
    if P.ways == 2:
        z += times(x * load_column(weights, rows, P.tokens, 1, P.ways)[:, None], S, P)
    writes = load_tile(gates.writes + at * P.tokens * P.tokens, rows, rows, P.tokens, P.tokens)
    step = load_rows(step_at + at * P.tokens, rows, P.tokens)
    return z - times(times(x, tl.trans(inputs), P) * writes * step[None, :], deltas, P)


@triton.jit
def read_kernel(Q, K, GAIN, gates, states, Z, deltas, steps, Y, Z1, Z2, count, P: tl.constexpr):
    """Read with Q (N, R, C, D) into Y; keep the outputs of both matrices in Z1 (N, R, C, hidden) and Z2 (N, R, C, D).

    The other arguments are those of ``write_kernel``.
    """
    at = tl.program_id(0).to(tl.int64)  # in 64 bits, because offsets into large tensors exceed 2^31
    row = tl.program_id(0) % count
    rows, columns = tl.arange(0, P.block_tokens), tl.arange(0, P.block_width)
    middle = tl.arange(0, P.block_hidden)
    chunk, size = at * P.tokens, at * P.ways * P.hidden * P.width
    query = load_tile(Q + chunk * P.width, rows, columns, P.tokens, P.width)
    x = query
    inputs = load_tile(K + chunk * P.width, rows, columns, P.tokens, P.width)
    if P.depth == 2:
        if P.first_written == 0:
            delta = load_tile(deltas[0] + chunk * P.hidden, rows, middle, P.tokens, P.hidden)
            z = read(
                x, inputs, delta, states[0] + size, steps[0], gates[0], at, rows, columns, middle, P.width, P.hidden, P
            )
        else:
            z = times(x, load_tile(states[0] + row * P.width * P.hidden, columns, middle, P.width, P.hidden), P)
        store_tile(Z1 + chunk * P.hidden, z, rows, middle, P.tokens, P.hidden)
        x = activate(z, P)
        inputs = activate(load_tile(Z + chunk * P.hidden, rows, middle, P.tokens, P.hidden), P)
    delta = load_tile(deltas[1] + chunk * P.width, rows, columns, P.tokens, P.width)
    z = read(x, inputs, delta, states[1] + size, steps[1], gates[1], at, rows, middle, columns, P.hidden, P.width, P)
    store_tile(Z2 + chunk * P.width, z, rows, columns, P.tokens, P.width)
    if P.norm:
        z, _ = normalise(z, columns, P)
        z = z * load_gain(GAIN, row, columns, P)[None, :]
    if P.residual:
        z += query
    store_tile(Y + chunk * P.width, z, rows, columns, P.tokens, P.width)


@triton.jit
def through_read(
    z_, x, inputs, deltas, state, step_at, gates, to, at, rows, inner, outer, n_in, n_out, P: tl.constexpr
):
    """Store the gradients of ``read`` in ``to`` and return that at ``x``."""
    weights, size = at * P.tokens * P.ways, n_in * n_out
    W, S = load_state(state, inner, outer, n_in, n_out, P)
    b = load_column(gates.reads + weights, rows, P.tokens, 0, P.ways)
    way_ = times(z_, tl.trans(W), P)
    x_ = way_ * b[:, None]
    store_column(to.reads + weights, tl.sum(way_ * x, 1), rows, P.tokens, 0, P.ways)
    state_ = to.states + at * P.ways * size
    store_tile(state_, times(tl.trans(x * b[:, None]), z_, P), inner, outer, n_in, n_out)
    if P.ways == 2:
        f = load_column(gates.reads + weights, rows, P.tokens, 1, P.ways)
        way_ = times(z_, tl.trans(S), P)
        x_ += way_ * f[:, None]
        store_column(to.reads + weights, tl.sum(way_ * x, 1), rows, P.tokens, 1, P.ways)
        store_tile(state_ + size, times(tl.trans(x * f[:, None]), z_, P), inner, outer, n_in, n_out)
    square = at * P.tokens * P.tokens
    writes = load_tile(gates.writes + square, rows, rows, P.tokens, P.tokens)
    step = load_rows(step_at + at * P.tokens, rows, P.tokens)
    product = times(x, tl.trans(inputs), P)
    score_, weight = -times(z_, tl.trans(deltas), P), writes * step[None, :]
    product_, both = score_ * weight, score_ * product
    store_rows(to.steps + at * P.tokens, tl.sum(both * writes, 0), rows, P.tokens)
    store_tile(to.writes + square, both * step[None, :], rows, rows, P.tokens, P.tokens)
    deltas_ = -times(tl.trans(weight * product), z_, P)
    store_tile(to.deltas + at * P.tokens * n_out, deltas_, rows, outer, P.tokens, n_out)
    store_tile(to.inputs + at * P.tokens * n_in, times(tl.trans(product_), x, P), rows, inner, P.tokens, n_in)
    return x_ + times(product_, inputs, P)


@triton.jit
def read_backward_kernel(
    Y_, Q, K, GAIN, gates, states, Z, deltas, steps, Z1, Z2, Q_, GAIN_, FROZEN_, to, count, P: tl.constexpr
):
    """Go back through ``read_kernel``, given the gradient Y_ at the reads.

    Filled: Q_ (N, R, C, D), GAIN_ (N, R, D), ``to`` of the first and the last matrix, and FROZEN_ (N, R, D, hidden) of
    a first matrix that is not written.
    """
    at = tl.program_id(0).to(tl.int64)
    row = tl.program_id(0) % count
    rows, columns = tl.arange(0, P.block_tokens), tl.arange(0, P.block_width)
    middle = tl.arange(0, P.block_hidden)
    chunk, size = at * P.tokens, at * P.ways * P.hidden * P.width
    y_ = load_tile(Y_ + chunk * P.width, rows, columns, P.tokens, P.width)
    z_ = y_
    if P.norm:
        normal, inverse = normalise(load_tile(Z2 + chunk * P.width, rows, columns, P.tokens, P.width), columns, P)
        if P.gain:
            store_rows(GAIN_ + at * P.width, tl.sum(y_ * normal, 0), columns, P.width)
            z_ = y_ * load_gain(GAIN, row, columns, P)[None, :]
        z_ = through_norm(z_, normal, inverse, columns, P)
    query = load_tile(Q + chunk * P.width, rows, columns, P.tokens, P.width)
    key = load_tile(K + chunk * P.width, rows, columns, P.tokens, P.width)
    x, inputs, z = query, key, query
    if P.depth == 2:
        z = load_tile(Z1 + chunk * P.hidden, rows, middle, P.tokens, P.hidden)
        x = activate(z, P)
        inputs = activate(load_tile(Z + chunk * P.hidden, rows, middle, P.tokens, P.hidden), P)
    delta = load_tile(deltas[1] + chunk * P.width, rows, columns, P.tokens, P.width)
    x_ = through_read(
        z_, x, inputs, delta, states[1] + size, steps[1], gates[1], to[1], at, rows, middle, columns,
        P.hidden, P.width, P,
    )  # fmt: skip
    if P.depth == 2:
        z_ = x_ * slope(z, P)
        if P.first_written == 0:
            delta = load_tile(deltas[0] + chunk * P.hidden, rows, middle, P.tokens, P.hidden)
            x_ = through_read(
                z_, query, key, delta, states[0] + size, steps[0], gates[0], to[0], at, rows, columns, middle,
                P.width, P.hidden, P,
            )  # fmt: skip
        else:
            frozen = load_tile(states[0] + row * P.width * P.hidden, columns, middle, P.width, P.hidden)
            frozen_ = times(tl.trans(query), z_, P)
            store_tile(FROZEN_ + at * P.width * P.hidden, frozen_, columns, middle, P.width, P.hidden)
            x_ = times(z_, tl.trans(frozen), P)
    if P.residual:
        x_ += y_
    store_tile(Q_ + chunk * P.width, x_, rows, columns, P.tokens, P.width)
