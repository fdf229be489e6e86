"""Contigs: where genes, arrays and copies of dispersed repeats come to lie."""

import math
from dataclasses import dataclass

import numpy as np

from demo.composition import Background, Isochores
from demo.features import Contig, Feature, Piece
from demo.genes import GeneMaker
from demo.repeats import Family, draw_copy, draw_family, draw_tandem

HELD_OUT = "chrC"
N_CODE, IUPAC_CODE = 4, 5
SHARED_FAMILIES = 7
FILLER_MEAN_BP = 300  # mean background between two elements
GENE_SHARE = 0.60  # share of genes among genes and arrays


@dataclass(frozen=True, kw_only=True)
class ContigPlan:
    """How a contig is filled."""

    name: str
    contig_bp: int
    private_families: int  # families on this contig alone
    shared_gap_bp: tuple[int, int]  # distance between starts of neighbouring copies of a shared family
    private_gap_bp: tuple[int, int]
    gap_start: int | None = None  # 0-based target of the N gap
    gap_bp: int = 0


PLANS = (
    ContigPlan(
        name="chrA",
        contig_bp=1_000_000,
        private_families=24,
        shared_gap_bp=(60_000, 450_000),
        private_gap_bp=(30_000, 450_000),
        gap_start=610_000,
        gap_bp=2_000,
    ),
    ContigPlan(
        name="chrB",
        contig_bp=500_000,
        private_families=15,
        shared_gap_bp=(60_000, 350_000),
        private_gap_bp=(20_000, 300_000),
        gap_start=200_000,
        gap_bp=400,
    ),
    ContigPlan(
        name="chrC",
        contig_bp=250_000,
        private_families=7,
        shared_gap_bp=(90_000, 240_000),
        private_gap_bp=(16_000, 95_000),
    ),
)


def draw_genome(rng: np.random.Generator) -> list[Contig]:
    """Draw all contigs of the demo."""
    background = Background(rng)
    genes = GeneMaker(rng, background)
    shared = [draw_family(rng, background, f"shared{number:02d}") for number in range(1, SHARED_FAMILIES + 1)]
    contigs = []
    for plan in PLANS:
        private = [
            draw_family(rng, background, f"{plan.name}_private{number:02d}", private_to=plan.name)
            for number in range(1, plan.private_families + 1)
        ]
        contigs.append(_ContigWriter(rng, plan, background, genes).write(shared + private))
    _plant_iupac(contigs[0])
    return contigs


class _ContigWriter:
    """Fills one contig from its first base to its last."""

    def __init__(self, rng: np.random.Generator, plan: ContigPlan, background: Background, genes: GeneMaker) -> None:
        self.rng = rng
        self.plan = plan
        self.background = background
        self.genes = genes
        self.isochores = Isochores(rng, plan.contig_bp)
        self.pieces: list[Piece] = []
        self.features: list[Feature] = []
        self.cursor = 0
        self.counts: dict[str, int] = {}

    def write(self, families: list[Family]) -> Contig:
        targets = self._targets(families)
        gap_start = self.plan.gap_start
        self._add_filler()
        while True:
            if gap_start is not None and self.cursor >= gap_start:
                piece = self._gap()
                gap_start = None
            elif targets and self.cursor >= targets[0][0]:
                family = targets.pop(0)[1]
                piece = draw_copy(self.rng, family, f"{self.plan.name}.{self._number(family.name)}")
            else:
                piece = self._gene_or_array()
            if self.cursor + len(piece.bases) > self.plan.contig_bp:
                break
            self._add(piece)
            self._add_filler()
        self._add(self._filler(self.plan.contig_bp - self.cursor))
        return self._contig()

    def _targets(self, families: list[Family]) -> list[tuple[int, Family]]:
        """Draw where copies are wanted: neighbours of one family at log-uniform distances."""
        wanted = []
        for family in families:
            low, high = self.plan.private_gap_bp if family.private_to else self.plan.shared_gap_bp
            start = int(self.rng.integers(self.plan.contig_bp // 4))
            while start < self.plan.contig_bp:
                wanted.append((start, family))
                start += int(math.exp(self.rng.uniform(math.log(low), math.log(high))))
        return sorted(wanted, key=lambda target: (target[0], target[1].name))

    def _gene_or_array(self) -> Piece:
        if self.rng.random() >= GENE_SHARE:
            return draw_tandem(self.rng, f"{self.plan.name}.array{self._number('array')}")
        level = self.isochores.level(self.cursor)
        piece = self.genes.draw(self.rng, level, f"{self.plan.name}.gene{self._number('gene')}")
        return piece if self.rng.random() < 0.5 else piece.mirrored()

    def _gap(self) -> Piece:
        bases = np.full(self.plan.gap_bp, N_CODE, dtype=np.uint8)
        return Piece(bases=bases, features=(Feature(kind="gap", start=0, end=len(bases), name="gap"),))

    def _filler(self, width_bp: int) -> Piece:
        return Piece(bases=self.background.draw(self.rng, width_bp, self.isochores.level(self.cursor)))

    def _add_filler(self) -> None:
        width_bp = 30 + int(-FILLER_MEAN_BP * math.log(1.0 - self.rng.random()))
        self._add(self._filler(min(width_bp, self.plan.contig_bp - self.cursor)))

    def _add(self, piece: Piece) -> None:
        self.pieces.append(piece)
        self.features.extend(feature.shifted(self.cursor) for feature in piece.features)
        self.cursor += len(piece.bases)

    def _number(self, what: str) -> int:
        self.counts[what] = self.counts.get(what, 0) + 1
        return self.counts[what]

    def _contig(self) -> Contig:
        bases = np.concatenate([piece.bases for piece in self.pieces])
        masked = np.concatenate([np.full(len(piece.bases), piece.masked) for piece in self.pieces])
        features = sorted(self.features, key=lambda feature: (feature.start, -feature.end, feature.kind))
        return Contig(name=self.plan.name, bases=bases, masked=masked, features=features)


def _plant_iupac(contig: Contig) -> None:
    """Turn one background base into R, 40 bases before the N gap."""
    gap = next(feature for feature in contig.features if feature.kind == "gap")
    before = max(feature.end for feature in contig.features if feature.end <= gap.start)
    contig.bases[(before + gap.start) // 2] = IUPAC_CODE
