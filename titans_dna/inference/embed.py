"""Pooled embeddings of regions, each read with the memory of its whole contig before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from titans_dna.genome.interval import Interval
from titans_dna.inference.intervals import IntervalSums
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.strand import Strand
from titans_dna.inference.streaming import stream_bases


def embed_contig_regions(
    model: SequenceModel,
    sequence: bytes,
    regions: Sequence[Interval],
    *,
    strands: Sequence[bool] = (False,),
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Return the mean of the final features over the known bases of each region.

    Parameters
    ----------
    model
        Model and tokenizer.
    sequence
        The whole contig; it is streamed once per strand.
    regions
        On this contig, 0-based half-open, in any order; overlaps cost nothing.
    strands
        Strands to average: False reads forward, True the reverse complement.
    progress
        Called with the number of bases read since the last call.

    Returns
    -------
    numpy.ndarray
        (regions, width) float32; nan where a region holds no known base.
    """
    total = np.zeros((len(regions), model.backbone.config.width))
    for reverse in strands:
        strand = Strand.of(sequence, model.tokenizer, reverse=reverse)
        spans = np.array([strand.span(r.start, r.end) for r in regions])
        pooled = IntervalSums(spans[:, 0], spans[:, 1], total.shape[1])
        for piece in stream_bases(model.backbone, strand.ids, model.bos, hidden=True, new_bases=strand.new_bases):
            assert piece.hidden is not None
            values = piece.hidden.float().cpu().numpy()
            pooled.add(piece.read_start, np.where(np.isfinite(piece.surprise)[:, None], values, np.nan))
            if progress:
                progress(len(values))
        sums, counts = pooled.results()
        with np.errstate(invalid="ignore", divide="ignore"):
            total += sums / counts[:, None]
    return (total / len(strands)).astype(np.float32)
