"""Relatives: genomes that were read into a copy memory, and which of them each place belongs to.

    tape     gap | contig 1 | gap ... | gap | contig 2 | gap ... |
             ^ multiple of 64           ^ multiple of 64

Every contig begins at a chunk border behind a token that is no base, as a stream begins with its start token. So its
words are written as if it were read alone, and no word and no followed place reaches from one contig into another.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.recall.form import CHUNK, RecallForm
from titans_dna.recall.memory import GAP, CopyMemory

PIECE = 1 << 20  # tokens that are copied at once


@dataclass(frozen=True, kw_only=True)
class ReadContig:
    """A contig that lies in a memory."""

    name: str
    genome: str  # contigs of one genome have one vote
    start: int  # position of its first base on the tape
    length_bp: int
    md5: str  # of its letters as SAM's M5, hexadecimal


@dataclass(kw_only=True)
class Relatives:
    """A copy memory that has read genomes, and the contigs in it in the order of the tape."""

    memory: CopyMemory
    contigs: list[ReadContig] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._names = {(contig.genome, contig.name) for contig in self.contigs}

    @classmethod
    def empty(cls, form: RecallForm) -> Relatives:
        """Return a memory that has read nothing.

        Raises
        ------
        ConfigError
            If the form has a horizon: relatives must stay.
        """
        if form.horizon_bases:
            raise ConfigError(
                f"the model's copy memory forgets what lies {form.horizon_bases:,} bases back, so it cannot hold "
                "relatives; use a model with recall horizon_bases 0"
            )
        return cls(memory=CopyMemory(form))

    @property
    def genomes(self) -> tuple[str, ...]:
        """Names of the genomes, in the order in which they were first read."""
        return tuple(dict.fromkeys(contig.genome for contig in self.contigs))

    @property
    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each contig's bases start on the tape, and the number of its genome; (contigs,) int64 each."""
        number = {name: at for at, name in enumerate(self.genomes)}
        starts = np.array([contig.start for contig in self.contigs], dtype=np.int64)
        return starts, np.array([number[contig.genome] for contig in self.contigs], dtype=np.int64)

    @property
    def bases(self) -> int:
        """Bases of all contigs."""
        return sum(contig.length_bp for contig in self.contigs)

    @property
    def checksum(self) -> str:
        """Eight hexadecimal digits that say what was read, and as which genomes."""
        named = "".join(f"{contig.name}\t{contig.genome}\t{contig.md5}\n" for contig in self.contigs)
        return f"{zlib.crc32(named.encode()):08x}"

    def read(self, name: str, genome: str, pieces: Iterable[np.ndarray], md5: str) -> None:
        """Read one more contig into the memory.

        Parameters
        ----------
        name, genome
            Of the contig, and of whom it is.
        pieces
            Its bases in order: 0 to 3 for A, C, G and T, a higher number for any other letter.
        md5
            Of its letters.

        Raises
        ------
        ConfigError
            If the genome has a contig of that name already, or the memory is full.
        """
        if (genome, name) in self._names:
            raise ConfigError(
                f"{name} of {genome} is in the memory already; leave it out, or give the file another name"
            )
        memory = self.memory
        memory.append(np.array([GAP], dtype=np.uint8))
        start = memory.end
        for ids in pieces:
            memory.append(ids)
        length = memory.end - start
        memory.append(np.full(CHUNK - memory.end % CHUNK, GAP, dtype=np.uint8))
        self.contigs.append(ReadContig(name=name, genome=genome, start=start, length_bp=length, md5=md5))
        self._names.add((genome, name))

    def join(self, other: Relatives) -> None:
        """Read the contigs of another memory into this one; the other memory is not changed."""
        for contig in other.contigs:
            starts = range(contig.start, contig.start + contig.length_bp, PIECE)
            pieces = (other.memory.ids(at, min(at + PIECE, starts.stop)) for at in starts)
            self.read(contig.name, contig.genome, pieces, contig.md5)
