"""Scores and embeds reads and other short sequences, each from a fresh memory, and many of them side by side.

A shorter sequence of a batch is filled up at its end, which a causal model cannot see from before. Sequences that are
too long for a batch are streamed one by one.

To be embedded, with any pooling, layers and strand, the reads of a block are joined to one sequence, and embedded as
regions of it, each by itself. A read therefore has the same vector as a contig that consists of it. A read whose record
has no sequence has an outcome, but no vector.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from titans_dna.genome.interval import Interval
from titans_dna.inference.embed import EmbedOptions, embed_contig_regions
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.pooling import have_vectors
from titans_dna.inference.region_sums import RegionScore
from titans_dna.inference.strand import Strand, read_side_by_side
from titans_dna.inference.streaming import PIECE_TOKENS, stream_bases
from titans_dna.io.embeddings.writer import EMBEDDED
from titans_dna.io.sequence.bam import Read

BATCH_TOKENS = 8192  # most tokens of sequences that are read side by side, padding included
BLOCK_SEQUENCES = 2048  # sequences that are sorted by length together
BLOCK_BP = 1 << 17  # most bases of the reads that are embedded together; a longer read makes a block of its own


def score_sequences(model: SequenceModel, sequences: Iterable[bytes]) -> Iterator[RegionScore]:
    """Yield the score of each sequence, in their order.

    Parameters
    ----------
    model
        Model and tokenizer.
    sequences
        Bases, upper or lower case; they are taken in blocks, so there may be any number of sequences.
    """
    iterator = iter(sequences)
    while block := list(islice(iterator, BLOCK_SEQUENCES)):
        strands = [Strand.of(sequence, model.tokenizer, reverse=False) for sequence in block]
        found: list[RegionScore | None] = [None] * len(block)
        for group in _batches([len(strand.ids) for strand in strands]):
            members = [strands[index] for index in group]
            single = len(members[0].ids) > PIECE_TOKENS
            scores = [_stream(model, members[0])] if single else _side_by_side(model, members)
            for index, score in zip(group, scores, strict=True):
                found[index] = score
        yield from (score for score in found if score is not None)


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers of sequences of similar length to read together; a long sequence comes alone."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if group and (lengths[index] > PIECE_TOKENS or (len(group) + 1) * (lengths[index] + 1) > BATCH_TOKENS):
            yield group
            group = []
        group.append(index)
    if group:
        yield group


@torch.inference_mode()
def _side_by_side(model: SequenceModel, strands: Sequence[Strand]) -> list[RegionScore]:
    """Read short sequences as one batch."""
    ids, out = read_side_by_side(model, strands)
    wanted = ids[:, 1:]
    known = wanted < model.backbone.config.targets
    log_p = out.logits[:, :-1].log_softmax(-1)
    picked = log_p.gather(-1, wanted.where(known, 0).unsqueeze(-1)).squeeze(-1).double().cpu().numpy()
    entropy = -(log_p.exp() * log_p).sum(-1).double().cpu().numpy() / math.log(2)
    surprise = out.surprise[:, 1:].double().cpu().numpy()
    scores = []
    for row, strand in enumerate(strands):
        size = len(strand.ids)
        counts = np.ones(size) if strand.new_bases is None else strand.new_bases.astype(float)
        counts *= strand.ids[:] < model.backbone.config.targets
        total = float((picked[row, :size] * (counts > 0)).sum())
        given = float((entropy[row, :size] * (counts > 0)).sum())
        bases, losses = counts.sum(), surprise[row, :size] @ counts
        scores.append(RegionScore.of(bases=bases, log_likelihood=total, entropy_bits=given, reads=bases, losses=losses))
    return scores


def _stream(model: SequenceModel, strand: Strand) -> RegionScore:
    """Read one long sequence, piece by piece."""
    total, entropy, losses, bases = 0.0, 0.0, 0.0, 0
    for piece in stream_bases(model.backbone, strand.ids, model.bos, distributions=True, new_bases=strand.new_bases):
        assert piece.entropy_bits is not None
        entropy += float(np.nansum(piece.entropy_bits))
        total += float(np.nansum(piece.log_probabilities, dtype=np.float64))
        known = np.isfinite(piece.surprise)
        losses += float(piece.surprise[known].sum(dtype=np.float64))
        bases += int(known.sum())
    return RegionScore.of(bases=bases, log_likelihood=total, entropy_bits=entropy, reads=bases, losses=losses)


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
