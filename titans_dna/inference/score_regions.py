"""Likelihood and surprise of regions, read with the memory of their whole contig before them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from titans_dna.genome.interval import Interval
from titans_dna.inference.intervals import IntervalSums
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.strand import Strand
from titans_dna.inference.streaming import stream_bases

TrackSink = Callable[[int, np.ndarray], None]  # (first base, values), in order along the contig


@dataclass(frozen=True, kw_only=True)
class RegionScore:
    """Scores of one region; nan where no base of it is known."""

    bases: int  # known bases
    log_likelihood: float  # sum of ln P, in nats
    bits_per_base: float
    memory_surprise: float  # mean loss of the memories at the region's bases


def score_contig_regions(
    model: SequenceModel,
    sequence: bytes,
    regions: Sequence[Interval],
    *,
    track: TrackSink | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[RegionScore]:
    """Stream a contig once, forward, and score regions on it.

    Parameters
    ----------
    model
        Model and tokenizer.
    sequence
        The whole contig.
    regions
        On this contig, 0-based half-open, in any order; overlaps cost nothing.
    track
        Gets the memory's surprise of every base.
    progress
        Called with the number of bases read since the last call.
    """
    starts, ends = np.array([r.start for r in regions]), np.array([r.end for r in regions])
    likelihood, surprise = IntervalSums(starts, ends, 1), IntervalSums(starts, ends, 1)
    strand = Strand.of(sequence, model.tokenizer, reverse=False)
    for piece in stream_bases(model.backbone, strand.ids, model.bos, new_bases=strand.new_bases):
        likelihood.add(piece.start, piece.log_probabilities[:, None])
        surprise.add(piece.read_start, piece.surprise[:, None])
        if track:
            track(piece.read_start, piece.surprise)
        if progress:
            progress(len(piece.surprise))
    sums, counts = likelihood.results()
    losses, reads = surprise.results()
    return [
        RegionScore(
            bases=int(n),
            log_likelihood=float(total) if n else math.nan,
            bits_per_base=float(-total / n / math.log(2)) if n else math.nan,
            memory_surprise=float(loss / m) if m else math.nan,
        )
        for total, n, loss, m in zip(sums[:, 0], counts, losses[:, 0], reads, strict=True)
    ]
