"""Repeats: tandem arrays with a fresh unit each, and families of dispersed copies."""

from dataclasses import dataclass

import numpy as np

from demo.composition import GC_TILT, Background
from demo.features import Feature, Piece

SHORT_UNIT_BP = (2, 7)  # microsatellites: 2 to 6 bases
LONG_UNIT_BP = (7, 41)  # minisatellites: 7 to 40 bases
ARRAY_BP = (120, 520)  # bases of an array, at least three units
ARRAY_SUBSTITUTION = 0.01  # chance that a base of an array differs from its unit
CONSENSUS_BP = (300, 1_501)  # bases of a family's consensus
DIVERGENCE = (0.01, 0.05)  # substitutions per base of one copy against the consensus
SAME_STRAND = 0.75  # share of the copies of a shared family on the plus strand


@dataclass(frozen=True, kw_only=True)
class Family:
    """A dispersed repeat."""

    name: str
    consensus: np.ndarray  # uint8 codes
    private_to: str = ""  # the one contig that bears it, or "" when all do


def draw_family(rng: np.random.Generator, background: Background, name: str, private_to: str = "") -> Family:
    """Draw a family's consensus from the background at a random isochore level."""
    width_bp = int(rng.integers(*CONSENSUS_BP))
    level = int(rng.integers(len(GC_TILT)))
    return Family(name=name, consensus=background.draw(rng, width_bp, level), private_to=private_to)


def draw_copy(rng: np.random.Generator, family: Family, copy_name: str) -> Piece:
    """Draw one copy of a family: diverged, on either strand (private families: on the plus strand), soft-masked."""
    bases = _substituted(rng, family.consensus, rng.uniform(*DIVERGENCE))
    feature = Feature(kind="dispersed", start=0, end=len(bases), name=f"{family.name}:{copy_name}")
    piece = Piece(bases=bases, features=(feature,), masked=True)
    flipped = not family.private_to and rng.random() >= SAME_STRAND
    return piece.mirrored() if flipped else piece


def draw_tandem(rng: np.random.Generator, name: str) -> Piece:
    """Draw an array of a fresh random unit, soft-masked; its name says the unit's width."""
    unit_range = SHORT_UNIT_BP if rng.random() < 0.4 else LONG_UNIT_BP
    unit_bp = int(rng.integers(*unit_range))
    unit = rng.integers(0, 4, size=unit_bp).astype(np.uint8)
    if (unit == unit[0]).all():
        unit[-1] = (unit[-1] + 1) % 4
    array_bp = max(int(rng.integers(*ARRAY_BP)), 3 * unit_bp)
    bases = _substituted(rng, np.resize(unit, array_bp), ARRAY_SUBSTITUTION)
    feature = Feature(kind="tandem", start=0, end=array_bp, name=f"{name}:unit={unit_bp}")
    return Piece(bases=bases, features=(feature,), masked=True)


def _substituted(rng: np.random.Generator, bases: np.ndarray, rate: float) -> np.ndarray:
    hit = rng.random(len(bases)) < rate
    return np.where(hit, (bases + rng.integers(1, 4, size=len(bases))) % 4, bases).astype(np.uint8)
