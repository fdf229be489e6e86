"""Sequences and regions read by a model: likelihoods, vectors, scores and effects, by what the command line calls."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_dna.api.frames import frame_of_file, require_pandas
from titans_dna.api.regions import iterate_regions
from titans_dna.errors import ContigUnknown, FormatError
from titans_dna.genome.alphabet import reverse_complement
from titans_dna.genome.interval import Interval
from titans_dna.genome.shard import WHOLE
from titans_dna.inference.embed import EmbedOptions
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.mutagenesis import BASES, RegionEffects, mutate_region
from titans_dna.inference.placing import PlacedRegion, tiled
from titans_dna.inference.read_embeddings import embed_reads
from titans_dna.inference.score_regions import score_contig_regions
from titans_dna.inference.windows import WHOLE_CONTIG, Context
from titans_dna.io.embeddings.reader import open_embeddings
from titans_dna.io.sequence.bam import Read
from titans_dna.io.sequence.fasta import Genome
from titans_dna.jobs.embeddings import Storage, embedding_attributes, plan_embeddings, write_embeddings
from titans_dna.jobs.regions import RegionOutputs, score_region_file

if TYPE_CHECKING:
    import pandas as pd

Vectors = np.ndarray | list[np.ndarray]


def base_likelihoods(model: SequenceModel, sequence: bytes, strands: Sequence[bool]) -> np.ndarray:
    """Return ln P of every base of a sequence, (bases,) float32, averaged over strands; nan where it is unknown."""
    found = []
    for reverse in strands:
        values = np.full(len(sequence), np.nan, np.float32)
        read = reverse_complement(sequence) if reverse else sequence
        if read:
            score_contig_regions(model, read, [], tracks={"log_likelihood": values})
        found.append(values[::-1] if reverse else values)
    return found[0].copy() if len(found) == 1 else np.mean(found, axis=0)


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
    model: SequenceModel, genome: Genome, given: Any, options: EmbedOptions, windows: tuple[int | None, int | None]
) -> tuple[Vectors, list[str]]:
    """Return the vectors of regions of a genome, and what became of each."""
    window_bp, stride_bp = windows
    placed: Iterator[PlacedRegion] = iterate_regions(genome.contigs, given)
    if window_bp is not None:
        placed = tiled(placed, window_bp, window_bp if stride_bp is None else stride_bp)
    plan = plan_embeddings(placed, genome.contigs.lengths, options)
    attributes = embedding_attributes(model, plan, WHOLE)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "embeddings.h5"
        write_embeddings(output, model, genome, plan, attributes, Storage())
        with open_embeddings(output) as embeddings:
            counts = embeddings.counts()
            found = _divided(embeddings.vectors(), None if counts is None else counts.tolist())
            return found, embeddings.outcomes()


def _divided(vectors: np.ndarray, counts: Sequence[int] | None) -> Vectors:
    """Return a matrix as it is, or divided into one for each input where inputs have a vector for every base."""
    if counts is None:
        return vectors
    return [vectors[first:last] for first, last in pairwise(np.cumsum([0, *counts]).tolist())]


def score_regions(
    model: SequenceModel, genome: Genome, given: Any, context: Context = WHOLE_CONTIG, workers: int = 1
) -> pd.DataFrame:
    """Score regions as ``titans-dna score-regions`` does, into a frame (see `titans_dna.api.model.Model`)."""
    placed = list(iterate_regions(genome.contigs, given))
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "regions.h5"
        score_region_file(model, genome, placed, RegionOutputs(table=output), context=context, workers=workers)
        return frame_of_file(output)


def mutate(model: SequenceModel, genome: Genome | None, given: Any, horizon_bp: int) -> pd.DataFrame:
    """Score the changes of regions as ``titans-dna mutagenesis`` does; of sequences where there is no genome."""
    if genome is None:
        pairs = [(bases, Interval(f"sequence{number}", 0, len(bases))) for number, bases in enumerate(given)]
        found = [mutate_region(model, bases, region, horizon_bp=horizon_bp) for bases, region in pairs if bases]
    else:
        placed = [_usable(genome, region) for region in iterate_regions(genome.contigs, given)]
        found = [mutate_region(model, genome.sequence(r.contig), r, horizon_bp=horizon_bp) for r in placed]
    columns: dict[str, list[Any]] = {name: [] for name in _EFFECT_COLUMNS}
    for effects in found:
        for name, values in _effect_columns(effects).items():
            columns[name] += values
    return require_pandas().DataFrame(columns)


_EFFECT_COLUMNS = ("contig", "position", "ref", "alt", "llr", "llr_forward", "llr_reverse", "outcome")


def _effect_columns(effects: RegionEffects) -> dict[str, list[Any]]:
    """Return the effects as rows: a base, and what it is changed to."""
    letters = np.frombuffer(effects.reference, np.uint8)
    base, change = np.nonzero(letters[:, None] != np.frombuffer(BASES, np.uint8)[None])
    strands = effects.strands[base, change]
    known = np.isfinite(strands).all(1)
    return {
        "contig": [effects.region.contig] * len(base),
        "position": (effects.region.start + 1 + base).tolist(),
        "ref": [chr(letter) for letter in letters[base]],
        "alt": [chr(BASES[column]) for column in change],
        "llr": effects.mean[base, change].tolist(),
        "llr_forward": strands[:, 0].tolist(),
        "llr_reverse": strands[:, 1].tolist(),
        "outcome": np.where(known, "scored", "reference_n").tolist(),
    }


def _usable(genome: Genome, region: PlacedRegion) -> Interval:
    """Return where a region lies.

    Raises
    ------
    ContigUnknown, FormatError
        If it is not on the genome.
    """
    if region.usable:
        return region.placed
    if region.outcome == "contig_unknown":
        raise ContigUnknown(
            f"no contig of {genome.path.name} has the name or alias {region.asked.contig!r}; it has "
            f"{', '.join(genome.contigs.names[:5])}. Check the genome."
        )
    what = region.asked.name if region.outcome == "malformed" else f"{region.asked} is {region.outcome}"
    raise FormatError(f"{what}. Give a region that lies on {genome.path.name}.")
