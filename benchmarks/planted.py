"""A training sequence of real DNA in which copies are planted: short and long, exact and diverged, alone and in arrays.

Real genomes hold few copies that stand alone and are short: a repeat has many places, and its first exact bases say
little. A network that learned to trust places from genomes alone is too careful with a word that was read once. So a
part of what the default model trains on is planted: words of 40 to 64 bases, as a needle is, longer copies with up to a
fifth of their bases changed, words that are read again with another continuation, and satellites of diverged units.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BASES = 4
STRETCH = (100, 700)  # bases of real DNA between two copies
NEAREST = 1500  # bases back from which the attention window helps no more
RANDOM_SHARE = 0.1  # of the stretches, made of random bases
INVERTED_SHARE = 0.25  # of the copies
DIVERGED = (0.0, 0.0, 0.0, 0.05, 0.1, 0.2)  # shares of changed bases, drawn from for each copy
KINDS = {"word": 0.5, "copy": 0.25, "overwritten": 0.06, "newest": 0.16, "satellite": 0.03}
NAMED_SHARE = 0.1  # of the words, which may be overwritten later
KEY, VALUE = 24, 24  # bases of a word that is overwritten, and of what follows it


def plant(rng: np.random.Generator, genome: np.ndarray, bases: int) -> np.ndarray:
    """Return a sequence of real stretches and planted copies.

    Parameters
    ----------
    rng
        Draws the stretches, the copies, their places and their changes.
    genome
        (N,) uint8 ids of known bases, from which the stretches come.
    bases
        About how many to return.

    Returns
    -------
    np.ndarray
        (M,) uint8 ids of bases, M a little above ``bases``.
    """
    out, end, words = np.empty(bases + 20_000, dtype=np.uint8), 0, [0]

    def put(part: np.ndarray) -> None:
        nonlocal end
        out[end : end + len(part)] = part
        end += len(part)

    while end < bases:
        length = int(rng.integers(*STRETCH))
        if rng.random() < RANDOM_SHARE:
            put(rng.integers(0, BASES, length, dtype=np.uint8))
        else:
            start = int(rng.integers(len(genome) - length))
            put(genome[start : start + length])
        if end < 2 * NEAREST:
            continue
        kind = rng.choice(list(KINDS), p=list(KINDS.values()))
        if kind == "satellite":
            put(satellite(rng))
        elif kind == "overwritten":  # the newest of its readings is right from now on
            row = int(rng.integers(len(words)))
            put(out[words[row] : words[row] + KEY].copy())
            words[row] = end - KEY
            put(rng.integers(0, BASES, VALUE, dtype=np.uint8))
        elif kind == "newest":
            start = words[int(rng.integers(len(words)))]
            put(out[start : start + KEY + VALUE].copy())
        else:
            length = int(rng.integers(40, 65) if kind == "word" else rng.integers(65, 400))
            back = int(np.exp(rng.uniform(np.log(NEAREST), np.log(end - length))))
            start = max(end - back - length, 0)
            if kind == "word" and rng.random() < NAMED_SHARE:
                words.append(start)
            copy = changed(rng, out[start : start + length], 0.0 if kind == "word" else float(rng.choice(DIVERGED)))
            put((BASES - 1 - copy[::-1]) if rng.random() < INVERTED_SHARE else copy)
    return out[:end]


def changed(rng: np.random.Generator, ids: np.ndarray, share: float) -> np.ndarray:
    """Return the bases with a share of them changed to another."""
    there = rng.random(len(ids)) < share
    return np.where(there, (ids + rng.integers(1, BASES, len(ids), dtype=np.uint8)) % BASES, ids).astype(np.uint8)


def satellite(rng: np.random.Generator) -> np.ndarray:
    """Return an array of 6 to 16 units of 100 to 350 bases, each changed on its own."""
    unit = rng.integers(0, BASES, int(rng.integers(100, 350)), dtype=np.uint8)
    share = float(rng.choice(DIVERGED))
    return np.concatenate([changed(rng, unit, share) for _ in range(int(rng.integers(6, 17)))])


def known(sequences: Sequence[np.ndarray]) -> np.ndarray:
    """Return the known bases of all sequences, joined."""
    return np.concatenate([ids[ids < BASES] for ids in sequences])
