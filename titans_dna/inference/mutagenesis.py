"""Scores every single-base change: of a region exactly, or of whole contigs from one pass over each strand.

`mutate_region` scores each change by its whole haplotype up to a horizon, as `titans_dna.inference.score_variants`
does; `changes_of` and `effects_of` are its two ends, for changes that are scored otherwise. `predict_bases` gives the
probabilities of A, C, G and T at every base, given what stands before it on one strand. From these, ln P(ALT) - ln
P(REF) can be read off for every possible SNV of a genome, at the cost of reading it once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from titans_dna.genome.bases import Bases
from titans_dna.genome.interval import Interval
from titans_dna.inference.alleles import Allele
from titans_dna.inference.branches import Checkpoint
from titans_dna.inference.model import SequenceModel, require_single_bases
from titans_dna.inference.score_variants import HORIZON_BP, score_strands
from titans_dna.inference.strand import Strand
from titans_dna.inference.streaming import Piece, flush, stream_bases
from titans_dna.inference.windows import WindowedStrand
from titans_dna.model.device import one_thread

BASES = b"ACGT"


@dataclass(frozen=True, kw_only=True)
class RegionEffects:
    """Effects of all single-base changes of one region."""

    region: Interval  # 0-based half-open, under the contig's name in the FASTA
    reference: bytes  # bases of the region, upper case
    strands: np.ndarray  # (bases, 4, 2) ln P(change) - ln P(reference), forward and reverse; 0 for the reference base

    @property
    def mean(self) -> np.ndarray:
        """Effects averaged over both strands, (bases, 4); nan where the reference is unknown."""
        return np.asarray(self.strands.mean(-1))


def changes_of(sequence: Bases, region: Interval, row: int = 0) -> list[Allele]:
    """Return all three changes of every known base of a region of a contig; their rows count on from ``row``."""
    return [
        Allele(row=row + 4 * at + column, start=place, end=place + 1, alt=BASES[column : column + 1], first=place,
               last=place + 1)
        for at, (place, base) in enumerate(zip(range(region.start, region.end), _bases(sequence, region), strict=True))
        if base in BASES
        for column in range(4)
        if BASES[column] != base
    ]  # fmt: skip


def effects_of(sequence: Bases, region: Interval, changes: Sequence[Allele], scores: np.ndarray) -> RegionEffects:
    """Return the effects of the changes that ``changes_of`` found in a region, given their scores (changes, 2)."""
    reference = _bases(sequence, region)
    effects = np.full((len(reference) * 4, 2), np.nan)
    letters = np.frombuffer(reference, np.uint8)
    for column, base in enumerate(BASES):
        effects[4 * np.flatnonzero(letters == base) + column] = 0.0
    effects[[BASES.index(change.alt) + 4 * (change.start - region.start) for change in changes]] = scores
    return RegionEffects(region=region, reference=reference, strands=effects.reshape(-1, 4, 2).astype(np.float32))


def _bases(sequence: Bases, region: Interval) -> bytes:
    return sequence[region.start : region.end].upper().replace(b"U", b"T")


def mutate_region(
    model: SequenceModel, sequence: Bases, region: Interval, *, horizon_bp: int = HORIZON_BP
) -> RegionEffects:
    """Score all three changes of every known base of a region, given the whole contig.

    Parameters
    ----------
    model
        Model and tokenizer.
    sequence
        The whole contig.
    region
        Region on this contig, 0-based half-open.
    horizon_bp
        Bases after a change whose probabilities count.
    """
    changes = changes_of(sequence, region)
    return effects_of(sequence, region, changes, score_strands(model, sequence, changes, horizon_bp=horizon_bp))


def predict_bases(
    model: SequenceModel,
    sequence: Bases,
    out: np.ndarray,
    *,
    reverse: bool,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Write ln P of A, C, G and T at every base of a contig, given all bases before it on one strand.

    Parameters
    ----------
    model
        Model and tokenizer.
    sequence
        The whole contig, as in the FASTA.
    out
        (4, bases) of nan, filled in place at known bases, in coordinates and letters of the forward strand.
    reverse
        Whether to read the reverse complement.
    checkpoint
        Saves the work, so that a later call can go on; ``out`` must then be an array on disk.
    progress
        Called with the number of bases read since the last call.

    Raises
    ------
    ConfigError
        If the model's tokens have several bases.
    """
    require_single_bases(model, "the probabilities of every base")
    strand = Strand.of(sequence, model.tokenizer, reverse=reverse)
    position, state = 0, None
    if checkpoint and (saved := checkpoint.load()):
        position, state, _ = saved
        progress(max(0, position - 1))
    pieces = stream_bases(
        model.backbone, strand.ids, model.bos, distributions=True, position=position, state=state, skips=True
    )
    for piece in pieces:
        start, end = strand.span(piece.start, piece.start + len(piece.log_probabilities))
        out[:, start:end] = _by_letter(piece, reverse)
        progress(len(piece.surprise) + piece.skipped)
        if checkpoint and checkpoint.due():
            flush(out)  # the numbers must be on disk before the state that counts them as done
            checkpoint.save(piece.next_input, piece.state, {})


def predict_block(windowed: WindowedStrand, block: int) -> tuple[int, np.ndarray]:
    """Return ln P of A, C, G and T at every base of a block of a strand, (4, bases), and the contig's first base of it.

    It is read by one thread; see `predict_bases` for letters and gaps.
    """
    (first, last), strand, model = windowed.span(block), windowed.strand, windowed.model
    if not windowed.has_bases(block):
        return strand.span(first, last)[0], np.full((4, last - first), np.nan, np.float32)
    position, state = windowed.begin(block)
    with one_thread():
        pieces = [
            _by_letter(piece, reverse=False)
            for piece in stream_bases(
                model.backbone, strand.first_ids(last), model.bos, distributions=True, position=position, state=state
            )
        ]
    values = np.concatenate(pieces, axis=1)[:, -(last - first) :]
    return strand.span(first, last)[0], values[::-1, ::-1] if strand.reverse else values


def _by_letter(piece: Piece, reverse: bool) -> np.ndarray:
    """Return the predictions of a piece as (4, bases) of the forward strand."""
    assert piece.distributions is not None
    values = np.where(np.isfinite(piece.log_probabilities)[:, None], piece.distributions, np.nan).T
    # Ids 0 to 3 are A, C, G, T, so reversing the letters complements them.
    return values[::-1, ::-1] if reverse else values
