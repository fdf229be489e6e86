"""The gradient of the writes of a group of chunks, from the last to the first. One program is one row.

The gradients at W and S stay in registers from chunk to chunk: 128 KB at width 64 and expansion 2, as in ``write``. W
and S themselves are loaded at each border, where ``write_kernel`` left them, and the key pass is computed again.
``backward`` has the formulas. A name followed by ``_`` is the gradient with respect to the value of that name.
"""

from __future__ import annotations

from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor

from titans_dna.ops.triton.parts import (
    activate,
    bound_factors,
    curvature,
    half_matrices,
    load_column,
    load_gain,
    load_rows,
    load_tile,
    overlaps,
    run_error,
    slope,
    store_column,
    store_rows,
    store_tile,
    through_norm,
    times,
)
from titans_dna.ops.triton.write import load_state, store_state


class GateGradients(NamedTuple):
    """The gradients at the gates of one written matrix that come from the writes; (N, R, ...) each."""

    step: Tensor
    carry: Tensor
    transfer: Tensor


@triton.jit
def through_write(W_, S_, W, S, step, inputs, deltas, gates, back, to, at, rows, inner, outer, n_in, n_out,
                  P: tl.constexpr):  # fmt: skip
    """Return the gradients at inputs, deltas, bounded step, and W and S at the border."""
    weights, ways, size = at * P.tokens * P.ways, at * P.ways * P.ways, n_in * n_out
    carry, state_ = load_column(gates.carry + weights, rows, P.tokens, 0, P.ways), back.states + at * P.ways * size
    write_ = times(deltas, tl.trans(W_), P)
    weight_ = -tl.sum(write_ * inputs, 1)
    store_column(to.carry + weights, weight_ * step, rows, P.tokens, 0, P.ways)
    step_ = load_rows(back.steps + at * P.tokens, rows, P.tokens) + weight_ * carry
    taken = (step * carry)[:, None]
    inputs_ = load_tile(back.inputs + at * P.tokens * n_in, rows, inner, P.tokens, n_in) - write_ * taken
    deltas_ = load_tile(back.deltas + at * P.tokens * n_out, rows, outer, P.tokens, n_out)
    deltas_ -= times(inputs * taken, W_, P)
    tl.store(to.transfer + ways, tl.sum(W_ * W))
    if P.ways == 2:
        carry = load_column(gates.carry + weights, rows, P.tokens, 1, P.ways)
        write_ = times(deltas, tl.trans(S_), P)
        weight_ = -tl.sum(write_ * inputs, 1)
        store_column(to.carry + weights, weight_ * step, rows, P.tokens, 1, P.ways)
        step_ += weight_ * carry
        taken = (step * carry)[:, None]
        inputs_ -= write_ * taken
        deltas_ -= times(inputs * taken, S_, P)
        tl.store(to.transfer + ways + 1, tl.sum(W_ * S))
        tl.store(to.transfer + ways + 2, 0.0)  # nothing of W enters S
        tl.store(to.transfer + ways + 3, tl.sum(S_ * S))
        S_ = S_ * tl.load(gates.transfer + ways + 3) + W_ * tl.load(gates.transfer + ways + 1)
        S_ += load_tile(state_ + size, inner, outer, n_in, n_out)
    W_ = W_ * tl.load(gates.transfer + ways) + load_tile(state_, inner, outer, n_in, n_out)
    return inputs_, deltas_, step_, W_, S_


@triton.jit
def through_bound(step_, step, inputs_, inputs, deltas_, deltas, loss_, loss, rows, P: tl.constexpr):
    """Return the gradients at step, inputs, deltas and loss, from the one at the bounded step."""
    if P.bounded:
        inputs_gram, deltas_gram, scaled, root = overlaps(inputs, deltas, loss, P)
        product = inputs_gram * deltas_gram
        overlap = tl.abs(product) * half_matrices(P)
        before, after = bound_factors(step, overlap, rows)
        factor = P.share * step_ / (before * after)
        own = -factor * step / after
        weight = tl.where(rows[:, None] > rows[None, :], (own - factor * step / before)[:, None], 0.0)
        weight = tl.where(rows[:, None] == rows[None, :], own[:, None], weight)
        step_ = factor + tl.sum(weight * overlap, 0)
        signs = tl.where(product > 0.0, 1.0, tl.where(product < 0.0, -1.0, 0.0))
        weight *= signs * (half_matrices(P) * step)[None, :]
        pair_ = weight * deltas_gram
        inputs_ += times(pair_ + tl.trans(pair_), inputs, P)
        pair_ = weight * inputs_gram
        scaled_ = times(pair_ + tl.trans(pair_), scaled, P)
        deltas_ += scaled_ * root[:, None]
        loss_ -= 0.5 * tl.sum(scaled_ * scaled, 1) * root * root
    return step_, inputs_, deltas_, loss_


@triton.jit
def through_error(delta_, loss_, error, delta, normal, inverse, gain, columns, P: tl.constexpr):
    """Return the gradients at the error, the last output and the gain."""
    error_ = 2.0 * error * loss_[:, None]
    if P.norm:
        pull = 2.0 * error * gain[None, :]
        pull_ = through_norm(delta_, normal, inverse, columns, P)
        error_ += 2.0 * pull_ * gain[None, :]
        gain_ = tl.sum(2.0 * pull_ * error + error_ * normal, 0)
        scaled = delta_ * inverse[:, None]
        along_pull, along_scaled = tl.sum(pull * normal, 1) / P.width, tl.sum(scaled * normal, 1) / P.width
        normal_ = error_ * gain[None, :] - scaled * along_pull[:, None] - pull * along_scaled[:, None]
        stretch = tl.sum(delta_ * delta, 1) * inverse / P.width
        return error_, through_norm(normal_, normal, inverse, columns, P) - stretch[:, None] * normal, gain_
    else:
        error_ += 2.0 * delta_
        return error_, error_, tl.sum(error_, 0)


@triton.jit
def write_backward_kernel(
    LOSS_, K, OFFSETS, GAIN, gates, states, Z, steps, back, K_, OFFSETS_, GAIN_, states_, to, chunks, count,
    P: tl.constexpr,
):  # fmt: skip
    """Go back through ``write_kernel``, given LOSS_ (N, R, C) and what the reads gave in ``back`` (``ReadGradients``).

    ``states_`` holds the gradients at the states after the group, (R, ways * in, out) each, and is overwritten by those
    at the states before it; for a first matrix that is not written, by its gradient (R, in, out). Filled besides: K_,
    OFFSETS_ (N, R, C, D), GAIN_ (R, D), and ``to``.
    """
    row = tl.program_id(0)
    rows, columns = tl.arange(0, P.block_tokens), tl.arange(0, P.block_width)
    middle = tl.arange(0, P.block_hidden)
    gain = load_gain(GAIN, row, columns, P)
    gain_ = gain * 0.0
    size: tl.constexpr = P.ways * P.hidden * P.width
    whole, flat = row.to(tl.int64) * size, row.to(tl.int64) * P.width * P.hidden
    W2_, S2_ = load_state(states_[1] + whole, middle, columns, P.hidden, P.width, P)
    W1_, S1_ = W2_, S2_
    if P.depth == 2:
        if P.first_written == 0:
            W1_, S1_ = load_state(states_[0] + whole, columns, middle, P.width, P.hidden, P)
        else:
            W1_ = load_tile(states_[0] + flat, columns, middle, P.width, P.hidden)
    for ahead in range(chunks):
        n = chunks - 1 - ahead
        at = (n * count + row).to(tl.int64)
        chunk, border = at * P.tokens, at * size
        key = load_tile(K + chunk * P.width, rows, columns, P.tokens, P.width)
        offset = load_tile(OFFSETS + chunk * P.width, rows, columns, P.tokens, P.width)
        W2, S2 = load_state(states[1] + border, middle, columns, P.hidden, P.width, P)
        inputs, z = key, key
        if P.depth == 2:
            z = load_tile(Z + chunk * P.hidden, rows, middle, P.tokens, P.hidden)
            inputs = activate(z, P)
        error, delta, normal, inverse = run_error(times(inputs, W2, P), offset, gain, columns, P)
        loss, loss_ = tl.sum(error * error, 1), load_rows(LOSS_ + chunk, rows, P.tokens)
        taken = load_rows(steps[1] + chunk, rows, P.tokens)
        inputs_, delta_, step_, W2_, S2_ = through_write(
            W2_, S2_, W2, S2, taken, inputs, delta, gates[1], back[1], to[1], at, rows, middle, columns,
            P.hidden, P.width, P,
        )  # fmt: skip
        step = load_rows(gates[1].step + chunk, rows, P.tokens)
        step_, inputs_, delta_, loss_ = through_bound(step_, step, inputs_, inputs, delta_, delta, loss_, loss, rows, P)
        store_rows(to[1].step + chunk, step_, rows, P.tokens)
        z_ = inputs_ * 0.0
        key_ = z_
        if P.depth == 2 and P.first_written == 0:
            W1, S1 = load_state(states[0] + border, columns, middle, P.width, P.hidden, P)
            pulled = times(delta, tl.trans(W2), P)
            first = pulled * slope(z, P)
            taken = load_rows(steps[0] + chunk, rows, P.tokens)
            key_, first_, step_, W1_, S1_ = through_write(
                W1_, S1_, W1, S1, taken, key, first, gates[0], back[0], to[0], at, rows, columns, middle,
                P.width, P.hidden, P,
            )  # fmt: skip
            step = load_rows(gates[0].step + chunk, rows, P.tokens)
            step_, key_, first_, loss_ = through_bound(step_, step, key_, key, first_, first, loss_, loss, rows, P)
            store_rows(to[0].step + chunk, step_, rows, P.tokens)
            pulled_ = first_ * slope(z, P)
            z_ = first_ * pulled * curvature(z, P)
            W2_ += times(tl.trans(pulled_), delta, P)
            delta_ += times(pulled_, W2, P)
        error_, last_, more = through_error(delta_, loss_, error, delta, normal, inverse, gain, columns, P)
        gain_ += more
        store_tile(OFFSETS_ + chunk * P.width, error_, rows, columns, P.tokens, P.width)
        W2_ += times(tl.trans(inputs), last_, P)
        inputs_ += times(last_, tl.trans(W2), P)
        if P.depth == 2:
            # Loaded again instead of kept since above: registers are scarcer here than loads.
            if P.first_written == 0:
                W1 = load_tile(states[0] + border, columns, middle, P.width, P.hidden)
            else:
                W1 = load_tile(states[0] + flat, columns, middle, P.width, P.hidden)
            z_ += inputs_ * slope(z, P)
            W1_ += times(tl.trans(key), z_, P)
            if P.first_written == 0:
                key_ += times(z_, tl.trans(W1), P)
            else:
                key_ = times(z_, tl.trans(W1), P)
        else:
            key_ = inputs_
        store_tile(K_ + chunk * P.width, key_, rows, columns, P.tokens, P.width)
    store_rows(GAIN_ + row * P.width, gain_, columns, P.width)
    store_state(states_[1] + whole, W2_, S2_, middle, columns, P.hidden, P.width, P)
    if P.depth == 2:
        if P.first_written == 0:
            store_state(states_[0] + whole, W1_, S1_, columns, middle, P.width, P.hidden, P)
        else:
            store_tile(states_[0] + flat, W1_, columns, middle, P.width, P.hidden)
