"""Vectors of sequences and of regions of a genome, and the outcome of each; the command line calls the same jobs."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.api.regions import is_single_region, iterate_regions, on_haplotypes
from titans_dna.api.sequences import opened, read_sequences
from titans_dna.errors import ConfigError
from titans_dna.genome.shard import WHOLE
from titans_dna.inference.embed import EmbedOptions
from titans_dna.inference.haplotype_genome import HaplotypeGenome
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.placing import CLIPPED, PlacedRegion, tiled
from titans_dna.inference.reads import embed_reads
from titans_dna.io.embeddings.reader import open_embeddings
from titans_dna.io.sequence.bam import Read
from titans_dna.io.sequence.fasta import Genome
from titans_dna.jobs.embeddings import Storage, embedding_attributes, plan_embeddings, write_embeddings

logger = logging.getLogger(__name__)

GOOD = "embedded"  # outcome of an input that has a vector
Vectors = np.ndarray | list[np.ndarray]
Windows = tuple[int | None, int | None]  # bases of a window, and from one to the next


def embed(
    model: SequenceModel, inputs: Any, fasta: Any, options: EmbedOptions, windows: Windows, workers: int = 1,
    haplotypes: Any = None,
) -> tuple[Vectors, np.ndarray | str]:  # fmt: skip
    """Return the vectors of sequences, or of regions of a genome, and their outcomes (see `Model.embed`).

    A single input has a vector and an outcome of its own, not a row of several.
    """
    if fasta is None:
        if windows[0] is not None:
            raise ConfigError("sequences have no windows; give a fasta, or leave window_bp out")
        if haplotypes is not None:
            raise ConfigError("sequences have no haplotypes; give a fasta, or leave haplotypes out")
        read, single = read_sequences(inputs)
        found, outcomes = embed_sequences(model, read, options)
    else:
        single = windows[0] is None and is_single_region(inputs) and haplotypes is None
        with opened(fasta) as genome:
            found, outcomes = embed_regions(model, genome, inputs, options, windows, workers, haplotypes)
    if clipped := outcomes.count(CLIPPED):
        logger.warning("%s of %s inputs end beyond their contig and are clipped", f"{clipped:,}", f"{len(outcomes):,}")
    bad = [outcome for outcome in outcomes if outcome not in (GOOD, CLIPPED)]
    if bad:
        reasons = ", ".join(f"{bad.count(reason):,} {reason}" for reason in dict.fromkeys(bad))
        logger.warning("%s of %s inputs have no vector: %s", f"{len(bad):,}", f"{len(outcomes):,}", reasons)
    return (found[0], outcomes[0]) if single else (found, np.array(outcomes, dtype=np.str_))


def embed_sequences(
    model: SequenceModel, sequences: Sequence[bytes], options: EmbedOptions
) -> tuple[Vectors, list[str]]:
    """Return the vectors of sequences, each read by itself, and what became of each."""
    reads = [Read(str(n), "sequence", 0, len(bases), "+", bases, 0) for n, bases in enumerate(sequences)]
    blocks = list(embed_reads(model, reads, options))
    outcomes = [outcome for block in blocks for outcome in block.outcomes]
    numbers = options.columns(model) * options.pooling.bins
    vectors = [np.zeros((0, numbers), np.float32), *(block.vectors for block in blocks)]
    counts = [len(bases) for bases in sequences] if options.pooling.ragged else None
    return _divided(np.concatenate(vectors), counts), outcomes


def embed_regions(
    model: SequenceModel,
    genome: Genome,
    given: Any,
    options: EmbedOptions,
    windows: Windows,
    workers: int,
    haplotypes: Any = None,
) -> tuple[Vectors, list[str]]:
    """Return the vectors of regions of a genome, and what became of each."""
    window_bp, stride_bp = windows
    placed: Iterable[PlacedRegion] = iterate_regions(genome.contigs, given)
    if window_bp is not None:
        placed = tiled(placed, window_bp, window_bp if stride_bp is None else stride_bp)
    if haplotypes is not None:
        genome, placed = on_haplotypes(genome, haplotypes, list(placed))
    plan = plan_embeddings(
        placed, genome.contigs.lengths, options, genome if isinstance(genome, HaplotypeGenome) else None
    )
    attributes = embedding_attributes(model, plan, WHOLE)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "embeddings.h5"
        write_embeddings(output, model, genome, plan, attributes, Storage(workers=workers))
        with open_embeddings(output) as embeddings:
            counts = embeddings.counts()
            found = _divided(embeddings.vectors(), None if counts is None else counts.tolist())
            return found, embeddings.outcomes()


def _divided(vectors: np.ndarray, counts: Sequence[int] | None) -> Vectors:
    """Return the vectors as one matrix, or as one matrix for each input if inputs have a vector for every base."""
    if counts is None:
        return vectors
    return [vectors[first:last] for first, last in pairwise(np.cumsum([0, *counts]).tolist())]
