"""Adaptive Markov models against a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from adaptive import adaptive_bits

from titans_dna.training.markov import PSEUDO_COUNTS


@pytest.mark.parametrize("order", [0, 1, 3])
def test_adaptive_bits_equal_a_plain_loop(order):
    sequence = np.random.default_rng(2).choice(5, 260, p=[0.3, 0.2, 0.2, 0.27, 0.03]).astype(np.uint8)
    wanted = []
    for a in PSEUDO_COUNTS:
        counts: dict[tuple[int, ...], list[int]] = {}
        bits = []
        for i in range(order, 260):
            piece = sequence[i - order : i + 1].tolist()
            if max(piece) > 3:
                continue
            seen = counts.setdefault(tuple(piece[:-1]), [0] * 4)
            bits.append(-math.log2((seen[piece[-1]] + a) / (sum(seen) + 4 * a)))
            other = [3 - base for base in reversed(piece)]
            for strand in (piece, other):
                counts.setdefault(tuple(strand[:-1]), [0] * 4)[strand[-1]] += 1
        wanted.append(sum(bits) / len(bits))
    assert adaptive_bits(sequence, order) == pytest.approx(min(wanted))
