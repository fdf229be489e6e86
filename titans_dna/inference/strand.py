"""Strands of a contig as ids, and coordinates on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titans_dna.genome.alphabet import reverse_complement
from titans_dna.tokenizers.base import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Strand:
    """One strand of a contig, read 5' to 3'; its base i is base ``length_bp - 1 - i`` of the contig if ``reverse``."""

    ids: np.ndarray  # one per base
    reverse: bool

    @classmethod
    def of(cls, sequence: bytes, tokenizer: Tokenizer, *, reverse: bool) -> Strand:
        """Return the strand of a contig's sequence."""
        read = reverse_complement(sequence) if reverse else sequence
        return cls(ids=tokenizer.encode(read), reverse=reverse)

    @property
    def length_bp(self) -> int:
        """Bases of the contig."""
        return len(self.ids)

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return a half-open span of the contig in the strand's own coordinates (the map is its own inverse)."""
        return (self.length_bp - end, self.length_bp - start) if self.reverse else (start, end)

    def allele(self, bases: bytes) -> bytes:
        """Return an allele as it is read on this strand."""
        return reverse_complement(bases) if self.reverse else bases
