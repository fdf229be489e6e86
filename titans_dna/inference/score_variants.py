"""Log-likelihood of ALT against REF, given the whole contig before it, on both strands.

A strand is streamed once. At multiples of ``BRANCH_TOKENS`` its state is an immutable value: every ALT starts from the
last such state before it and reads its own haplotype up to a horizon behind the variant; REF is the stream itself. So a
variant has the context of its whole chromosome and costs a short window. The sums start at the leftmost base at which
the haplotype can be written and end at the horizon behind the rightmost, so they depend on the haplotype alone. (How
tokens of several bases are compared is said in ``titans_dna.inference.tokens``.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from titans_dna.inference.alleles import Allele
from titans_dna.inference.intervals import IntervalSums
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.strand import Strand
from titans_dna.inference.streaming import stream_bases
from titans_dna.inference.tokens import allele_tokens
from titans_dna.model.state import StreamState, select

BRANCH_CHUNKS = 4  # states are kept at multiples of this many chunks
BATCH_ALLELES = 32  # alleles read at once


def score_alleles(
    model: SequenceModel,
    sequence: bytes,
    alleles: Sequence[Allele],
    *,
    horizon_bp: int,
    reverse: bool,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Return ln P(ALT) - ln P(REF) of each allele on one strand of a contig.

    Parameters
    ----------
    model
        Model and tokenizer.
    sequence
        The whole contig, as in the FASTA.
    alleles
        On this contig, in any order.
    horizon_bp
        Bases behind the variant (as the strand is read) whose probabilities count.
    reverse
        Read the reverse complement.
    progress
        Called with the number of bases streamed since the last call.

    Returns
    -------
    numpy.ndarray
        float64, in the order of ``alleles``.
    """
    strand = Strand.of(sequence, model.tokenizer, reverse=reverse)
    branches = _branches(model, strand, alleles, horizon_bp)
    reference = IntervalSums(np.array([b.first for b in branches]), np.array([b.end for b in branches]), columns=1)
    farthest = strand.tokens_to(max((b.end for b in branches), default=0))
    waiting: dict[int, list[int]] = {}
    for index, branch in enumerate(branches):
        waiting.setdefault(branch.cut, []).append(index)
    alternative = np.zeros(len(branches))
    queues: dict[int, list[tuple[StreamState, list[int]]]] = {}  # by phase: only such states can be read as one batch

    def arrive(cut: int, state: StreamState) -> None:
        if cut in waiting:
            queues.setdefault(backbone.config.phase(cut), []).append((state, waiting.pop(cut)))
        for queue in queues.values():
            while queue and (not waiting or sum(len(rows) for _, rows in queue) >= BATCH_ALLELES):
                _read_batch(model, branches, queue, alternative)

    backbone = model.backbone
    arrive(0, backbone.initial_state(1))
    pieces = stream_bases(backbone, strand.ids, model.bos, cuts=sorted(waiting), new_bases=strand.new_bases)
    for piece in pieces:
        reference.add(piece.start, piece.log_probabilities[:, None])
        arrive(piece.next_input, piece.state)
        if progress:
            progress(len(piece.log_probabilities))
        if not waiting and piece.next_input > farthest:
            break
    assert not waiting
    sums, _ = reference.results()
    return alternative - sums[:, 0]


class _Branch:
    """An allele on a strand: where it leaves the stream, and what it reads from there."""

    __slots__ = ("cut", "end", "first", "inputs", "targets", "weights")

    def __init__(
        self, cut: int, first: int, end: int, inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray
    ) -> None:
        self.cut, self.first, self.end = cut, first, end  # input of the branch; reference bases that are compared
        self.inputs, self.targets, self.weights = inputs, targets, weights  # weights: what counts of each target


def _branches(model: SequenceModel, strand: Strand, alleles: Sequence[Allele], horizon_bp: int) -> list[_Branch]:
    stride = BRANCH_CHUNKS * model.backbone.config.chunk_tokens
    branches = []
    for allele in alleles:
        found = allele_tokens(model.tokenizer, strand, allele, horizon_bp)
        cut = found.token // stride * stride
        targets = np.concatenate([strand.ids[cut : found.token], found.ids]).astype(np.int64)
        weights = np.concatenate([np.zeros(found.token - cut), found.weights])
        before = int(strand.ids[cut - 1]) if cut else model.bos
        inputs = np.concatenate([[before], targets[:-1]]) if len(targets) else targets
        branches.append(_Branch(cut, found.first, found.stop, inputs, targets, weights))
    return branches


@torch.inference_mode()
def _read_batch(
    model: SequenceModel,
    branches: Sequence[_Branch],
    queue: list[tuple[StreamState, list[int]]],
    alternative: np.ndarray,
) -> None:
    """Read up to ``BATCH_ALLELES`` alleles off the queue and note their log-likelihoods."""
    states: list[StreamState] = []
    rows: list[int] = []
    while queue and len(rows) < BATCH_ALLELES:
        state, group = queue.pop(0)
        taken, rest = group[: BATCH_ALLELES - len(rows)], group[BATCH_ALLELES - len(rows) :]
        states.append(select(state, [0] * len(taken)))
        rows += taken
        if rest:
            queue.insert(0, (state, rest))
    length = max(len(branches[row].inputs) for row in rows)
    inputs = np.full((len(rows), max(1, length)), model.pad, dtype=np.int64)
    targets = np.full_like(inputs, model.pad)
    weights = np.zeros(inputs.shape)
    for place, row in enumerate(rows):
        inputs[place, : len(branches[row].inputs)] = branches[row].inputs
        targets[place, : len(branches[row].targets)] = branches[row].targets
        weights[place, : len(branches[row].targets)] = branches[row].weights
    device = next(model.backbone.parameters()).device
    wanted = torch.from_numpy(targets).to(device)
    logits = model.backbone.stream(torch.from_numpy(inputs).to(device), model.backbone.join(states)).logits
    known = wanted < model.backbone.config.targets
    picked = logits.log_softmax(-1).gather(-1, wanted.where(known, 0).unsqueeze(-1)).squeeze(-1)
    counted = torch.where(known, picked, 0.0).double().cpu().numpy() * weights
    alternative[rows] = counted.sum(-1)
