"""Background sequence: an order-3 Markov chain whose GC content changes in blocks, as isochores do."""

import math

import numpy as np

ORDER = 3
GC_TILT = (-0.75, -0.4, -0.05, 0.3, 0.65)  # added to the log-weight of G and C, one for each isochore level
BLOCK_BP = (6_000, 40_000)  # shortest and longest isochore


class Background:
    """Draws background bases at any isochore level.

    Parameters
    ----------
    rng
        Source of the transition table; the table is the same at all levels but for the tilt towards G and C.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        weights = np.exp(rng.normal(0.0, 0.45, size=(4**ORDER, 4)))
        self.tables = [self._cumulative(weights, tilt) for tilt in GC_TILT]

    @staticmethod
    def _cumulative(weights: np.ndarray, tilt: float) -> list[list[float]]:
        tilted = weights * np.array([1.0, math.exp(tilt), math.exp(tilt), 1.0])
        return np.cumsum(tilted / tilted.sum(axis=1, keepdims=True), axis=1).tolist()

    def draw(self, rng: np.random.Generator, width_bp: int, level: int) -> np.ndarray:
        """Draw `width_bp` bases at isochore `level`, starting from a random context."""
        table = self.tables[level]
        context = int(rng.integers(4**ORDER))
        drawn = bytearray(width_bp)
        for index, value in enumerate(rng.random(width_bp).tolist()):
            low, middle, high, _ = table[context]
            base = (value >= low) + (value >= middle) + (value >= high)
            drawn[index] = base
            context = (context * 4 + base) % 4**ORDER
        return np.frombuffer(bytes(drawn), dtype=np.uint8)


class Isochores:
    """GC levels along one contig.

    Parameters
    ----------
    rng
        Source of the block borders and levels.
    contig_bp
        Number of bases of the contig.
    """

    def __init__(self, rng: np.random.Generator, contig_bp: int) -> None:
        self.ends: list[int] = []
        self.levels: list[int] = []
        end = 0
        while end < contig_bp:
            end += int(rng.integers(*BLOCK_BP))
            choices = [level for level in range(len(GC_TILT)) if level not in self.levels[-1:]]
            self.ends.append(end)
            self.levels.append(choices[int(rng.integers(len(choices)))])

    def level(self, start: int) -> int:
        """Return the level at 0-based base `start`."""
        return self.levels[int(np.searchsorted(self.ends, start, side="right"))]
