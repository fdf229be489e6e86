"""Regions and tracks of a contig, read in blocks (`windows`): what each block gives, and what comes of them all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from titans_dna.genome.bases import Bases
from titans_dna.genome.interval import Interval
from titans_dna.inference.gates import trace_memories
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.region_sums import RegionScore, RegionSums
from titans_dna.inference.score_regions import PLAIN_KINDS, fill_tracks, has_deep
from titans_dna.inference.streaming import flush, stream_bases
from titans_dna.inference.vote_variants import block_votes
from titans_dna.inference.windows import Each, WindowedStrand
from titans_dna.model.device import one_thread
from titans_dna.recall.vote import BLOCK, NONE
from titans_dna.tokenizers import base_ids

RELATIVES_KINDS = ("relatives", "relatives_with_base", "bits_saved")  # tracks of a model that has relatives
OTHERS = ("bits_without_relatives", "bits_without_stretch")  # fields of a score with less in the copy memory


class WindowedRegions:
    """A strand of a contig whose regions are read in blocks.

    Parameters
    ----------
    model
        With one token per base.
    contig, sequence
        Its name and all of its bases.
    window_bp
        Bases that the network reads before a block.
    reach_bp
        Bases from the start of the strand to the end of the last region.
    tracks
        Of the forward strand: arrays (bases,) by kind (`track_kinds`, `RELATIVES_KINDS`) that are filled in place; if
        there are any, every block is read.
    reverse
        Whether the reverse strand is read.
    without
        Stretches of the contig, 0-based half-open, that the copy memory does not hold when bits are read a second
        time; None if they are not read a second time.

    Raises
    ------
    ConfigError
        If the model reads tokens of several bases, or its copy memory forgets.
    """

    def __init__(
        self, model: SequenceModel, contig: str, sequence: Bases, *, window_bp: int, reach_bp: int,
        tracks: Mapping[str, np.ndarray], reverse: bool = False, without: Sequence[tuple[int, int]] | None = None,
    ) -> None:  # fmt: skip
        assert not (reverse and tracks), "tracks run along the forward strand"
        self.model, self.contig, self.sequence, self.tracks = model, contig, sequence, tracks
        self.strand = WindowedStrand(model, sequence, reverse=reverse, window_bp=window_bp)
        left_out = [self.strand.strand.span(*stretch) for stretch in without or ()]
        self.strand.remember_to(len(sequence) if tracks else reach_bp, without=left_out)
        self.kinds = (*PLAIN_KINDS, *(k for k in tracks if k not in (*PLAIN_KINDS, *RELATIVES_KINDS)))
        self.others = other_bits(model, without is not None)

    def reads(self, contig: str, reverse: bool) -> bool:
        """Tell whether this is that strand of that contig."""
        return (self.contig, self.strand.strand.reverse) == (contig, reverse)

    def score(
        self, regions: Sequence[Interval], span: tuple[int, int], each: Each, progress: Callable[[int], None]
    ) -> list[RegionScore]:
        """Return the scores of regions, and fill the tracks of a span of the contig.

        Parameters
        ----------
        regions
            On this contig, 0-based half-open.
        span
            Bases whose tracks are filled, half-open.
        each
            Applies a function to every number and yields the results in order, as ``map`` does.
        progress
            Called with the number of bases read since the last call.
        """
        regions = self.strand.strand.intervals(regions)
        sums, blocks = RegionSums(regions, self.others), self.blocks(regions, *span)
        for block, values in zip(blocks, each(self.read, blocks), strict=True):
            self._add(sums, block, values, span)
            progress(values.shape[1])
        if "relatives" in self.tracks:
            votes = range(span[0] // BLOCK, -(-span[1] // BLOCK))
            for block, values in zip(votes, each(self._vote, votes), strict=True):
                for kind, track in zip(("relatives", "relatives_with_base"), values, strict=True):
                    _fill(self.tracks[kind], block * BLOCK, track, span)
        flush(*self.tracks.values())
        return sums.scores()

    def blocks(self, regions: Sequence[Interval], start: int, end: int) -> list[int]:
        """Return the blocks that regions of the strand touch and, for tracks, those in bases ``start`` to ``end``."""
        starts, ends = np.array([r.start for r in regions], int), np.array([r.end for r in regions], int)
        size = self.strand.block_tokens
        own = range(start // size, -(-min(end, len(self.sequence)) // size)) if self.tracks else ()
        return sorted({*self.strand.blocks(starts, ends), *own})

    def read(self, block: int) -> np.ndarray:
        """Return the values of a block's bases, (kinds + others, bases) float32: ln P with less in the memory last.

        They depend on the contig and on what was read before it alone.
        """
        with one_thread():
            values = self._stream(block, self.kinds)
            for other in self.others:
                less = {"alone": other == OTHERS[0], "without": other == OTHERS[1]}
                values = np.concatenate([values, self._stream(block, PLAIN_KINDS[:1], **less)])
        return values

    def _stream(self, block: int, kinds: Sequence[str], *, alone: bool = False, without: bool = False) -> np.ndarray:
        start, end = self.strand.span(block)
        if not self.strand.has_bases(block):
            return np.full((len(kinds), end - start), np.nan, np.float32)
        position, state = self.strand.begin(block, alone=alone, without=without)
        first = max(0, position - 1)  # the base that the first input is
        found = {kind: np.full(end - first, np.nan, np.float32) for kind in kinds}
        deep: Mapping[str, np.ndarray] = {}
        with ExitStack() as stack:
            trace = stack.enter_context(trace_memories(self.model.backbone)) if has_deep(kinds) else None
            for piece in stream_bases(
                self.model.backbone, self.strand.strand.first_ids(end), self.model.bos, distributions=True,
                position=position, state=state,
            ):  # fmt: skip
                here = replace(piece, start=piece.start - first, read_start=piece.read_start - first)
                if trace and not piece.repeated:
                    deep = trace.take()
                fill_tracks(found, here, deep)
        return np.stack([found[kind][start - first :] for kind in kinds])

    def _add(self, sums: RegionSums, block: int, values: np.ndarray, span: tuple[int, int]) -> None:
        """Add what ``read`` returned for a block to the sums of regions and to the tracks; in the order of blocks."""
        start, _ = self.strand.span(block)
        by_kind = dict(zip(self.kinds, values, strict=False))
        others = dict(zip(self.others, values[len(self.kinds) :], strict=True))
        log_p, entropy, surprise = (by_kind[kind] for kind in PLAIN_KINDS)
        sums.predicted(start, log_p, entropy, *others.values())
        sums.read(start, surprise)
        if OTHERS[0] in others:
            by_kind["bits_saved"] = (log_p - others[OTHERS[0]]) / math.log(2)
        for kind, track in self.tracks.items():
            if kind in by_kind:
                _fill(track, start, by_kind[kind], span)

    def _vote(self, block: int) -> np.ndarray:
        """Return how many relatives follow at the bases of a block of votes, and how many have the base; (2, bases)."""
        assert self.model.relatives is not None
        said = block_votes(self.model.relatives, self.sequence, block)
        bases = base_ids(self.sequence[block * BLOCK : block * BLOCK + len(said)])
        followed = said != NONE
        return np.stack([followed.sum(1), (followed & (said == bases[:, None])).sum(1)]).astype(np.float32)


def _fill(track: np.ndarray, start: int, values: np.ndarray, span: tuple[int, int]) -> None:
    """Write the values of the bases from ``start`` on into a track, as far as they lie in a span."""
    first, last = max(start, span[0]), min(start + len(values), span[1])
    if first < last:
        track[first:last] = values[first - start : last - start]


def other_bits(model: SequenceModel, without: bool) -> tuple[str, ...]:
    """Return which fields of a score are bits per base with less sequence in the copy memory."""
    return tuple(name for name, told in zip(OTHERS, (model.relatives is not None, without), strict=True) if told)
