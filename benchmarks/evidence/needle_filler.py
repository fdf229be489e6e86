"""What needles are planted in: random bases, and a real genome whose contigs are joined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from needle_task import BASES, Ids, draw_bases

from titans_dna.io.sequence.fasta import open_fasta
from titans_dna.tokenizers import NucleotideTokenizer

HELD_OUT = ("IV", "XV")  # contigs of yeast that no training sees: 2,623,224 bases


class Filler:
    """Rows of bases without end: the last ``real`` ones walk along ``genome`` from random places, and around."""

    def __init__(self, rng: np.random.Generator, rows: int, genome: Ids, real: int = 0) -> None:
        self._rng, self._random, self._genome = rng, rows - real, genome
        self._places = rng.integers(0, len(genome), real) if real else np.empty(0, int)

    def read(self, bases: int) -> Ids:
        """Return the next bases of every row, (rows, bases)."""
        drawn = draw_bases(self._rng, self._random * bases).reshape(self._random, bases)
        walked = [self._genome.take(np.arange(place, place + bases), mode="wrap") for place in self._places]
        self._places = self._places + bases
        return np.stack([*drawn, *walked])


def read_genome(fasta: Path, held_out: tuple[str, ...] = HELD_OUT) -> tuple[Ids, Ids]:
    """Return the joined contigs for training and those held out; whatever is no base is left out."""
    tokenizer, parts = NucleotideTokenizer(), ([], [])
    with open_fasta(fasta) as source:
        aside = [source.contigs.require(name) for name in held_out]
        for contig in source.contigs.names:
            ids = tokenizer.encode(source.sequence(contig))
            parts[contig in aside].append(ids[ids < BASES])
    learned, kept = (np.concatenate(part) for part in parts)
    return learned, kept
