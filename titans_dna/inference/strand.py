"""A strand of a contig as tokens, and the map between its bases and its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from titans_dna.genome.alphabet import reverse_complement
from titans_dna.genome.bases import Bases, OtherStrand
from titans_dna.genome.interval import Interval
from titans_dna.inference.model import SequenceModel
from titans_dna.model.backbone import StreamOutput
from titans_dna.tokenizers import NucleotideTokenizer, Tokenizer, base_ids, new_bases

MARK_TOKENS = 1 << 12  # tokens between two marks; a mark is the number of bases before its token


class StrandIds:
    """Ids of one token for each base, made when a stretch is asked for: together they would take what the bases do.

    Examples
    --------
    >>> StrandIds(b"ACGTN", 3)[1:]
    array([1, 2], dtype=uint8)
    """

    def __init__(self, bases: Bases, count: int) -> None:
        self._bases, self._count = bases, min(count, len(bases))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, span: slice, /) -> np.ndarray:
        start, end, _ = span.indices(self._count)
        return base_ids(self._bases[start:end])


TokenIds = np.ndarray | StrandIds


@dataclass(frozen=True, kw_only=True)
class Strand:
    """One strand of a contig, read 5' to 3'; its base i is base ``length_bp - 1 - i`` of the contig if ``reverse``.

    A base belongs to the first token that covers it. ``new_bases`` and ``marks`` are None where every base has a token
    of its own, so that bases and tokens have the same numbers.
    """

    ids: TokenIds
    reverse: bool
    sequence: Bases  # in the direction of reading
    new_bases: np.ndarray | None = None  # (tokens,) bases that belong to each token
    marks: np.ndarray | None = None  # number of bases before every ``MARK_TOKENS``-th token

    @classmethod
    def of(cls, sequence: Bases, tokenizer: Tokenizer, *, reverse: bool) -> Strand:
        """Return the strand of a contig's sequence."""
        read = OtherStrand(sequence) if reverse else sequence
        if isinstance(tokenizer, NucleotideTokenizer):
            return cls(ids=StrandIds(read, len(read)), reverse=reverse, sequence=read)
        read = read[:]
        ids = tokenizer.encode(read)
        counts = new_bases(tokenizer, ids)
        # One number per 4,096 tokens instead of one per token: a full index would take eight bytes per token of a
        # chromosome.
        sums = [counts[at : at + MARK_TOKENS].sum(dtype=np.int64) for at in range(0, len(ids), MARK_TOKENS)]
        marks = np.concatenate([[0], np.cumsum(sums)]).astype(np.int64)
        return cls(ids=ids, reverse=reverse, sequence=read, new_bases=counts, marks=marks)

    @property
    def length_bp(self) -> int:
        """Length of the contig in bases."""
        return len(self.sequence)

    def first_ids(self, tokens: int) -> TokenIds:
        """Return the ids of so many tokens from the start of the strand."""
        return StrandIds(self.sequence, tokens) if isinstance(self.ids, StrandIds) else self.ids[:tokens]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Turn a half-open span of the contig into the strand's own coordinates; the map is its own inverse."""
        return (self.length_bp - end, self.length_bp - start) if self.reverse else (start, end)

    def intervals(self, regions: Sequence[Interval]) -> Sequence[Interval]:
        """Return regions of the contig in the strand's own coordinates."""
        if not self.reverse:
            return regions
        turned = (self.span(region.start, region.end) for region in regions)
        return [replace(region, start=start, end=end) for region, (start, end) in zip(regions, turned, strict=True)]

    def allele(self, bases: bytes) -> bytes:
        """Return an allele as it is read on this strand."""
        return reverse_complement(bases) if self.reverse else bases

    def spread(self, values: np.ndarray, token: int = 0) -> np.ndarray:
        """Repeat the rows of tokens ``token``, ``token + 1``, ... so that there is one row per base."""
        return values if self.new_bases is None else np.repeat(values, self.new_bases[token : token + len(values)], 0)

    def share(self, values: np.ndarray, token: int) -> np.ndarray:
        """Return the values of tokens ``token``, ``token + 1``, ... divided evenly among the bases of each."""
        if self.new_bases is None:
            return values
        return self.spread(values / np.maximum(self.new_bases[token : token + len(values)], 1), token)

    def bases_before(self, token: int) -> int:
        """Count the bases that belong to the tokens before this one."""
        if self.new_bases is None or self.marks is None:
            return token
        mark = token // MARK_TOKENS
        return int(self.marks[mark]) + int(self.new_bases[mark * MARK_TOKENS : token].sum(dtype=np.int64))

    def tokens_to(self, base: int) -> int:
        """Count the tokens that are needed to cover all bases before ``base``."""
        if self.new_bases is None or self.marks is None:
            return base
        if base <= 0:
            return 0
        mark = int(np.searchsorted(self.marks, base, side="left")) - 1
        reach = self.marks[mark] + np.cumsum(self.new_bases[mark * MARK_TOKENS :][:MARK_TOKENS], dtype=np.int64)
        return mark * MARK_TOKENS + int(np.searchsorted(reach, base, side="left")) + 1

    def inputs(self, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the inputs of a stream, half-open, that predict and read the bases of spans; empty spans are left out.

        Input i predicts token i, and reads token i - 1.
        """
        low, high = starts[starts < ends], ends[starts < ends]
        if self.new_bases is not None:
            low = np.array([max(0, self.tokens_to(int(base)) - 1) for base in low], np.int64)
            high = np.array([self.tokens_to(int(base)) for base in high], np.int64)
        return low, high + 1

    def token_at(self, base: int) -> int:
        """Return the token that begins at this base; there must be one.

        Overlapping k-mers begin one at every base, so there are as many of them as bases.
        """
        return base if len(self.ids) == self.length_bp else self.tokens_to(base)


def read_side_by_side(
    model: SequenceModel, strands: Sequence[Strand], *, inner: Sequence[int] = (), least: int = 0
) -> tuple[torch.Tensor, StreamOutput]:
    """Read short strands as one batch, each from a fresh memory; return ids (strands, inputs) and the output.

    Every row begins with the start token, and there are at least ``least`` inputs in each. Padding stands at the end of
    shorter rows, where it changes no other token.
    """
    longest = max(len(strand.ids) for strand in strands)
    ids = np.full((len(strands), max(least, 1 + longest)), model.pad, np.int64)
    ids[:, 0] = model.bos
    for row, strand in enumerate(strands):
        ids[row, 1 : 1 + len(strand.ids)] = strand.ids[:]
    batch = torch.from_numpy(ids).to(model.device)
    return batch, model.backbone.stream(batch, inner=inner)
