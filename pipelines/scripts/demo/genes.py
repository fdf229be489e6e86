"""Genes: promoter, coding exons with biased codons, introns with extended splice consensus."""

import numpy as np

from demo.composition import GC_TILT, Background
from demo.features import Feature, Piece, codes

PROMOTER_BOX = "TGACGTCAATCGCTAGG"  # 17 bases, nearly invariant
SECOND_BOX = "TATAAACG"
BOX_SPACING_BP = 16  # bases between the two boxes
LEADER_BP = 24  # bases between the second box and the start codon; its last six are LEADER_END
LEADER_END = "GCCACC"
DONOR = "CAG" + "GTAAGT"  # the exon ends after CAG
ACCEPTOR = "CAG" + "G"  # the exon starts with the last G
PYRIMIDINE_BP = 14  # bases of the pyrimidine tract before the acceptor
TAIL = "AATAAA"
TAIL_SPACING_BP = 18  # bases between the stop codon and TAIL
CONSENSUS_KEPT = 0.97  # chance that a base of a motif equals its consensus
STOPS = ("TAA", "TAG", "TGA")
STOP_WEIGHTS = (0.6, 0.2, 0.2)

EXON_CODONS = (50, 190)  # fewest and most codons of one exon
EXON_COUNT_WEIGHTS = (0.3, 0.35, 0.2, 0.15)  # chances of 1, 2, 3, 4 exons
INTRON_CORE_BP = (40, 160)  # background bases between donor and pyrimidine tract
FIRST_BASE = (0.30, 0.08, 0.54, 0.08)  # weights of A, C, G, T in the first position of a codon
SECOND_BASE = (0.45, 0.12, 0.04, 0.39)
THIRD_BASE_AT = (0.25, 0.06, 0.04, 0.65)  # third position in the poorest isochore ...
THIRD_BASE_GC = (0.03, 0.70, 0.23, 0.04)  # ... and in the richest
CODON_NOISE = 1.0  # standard deviation of the log-weight of single codons


class GeneMaker:
    """Draws genes.

    Parameters
    ----------
    rng
        Source of the codon usage.
    background
        Draws introns and spacers.
    """

    def __init__(self, rng: np.random.Generator, background: Background) -> None:
        self.background = background
        self.codons = np.array([(a, b, c) for a in range(4) for b in range(4) for c in range(4)], dtype=np.uint8)
        first, second, third = self.codons.T
        noise = np.exp(rng.normal(0.0, CODON_NOISE, size=64))
        stop = [int(np.flatnonzero((self.codons == codes(text)).all(axis=1))[0]) for text in STOPS]
        self.usage = []
        for level in range(len(GC_TILT)):
            share = level / (len(GC_TILT) - 1)
            at_end = (1 - share) * np.array(THIRD_BASE_AT) + share * np.array(THIRD_BASE_GC)
            weights = np.array(FIRST_BASE)[first] * np.array(SECOND_BASE)[second] * at_end[third] * noise
            weights[stop] = 0.0
            self.usage.append(weights / weights.sum())

    def draw(self, rng: np.random.Generator, level: int, name: str) -> Piece:
        """Draw a gene on the plus strand, promoter first."""
        builder = _Builder(name)
        self._promoter(rng, level, builder)
        gene_start = builder.width_bp
        exon_count = 1 + int(rng.choice(len(EXON_COUNT_WEIGHTS), p=EXON_COUNT_WEIGHTS))
        for number in range(exon_count):
            if number > 0:
                self._intron(rng, level, builder)
            self._exon(rng, level, builder, first=number == 0, last=number == exon_count - 1)
        builder.mark("gene", gene_start, builder.width_bp)
        builder.add(self.background.draw(rng, TAIL_SPACING_BP, level))
        builder.add(_motif(rng, TAIL)[0])
        return builder.piece()

    def _promoter(self, rng: np.random.Generator, level: int, builder: "_Builder") -> None:
        box, kept = _motif(rng, PROMOTER_BOX)
        builder.add(box)
        builder.mark("promoter", 0, len(box), core=kept)
        builder.add(self.background.draw(rng, BOX_SPACING_BP, level))
        second, kept = _motif(rng, SECOND_BOX)
        start = builder.width_bp
        builder.add(second)
        builder.mark("box", start, builder.width_bp, core=tuple(start + base for base in kept))
        builder.add(self.background.draw(rng, LEADER_BP - len(LEADER_END), level))
        builder.add(_motif(rng, LEADER_END)[0])

    def _exon(self, rng: np.random.Generator, level: int, builder: "_Builder", *, first: bool, last: bool) -> None:
        count = int(rng.integers(*EXON_CODONS))
        coding = self.codons[rng.choice(64, size=count, p=self.usage[level])]
        start = builder.width_bp
        if first:
            coding[0] = codes("ATG")
            builder.mark("start_codon", start, start + 3, core=(start, start + 1, start + 2))
        else:
            coding[0, 0] = codes("G")[0]  # after the acceptor; G with any two bases is no stop codon
        if last:
            coding[-1] = codes(STOPS[int(rng.choice(len(STOPS), p=STOP_WEIGHTS))])
        else:
            coding[-1] = codes("CAG")
        builder.add(coding.reshape(-1))
        builder.mark("exon", start, builder.width_bp)
        if last:
            builder.mark("stop_codon", builder.width_bp - 3, builder.width_bp)

    def _intron(self, rng: np.random.Generator, level: int, builder: "_Builder") -> None:
        start = builder.width_bp
        donor, _ = _motif(rng, DONOR[3:], fixed=(0, 1))
        tract = rng.choice(4, size=PYRIMIDINE_BP, p=(0.03, 0.27, 0.03, 0.67)).astype(np.uint8)
        acceptor, _ = _motif(rng, ACCEPTOR[:-1], fixed=(1, 2))
        core = self.background.draw(rng, int(rng.integers(*INTRON_CORE_BP)), level)
        builder.add(np.concatenate([donor, core, tract, acceptor]))
        end = builder.width_bp
        builder.mark("intron", start, end)
        builder.mark("donor", start - 3, start + len(donor), core=(start, start + 1))
        builder.mark("acceptor", end - PYRIMIDINE_BP - len(acceptor), end + 1, core=(end - 2, end - 1))


class _Builder:
    """Collects the parts of one gene."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.parts: list[np.ndarray] = []
        self.features: list[Feature] = []
        self.width_bp = 0

    def add(self, bases: np.ndarray) -> None:
        self.parts.append(bases)
        self.width_bp += len(bases)

    def mark(self, kind: str, start: int, end: int, core: tuple[int, ...] = ()) -> None:
        self.features.append(Feature(kind=kind, start=start, end=end, name=self.name, core=core))

    def piece(self) -> Piece:
        return Piece(bases=np.concatenate(self.parts), features=tuple(self.features))


def _motif(rng: np.random.Generator, consensus: str, fixed: tuple[int, ...] = ()) -> tuple[np.ndarray, tuple[int, ...]]:
    """Draw a copy of a motif; return it with the 0-based positions that equal the consensus."""
    wanted = codes(consensus)
    kept = rng.random(len(wanted)) < CONSENSUS_KEPT
    kept[list(fixed)] = True
    other = (wanted + rng.integers(1, 4, size=len(wanted))) % 4
    return np.where(kept, wanted, other).astype(np.uint8), tuple(np.flatnonzero(kept).tolist())
