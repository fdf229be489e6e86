"""Scores regions by likelihood and surprise, each read with the memory of all that stands before it on its contig."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

import numpy as np
import torch

from titans_dna.genome.bases import Bases
from titans_dna.genome.interval import Interval
from titans_dna.inference.branches import Checkpoint
from titans_dna.inference.gates import DepthTrace, trace_memories
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.region_sums import RegionScore, RegionSums
from titans_dna.inference.strand import Strand, read_side_by_side
from titans_dna.inference.streaming import PIECE_TOKENS, Piece, entropy_of, flush, pick_known, stream_bases
from titans_dna.inference.stretches import Stretches
from titans_dna.model.backbone import Backbone
from titans_dna.model.device import one_thread

SHORT_BP = 1024  # most bases of a contig that is read beside others
VECTOR = 16  # float32 numbers that a processor takes at once; what is left over at an end is rounded otherwise
PLAIN_KINDS = ("log_likelihood", "entropy_bits", "surprise")


def track_kinds(model: Backbone) -> tuple[str, ...]:
    """Return the names of all tracks; only layers that have a memory have tracks of their own."""
    layers = [layer + 1 for layer in DepthTrace(model).layers]
    return (*PLAIN_KINDS, *(f"{kind}_layer{layer}" for kind in ("surprise", "forgetting") for layer in layers))


def score_contig_regions(
    model: SequenceModel,
    sequence: Bases,
    regions: Sequence[Interval],
    *,
    reverse: bool = False,
    tracks: Mapping[str, np.ndarray] | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[RegionScore]:
    """Stream one strand of a contig once, and score regions on it.

    Parameters
    ----------
    model
        Model and tokenizer.
    sequence
        The whole contig.
    regions
        Regions on this contig, 0-based half-open, in any order; overlaps cost nothing.
    reverse
        Whether the reverse strand is read, from the contig's right end to the leftmost region.
    tracks
        Of the forward strand: arrays (bases,) of nan by kind (see `track_kinds`), in which every known value is put.
        Without them the contig is read no further than to the last region, and by the network only where it must be
        (see `Stretches`).
    checkpoint
        Saves the work, so that a later call can go on; ``tracks`` must then be arrays on disk.
    progress
        Called with the number of bases read since the last call.
    """
    tracks = tracks or {}
    assert not (reverse and tracks), "tracks run along the forward strand"
    strand = Strand.of(sequence, model.tokenizer, reverse=reverse)
    regions = strand.intervals(regions)
    sums = RegionSums(regions)
    asked = strand.inputs(np.array([r.start for r in regions], int), np.array([r.end for r in regions], int))
    position, state = 0, None
    if checkpoint and (saved := checkpoint.load()):
        position, state, arrays = saved
        sums.restore(arrays)
        progress(max(0, position - 1))
    last = len(sequence) if tracks else max((region.end for region in regions), default=0)
    # Whole pieces only: a shorter last piece would let the rounding of a region depend on which regions follow it.
    inputs = -(-(strand.tokens_to(last) + 1) // PIECE_TOKENS) * PIECE_TOKENS
    with ExitStack() as stack:
        trace = stack.enter_context(trace_memories(model.backbone)) if has_deep(tracks) else None
        pieces = stream_bases(
            model.backbone, strand.first_ids(inputs - 1), model.bos, distributions=True, position=position, state=state,
            new_bases=None if strand.new_bases is None else strand.new_bases[: inputs - 1], skips=True,
            stretches=None if tracks else Stretches.around(model.backbone.config, asked),
        )  # fmt: skip
        deep: Mapping[str, np.ndarray] = {}
        for piece in pieces:
            assert piece.entropy_bits is not None
            sums.predicted(piece.start, piece.log_probabilities, piece.entropy_bits)
            sums.read(piece.read_start, piece.surprise)
            if trace and not piece.repeated:  # a piece is repeated only where no base has a value
                deep = trace.take()
            fill_tracks(tracks, piece, deep)
            progress(piece.bases + piece.skipped)
            if checkpoint and checkpoint.due():
                # Tracks first: the saved state counts these bases as done, and a later call does not write them again.
                flush(*tracks.values())
                checkpoint.save(piece.next_input, piece.state, sums.arrays())
    flush(*tracks.values())
    return sums.scores()


def reads_side_by_side(model: SequenceModel, length_bp: int) -> bool:
    """Tell whether a contig of this length is read beside others, by `score_short_contigs`."""
    # Where attention looks at all of a segment or a contig, its rounding depends on how long the batch is.
    return length_bp <= SHORT_BP and model.backbone.config.block not in ("mac", "transformer")


@torch.inference_mode()
def score_short_contigs(
    model: SequenceModel, contigs: Sequence[tuple[Bases, Sequence[Interval], bool]]
) -> list[list[RegionScore]]:
    """Score regions of short contigs, each read from its start, side by side: that costs less than one by one.

    Parameters
    ----------
    model
        Model and tokenizer.
    contigs
        Of each its bases, its regions (0-based half-open), and whether the reverse strand is read. The scores of one do
        not depend on the others.
    """
    config, found = model.backbone.config, []
    strands = [Strand.of(bases, model.tokenizer, reverse=reverse) for bases, _, reverse in contigs]
    # Whole blocks of attention, and whole vectors of numbers: no row is then rounded otherwise for the sake of others.
    longest = 1 + max(len(strand.ids) for strand in strands)
    ids, out = read_side_by_side(model, strands, least=max(config.window_tokens, -(-longest // VECTOR) * VECTOR))
    for row, (strand, (_, regions, _)) in enumerate(zip(strands, contigs, strict=True)):
        count = len(strand.ids)
        read = ids[row, 1 : 1 + count].cpu().numpy()
        log_p, known = out.logits[row, :count].log_softmax(-1).cpu().numpy(), read < config.targets
        shares = strand.share(pick_known(log_p, read, config.targets), 0).astype(np.float32)
        surprise = out.surprise[row, 1 : 1 + count].float().cpu().numpy()
        sums = RegionSums(strand.intervals(regions))
        sums.predicted(0, shares, strand.share(entropy_of(log_p, known), 0))
        sums.read(0, strand.spread(np.where(known, surprise, np.nan)))
        found.append(sums.scores())
    return found


def score_alone(model: SequenceModel, sequence: Bases, region: Interval, *, reverse: bool = False) -> RegionScore:
    """Score one strand of a region as a sequence by itself, by one thread."""
    with one_thread():
        whole = Interval(region.contig, 0, region.end - region.start)
        return score_contig_regions(model, sequence[region.start : region.end], [whole], reverse=reverse)[0]


def has_deep(kinds: Mapping[str, np.ndarray] | Sequence[str]) -> bool:
    """Tell whether a track of a single layer is among these."""
    return any("_layer" in kind for kind in kinds)


def fill_tracks(tracks: Mapping[str, np.ndarray], piece: Piece, deep: Mapping[str, np.ndarray]) -> None:
    """Put the values of a piece of the stream, and those of the layers by kind, into tracks."""
    here = slice(piece.start, piece.start + len(piece.log_probabilities))
    there = slice(piece.read_start, piece.read_start + len(piece.surprise))
    gap = np.isnan(piece.surprise)
    for kind, track in tracks.items():
        if kind == "log_likelihood":
            track[here] = piece.log_probabilities
        elif kind == "entropy_bits":
            track[here] = piece.entropy_bits
        elif kind == "surprise":
            track[there] = piece.surprise
        else:  # a layer's trace has the start token too, which is no base
            track[there] = np.where(gap, np.nan, _by_base(deep[kind], piece, len(gap)))


def _by_base(values: np.ndarray, piece: Piece, bases: int) -> np.ndarray:
    """Return one value per base from values of the tokens that were read."""
    if piece.read_bases is None:
        return values[len(values) - bases :]
    return np.repeat(values[len(values) - len(piece.read_bases) :], piece.read_bases)
