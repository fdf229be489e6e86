"""Sequences that are full of what a copy memory has to tell apart."""

from __future__ import annotations

import numpy as np

COMPLEMENT = np.array([3, 2, 1, 0, 4, 4, 4])


def mutated(ids: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return ids of which a share is drawn anew."""
    return np.where(rng.random(len(ids)) < share, rng.integers(0, 4, len(ids)), ids)


def patchwork(tokens: int, seed: int) -> np.ndarray:
    """Return random bases, copies, diverged and inverted copies, tandem repeats, runs of one base and gaps."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 4, 200)
    while len(ids) < tokens:
        start = int(rng.integers(0, len(ids) - 100))
        piece = ids[start : start + int(rng.integers(20, 300))]
        kind = int(rng.integers(0, 8))
        if kind == 0:
            piece = rng.integers(0, 4, 150)
        elif kind == 1:
            piece = mutated(piece, 0.1, rng)
        elif kind == 2:
            piece = COMPLEMENT[mutated(piece, 0.05, rng)[::-1]]
        elif kind == 3:
            piece = np.tile(rng.integers(0, 4, int(rng.integers(1, 40))), 12)
        elif kind == 4:
            piece = np.full(int(rng.integers(1, 80)), 4)
        elif kind == 5:
            piece = np.full(int(rng.integers(1, 150)), rng.integers(0, 4))
        ids = np.concatenate([ids, piece])
    return ids[:tokens].astype(np.uint8)
