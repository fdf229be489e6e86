"""What an ALT allele is in tokens, whatever the tokenizer.

The contig with ALT in its place is tokenized as a sequence of its own, as far as that differs from the strand's own
tokens. The comparison begins at the first token that differs, and ends behind the same base on either side. A token
that reaches across this end counts with the share of its bases before it, on either side alike. So the score depends
on the two haplotypes alone: a k-mer that is out of phase behind an indel, or a byte pair that merges otherwise, is
compared base by base.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titans_dna.inference.alleles import Allele
from titans_dna.inference.strand import Strand
from titans_dna.tokenizers import Tokenizer, new_bases


@dataclass(frozen=True, kw_only=True)
class AlleleTokens:
    """An allele on a strand: what is read in place of the strand's tokens, and the bases of REF it is compared with."""

    token: int  # first token of the strand that is replaced
    ids: np.ndarray  # what is read from there on
    weights: np.ndarray  # share of each id's bases that count: 1, but at the end
    first: int  # REF: bases of the strand first to stop, 0-based half-open
    stop: int


def allele_tokens(tokenizer: Tokenizer, strand: Strand, allele: Allele, horizon_bp: int) -> AlleleTokens:
    """Return an allele as tokens, and the stretch of REF it is compared with.

    Parameters
    ----------
    tokenizer, strand
        As the model reads them.
    allele
        On the contig.
    horizon_bp
        Bases behind the rightmost placement of the allele that count.
    """
    start, end = strand.span(allele.start, allele.end)
    first, last = strand.span(allele.first, allele.last)
    stop = min(strand.length_bp, last + horizon_bp)
    alt = strand.allele(allele.alt)
    if strand.new_bases is None:
        ids = np.concatenate([strand.ids[first:start], tokenizer.encode(alt), strand.ids[end:stop]])
        return AlleleTokens(token=first, ids=ids, weights=np.ones(len(ids)), first=first, stop=stop)
    grown = len(alt) - (end - start)
    low, high = tokenizer.widen(first, stop + grown)
    ids = tokenizer.encode(strand.sequence[low:start] + alt + strand.sequence[end : high - grown])
    token = strand.token_at(low)
    before = strand.bases_before(token)
    counts = new_bases(tokenizer, ids, before - low).astype(np.int64)
    reach = before + np.cumsum(counts)
    same = _shared(ids, strand.ids[token:], reach, min(stop, stop + grown))
    counted = np.clip(stop + grown - (reach - counts), 0, counts)
    size = int(np.flatnonzero(counted)[-1]) + 1 if counted.any() else 0
    return AlleleTokens(
        token=token + same,
        ids=ids[same:size],
        weights=counted[same:size] / np.maximum(counts[same:size], 1),
        first=int(reach[same - 1]) if same else before,
        stop=stop,
    )


def _shared(ids: np.ndarray, others: np.ndarray, reach: np.ndarray, end: int) -> int:
    """Count the leading tokens that both have, of those whose bases all lie before ``end``."""
    size = min(len(others), int(np.searchsorted(reach, end, side="right")))
    differs = np.flatnonzero(ids[:size] != others[:size])
    return int(differs[0]) if len(differs) else size
