"""Relatives: genomes that were read into a copy memory, and which of them each place belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from titans_dna.recall.form import CHUNK, RecallForm
from titans_dna.recall.memory import GAP, CopyMemory


@dataclass(frozen=True, kw_only=True)
class ReadContig:
    """A contig that lies in a memory."""

    name: str
    genome: str  # contigs of one genome have one vote
    start: int  # position of its first base on the tape
    length_bp: int
    md5: str = ""  # of its upper-case letters, hexadecimal


@dataclass(frozen=True, kw_only=True)
class Relatives:
    """A copy memory that has read genomes, and the contigs in it in the order of the tape."""

    memory: CopyMemory
    contigs: tuple[ReadContig, ...] = ()

    @property
    def genomes(self) -> tuple[str, ...]:
        """Names of the genomes, in the order in which they were first read."""
        return tuple(dict.fromkeys(contig.genome for contig in self.contigs))

    @classmethod
    def empty(cls, form: RecallForm) -> Relatives:
        """Return a memory that has read nothing."""
        return cls(memory=CopyMemory(form))

    def read(self, name: str, genome: str, pieces: Sequence[np.ndarray], md5: str = "") -> Relatives:
        """Read one more contig into the memory; a gap stands before and behind it, and it begins at a chunk border.

        Parameters
        ----------
        name, genome
            Of the contig, and of whom it is.
        pieces
            Its bases, in order: 0 to 3, anything above for what is no base.
        md5
            Of its letters.
        """
        memory = self.memory
        memory.append(np.array([GAP], dtype=np.uint8))  # where the start token stands in a stream
        start = memory.end
        for ids in pieces:
            memory.append(ids)
        length = memory.end - start
        memory.append(np.full(-memory.end % CHUNK or CHUNK, GAP, dtype=np.uint8))
        contig = ReadContig(name=name, genome=genome, start=start, length_bp=length, md5=md5)
        return Relatives(memory=memory, contigs=(*self.contigs, contig))
