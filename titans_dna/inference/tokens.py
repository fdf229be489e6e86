"""Turns an ALT allele into tokens, for any tokenizer.

The contig with ALT in it is tokenized as a sequence of its own, as far as its tokens differ from those of the strand.
The comparison begins at the first token that differs, and ends after the same base in both. A token that reaches beyond
this end counts with the share of its bases before it, in both alike. So the score depends on the two haplotypes alone,
even where k-mers are out of phase after an indel, or byte pairs merge differently.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titans_dna.inference.alleles import Allele
from titans_dna.inference.strand import Strand
from titans_dna.tokenizers import Tokenizer, new_bases


@dataclass(frozen=True, kw_only=True)
class AlleleTokens:
    """An allele on a strand: the tokens that replace the strand's, and the bases of REF that they are compared with."""

    token: int  # first token of the strand that is replaced
    ids: np.ndarray  # token ids that are read from there on
    weights: np.ndarray  # share of each token's bases that count: 1, except perhaps at the end
    behind: np.ndarray  # share of each token's bases that count and lie behind the allele, which REF has too
    first: int  # REF is bases first to stop of the strand, 0-based half-open
    last: int  # those behind the allele are last to stop
    stop: int


def allele_tokens(tokenizer: Tokenizer, strand: Strand, allele: Allele, horizon_bp: int) -> AlleleTokens:
    """Return an allele as tokens, and the stretch of REF that it is compared with.

    Parameters
    ----------
    tokenizer, strand
        Tokenizer of the model, and the strand that it reads.
    allele
        Allele on the contig, in coordinates of the forward strand.
    horizon_bp
        Bases after the rightmost placement of the allele that count.
    """
    start, end = strand.span(allele.start, allele.end)
    first, last = strand.span(allele.first, allele.last)
    stop = min(strand.length_bp, last + horizon_bp)
    alt = strand.allele(allele.alt)
    if strand.new_bases is None:
        ids = np.concatenate([strand.ids[first:start], tokenizer.encode(alt), strand.ids[end:stop]])
        behind = (np.arange(len(ids)) >= len(ids) - (stop - last)).astype(float)
        return AlleleTokens(
            token=first, ids=ids, weights=np.ones(len(ids)), behind=behind, first=first, last=last, stop=stop
        )
    grown = len(alt) - (end - start)
    # Tokens may begin before the allele and end after the horizon, so a wider stretch is tokenized.
    low, high = tokenizer.widen(first, stop + grown)
    ids = tokenizer.encode(strand.sequence[low:start] + alt + strand.sequence[end : high - grown])
    token = strand.token_at(low)
    before = strand.bases_before(token)
    counts = new_bases(tokenizer, ids, before - low).astype(np.int64)
    reach = before + np.cumsum(counts)
    # Not further than the allele: behind a deletion, tokens may happen to be those that were deleted, but they stand
    # for other bases.
    same = _shared(ids, strand.ids[token:], reach, min(stop, last + grown))
    counted = np.clip(stop + grown - (reach - counts), 0, counts)
    size = int(np.flatnonzero(counted)[-1]) + 1 if counted.any() else 0
    begin, sizes = int(reach[same - 1]) if same else before, np.maximum(counts[same:size], 1)
    behind = np.clip(np.minimum(reach, stop + grown) - np.maximum(reach - counts, last + grown), 0, None)
    return AlleleTokens(
        token=token + same,
        ids=ids[same:size],
        weights=counted[same:size] / sizes,
        behind=behind[same:size] / sizes,
        first=begin,
        last=min(stop, max(begin, last)),
        stop=stop,
    )


def _shared(ids: np.ndarray, others: np.ndarray, reach: np.ndarray, end: int) -> int:
    """Count the leading tokens that are the same in both, among those whose bases all lie before ``end``."""
    size = min(len(others), int(np.searchsorted(reach, end, side="right")))
    differs = np.flatnonzero(ids[:size] != others[:size])
    return int(differs[0]) if len(differs) else size
