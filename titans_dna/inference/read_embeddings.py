"""Embeds reads, each as a sequence of its own that is read from a fresh memory, with any pooling, layers and strand.

The reads of a block are joined to one sequence, and embedded as regions of it, each by itself. A read therefore has the
same vector as a contig that consists of it. A read whose record has no sequence has an outcome, but no vector.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from titans_dna.genome.interval import Interval
from titans_dna.inference.embed import EmbedOptions, embed_contig_regions
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.pooling import have_vectors
from titans_dna.io.embeddings.writer import EMBEDDED
from titans_dna.io.sequence.bam import Read

BLOCK_BP = 1 << 17  # most bases of the reads that are in memory together; a longer read makes a block of its own
BATCH_TOKENS = 8192  # most tokens of reads that are read side by side, padding included


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadBlock:
    """Some reads and their vectors."""

    reads: list[Read]
    vectors: np.ndarray  # (reads, numbers) float32; (bases, numbers) for a pooling of none; nan where none is known
    counts: np.ndarray | None  # number of vectors of each read; None for one each
    outcomes: list[str]  # "embedded", "reference_n" where no base is known, "empty" where the record has no sequence

    @property
    def intervals(self) -> list[Interval]:
        """Where the reads are aligned; each interval has the name of its read."""
        return [Interval(read.contig, read.start, read.end, read.strand, read.name) for read in self.reads]


def embed_reads(model: SequenceModel, reads: Iterable[Read], options: EmbedOptions) -> Iterator[ReadBlock]:
    """Yield reads with their vectors, in their order.

    Parameters
    ----------
    model
        Model and tokenizer.
    reads
        Reads in the direction in which they are to be read; they are taken in blocks, so there may be any number.
    options
        How the vectors are made. Strands are those of each read as given, and the context must be "region".
    """
    for block in _blocks(reads):
        yield _embed(model, block, options)


def _blocks(reads: Iterable[Read]) -> Iterator[list[Read]]:
    block: list[Read] = []
    bases = 0
    for read in reads:
        size = max(1, len(read.sequence))
        if block and bases + size > BLOCK_BP:
            yield block
            block, bases = [], 0
        block.append(read)
        bases += size
    if block:
        yield block


def _embed(model: SequenceModel, reads: Sequence[Read], options: EmbedOptions) -> ReadBlock:
    assert options.context.kind == "region", "a read has no contig before it"
    lengths = np.array([len(read.sequence) for read in reads])
    ends = np.cumsum(lengths)
    used = lengths > 0
    regions = [
        Interval("reads", start, end)
        for start, end in zip((ends - lengths)[used].tolist(), ends[used].tolist(), strict=True)
    ]
    width = options.columns(model) * options.pooling.bins
    counts = lengths if options.pooling.ragged else None
    vectors = np.full((int(ends[-1]) if options.pooling.ragged else len(reads), width), np.nan, np.float32)
    if regions:
        joined = b"".join(read.sequence for read in reads)
        found = embed_contig_regions(model, joined, regions, options, batch_tokens=BATCH_TOKENS)
        vectors[slice(None) if options.pooling.ragged else used] = found
    known = have_vectors(vectors, counts)
    outcomes = [
        EMBEDDED if vector else "reference_n" if full else "empty" for vector, full in zip(known, used, strict=True)
    ]
    return ReadBlock(reads=list(reads), vectors=vectors, counts=counts, outcomes=outcomes)
