"""Scores regions by likelihood and surprise, each read with the memory of all that stands before it on its contig."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from titans_dna.genome.interval import Interval
from titans_dna.inference.branches import Checkpoint
from titans_dna.inference.depth import DepthTrace, trace_memories
from titans_dna.inference.intervals import IntervalSums
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.strand import Strand
from titans_dna.inference.streaming import Piece, stream_bases
from titans_dna.model.backbone import Backbone


@dataclass(frozen=True, kw_only=True)
class RegionScore:
    """Scores of one region; nan where no base of it is known."""

    bases: int  # known bases
    log_likelihood: float  # sum of ln P, in nats
    bits_per_base: float
    memory_surprise: float  # mean loss of the memories at the region's known bases, before they learn from them
    entropy_bits: float  # mean entropy of the model's predictions of the region's known bases

    @classmethod
    def of(cls, *, bases: int, log_likelihood: float, entropy_bits: float, reads: int, losses: float) -> RegionScore:
        """Return the score from sums over ``bases`` that were predicted and ``reads`` that were read; nan for none."""
        predicted = bases or math.nan
        return cls(
            bases=int(bases),
            log_likelihood=float(log_likelihood) if bases else math.nan,
            bits_per_base=float(-log_likelihood / predicted / math.log(2)),
            memory_surprise=float(losses / (reads or math.nan)),
            entropy_bits=float(entropy_bits / predicted),
        )


def track_kinds(model: Backbone) -> tuple[str, ...]:
    """Return the names of all tracks; only layers that have a memory have tracks of their own."""
    layers = [layer + 1 for layer in DepthTrace(model).layers]
    deep = [f"{kind}_layer{layer}" for kind in ("surprise", "forgetting") for layer in layers]
    return ("log_likelihood", "entropy_bits", "surprise", *deep)


def score_contig_regions(
    model: SequenceModel,
    sequence: bytes,
    regions: Sequence[Interval],
    *,
    tracks: Mapping[str, np.ndarray] | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[RegionScore]:
    """Stream a contig once, forward, and score regions on it.

    Parameters
    ----------
    model
        Model and tokenizer.
    sequence
        The whole contig.
    regions
        Regions on this contig, 0-based half-open, in any order; overlaps cost nothing.
    tracks
        Arrays (bases,) by kind (see `track_kinds`), filled in place; nan where a value is not known.
    checkpoint
        Saves the work, so that a later call can go on; ``tracks`` must then be arrays on disk.
    progress
        Called with the number of bases read since the last call.
    """
    reading = _RegionSums(regions, dict(tracks or {}))
    strand = Strand.of(sequence, model.tokenizer, reverse=False)
    position, state = 0, None
    if checkpoint and (saved := checkpoint.load()):
        position, state, arrays = saved
        reading.restore(arrays)
        progress(max(0, position - 1))
    with ExitStack() as stack:
        deep = any("_layer" in kind for kind in reading.tracks)
        trace = stack.enter_context(trace_memories(model.backbone)) if deep else None
        pieces = stream_bases(
            model.backbone, strand.ids, model.bos, distributions=True, position=position, state=state,
            new_bases=strand.new_bases,
        )  # fmt: skip
        for piece in pieces:
            reading.add(piece, trace.take() if trace else {})
            progress(len(piece.surprise))
            if checkpoint and checkpoint.due():
                # Tracks first: the saved state counts these bases as done, and a later call does not write them again.
                reading.flush()
                checkpoint.save(piece.next_input, piece.state, reading.arrays())
    reading.flush()
    return reading.scores()


class _RegionSums:
    """Sums over regions and tracks along the contig, fed piece by piece."""

    def __init__(self, regions: Sequence[Interval], tracks: dict[str, np.ndarray]) -> None:
        starts, ends = np.array([r.start for r in regions], int), np.array([r.end for r in regions], int)
        # Two sums, because a piece predicts other bases than it reads: a base is predicted one input before it is read.
        self.predicted, self.read = IntervalSums(starts, ends, 2), IntervalSums(starts, ends, 1)
        self.tracks = tracks

    def add(self, piece: Piece, deep: Mapping[str, np.ndarray]) -> None:
        assert piece.entropy_bits is not None
        entropy = piece.entropy_bits
        self.predicted.add(piece.start, np.stack([piece.log_probabilities, entropy], 1))
        self.read.add(piece.read_start, piece.surprise[:, None])
        here = slice(piece.start, piece.start + len(entropy))
        there = slice(piece.read_start, piece.read_start + len(piece.surprise))
        gap = np.isnan(piece.surprise)
        for kind, track in self.tracks.items():
            if kind == "log_likelihood":
                track[here] = piece.log_probabilities
            elif kind == "entropy_bits":
                track[here] = entropy
            elif kind == "surprise":
                track[there] = piece.surprise
            else:  # a layer's trace has the start token too, which is no base
                track[there] = np.where(gap, np.nan, _by_base(deep[kind], piece, len(gap)))

    def scores(self) -> list[RegionScore]:
        sums, counts = self.predicted.results()
        losses, reads = self.read.results()
        return [
            RegionScore.of(bases=n, log_likelihood=total, entropy_bits=entropy, reads=m, losses=loss)
            for (total, entropy), n, loss, m in zip(sums, counts, losses[:, 0], reads, strict=True)
        ]

    def arrays(self) -> dict[str, np.ndarray]:
        predicted, read = self.predicted.partial(), self.read.partial()
        return {"sums": predicted[0], "counts": predicted[1], "losses": read[0], "reads": read[1]}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.predicted.restore(arrays["sums"], arrays["counts"])
        self.read.restore(arrays["losses"], arrays["reads"])

    def flush(self) -> None:
        for track in self.tracks.values():
            base = track.base if isinstance(track.base, np.memmap) else track
            if isinstance(base, np.memmap):
                base.flush()


def _by_base(values: np.ndarray, piece: Piece, bases: int) -> np.ndarray:
    """Return one value per base from values of the tokens that were read."""
    if piece.read_bases is None:
        return values[len(values) - bases :]
    return np.repeat(values[len(values) - len(piece.read_bases) :], piece.read_bases)
