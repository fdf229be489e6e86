"""Scores many short sequences, such as reads, each from a fresh memory, and many of them side by side.

A shorter sequence of a batch is filled up at its end, which a causal model cannot see from before. Sequences that are
too long for a batch are streamed one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from titans_dna.inference.model import SequenceModel
from titans_dna.inference.region_sums import RegionScore
from titans_dna.inference.strand import Strand, read_side_by_side
from titans_dna.inference.streaming import PIECE_TOKENS, stream_bases

BATCH_TOKENS = 8192  # most tokens of sequences that are read side by side, padding included
BLOCK_SEQUENCES = 2048  # sequences that are sorted by length together


def score_sequences(model: SequenceModel, sequences: Iterable[bytes]) -> Iterator[RegionScore]:
    """Yield the score of each sequence, in their order.

    Parameters
    ----------
    model
        Model and tokenizer.
    sequences
        Bases, upper or lower case; they are taken in blocks, so there may be any number of sequences.
    """
    for block in _blocks(sequences):
        strands = [Strand.of(sequence, model.tokenizer, reverse=False) for sequence in block]
        found: list[RegionScore | None] = [None] * len(block)
        for group in _batches([len(strand.ids) for strand in strands]):
            members = [strands[index] for index in group]
            single = len(members[0].ids) > PIECE_TOKENS
            scores = [_stream(model, members[0])] if single else _side_by_side(model, members)
            for index, score in zip(group, scores, strict=True):
                found[index] = score
        yield from (score for score in found if score is not None)


def _blocks(sequences: Iterable[bytes]) -> Iterator[list[bytes]]:
    iterator = iter(sequences)
    while block := [sequence for _, sequence in zip(range(BLOCK_SEQUENCES), iterator, strict=False)]:
        yield block


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers of sequences of similar length to read together; a long sequence comes alone."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if group and (lengths[index] > PIECE_TOKENS or (len(group) + 1) * (lengths[index] + 1) > BATCH_TOKENS):
            yield group
            group = []
        group.append(index)
    if group:
        yield group


@torch.inference_mode()
def _side_by_side(model: SequenceModel, strands: Sequence[Strand]) -> list[RegionScore]:
    """Read short sequences as one batch."""
    ids, out = read_side_by_side(model, strands)
    wanted = ids[:, 1:]
    known = wanted < model.backbone.config.targets
    log_p = out.logits[:, :-1].log_softmax(-1)
    picked = log_p.gather(-1, wanted.where(known, 0).unsqueeze(-1)).squeeze(-1).double().cpu().numpy()
    entropy = -(log_p.exp() * log_p).sum(-1).double().cpu().numpy() / math.log(2)
    surprise = out.surprise[:, 1:].double().cpu().numpy()
    scores = []
    for row, strand in enumerate(strands):
        size = len(strand.ids)
        counts = np.ones(size) if strand.new_bases is None else strand.new_bases.astype(float)
        counts *= strand.ids < model.backbone.config.targets
        total = float((picked[row, :size] * (counts > 0)).sum())
        given = float((entropy[row, :size] * (counts > 0)).sum())
        bases, losses = counts.sum(), surprise[row, :size] @ counts
        scores.append(RegionScore.of(bases=bases, log_likelihood=total, entropy_bits=given, reads=bases, losses=losses))
    return scores


def _stream(model: SequenceModel, strand: Strand) -> RegionScore:
    """Read one long sequence, piece by piece."""
    total, entropy, losses, bases = 0.0, 0.0, 0.0, 0
    for piece in stream_bases(model.backbone, strand.ids, model.bos, distributions=True, new_bases=strand.new_bases):
        assert piece.entropy_bits is not None
        entropy += float(np.nansum(piece.entropy_bits))
        total += float(np.nansum(piece.log_probabilities, dtype=np.float64))
        known = np.isfinite(piece.surprise)
        losses += float(piece.surprise[known].sum(dtype=np.float64))
        bases += int(known.sum())
    return RegionScore.of(bases=bases, log_likelihood=total, entropy_bits=entropy, reads=bases, losses=losses)
