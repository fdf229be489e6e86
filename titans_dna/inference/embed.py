"""Embeds regions: features of chosen layers are pooled into vectors, and each strand of a contig is read once.

A region is read with the memory of all that stands before it on its contig (context "contig"), in windows (context
"window:N", `titans_dna.inference.windows`), or by itself from a fresh memory (context "region"). Lower-case
(soft-masked) bases are read and pooled like all others. N and other ambiguity codes are read as gaps, which write
nothing to a memory, and are left out of every vector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from titans_dna.errors import ConfigError
from titans_dna.genome.bases import Bases
from titans_dna.genome.interval import Interval
from titans_dna.inference.branches import Checkpoint
from titans_dna.inference.model import SequenceModel, require_single_bases
from titans_dna.inference.pooling import Emitted, Pool, Pooling
from titans_dna.inference.strand import Strand, read_side_by_side
from titans_dna.inference.streaming import PIECE_TOKENS, stream_bases
from titans_dna.inference.stretches import Stretches
from titans_dna.inference.windows import WHOLE_CONTIG, Context, Each, WindowedStrand
from titans_dna.model.device import one_thread
from titans_dna.model.state import StreamState

STRANDS = {"forward": (False,), "reverse": (True,), "both": (False, True)}
OWN_STRAND = "region"  # the strand of each region: the reverse one where it is "-", the forward one elsewhere
BATCH_TOKENS = 2048  # most tokens in a batch of short regions that are read side by side, padding included
Progress = Callable[[int], None]  # called with the number of bases read since the last call


@dataclass(frozen=True, kw_only=True)
class EmbedOptions:
    """What the vector of a region is made of.

    Raises
    ------
    ConfigError
        If the strand is unknown, or layers are missing or named twice.
    """

    pooling: Pooling = field(default_factory=lambda: Pooling(kind="mean"))
    layers: tuple[str, ...] = ("final",)  # "final": normalised, as the head reads it; "0", "1", ...: after this block
    strand: str = "forward"  # "forward", "reverse", "both": the mean of the two, or "region": each region's own
    context: Context = WHOLE_CONTIG  # what is read before a region

    def __post_init__(self) -> None:
        if self.strand not in (*STRANDS, OWN_STRAND):
            raise ConfigError(f"strand is {self.strand!r}; choose forward, reverse, both or region")
        if not self.layers or len(set(self.layers)) < len(self.layers):
            raise ConfigError(f"layers are {', '.join(self.layers) or 'none'}; name each once, and at least one")

    @property
    def stranded(self) -> bool:
        """Whether each region is read on its own strand."""
        return self.strand == OWN_STRAND

    @property
    def strands(self) -> tuple[bool, ...]:
        """The strands that every region is read on: False for forward, True for reverse.

        Regions that are read on their own strand are told apart by whoever groups them.
        """
        return STRANDS["forward" if self.stranded else self.strand]

    def against_contig(self, reverse: bool) -> bool:
        """Tell whether the bins and bases of a region are counted against the direction in which it is read.

        They are counted from the contig's left, whichever strand is read, but along the strand of a region that is
        read on its own: bin 0 of a gene is then its first.
        """
        return reverse and not self.stranded

    def check(self, model: SequenceModel) -> None:
        """Refuse layers and windows that the model does not have.

        Raises
        ------
        ConfigError
            If a layer is asked for that the model does not have, or windows of a model whose tokens have several bases.
        """
        if self.context.kind == "window":
            require_single_bases(model, "windows")
        known = ("final", *map(str, range(model.backbone.config.layers + 1)))
        for layer in self.layers:
            if layer not in known:
                raise ConfigError(f"layer is {layer!r}, but {model.name} has {', '.join(known)} (0: token embedding)")

    def columns(self, model: SequenceModel) -> int:
        """Return the number of features of one base: those of all layers, one after the other."""
        return len(self.layers) * model.backbone.config.width

    @property
    def inner(self) -> tuple[int, ...]:
        """Numbers of the blocks whose residual stream is needed."""
        return tuple(int(layer) for layer in self.layers if layer != "final")

    def features(self, hidden: torch.Tensor, inner: Sequence[torch.Tensor]) -> np.ndarray:
        """Return the features (..., columns) float32 of the layers, in their order."""
        rest = iter(inner)
        parts = [hidden if layer == "final" else next(rest) for layer in self.layers]
        return torch.cat(parts, -1).float().cpu().numpy()


@dataclass(frozen=True, kw_only=True, eq=False)
class Stretch:
    """Features of consecutive bases."""

    start: int  # first base, counted along the strand that is read
    values: np.ndarray  # (m, columns) float32
    known: np.ndarray  # (m,) bool: False for N and other ambiguity codes
    bases: int = 0  # further bases before them that the network did not read, because no region holds them
    behind: tuple[int, StreamState] | None = None  # next input and state of the stream after these bases


@dataclass(frozen=True, kw_only=True, eq=False)
class Spans:
    """Regions of one contig, in any order; none of them may be empty."""

    starts: np.ndarray  # 0-based half-open, on the contig
    ends: np.ndarray
    targets: np.ndarray  # number of the first vector of each region in the output
    batch_tokens: int = BATCH_TOKENS  # most tokens that are read side by side, if each region is read by itself

    @property
    def lengths(self) -> np.ndarray:
        """Bases of each region."""
        return self.ends - self.starts

    def on_strand(self, length_bp: int, reverse: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return starts and ends as they are counted along a strand of the contig."""
        return (length_bp - self.ends, length_bp - self.starts) if reverse else (self.starts, self.ends)

    def by_length(self) -> Spans:
        """Return the regions from the shortest to the longest."""
        return self.chosen(np.argsort(self.lengths, kind="stable"))

    def chosen(self, rows: np.ndarray) -> Spans:
        """Return the regions of these numbers, or those where a bool is true."""
        return replace(self, starts=self.starts[rows], ends=self.ends[rows], targets=self.targets[rows])


def embed_strand(
    model: SequenceModel,
    sequence: Bases,
    spans: Spans,
    options: EmbedOptions,
    *,
    reverse: bool,
    checkpoint: Checkpoint | None = None,
    progress: Progress = lambda _: None,
) -> Iterator[Emitted]:
    """Yield targets and vectors of regions on one strand of one contig, each as soon as it is complete.

    Parameters
    ----------
    model
        Model and tokenizer.
    sequence
        The contig; of regions that are read by themselves, only their bases are asked for.
    spans
        The regions. With the context "contig", overlaps cost nothing.
    options
        How the vectors are made. With the context "contig" the strand is read once, up to the last region; windows are
        read by `embed_windows`.
    reverse
        Whether the reverse complement is read.
    checkpoint
        Saves the work, so that a later call can go on; only with the context "contig". Whenever it saves, it must first
        secure everything that was yielded, because a later call does not yield it again.
    progress
        Called with the number of bases read since the last call.
    """
    columns = options.columns(model)
    if options.context.kind == "contig":
        strand = Strand.of(sequence, model.tokenizer, reverse=reverse)
        low, high = spans.on_strand(len(sequence), reverse)
        pool = options.pooling.pool(low, high, spans.targets, columns, reverse=options.against_contig(reverse))
        position, state = 0, None
        if checkpoint and (saved := checkpoint.load()):
            position, state, arrays = saved
            pool.restore(arrays)
            progress(strand.bases_before(max(0, position - 1)))
        stretches = Stretches.around(model.backbone.config, strand.inputs(low, high))
        stream = _contig_features(model, strand, int(high.max()), options, position, state, stretches)
    else:
        # Regions are read as if they stood one after the other on one strand, shortest first, so that one pool serves
        # all.
        spans, checkpoint = spans.by_length(), None
        reach = np.cumsum(spans.lengths)
        pool = options.pooling.pool(
            reach - spans.lengths, reach, spans.targets, columns, reverse=options.against_contig(reverse)
        )
        stream = _region_features(model, sequence, spans, options, reverse)
    yield from _pooled(stream, pool, checkpoint, progress)


def embed_windows(
    windowed: WindowedStrand,
    spans: Spans,
    options: EmbedOptions,
    *,
    each: Each = map,
    progress: Progress = lambda _: None,
) -> Iterator[Emitted]:
    """Yield targets and vectors of regions that are read in windows, each as soon as it is complete.

    Parameters
    ----------
    windowed
        The strand, whose copy memory holds what stands before the last region's end.
    spans, options
        The regions, and how the vectors are made.
    each
        Applies a function to every block and yields the results in order, as ``map`` does; in several processes, say.
    progress
        Called with the number of bases read since the last call.
    """
    strand = windowed.strand
    low, high = spans.on_strand(strand.length_bp, strand.reverse)
    against = options.against_contig(strand.reverse)
    pool = options.pooling.pool(low, high, spans.targets, options.columns(windowed.model), reverse=against)
    blocks = windowed.blocks(low, high)
    found = each(partial(block_features, windowed, options), blocks)
    yield from _pooled(
        (Stretch(start=windowed.span(block)[0], values=values, known=known)
         for block, (values, known) in zip(blocks, found, strict=True)),
        pool, None, progress,
    )  # fmt: skip


def block_features(windowed: WindowedStrand, options: EmbedOptions, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of a block's bases, and which of these are known, read by one thread."""
    start, end = windowed.span(block)
    if not windowed.has_bases(block):
        return np.zeros((end - start, options.columns(windowed.model)), np.float32), np.zeros(end - start, bool)
    position, state = windowed.begin(block)
    model, ids = windowed.model, windowed.strand.first_ids(end)
    with one_thread():
        read = [
            (options.features(piece.hidden, piece.inner), np.isfinite(piece.surprise))
            for piece in stream_bases(
                model.backbone, ids, model.bos, hidden=True, inner=options.inner, position=position, state=state
            )
            if piece.hidden is not None
        ]
    values, known = (np.concatenate(parts) for parts in zip(*read, strict=True))
    return values[-(end - start) :], known[-(end - start) :]


def _pooled(
    stream: Iterator[Stretch], pool: Pool, checkpoint: Checkpoint | None, progress: Progress
) -> Iterator[Emitted]:
    """Feed a stream to a pool, and yield what the pool gives out."""
    for stretch in stream:
        yield from pool.add(stretch.start, stretch.values, stretch.known)
        progress(len(stretch.values) + stretch.bases)
        if checkpoint and stretch.behind and checkpoint.due():
            checkpoint.save(*stretch.behind, pool.arrays())


def _contig_features(
    model: SequenceModel,
    strand: Strand,
    end: int,
    options: EmbedOptions,
    position: int = 0,
    state: StreamState | None = None,
    stretches: Stretches | None = None,
) -> Iterator[Stretch]:
    """Stream a strand up to base ``end``, or further to the end of a whole piece."""
    # Whole pieces only: the size of a matrix product changes its rounding, and a shorter last piece would let the
    # features of a region depend on which regions follow it.
    inputs = -(-(strand.tokens_to(end) + 1) // PIECE_TOKENS) * PIECE_TOKENS
    read, counts = strand.first_ids(inputs - 1), strand.new_bases
    for piece in stream_bases(
        model.backbone, read, model.bos, hidden=True, inner=options.inner,
        new_bases=None if counts is None else counts[: inputs - 1], position=position, state=state, skips=True,
        stretches=stretches,
    ):  # fmt: skip
        behind = (piece.next_input, piece.state)
        if piece.hidden is None:  # skimmed
            none = np.zeros((0, options.columns(model)), np.float32)
            yield Stretch(start=piece.read_start, values=none, known=none[:, 0] > 0, bases=piece.bases, behind=behind)
            continue
        values, known = options.features(piece.hidden, piece.inner), np.isfinite(piece.surprise)
        # No base of what was left out is known, so it may have the features of the piece that stands for it.
        last = piece.read_start + piece.skipped
        for start in range(piece.read_start, last, len(values) or 1):
            yield Stretch(start=start, values=values, known=known)
        yield Stretch(start=last, values=values, known=known, behind=behind)


def _region_features(
    model: SequenceModel,
    sequence: Bases,
    spans: Spans,
    options: EmbedOptions,
    reverse: bool,
) -> Iterator[Stretch]:
    """Read regions, sorted by length, each from a fresh memory; bases are counted on from one region to the next."""
    offset = 0
    for first, last in pairwise(_batches(spans.lengths, spans.batch_tokens)):
        strands = [
            Strand.of(sequence[int(spans.starts[i]) : int(spans.ends[i])], model.tokenizer, reverse=reverse)
            for i in range(first, last)
        ]
        if len(strands) == 1:
            for stretch in _contig_features(model, strands[0], strands[0].length_bp, options):
                yield replace(stretch, start=offset + stretch.start, behind=None)
        else:
            values, known = _read_side_by_side(model, strands, options)
            yield Stretch(start=offset, values=values, known=known)
        offset += int(spans.lengths[first:last].sum())


def _batches(lengths: np.ndarray, batch_tokens: int) -> list[int]:
    """Return the borders of batches of regions sorted by length; a batch is padded to its longest region."""
    borders = [0]
    for row, length in enumerate(lengths):
        if row > borders[-1] and (row + 1 - borders[-1]) * int(length) > batch_tokens:
            borders.append(row)
    return [*borders, len(lengths)]


@torch.inference_mode()
def _read_side_by_side(
    model: SequenceModel, strands: Sequence[Strand], options: EmbedOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of several short sequences, one after the other, and which of their bases are known."""
    _, out = read_side_by_side(model, strands, inner=options.inner)
    values = options.features(out.hidden, out.inner)
    # The first input of a row is the start token, which is no base.
    parts = [strand.spread(values[row, 1 : 1 + len(strand.ids)]) for row, strand in enumerate(strands)]
    known = [strand.spread(strand.ids[:] < model.backbone.config.targets) for strand in strands]
    return np.concatenate(parts), np.concatenate(known)


def embed_contig_regions(
    model: SequenceModel,
    sequence: bytes,
    regions: Sequence[Interval],
    options: EmbedOptions | None = None,
    *,
    batch_tokens: int = BATCH_TOKENS,
) -> np.ndarray:
    """Return the vectors of regions of one contig, in memory.

    Parameters
    ----------
    model
        Model and tokenizer.
    sequence
        The whole contig.
    regions
        Regions on this contig, 0-based half-open, in any order; none may be empty.
    options
        How the vectors are made; by default the mean of the final features, read forward.
    batch_tokens
        Most tokens that are read side by side, if each region is read by itself.

    Returns
    -------
    numpy.ndarray
        (regions, columns) float32; (regions, N * columns) for bins:N; (bases of all regions, columns) for a pooling of
        none. nan where no base is known.
    """
    options = options or EmbedOptions()
    options.check(model)
    starts, ends = np.array([r.start for r in regions]), np.array([r.end for r in regions])
    numbers = ends - starts if options.pooling.ragged else np.full(len(regions), options.pooling.bins)
    spans = Spans(starts=starts, ends=ends, targets=np.cumsum(numbers) - numbers, batch_tokens=batch_tokens)
    found = np.full((len(options.strands), int(numbers.sum()), options.columns(model)), np.nan, np.float32)
    for vectors, reverse, chosen in _readings(found, options, regions, spans):
        for targets, values in _emitted(model, sequence, chosen, options, reverse=reverse):
            vectors[targets] = values
    mean = found[0] if len(found) == 1 else (found[0] + found[1]) / 2
    return mean if options.pooling.ragged else mean.reshape(len(regions), -1)


def _readings(
    found: np.ndarray, options: EmbedOptions, regions: Sequence[Interval], spans: Spans
) -> Iterator[tuple[np.ndarray, bool, Spans]]:
    """Yield where vectors go, the strand that is read, and the regions that are read on it."""
    if not options.stranded:
        yield from ((vectors, reverse, spans) for vectors, reverse in zip(found, options.strands, strict=True))
        return
    own = np.array([region.strand == "-" for region in regions], bool)
    for reverse in np.unique(own).tolist():
        yield found[0], reverse, spans.chosen(own == reverse)


def _emitted(
    model: SequenceModel, sequence: bytes, spans: Spans, options: EmbedOptions, *, reverse: bool
) -> Iterator[Emitted]:
    """Return an iterator over the vectors of regions on one strand of a contig in memory."""
    if options.context.kind != "window":
        return embed_strand(model, sequence, spans, options, reverse=reverse)
    windowed = WindowedStrand(model, sequence, reverse=reverse, window_bp=options.context.window_bp)
    windowed.remember_to(int(spans.on_strand(len(sequence), reverse)[1].max()))
    return embed_windows(windowed, spans, options)


def vector_attributes(model: SequenceModel, options: EmbedOptions) -> dict[str, Any]:
    """Return the attributes that describe vectors in a file: the model, and how they were made."""
    return {
        "model": model.name, "weights_sha256": model.weights_sha256, "layer": ",".join(options.layers),
        "pooling": str(options.pooling), "bins": options.pooling.bins, "context": str(options.context),
        "strand": options.strand, "tokenizer": model.tokenizer.kind,
        "soft_mask": "lower case is read and pooled as upper case", "unknown_bases": "left out of every vector",
    }  # fmt: skip
