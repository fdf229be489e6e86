"""Copies far back: how many bits per base a model saves where it has read the same before, by distance.

A stretch of real sequence is planted again, with some of its bases substituted, at a given distance behind its
original. The copy is then read once behind its original, and once where other sequence stands in the original's place;
nothing else differs. So the difference is what the original is worth, and not how easy the stretch is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from titans_dna.benchmark.needles import LETTERS, reading_context, stretch
from titans_dna.errors import ConfigError
from titans_dna.inference.generate import read_prompt
from titans_dna.inference.model import SequenceModel, require_single_bases

PAYS = 0.1  # bits per base: copies that save more are worth carrying a memory that far


@dataclass(frozen=True, kw_only=True)
class CopyTest:
    """What is planted, and how often.

    Raises
    ------
    ConfigError
        If copy and original would overlap, or a number is out of its range.
    """

    distance_bp: int  # from the start of the original to that of its copy
    copies: int = 8
    copy_bp: int = 1000
    substituted: float = 0.05  # share of the copy's bases that differ from the original

    def __post_init__(self) -> None:
        if self.copies < 1 or self.copy_bp < 1 or not 0 <= self.substituted <= 0.75:
            raise ConfigError("copies and their bases must be 1 or more, and the share substituted 0 to 0.75")
        if self.distance_bp < self.copy_bp:
            raise ConfigError(f"a copy of {self.copy_bp:,} bases at {self.distance_bp:,} would overlap its original")

    @property
    def least_bp(self) -> int:
        """Bases of real sequence that are needed."""
        return self.distance_bp + self.copy_bp


@dataclass(frozen=True, kw_only=True)
class Saved:
    """Bits per base of the copies."""

    behind_original: float
    behind_other: float  # with other real sequence in the place of the original

    @property
    def bits(self) -> float:
        """What the originals saved, in bits per base."""
        return self.behind_other - self.behind_original


def save_by_copies(
    model: SequenceModel, ids: np.ndarray, test: CopyTest, seed: int, *,
    advance: Callable[[int], None] = lambda bases: None,
) -> Saved:  # fmt: skip
    """Measure what originals at a distance save; parameters and errors are those of `recall_needles`."""
    require_single_bases(model, "copies")
    sums = [0.0, 0.0]
    for number in range(test.copies):
        rng = np.random.default_rng([seed, test.distance_bp, test.copy_bp, number])
        for which, sequence in enumerate(_pair(rng, ids, test)):
            read = read_prompt(model, "copy", sequence, test.distance_bp, context=reading_context(model))
            sums[which] -= read.log_likelihood / (math.log(2) * read.known)
            advance(len(sequence))
    return Saved(behind_original=sums[0] / test.copies, behind_other=sums[1] / test.copies)


def _pair(rng: np.random.Generator, ids: np.ndarray, test: CopyTest) -> tuple[bytes, bytes]:
    """Return the copy behind its original, and behind other sequence."""
    # All from one stretch: the original must not stand in what lies between, for then other sequence would help too.
    original, other, rest = np.split(
        stretch(rng, ids, test.distance_bp + test.copy_bp), [test.copy_bp, 2 * test.copy_bp]
    )
    copy, changed = original.copy(), rng.random(test.copy_bp) < test.substituted
    copy[changed] = (copy[changed] + rng.integers(1, 4, int(changed.sum()))) % 4
    first, second = (LETTERS[np.concatenate([start, rest, copy])].tobytes() for start in (original, other))
    return first, second
