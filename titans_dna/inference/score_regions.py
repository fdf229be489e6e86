"""Scores regions by likelihood and surprise, each read with the memory of all that stands before it on its contig."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from titans_dna.genome.interval import Interval
from titans_dna.inference.branches import Checkpoint
from titans_dna.inference.depth import DepthTrace, trace_memories
from titans_dna.inference.intervals import IntervalSums
from titans_dna.inference.model import SequenceModel, require_single_bases
from titans_dna.inference.strand import Strand
from titans_dna.inference.streaming import Piece, stream_bases
from titans_dna.inference.vote_variants import block_votes
from titans_dna.inference.windows import WindowedStrand
from titans_dna.model.backbone import Backbone
from titans_dna.model.device import one_thread
from titans_dna.recall.vote import BLOCK, NONE
from titans_dna.tokenizers import base_ids


@dataclass(frozen=True, kw_only=True)
class RegionScore:
    """Scores of one region; nan where no base of it is known."""

    bases: int  # known bases
    log_likelihood: float  # sum of ln P, in nats
    bits_per_base: float
    memory_surprise: float  # mean loss of the memories at the region's known bases, before they learn from them
    entropy_bits: float  # mean entropy of the model's predictions of the region's known bases
    bits_without_relatives: float = math.nan  # bits per base where no relative is in the copy memory

    @classmethod
    def of(
        cls, *, bases: int, log_likelihood: float, entropy_bits: float, reads: int, losses: float,
        alone: float = math.nan,
    ) -> RegionScore:  # fmt: skip
        """Return the score from sums over ``bases`` that were predicted and ``reads`` that were read; nan for none.

        ``alone`` is the log-likelihood where no relative is in the copy memory.
        """
        predicted = bases or math.nan
        return cls(
            bases=int(bases),
            log_likelihood=float(log_likelihood) if bases else math.nan,
            bits_per_base=float(-log_likelihood / predicted / math.log(2)),
            memory_surprise=float(losses / (reads or math.nan)),
            entropy_bits=float(entropy_bits / predicted),
            bits_without_relatives=math.nan if math.isnan(alone) else float(-alone / predicted / math.log(2)),
        )


def track_kinds(model: Backbone) -> tuple[str, ...]:
    """Return the names of all tracks; only layers that have a memory have tracks of their own."""
    layers = [layer + 1 for layer in DepthTrace(model).layers]
    deep = [f"{kind}_layer{layer}" for kind in ("surprise", "forgetting") for layer in layers]
    return ("log_likelihood", "entropy_bits", "surprise", *deep)


RELATIVES_KINDS = ("relatives", "relatives_with_base", "bits_saved")  # tracks of a model that has relatives


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


class WindowedRegions:
    """Regions of a contig, read in blocks (`windows`): what each block gives, and what comes of them all.

    Parameters
    ----------
    model
        With one token per base.
    sequence
        The whole contig.
    regions
        On this contig, 0-based half-open, in any order.
    window_bp
        Bases that the network reads before a block.
    tracks
        Arrays (bases,) by kind (`track_kinds`, `RELATIVES_KINDS`) that are filled in place; if there are any, every
        block is read.

    Raises
    ------
    ConfigError
        If the model reads tokens of several bases, or its copy memory forgets.
    """

    def __init__(
        self, model: SequenceModel, sequence: bytes, regions: Sequence[Interval], *, window_bp: int,
        tracks: Mapping[str, np.ndarray],
    ) -> None:  # fmt: skip
        require_single_bases(model, "windows")
        self.model, self.sequence, self.tracks = model, sequence, tracks
        self.strand = WindowedStrand(model, sequence, reverse=False, window_bp=window_bp)
        starts, ends = np.array([r.start for r in regions], int), np.array([r.end for r in regions], int)
        everything = (np.zeros(1, int), np.full(1, len(sequence)))
        self.blocks = self.strand.blocks(*(everything if tracks else (starts, ends)))
        self.sums, self.reads = IntervalSums(starts, ends, 3), IntervalSums(starts, ends, 1)
        self.strand.remember(self.strand.span(self.blocks[-1])[1] if self.blocks else 0)
        plain = ("log_likelihood", "entropy_bits", "surprise")
        self.kinds = (*plain, *(k for k in tracks if k not in (*plain, *RELATIVES_KINDS)))

    def read(self, number: int) -> np.ndarray:
        """Return the values of a block's bases, (kinds + 1, bases) float32; the last row is ln P without relatives.

        They depend on the contig and on what was read before it alone.
        """
        block = self.blocks[number]
        start, end = self.strand.span(block)
        with one_thread():
            values = self._stream(block, self.kinds, alone=False)
            alone = np.full((1, end - start), np.nan, np.float32)
            if self.model.relatives is not None:
                alone = self._stream(block, ("log_likelihood",), alone=True)
        return np.concatenate([values, alone])

    def _stream(self, block: int, kinds: Sequence[str], *, alone: bool) -> np.ndarray:
        start, end = self.strand.span(block)
        position, state = self.strand.begin(block, alone=alone)
        first = max(0, position - 1)  # the base that the first input is
        found = {kind: np.full(end - first, np.nan, np.float32) for kind in kinds}
        reading = _RegionSums([], found)
        with ExitStack() as stack:
            deep = any("_layer" in kind for kind in kinds)
            trace = stack.enter_context(trace_memories(self.model.backbone)) if deep else None
            for piece in stream_bases(
                self.model.backbone, self.strand.strand.ids[:end], self.model.bos, distributions=True,
                position=position, state=state,
            ):  # fmt: skip
                here = replace(piece, start=piece.start - first, read_start=piece.read_start - first)
                reading.add(here, trace.take() if trace else {})
        return np.stack([found[kind][start - first :] for kind in kinds])

    def add(self, number: int, values: np.ndarray) -> None:
        """Take in what ``read`` returned for a block; in the order of the blocks."""
        start, end = self.strand.span(self.blocks[number])
        by_kind = dict(zip(self.kinds, values, strict=False))
        log_p, entropy, alone = by_kind["log_likelihood"], by_kind["entropy_bits"], values[-1]
        # A sum leaves rows with a nan out, and without relatives there is no other likelihood.
        other = alone if self.model.relatives is not None else np.zeros_like(log_p)
        self.sums.add(start, np.stack([log_p, entropy, other], 1))
        self.reads.add(start, by_kind["surprise"][:, None])
        by_kind["bits_saved"] = (log_p - alone) / math.log(2)
        for kind, track in self.tracks.items():
            if kind in by_kind:
                track[start:end] = by_kind[kind]

    @property
    def vote_blocks(self) -> range:
        """Blocks of votes that the tracks need."""
        return range(-(-len(self.sequence) // BLOCK) if "relatives" in self.tracks else 0)

    def vote(self, block: int) -> np.ndarray:
        """Return how many relatives follow at the bases of a block of votes, and how many have the base; (2, bases)."""
        assert self.model.relatives is not None
        said = block_votes(self.model.relatives, self.sequence, block)
        bases = base_ids(self.sequence[block * BLOCK : block * BLOCK + len(said)])
        followed = said != NONE
        return np.stack([followed.sum(1), (followed & (said == bases[:, None])).sum(1)]).astype(np.float32)

    def add_votes(self, block: int, values: np.ndarray) -> None:
        """Take in what ``vote`` returned for a block."""
        span = slice(block * BLOCK, block * BLOCK + values.shape[1])
        self.tracks["relatives"][span], self.tracks["relatives_with_base"][span] = values

    def scores(self) -> list[RegionScore]:
        """Return the scores of the regions; all of their blocks must have been added."""
        _flush(self.tracks)
        sums, counts = self.sums.results()
        losses, reads = self.reads.results()
        known = self.model.relatives is not None
        return [
            RegionScore.of(
                bases=n, log_likelihood=total, entropy_bits=entropy, reads=m, losses=loss,
                alone=alone if known else math.nan,
            )
            for (total, entropy, alone), n, loss, m in zip(sums, counts, losses[:, 0], reads, strict=True)
        ]  # fmt: skip


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
        _flush(self.tracks)


def _flush(tracks: Mapping[str, np.ndarray]) -> None:
    """Write to the disk what lies there."""
    for track in tracks.values():
        base = track.base if isinstance(track.base, np.memmap) else track
        if isinstance(base, np.memmap):
            base.flush()


def _by_base(values: np.ndarray, piece: Piece, bases: int) -> np.ndarray:
    """Return one value per base from values of the tokens that were read."""
    if piece.read_bases is None:
        return values[len(values) - bases :]
    return np.repeat(values[len(values) - len(piece.read_bases) :], piece.read_bases)
