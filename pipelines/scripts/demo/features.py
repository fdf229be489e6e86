"""What is planted, and the pieces of sequence it is planted in.

Bases are numpy arrays of codes: A=0 C=1 G=2 T=3, N=4, R=5 (the one IUPAC code of the demo).
"""

from dataclasses import dataclass, field, replace

import numpy as np

LETTERS = b"ACGTNR"
COMPLEMENT = np.array([3, 2, 1, 0, 4, 5], dtype=np.uint8)


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A planted element, in bases of its piece or of its contig."""

    kind: str  # gene, exon, intron, start_codon, stop_codon, promoter, box, donor, acceptor, tandem, dispersed, gap
    start: int  # 0-based
    end: int  # half-open
    strand: str = "+"  # "+" or "-"
    name: str  # unique for genes and arrays; "family:copy" for dispersed repeats
    core: tuple[int, ...] = ()  # 0-based bases of the element that are the same in every copy

    def shifted(self, offset: int) -> "Feature":
        """Move the feature by `offset` bases."""
        core = tuple(base + offset for base in self.core)
        return replace(self, start=self.start + offset, end=self.end + offset, core=core)

    def mirrored(self, width_bp: int) -> "Feature":
        """Return the feature as it lies on the other strand of a piece of `width_bp` bases."""
        core = tuple(sorted(width_bp - 1 - base for base in self.core))
        strand = "-" if self.strand == "+" else "+"
        return replace(self, start=width_bp - self.end, end=width_bp - self.start, strand=strand, core=core)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of sequence with its features."""

    bases: np.ndarray  # uint8 codes
    features: tuple[Feature, ...] = ()  # coordinates relative to the piece
    masked: bool = False  # written in lower case

    def mirrored(self) -> "Piece":
        """Return the reverse complement, features included."""
        width_bp = len(self.bases)
        features = tuple(feature.mirrored(width_bp) for feature in self.features)
        return replace(self, bases=COMPLEMENT[self.bases[::-1]], features=features)


@dataclass(kw_only=True)
class Contig:
    """A finished contig of the demo genome."""

    name: str
    bases: np.ndarray  # uint8 codes
    masked: np.ndarray  # bool, True where lower case
    features: list[Feature] = field(default_factory=list)  # 0-based half-open on the contig

    def text(self) -> bytes:
        """Return the sequence as ASCII, soft-masked in lower case."""
        letters = np.frombuffer(LETTERS, dtype=np.uint8)[self.bases]
        return np.where(self.masked, letters | 0x20, letters).astype(np.uint8).tobytes()


def codes(text: str) -> np.ndarray:
    """Turn a string of A, C, G, T into codes."""
    return np.array(["ACGT".index(letter) for letter in text], dtype=np.uint8)
