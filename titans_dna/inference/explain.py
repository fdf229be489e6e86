"""Why a variant scores as it does: ln P of every base around it, with REF and with ALT, and what was followed there.

A score is a sum over the bases from the variant to a horizon, on each strand (`titans_dna.inference.score_variants`).
Here are its summands, some bases before them, and the places of the copy memory that foretold each base.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from titans_dna.genome.bases import Bases
from titans_dna.inference.alleles import Allele
from titans_dna.inference.model import SequenceModel, require_single_bases
from titans_dna.inference.score_variants import HORIZON_BP, branch_stride
from titans_dna.inference.strand import Strand
from titans_dna.inference.streaming import read_inputs, stream_bases
from titans_dna.inference.stretches import Stretches
from titans_dna.inference.windows import WHOLE_CONTIG, Context, WindowedStrand
from titans_dna.io.tables.explanation import AlignedBase, FollowedPlace
from titans_dna.model.device import one_thread
from titans_dna.model.state import StreamState
from titans_dna.recall import recall
from titans_dna.recall.record import HITS_AT, INVERTED_AT, RUN_AT
from titans_dna.tokenizers import base_ids

FLANK_BP = 40
BASES = "ACGT"


@dataclass(frozen=True, kw_only=True)
class AlleleReading:
    """One allele read on one strand; base i of the strand's haplotype is entry ``i - start``."""

    start: int  # first base that was read, counted along the strand
    log_p: np.ndarray  # (bases,) float64 nats; nan where the base is unknown
    followed: list[FollowedPlace | None]

    def at(self, base: int) -> tuple[float, FollowedPlace | None]:
        """Return ln P of a base of the haplotype and the place followed there; nan and None where it was not read."""
        at = base - self.start
        return (float(self.log_p[at]), self.followed[at]) if 0 <= at < len(self.log_p) else (np.nan, None)

    def total(self, first: int, stop: int) -> float:
        """Return the sum over bases of the haplotype; unknown ones add nothing."""
        return float(np.nansum(self.log_p[first - self.start : stop - self.start]))


@dataclass(frozen=True, kw_only=True)
class StrandReading:
    """Both alleles on one strand."""

    ref: AlleleReading
    alt: AlleleReading
    first: int  # bases that count, half-open, along the strand with REF
    stop: int
    longer: int  # bases by which ALT is longer than REF

    @property
    def score(self) -> float:
        """ln P(ALT) - ln P(REF), as ``score-variants`` gives it for the strand."""
        return self.alt.total(self.first, self.stop + self.longer) - self.ref.total(self.first, self.stop)


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """An allele, read with REF and with ALT on both strands."""

    allele: Allele
    forward: StrandReading
    reverse: StrandReading
    bases: list[AlignedBase] = field(repr=False)

    @property
    def score(self) -> float:
        """Mean of the two strands."""
        return (self.forward.score + self.reverse.score) / 2


@one_thread()
def explain_alleles(
    model: SequenceModel,
    sequence: Bases,
    alleles: Sequence[Allele],
    *,
    flank_bp: int = FLANK_BP,
    horizon_bp: int = HORIZON_BP,
    context: Context = WHOLE_CONTIG,
    progress: Callable[[int], None] = lambda bases: None,
) -> list[Explanation]:
    """Read alleles of a contig base by base on both strands; each strand is streamed once.

    Parameters
    ----------
    model
        With one token per base.
    sequence
        The whole contig.
    alleles
        In any order.
    flank_bp
        Bases before the variant, in the direction of reading, that are shown though they do not count.
    horizon_bp
        Bases after it whose probabilities count.
    context
        What the network reads before a variant: the whole contig, or a window.
    progress
        Called with the number of bases streamed since the last call, over both strands.

    Raises
    ------
    ConfigError
        If the model reads tokens of several bases, or its copy memory does not fit the context.
    """
    require_single_bases(model, "explanations")
    read = [
        _Strand(model, sequence, reverse=reverse, context=context, flank_bp=flank_bp, horizon_bp=horizon_bp)
        .readings(alleles, progress)
        for reverse in (False, True)
    ]  # fmt: skip
    return [
        Explanation(allele=allele, forward=forward, reverse=reverse,
                    bases=list(_aligned(sequence, allele, forward, reverse)))
        for allele, forward, reverse in zip(alleles, *read, strict=True)
    ]  # fmt: skip


class _Strand:
    """A strand of the contig, on which alleles are read from the states that it has before them."""

    def __init__(
        self, model: SequenceModel, sequence: Bases, *, reverse: bool, context: Context, flank_bp: int, horizon_bp: int
    ) -> None:
        self.model, self.flank, self.horizon = model, flank_bp, horizon_bp
        self.windowed: WindowedStrand | None = None
        if context.kind == "window":
            self.windowed = WindowedStrand(model, sequence, reverse=reverse, window_bp=context.window_bp)
            self.strand = self.windowed.strand
        else:
            self.strand = Strand.of(sequence, model.tokenizer, reverse=reverse)

    def readings(self, alleles: Sequence[Allele], progress: Callable[[int], None]) -> list[StrandReading]:
        """Return the readings of all alleles, in their order."""
        spans = [self.strand.span(allele.first, allele.last) for allele in alleles]
        cuts = [self._cut(first) for first, _ in spans]
        found: dict[int, StrandReading] = {}
        if self.windowed is not None and spans:
            self.windowed.remember_to(min(self.strand.length_bp, max(last for _, last in spans) + self.horizon))
        for row, state in self._states(cuts, progress):
            found[row] = self._read(alleles[row], spans[row], cuts[row], state)
        return [found[row] for row in range(len(alleles))]

    def _cut(self, first: int) -> int:
        stride = branch_stride(self.model.backbone.config)
        return max(0, first - self.flank) // stride * stride

    def _states(self, cuts: Sequence[int], progress: Callable[[int], None]) -> Iterator[tuple[int, StreamState]]:
        """Yield each allele's number with the state before input ``cut``, in the order of the cuts."""
        order = sorted(range(len(cuts)), key=lambda row: cuts[row])
        at, state = 0, self.model.backbone.initial_state(1)
        places = np.array(cuts, np.int64)
        stretches = Stretches.around(self.model.backbone.config, (places, places)) if self.windowed is None else None
        for row in order:
            if self.windowed is not None:
                block = cuts[row] // self.windowed.block_tokens
                at, state = self.windowed.begin(block)
            if cuts[row] > at:
                pieces = stream_bases(
                    self.model.backbone, self.strand.first_ids(cuts[row]), self.model.bos, cuts=[cuts[row]],
                    position=at, state=state, skips=True, stretches=stretches,
                )  # fmt: skip
                for piece in pieces:
                    progress(piece.next_input - at)
                    at, state = piece.next_input, piece.state
                    if at == cuts[row]:
                        break
            yield row, state

    def _read(self, allele: Allele, span: tuple[int, int], cut: int, state: StreamState) -> StrandReading:
        strand = self.strand
        start, end = strand.span(allele.start, allele.end)
        stop = min(strand.length_bp, span[1] + self.horizon)
        changed = [strand.ids[cut:start], base_ids(strand.allele(allele.alt)), strand.ids[end:stop]]
        return StrandReading(
            ref=self._allele(strand.ids[cut:stop], cut, state),
            alt=self._allele(np.concatenate(changed), cut, state),
            first=span[0], stop=stop, longer=len(allele.alt) - (end - start),
        )  # fmt: skip

    @torch.inference_mode()
    def _allele(self, ids: np.ndarray, cut: int, state: StreamState) -> AlleleReading:
        inputs = read_inputs(self.strand.ids, self.model.bos, cut, cut + 1)
        inputs = np.concatenate([inputs, ids[:-1]]).astype(np.int64)
        leaving = replace(state, recall=state.recall.leave()) if state.recall is not None else state
        out = self.model.backbone.stream(torch.from_numpy(inputs)[None].to(self.model.device), leaving)
        log_p = out.logits[0].log_softmax(-1).double().cpu().numpy()
        known = ids < self.model.backbone.config.targets
        found = np.where(known, log_p[np.arange(len(ids)), np.where(known, ids, 0)], np.nan)
        return AlleleReading(start=cut, log_p=found, followed=self._followed(inputs, leaving))

    def _followed(self, inputs: np.ndarray, state: StreamState) -> list[FollowedPlace | None]:
        """Return the place with the most hits that foretold each base, the one with the longest run among equals."""
        if state.recall is None:
            return [None] * len(inputs)
        reader = state.recall.streams[0]
        found = recall(reader, inputs, sources=True)
        assert found.sources is not None
        origin = reader.position - state.position_tokens + 1  # of the strand's first base on the tape
        return [self._place(*row, origin) for row in zip(found.codes, found.sources, strict=True)]

    def _place(self, codes: np.ndarray, sources: np.ndarray, origin: int) -> FollowedPlace | None:
        held = codes != 0
        if not held.any():
            return None
        order = np.lexsort([codes >> RUN_AT & 63, codes >> HITS_AT & 63, held])
        code, source = int(codes[order[-1]]), int(sources[order[-1]])
        inverted = bool(code >> INVERTED_AT & 1)
        contig, genome, position = "", "", source - origin
        relatives = self.model.relatives
        if position < -1 and relatives is not None:
            read = relatives.contigs
            own = read[bisect_right([each.start for each in read], source) - 1]
            contig, genome, position = own.name, own.genome, source - own.start
        elif self.strand.reverse:  # the strand that is read is the contig's other one
            position, inverted = self.strand.length_bp - 1 - position, not inverted
        return FollowedPlace(
            contig=contig, genome=genome, position=position, inverted=inverted, base=BASES[code & 3],
            hits=code >> HITS_AT & 63, places=int(held.sum()),
        )  # fmt: skip


def _aligned(
    sequence: Bases, allele: Allele, forward: StrandReading, reverse: StrandReading
) -> Iterator[AlignedBase]:  # fmt: skip
    """Yield the columns of the alignment: REF and ALT are laid side by side from their first base on."""
    size, longer = len(sequence), forward.longer
    left = min(forward.ref.start, size - reverse.stop)
    right = max(forward.stop, size - reverse.ref.start)
    replaced, inserted = allele.end - allele.start, len(allele.alt)
    both = min(replaced, inserted)
    columns: list[tuple[int | None, int | None]] = [(at, at) for at in range(left, allele.start + both)]
    columns += [(at, None) for at in range(allele.start + both, allele.end)]
    columns += [(None, allele.start + at) for at in range(both, inserted)]
    columns += [(at, at + longer) for at in range(allele.end, right)]
    haplotype = sequence[left : allele.start] + allele.alt + sequence[allele.end : right]
    before, offset = left - 1, 0
    for ref, alt in columns:
        before, offset = (ref, 0) if ref is not None else (before, offset + 1)
        found = {}
        for name, read, whole in (("forward", forward, 0), ("reverse", reverse, 1)):
            for which, at, extra in (("ref", ref, 0), ("alt", alt, longer)):
                reading: AlleleReading = getattr(read, which)
                on_strand = None if at is None else size + extra - 1 - at if whole else at
                found[name, which] = (np.nan, None) if on_strand is None else reading.at(on_strand)
        yield AlignedBase(
            position=before, offset=offset,
            ref="-" if ref is None else sequence[ref : ref + 1].decode().upper(),
            alt="-" if alt is None else chr(haplotype[alt - left]).upper(),
            log_p={key: value for key, (value, _) in found.items()},
            followed={key: place for key, (_, place) in found.items()},
            counted={
                "forward": _counts(forward, ref, alt),
                "reverse": _counts(reverse, None if ref is None else size - 1 - ref,
                                   None if alt is None else size + longer - 1 - alt),
            },
        )  # fmt: skip


def _counts(read: StrandReading, ref: int | None, alt: int | None) -> bool:
    """Tell whether a score sums over a column, given as bases of the strand with REF and with ALT."""
    return (ref is not None and read.first <= ref < read.stop) or (
        alt is not None and read.first <= alt < read.stop + read.longer
    )
