"""Scores and features of many short sequences, such as reads, each read from a fresh memory, many side by side.

What fills a shorter sequence up stands behind all that counts, and a causal model cannot see it. Sequences too long for
a batch are streamed one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from titans_dna.inference.model import SequenceModel
from titans_dna.inference.score_regions import RegionScore
from titans_dna.inference.strand import Strand
from titans_dna.inference.streaming import PIECE_TOKENS, stream_bases

BATCH_TOKENS = 8192  # of sequences that are read side by side, padding counted in
BLOCK_SEQUENCES = 2048  # sequences that are sorted by length together


@dataclass(frozen=True, kw_only=True)
class SequenceReading:
    """What a model makes of one sequence."""

    score: RegionScore
    vector: np.ndarray  # (width,) float32: mean of the final features over the known bases; nan where there is none


def read_sequences(model: SequenceModel, sequences: Iterable[bytes]) -> Iterator[SequenceReading]:
    """Yield what the model makes of each sequence, in their order.

    Parameters
    ----------
    model
        Model and tokenizer.
    sequences
        Bases in any case; taken in blocks, so that there may be any number.
    """
    for block in _blocks(sequences):
        strands = [Strand.of(sequence, model.tokenizer, reverse=False) for sequence in block]
        found: list[SequenceReading | None] = [None] * len(block)
        for group in _batches([len(strand.ids) for strand in strands]):
            members = [strands[index] for index in group]
            single = len(members[0].ids) > PIECE_TOKENS
            readings = [_stream(model, members[0])] if single else _side_by_side(model, members)
            for index, reading in zip(group, readings, strict=True):
                found[index] = reading
        yield from (reading for reading in found if reading is not None)


def _blocks(sequences: Iterable[bytes]) -> Iterator[list[bytes]]:
    iterator = iter(sequences)
    while block := [sequence for _, sequence in zip(range(BLOCK_SEQUENCES), iterator, strict=False)]:
        yield block


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers of sequences to read together, by length; a long one alone."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if group and (lengths[index] > PIECE_TOKENS or (len(group) + 1) * (lengths[index] + 1) > BATCH_TOKENS):
            yield group
            group = []
        group.append(index)
    if group:
        yield group


@torch.inference_mode()
def _side_by_side(model: SequenceModel, strands: Sequence[Strand]) -> list[SequenceReading]:
    """Read short sequences as one batch."""
    longest = max(len(strand.ids) for strand in strands)
    ids = np.full((len(strands), longest + 1), model.pad, dtype=np.int64)
    ids[:, 0] = model.bos
    for row, strand in enumerate(strands):
        ids[row, 1 : 1 + len(strand.ids)] = strand.ids
    device = next(model.backbone.parameters()).device
    out = model.backbone.stream(torch.from_numpy(ids).to(device))
    wanted = torch.from_numpy(ids[:, 1:]).to(device)
    known = wanted < model.backbone.config.targets
    log_p = out.logits[:, :-1].log_softmax(-1)
    picked = log_p.gather(-1, wanted.where(known, 0).unsqueeze(-1)).squeeze(-1).double().cpu().numpy()
    entropy = -(log_p.exp() * log_p).sum(-1).double().cpu().numpy() / math.log(2)
    surprise, hidden = out.surprise[:, 1:].double().cpu().numpy(), out.hidden[:, 1:].float().cpu().numpy()
    readings = []
    for row, strand in enumerate(strands):
        size = len(strand.ids)
        counts = np.ones(size) if strand.new_bases is None else strand.new_bases.astype(float)
        counts *= strand.ids < model.backbone.config.targets
        total = float((picked[row, :size] * (counts > 0)).sum())
        given = float((entropy[row, :size] * (counts > 0)).sum())
        losses, features = surprise[row, :size] @ counts, hidden[row, :size].T @ counts
        readings.append(_reading(total, given, losses, features, counts.sum()))
    return readings


def _stream(model: SequenceModel, strand: Strand) -> SequenceReading:
    """Read one long sequence, piece by piece."""
    total, entropy, losses, bases = 0.0, 0.0, 0.0, 0
    features = np.zeros(model.backbone.config.width)
    for piece in stream_bases(
        model.backbone, strand.ids, model.bos, hidden=True, distributions=True, new_bases=strand.new_bases
    ):
        assert piece.hidden is not None
        assert piece.entropy_bits is not None
        entropy += float(np.nansum(piece.entropy_bits))
        total += float(np.nansum(piece.log_probabilities, dtype=np.float64))
        known = np.isfinite(piece.surprise)
        losses += float(piece.surprise[known].sum(dtype=np.float64))
        features += piece.hidden.float().cpu().numpy()[known].sum(0, dtype=np.float64)
        bases += int(known.sum())
    return _reading(total, entropy, losses, features, bases)


def _reading(total: float, entropy: float, losses: float, features: np.ndarray, bases: float) -> SequenceReading:
    """Make means of sums."""
    if not bases:
        score = RegionScore(
            bases=0, log_likelihood=math.nan, bits_per_base=math.nan, memory_surprise=math.nan, entropy_bits=math.nan
        )
        return SequenceReading(score=score, vector=np.full(len(features), np.nan, np.float32))
    score = RegionScore(
        bases=int(bases),
        log_likelihood=total,
        bits_per_base=-total / bases / math.log(2),
        memory_surprise=float(losses / bases),
        entropy_bits=float(entropy / bases),
    )
    return SequenceReading(score=score, vector=(features / bases).astype(np.float32))
