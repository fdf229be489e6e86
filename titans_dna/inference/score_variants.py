"""Scores ALT against REF by log-likelihood, given the whole contig before them, on both strands.

REF is the strand itself, which is streamed once. Every ALT starts from the strand's state at the last chunk border
before it, and reads its own haplotype up to a horizon after the variant (`titans_dna.inference.branches`). So a variant
has the context of its whole chromosome at the cost of a short window. The sums run from the leftmost base at which the
haplotype can be written to the horizon after the rightmost, so they do not depend on how the variant is written.
`titans_dna.inference.tokens` says how tokens of several bases are compared.

The sum of a long deletion or insertion is mostly that of the bases that only one haplotype has, so it grows with their
number. What the junctions are worth is in the bases behind the variant alone, which both haplotypes have: read forward,
these follow the right junction, and on the reverse strand the left one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from titans_dna.genome.bases import Bases
from titans_dna.inference.alleles import Allele
from titans_dna.inference.branches import Branches, Checkpoint, read_branches
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.strand import Strand
from titans_dna.inference.tokens import allele_tokens
from titans_dna.inference.windows import WindowedStrand
from titans_dna.model.config import BackboneConfig
from titans_dna.model.device import one_thread
from titans_dna.model.state import StreamState

BRANCH_CHUNKS = 1  # haplotypes leave a strand at multiples of this many chunks
# The default of ``horizon_bp`` is the shortest of 16, 32, ... 1024 whose scores correlate with those of the longest by
# more than 0.9998, for substitutions and for indels (benchmarks/results/variants_horizon.md).
HORIZON_BP = 128


def score_strands(
    model: SequenceModel,
    sequence: Bases,
    alleles: Sequence[Allele],
    *,
    horizon_bp: int = HORIZON_BP,
    strands: Sequence[bool] = (False, True),
    junctions: bool = False,
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
        Alleles on this contig, in any order.
    horizon_bp
        Bases after the variant, in the direction of reading, whose probabilities count.
    strands
        False reads forward, True the reverse complement.
    junctions
        Whether the bases behind each allele are summed by themselves too.
    checkpoint
        Lets a later call take up the work.
    progress
        Called with the number of bases streamed since the last call, over all strands.

    Returns
    -------
    numpy.ndarray
        (alleles, strands) float64, in nats; with ``junctions`` (alleles, strands, 2): the score, and the part of it
        that lies behind the allele.
    """
    lanes = [Strand.of(sequence, model.tokenizer, reverse=reverse) for reverse in strands]
    found = _score_lanes(
        model, lanes, alleles, horizon_bp, junctions=junctions, checkpoint=checkpoint, progress=progress
    )
    return found if junctions else found[..., 0]


def _score_lanes(
    model: SequenceModel,
    lanes: Sequence[Strand],
    alleles: Sequence[Allele],
    horizon_bp: int,
    *,
    junctions: bool,
    begin: tuple[int, StreamState] | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> np.ndarray:
    """Return the scores (alleles, strands, sums) on strands that are read side by side from where they begin."""
    places = [AllelePlaces.of(model, strand, alleles, horizon_bp) for strand in lanes]
    count, sums = len(alleles), 1 + junctions

    def haplotype(index: int) -> tuple[np.ndarray, np.ndarray]:
        lane, row = divmod(index, count)
        ids, shares = places[lane].haplotype(alleles[row], row)
        return ids, shares[:, :sums]

    branches = Branches(
        lanes=np.repeat(np.arange(len(lanes)), count),
        cuts=np.concatenate([p.cuts for p in places]),
        lengths=np.concatenate([p.lengths for p in places]),
        haplotype=haplotype,
        columns=sums,
    )
    spans = [(np.concatenate([p.firsts, p.lasts][:sums]), np.tile(p.stops, sums)) for p in places]
    found, reference = read_branches(
        model, lanes, branches, spans, begin=begin, checkpoint=checkpoint, progress=progress
    )  # fmt: skip
    by_allele = np.stack(reference).reshape(len(lanes), sums, count).transpose(2, 0, 1)
    return found.reshape(len(lanes), count, sums).transpose(1, 0, 2) - by_allele


@dataclass(frozen=True, kw_only=True)
class WindowedAlleles:
    """Alleles of a contig on both strands, by the block of the strand in which each begins (`windows`)."""

    strands: tuple[WindowedStrand, ...]  # forward, reverse
    alleles: Sequence[Allele]
    horizon_bp: int
    units: tuple[tuple[int, int], ...]  # strand and block of each piece of work, in order
    rows: tuple[tuple[int, ...], ...]  # alleles of each
    junctions: bool = False  # whether the bases behind each allele are summed by themselves too

    @classmethod
    def of(
        cls, model: SequenceModel, sequence: Bases, alleles: Sequence[Allele], *, horizon_bp: int, window_bp: int,
        wanted: np.ndarray | None = None, junctions: bool = False,
    ) -> WindowedAlleles:  # fmt: skip
        """Divide the work, and fill the copy memories of both strands as far as it goes.

        Parameters
        ----------
        model
            With one token per base.
        sequence
            The whole contig.
        alleles
            All alleles on this contig: those of a block are read together, whichever of them are wanted.
        horizon_bp
            Bases after an allele whose probabilities count.
        window_bp
            Bases that the network reads before a block.
        wanted
            (alleles,) bool: blocks in which none is wanted are left out. None for all.
        junctions
            Whether the bases behind each allele are summed by themselves too.

        Raises
        ------
        ConfigError
            If the model reads tokens of several bases, or its copy memory forgets.
        """
        wanted = np.ones(len(alleles), dtype=bool) if wanted is None else wanted
        strands: list[WindowedStrand] = []
        members: dict[tuple[int, int], list[int]] = {}
        for number, reverse in enumerate((False, True)):
            strand = WindowedStrand(model, sequence, reverse=reverse, window_bp=window_bp)
            spans = [strand.strand.span(allele.first, allele.last) for allele in alleles]
            blocks = [first // strand.block_tokens for first, _ in spans]
            held = {block for block, mine in zip(blocks, wanted.tolist(), strict=True) if mine}
            reach = 0
            for row, (block, (_, last)) in enumerate(zip(blocks, spans, strict=True)):
                if block in held:
                    members.setdefault((number, block), []).append(row)
                    reach = max(reach, last + horizon_bp)
            strand.remember(min(reach, len(sequence)))
            strands.append(strand)
        units = tuple(sorted(members))
        rows = tuple(tuple(members[unit]) for unit in units)
        return cls(
            strands=tuple(strands), alleles=alleles, horizon_bp=horizon_bp, units=units, rows=rows, junctions=junctions
        )  # fmt: skip

    def score(self, unit: int) -> np.ndarray:
        """Return the scores of one unit's alleles on its strand, by one thread.

        They are (alleles,) float64, or (alleles, 2) with ``junctions``, as `score_strands` says.

        They depend on the contig, the unit's alleles and what was read before alone.
        """
        number, block = self.units[unit]
        strand, chosen = self.strands[number], [self.alleles[row] for row in self.rows[unit]]
        with one_thread():
            found = _score_lanes(
                strand.model, [strand.strand], chosen, self.horizon_bp, junctions=self.junctions,
                begin=strand.begin(block),
            )[:, 0]  # fmt: skip
        return found if self.junctions else found[:, 0]


class AllelePlaces:
    """Places of alleles on a strand: where each haplotype leaves it, and the stretches of REF to compare it with."""

    def __init__(self, model: SequenceModel, strand: Strand, horizon_bp: int, columns: np.ndarray) -> None:
        self.model, self.strand, self.horizon_bp = model, strand, horizon_bp
        # Cuts and lengths in tokens, the others in bases.
        self.cuts, self.firsts, self.lasts, self.stops, self.lengths = columns

    @classmethod
    def of(cls, model: SequenceModel, strand: Strand, alleles: Sequence[Allele], horizon_bp: int) -> AllelePlaces:
        """Return the places of all alleles."""
        stride = branch_stride(model.backbone.config)
        columns = np.empty((5, len(alleles)), dtype=np.int64)
        for row, allele in enumerate(alleles):
            if strand.new_bases is not None:
                found = allele_tokens(model.tokenizer, strand, allele, horizon_bp)
                cut = found.token // stride * stride
                columns[:, row] = cut, found.first, found.last, found.stop, found.token - cut + len(found.ids)
                continue
            first, last = strand.span(allele.first, allele.last)
            stop = min(strand.length_bp, last + horizon_bp)
            cut = first // stride * stride
            columns[:, row] = cut, first, last, stop, stop - cut + len(allele.alt) - (allele.end - allele.start)
        return cls(model, strand, horizon_bp, columns)

    def haplotype(self, allele: Allele, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the token ids to read from the cut on, and the share of each that counts: (T, 2), all and behind."""
        found = allele_tokens(self.model.tokenizer, self.strand, allele, self.horizon_bp)
        # The tokens between the cut and the allele are read again, to bring the memory there, but they do not count.
        before = self.strand.ids[int(self.cuts[row]) : found.token]
        shares = np.stack([found.weights, found.behind], 1)
        return np.concatenate([before, found.ids]), np.concatenate([np.zeros((len(before), 2)), shares])


def branch_stride(config: BackboneConfig) -> int:
    """Return the number of tokens between two places at which a haplotype may leave a strand."""
    # The state of a memory changes at the borders of its chunks; in between, a state also holds the tokens of the open
    # chunk and is larger.
    return BRANCH_CHUNKS * min(layout.chunk_tokens for layout in config.memories)
