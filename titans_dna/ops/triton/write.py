"""The sequential half: the keys of a group of chunks, chunk after chunk. One program is one row (sample and head).

W and S of the row are float32 tiles that stay in registers from the first chunk of the group to the last. At head width
64, expansion 2 and chunks of 64 tokens, a matrix is 64 x 128 or 32 KB. W and S of both matrices then take 128 KB of the
256 KB of registers of a multiprocessor, or 128 of the 255 registers that each thread of 8 warps may have. The tiles of
a chunk (64 x 128 and 64 x 64) need registers too; what does not fit, the compiler spills to the first-level cache.
Shared memory, 228 KB on a multiprocessor, holds the operands of the current product. What the reads need is written to
memory once per chunk: the states at its border, z_1, the deltas and the steps.
"""

from __future__ import annotations

import triton
import triton.language as tl

from titans_dna.ops.triton.parts import (
    activate,
    bounded_step,
    load_column,
    load_gain,
    load_rows,
    load_tile,
    run_error,
    slope,
    store_rows,
    store_tile,
    times,
)


@triton.jit
def written(W, S, step, inputs, deltas, gates, n, row, count, rows, P: tl.constexpr):
    """Return W and S after the writes of chunk ``n``; ``step`` holds the bounded steps."""
    at = (n * count + row).to(tl.int64)  # in 64 bits, because offsets into large tensors exceed 2^31
    carry, transfer = gates.carry + at * P.tokens * P.ways, gates.transfer + at * P.ways * P.ways
    to_weights = inputs * (step * load_column(carry, rows, P.tokens, 0, P.ways))[:, None]
    new = tl.load(transfer) * W - times(tl.trans(to_weights), deltas, P)
    if P.ways == 2:
        to_momentum = inputs * (step * load_column(carry, rows, P.tokens, 1, P.ways))[:, None]
        new += tl.load(transfer + 1) * S
        S = tl.load(transfer + 3) * S - times(tl.trans(to_momentum), deltas, P)
    return new, S


@triton.jit
def load_state(at, rows, columns, height, width, P: tl.constexpr):
    """Load W, and S if there is momentum (otherwise W again, which is not used)."""
    W = load_tile(at, rows, columns, height, width)
    if P.ways == 2:
        return W, load_tile(at + height * width, rows, columns, height, width)
    else:
        return W, W


@triton.jit
def store_state(at, W, S, rows, columns, height, width, P: tl.constexpr):
    """Store W, and S if there is momentum."""
    store_tile(at, W, rows, columns, height, width)
    if P.ways == 2:
        store_tile(at + height * width, S, rows, columns, height, width)


@triton.jit
def write_kernel(K, OFFSETS, GAIN, gates, states, Z, deltas, steps, LOSS, chunks, count, P: tl.constexpr):
    """Write ``chunks`` chunks.

    K, OFFSETS (N, R, C, D); GAIN (R, D); ``gates`` of the first and the last matrix. ``states`` of the same, each
    (N + 1, R, ways * in, out), given at 0 and filled from 1; of a first matrix that is not written, (R, in, out).
    Filled: Z (N, R, C, hidden), ``deltas`` (N, R, C, out), ``steps`` and LOSS (N, R, C).
    """
    row = tl.program_id(0)
    rows, columns = tl.arange(0, P.block_tokens), tl.arange(0, P.block_width)
    middle = tl.arange(0, P.block_hidden)
    gain = load_gain(GAIN, row, columns, P)
    size: tl.constexpr = P.ways * P.hidden * P.width
    W2, S2 = load_state(states[1] + row.to(tl.int64) * size, middle, columns, P.hidden, P.width, P)
    W1, S1 = W2, S2
    if P.depth == 2:
        if P.first_written == 0:
            W1, S1 = load_state(states[0] + row.to(tl.int64) * size, columns, middle, P.width, P.hidden, P)
        else:
            W1 = load_tile(states[0] + row.to(tl.int64) * P.width * P.hidden, columns, middle, P.width, P.hidden)
    for n in range(chunks):
        at = (n * count + row).to(tl.int64) * P.tokens
        after = ((n + 1) * count + row).to(tl.int64) * size
        key = load_tile(K + at * P.width, rows, columns, P.tokens, P.width)
        inputs, z = key, key
        if P.depth == 2:
            z = times(key, W1, P)
            inputs = activate(z, P)
            store_tile(Z + at * P.hidden, z, rows, middle, P.tokens, P.hidden)
        offset = load_tile(OFFSETS + at * P.width, rows, columns, P.tokens, P.width)
        error, delta, _, _ = run_error(times(inputs, W2, P), offset, gain, columns, P)
        loss = tl.sum(error * error, 1)
        store_rows(LOSS + at, loss, rows, P.tokens)
        store_tile(deltas[1] + at * P.width, delta, rows, columns, P.tokens, P.width)
        if P.depth == 2 and P.first_written == 0:
            back = times(delta, tl.trans(W2), P) * slope(z, P)
            store_tile(deltas[0] + at * P.hidden, back, rows, middle, P.tokens, P.hidden)
            step = load_rows(gates[0].step + at, rows, P.tokens)
            step = bounded_step(step, key, back, loss, rows, P)
            store_rows(steps[0] + at, step, rows, P.tokens)
            W1, S1 = written(W1, S1, step, key, back, gates[0], n, row, count, rows, P)
            store_state(states[0] + after, W1, S1, columns, middle, P.width, P.hidden, P)
        step = bounded_step(load_rows(gates[1].step + at, rows, P.tokens), inputs, delta, loss, rows, P)
        store_rows(steps[1] + at, step, rows, P.tokens)
        W2, S2 = written(W2, S2, step, inputs, delta, gates[1], n, row, count, rows, P)
        store_state(states[1] + after, W2, S2, middle, columns, P.hidden, P.width, P)
