"""Embeddings of regions: features of chosen layers, pooled, each strand of a contig read once.

A region is read with the memory of its whole contig before it (context "contig") or by itself from a fresh memory
(context "region"). Lower case (soft-masked) bases are read and pooled like all others; N and other ambiguity codes are
read as gaps, which write nothing to a memory, and are left out of every vector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from titans_dna.errors import ConfigError
from titans_dna.genome.interval import Interval
from titans_dna.inference.branches import Checkpoint
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.pooling import Emitted, Pool, Pooling
from titans_dna.inference.strand import Strand, read_side_by_side
from titans_dna.inference.streaming import PIECE_TOKENS, stream_bases
from titans_dna.model.state import StreamState

STRANDS = {"forward": (False,), "reverse": (True,), "both": (False, True)}
BATCH_TOKENS = 2048  # of short regions that are read side by side
Fetch = Callable[[int, int], bytes]  # bases start to end of a contig
Progress = Callable[[int], None]  # called with the number of bases read since the last call


@dataclass(frozen=True, kw_only=True)
class EmbedOptions:
    """What the vector of a region is made of.

    Raises
    ------
    ConfigError
        If a value is unknown.
    """

    pooling: Pooling = field(default_factory=lambda: Pooling(kind="mean"))
    layers: tuple[str, ...] = ("final",)  # "final": normalised, as the head reads it; "0", "1", ...: after that block
    strand: str = "forward"  # "forward", "reverse", or "both": the mean of the two
    context: str = "contig"  # "contig": with the memory of all before; "region": each region by itself

    def __post_init__(self) -> None:
        if self.strand not in STRANDS:
            raise ConfigError(f"strand is {self.strand!r}; choose forward, reverse or both")
        if self.context not in ("contig", "region"):
            raise ConfigError(f"context is {self.context!r}; choose contig or region")
        if not self.layers or len(set(self.layers)) < len(self.layers):
            raise ConfigError(f"layers are {', '.join(self.layers) or 'none'}; name each once, and at least one")

    @property
    def strands(self) -> tuple[bool, ...]:
        """The strands that are read: False for forward, True for reverse."""
        return STRANDS[self.strand]

    def check(self, model: SequenceModel) -> None:
        """Refuse layers that the model does not have.

        Raises
        ------
        ConfigError
            If a layer is asked for that the model does not have.
        """
        known = ("final", *map(str, range(model.backbone.config.layers + 1)))
        for layer in self.layers:
            if layer not in known:
                raise ConfigError(f"layer is {layer!r}, but {model.name} has {', '.join(known)} (0: token embedding)")

    def columns(self, model: SequenceModel) -> int:
        """Features of one base: those of all layers, one behind the other."""
        return len(self.layers) * model.backbone.config.width

    @property
    def inner(self) -> tuple[int, ...]:
        """Blocks whose residual stream is needed."""
        return tuple(int(layer) for layer in self.layers if layer != "final")

    def features(self, hidden: torch.Tensor, inner: Sequence[torch.Tensor]) -> np.ndarray:
        """Return the features (..., columns) float32 of the layers, in their order."""
        rest = iter(inner)
        parts = [hidden if layer == "final" else next(rest) for layer in self.layers]
        return torch.cat(parts, -1).float().cpu().numpy()


@dataclass(frozen=True, kw_only=True, eq=False)
class Stretch:
    """Features of bases that follow one another."""

    start: int  # first base, along the strand that is read
    values: np.ndarray  # (m, columns) float32
    known: np.ndarray  # (m,) bool: bases that count
    behind: tuple[int, StreamState] | None = None  # where the stream stands after them: its next input, its state


@dataclass(frozen=True, kw_only=True, eq=False)
class Spans:
    """Regions of one contig, in any order, none empty."""

    starts: np.ndarray  # 0-based half-open, on the contig
    ends: np.ndarray
    targets: np.ndarray  # number of the first vector of each region
    batch_tokens: int = BATCH_TOKENS  # bases of short ones that are read side by side in the context of the region

    @property
    def lengths(self) -> np.ndarray:
        """Bases of each region."""
        return self.ends - self.starts

    def by_length(self) -> Spans:
        """Return them from the shortest to the longest."""
        order = np.argsort(self.lengths, kind="stable")
        return replace(self, starts=self.starts[order], ends=self.ends[order], targets=self.targets[order])


def embed_strand(
    model: SequenceModel,
    fetch: Fetch,
    length_bp: int,
    spans: Spans,
    options: EmbedOptions,
    *,
    reverse: bool,
    checkpoint: Checkpoint | None = None,
    progress: Progress = lambda _: None,
) -> Iterator[Emitted]:
    """Yield targets and vectors of regions on one strand of one contig, as soon as each is complete.

    Parameters
    ----------
    model
        Model and tokenizer.
    fetch
        Gives the contig's bases.
    length_bp
        Bases of the contig.
    spans
        The regions; overlaps cost nothing in the context of the contig.
    options
        What the vectors are made of; with a context of "contig" the strand is read once, up to the last region.
    reverse
        Whether the reverse complement is read.
    checkpoint
        Lets a later call take up the work, if the context is that of the contig; all that was yielded must be safe
        whenever it saves.
    progress
        Called with the number of bases read since the last call.
    """
    columns = options.columns(model)
    if options.context == "contig":
        strand = Strand.of(fetch(0, length_bp), model.tokenizer, reverse=reverse)
        low, high = (length_bp - spans.ends, length_bp - spans.starts) if reverse else (spans.starts, spans.ends)
        pool = options.pooling.pool(low, high, spans.targets, columns, reverse=reverse)
        position, state = 0, None
        if checkpoint and (saved := checkpoint.load()):
            position, state, arrays = saved
            pool.restore(arrays)
            progress(strand.bases_before(max(0, position - 1)))
        stream = _contig_features(model, strand, int(high.max()), options, position, state)
    else:
        spans, checkpoint = spans.by_length(), None
        reach = np.cumsum(spans.lengths)
        pool = options.pooling.pool(reach - spans.lengths, reach, spans.targets, columns, reverse=reverse)
        stream = _region_features(model, fetch, spans, options, reverse)
    yield from _pooled(stream, pool, checkpoint, progress)


def _pooled(
    stream: Iterator[Stretch], pool: Pool, checkpoint: Checkpoint | None, progress: Progress
) -> Iterator[Emitted]:
    """Feed a pool."""
    for stretch in stream:
        yield from pool.add(stretch.start, stretch.values, stretch.known)
        progress(len(stretch.values))
        if checkpoint and stretch.behind and checkpoint.due():
            checkpoint.save(*stretch.behind, pool.arrays())


def _contig_features(
    model: SequenceModel,
    strand: Strand,
    end: int,
    options: EmbedOptions,
    position: int = 0,
    state: StreamState | None = None,
) -> Iterator[Stretch]:
    """Stream a strand up to base ``end``, or a little further: pieces are whole, so their number changes no result."""
    inputs = -(-(strand.tokens_to(end) + 1) // PIECE_TOKENS) * PIECE_TOKENS
    read, counts = strand.ids[: inputs - 1], strand.new_bases
    for piece in stream_bases(
        model.backbone, read, model.bos, hidden=True, inner=options.inner,
        new_bases=None if counts is None else counts[: inputs - 1], position=position, state=state,
    ):  # fmt: skip
        assert piece.hidden is not None
        yield Stretch(
            start=piece.read_start,
            values=options.features(piece.hidden, piece.inner),
            known=np.isfinite(piece.surprise),
            behind=(piece.next_input, piece.state),
        )


def _region_features(
    model: SequenceModel,
    fetch: Fetch,
    spans: Spans,
    options: EmbedOptions,
    reverse: bool,
) -> Iterator[Stretch]:
    """Read regions, sorted by length, each from a fresh memory; bases count on from region to region."""
    offset = 0
    for first, last in pairwise(_batches(spans.lengths, spans.batch_tokens)):
        strands = [
            Strand.of(fetch(int(spans.starts[i]), int(spans.ends[i])), model.tokenizer, reverse=reverse)
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
    """Return the borders of batches of regions sorted by length, each padded to its longest."""
    borders = [0]
    for row, length in enumerate(lengths):
        if row > borders[-1] and (row + 1 - borders[-1]) * int(length) > batch_tokens:
            borders.append(row)
    return [*borders, len(lengths)]


@torch.inference_mode()
def _read_side_by_side(
    model: SequenceModel, strands: Sequence[Strand], options: EmbedOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of several short sequences, one behind the other, and which bases are known."""
    _, out = read_side_by_side(model, strands, inner=options.inner)
    values = options.features(out.hidden, out.inner)
    parts = [strand.spread(values[row, 1 : 1 + len(strand.ids)]) for row, strand in enumerate(strands)]
    known = [strand.spread(strand.ids < model.backbone.config.targets) for strand in strands]
    return np.concatenate(parts), np.concatenate(known)


def embed_contig_regions(
    model: SequenceModel,
    sequence: bytes,
    regions: Sequence[Interval],
    options: EmbedOptions | None = None,
    *,
    progress: Progress = lambda _: None,
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
        On this contig, 0-based half-open, none empty, in any order.
    options
        What the vectors are made of; the mean of the final features, read forward, when left out.
    progress
        Called with the number of bases read since the last call.
    batch_tokens
        As in `Spans`.

    Returns
    -------
    numpy.ndarray
        (regions, columns) float32, columns times N for bins:N, (bases, columns) for a pooling of none; nan where no
        base is known.
    """
    options = options or EmbedOptions()
    options.check(model)
    starts, ends = np.array([r.start for r in regions]), np.array([r.end for r in regions])
    each = ends - starts if options.pooling.ragged else np.full(len(regions), options.pooling.bins)
    spans = Spans(starts=starts, ends=ends, targets=np.cumsum(each) - each, batch_tokens=batch_tokens)
    found = []
    for reverse in options.strands:
        vectors = np.full((int(each.sum()), options.columns(model)), np.nan, np.float32)
        emitted = embed_strand(
            model, lambda start, end: sequence[start:end], len(sequence), spans, options, reverse=reverse,
            progress=progress,
        )  # fmt: skip
        for numbers, values in emitted:
            vectors[numbers] = values
        found.append(vectors)
    mean = found[0] if len(found) == 1 else (found[0] + found[1]) / 2
    return mean if options.pooling.ragged else mean.reshape(len(regions), -1)


def vector_attributes(model: SequenceModel, options: EmbedOptions) -> dict[str, Any]:
    """Return what a file says of its vectors: the model, and what they are made of."""
    return {
        "model": model.name, "weights_sha256": model.weights_sha256, "layer": ",".join(options.layers),
        "pooling": str(options.pooling), "bins": options.pooling.bins, "context": options.context,
        "strand": options.strand, "tokenizer": model.tokenizer.kind,
        "soft_mask": "lower case is read and pooled as upper case", "unknown_bases": "left out of every vector",
    }  # fmt: skip
