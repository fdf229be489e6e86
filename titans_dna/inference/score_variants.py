"""Log-likelihood of ALT against REF, given the whole contig before it, on both strands.

REF is the strand itself, streamed once; every ALT starts from the strand's state at the last chunk border before it and
reads its own haplotype up to a horizon behind the variant (`titans_dna.inference.branches`). So a variant has the
context of its whole chromosome and costs a short window. The sums start at the leftmost base at which the haplotype can
be written and end at the horizon behind the rightmost, so they depend on the haplotype alone; how tokens of several
bases are compared is said in `titans_dna.inference.tokens`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from titans_dna.inference.alleles import Allele
from titans_dna.inference.branches import Branches, Checkpoint, read_branches
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.strand import Strand
from titans_dna.inference.tokens import allele_tokens
from titans_dna.model.config import BackboneConfig

BRANCH_CHUNKS = 1  # haplotypes leave a strand at multiples of this many chunks
# Default of ``horizon_bp``: the shortest of 16, 32, ... 1024 whose scores correlate with those of the longest by more
# than 0.9998, for substitutions and for indels (benchmarks/results/variants_horizon.md).
HORIZON_BP = 128


def score_strands(
    model: SequenceModel,
    sequence: bytes,
    alleles: Sequence[Allele],
    *,
    horizon_bp: int = HORIZON_BP,
    strands: Sequence[bool] = (False, True),
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> np.ndarray:
    """Return ln P(ALT) - ln P(REF) of each allele on the strands of a contig, read side by side.

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
    strands
        False reads forward, True the reverse complement.
    checkpoint
        Lets a later call take up the work.
    progress
        Called with the number of bases streamed since the last call, over all strands.

    Returns
    -------
    numpy.ndarray
        (alleles, strands) float64.
    """
    lanes = [Strand.of(sequence, model.tokenizer, reverse=reverse) for reverse in strands]
    places = [AllelePlaces.of(model, strand, alleles, horizon_bp) for strand in lanes]
    count = len(alleles)

    def haplotype(index: int) -> tuple[np.ndarray, np.ndarray]:
        lane, row = divmod(index, count)
        return places[lane].haplotype(alleles[row], row)

    branches = Branches(
        lanes=np.repeat(np.arange(len(lanes)), count),
        cuts=np.concatenate([p.cuts for p in places]),
        lengths=np.concatenate([p.lengths for p in places]),
        haplotype=haplotype,
    )
    found, reference = read_branches(
        model, lanes, branches, [(p.firsts, p.stops) for p in places], checkpoint=checkpoint, progress=progress
    )
    return found.reshape(len(lanes), count).T - np.stack(reference, 1)


class AllelePlaces:
    """Where the alleles lie on a strand: where each leaves it, and the stretch of REF it is compared with."""

    def __init__(self, model: SequenceModel, strand: Strand, horizon_bp: int, columns: np.ndarray) -> None:
        self.model, self.strand, self.horizon_bp = model, strand, horizon_bp
        self.cuts, self.firsts, self.stops, self.lengths = columns  # cuts and lengths in tokens, the others in bases

    @classmethod
    def of(cls, model: SequenceModel, strand: Strand, alleles: Sequence[Allele], horizon_bp: int) -> AllelePlaces:
        """Return the places of all alleles."""
        stride = branch_stride(model.backbone.config)
        columns = np.empty((4, len(alleles)), dtype=np.int64)
        for row, allele in enumerate(alleles):
            if strand.new_bases is not None:
                found = allele_tokens(model.tokenizer, strand, allele, horizon_bp)
                cut = found.token // stride * stride
                columns[:, row] = cut, found.first, found.stop, found.token - cut + len(found.ids)
                continue
            first, last = strand.span(allele.first, allele.last)
            stop = min(strand.length_bp, last + horizon_bp)
            cut = first // stride * stride
            columns[:, row] = cut, first, stop, stop - cut + len(allele.alt) - (allele.end - allele.start)
        return cls(model, strand, horizon_bp, columns)

    def haplotype(self, allele: Allele, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids to read from the cut on, and what share of each counts."""
        found = allele_tokens(self.model.tokenizer, self.strand, allele, self.horizon_bp)
        before = self.strand.ids[int(self.cuts[row]) : found.token]
        return np.concatenate([before, found.ids]), np.concatenate([np.zeros(len(before)), found.weights])


def branch_stride(config: BackboneConfig) -> int:
    """Return the number of bases between two places where a haplotype may leave a strand."""
    return BRANCH_CHUNKS * min(layout.chunk_tokens for layout in config.memories)
