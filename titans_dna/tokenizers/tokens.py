"""A sequence as tokens, and what travels beside the ids: bases of every token, soft mask, what was read as N."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from titans_dna.genome.alphabet import count_ambiguous
from titans_dna.tokenizers.base import Buffer, Ids, Tokenizer, soft_mask

_CHUNK = 1 << 20  # tokens looked at at once
_LOOK_BACK = 8  # tokens before a token that may cover bases of it: those of an overlapping k-mer, which has 8 at most


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Tokens of one sequence."""

    ids: Ids  # (n,) token ids
    offsets: np.ndarray[Any, np.dtype[np.int64]]  # (n, 2) bases of each token, 0-based half-open, in the contig
    masked: np.ndarray[Any, np.dtype[np.float32]]  # (n,) share of each token's bases in lower case, 0 to 1
    ambiguous: dict[str, int]  # bases read as N although the sequence says more: by IUPAC code, and "other"

    def __len__(self) -> int:
        return len(self.ids)


def tokenize(tokenizer: Tokenizer, sequence: Buffer, start: int = 0) -> Tokens:
    """Encode a sequence and keep what travels beside the ids.

    Parameters
    ----------
    tokenizer
        Any tokenizer.
    sequence
        Bases in any case.
    start
        Where the sequence begins in its contig, 0-based; added to the offsets.

    Examples
    --------
    >>> from titans_dna.tokenizers.kmer import KmerTokenizer
    >>> tokens = tokenize(KmerTokenizer(3), b"ACGacgR", start=100)
    >>> tokens.offsets.tolist(), tokens.masked.tolist(), tokens.ambiguous
    ([[100, 103], [103, 106], [106, 107]], [0.0, 1.0, 0.0], {'R': 1})
    """
    text = bytes(sequence)
    ids = tokenizer.encode(text)
    offsets = tokenizer.offsets(ids)
    lower = np.concatenate([[0], np.cumsum(soft_mask(text), dtype=np.int64)])
    widths = np.maximum(offsets[:, 1] - offsets[:, 0], 1)
    masked = ((lower[offsets[:, 1]] - lower[offsets[:, 0]]) / widths).astype(np.float32)
    return Tokens(ids=ids, offsets=offsets + start, masked=masked, ambiguous=count_ambiguous(text))


def new_bases(tokenizer: Tokenizer, ids: Ids, covered: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Count the bases that each token is the first to cover.

    Summed up they are the bases of the sequence, so a token's probability can be shared by its new bases. Specials,
    and single bases that an overlapping k-mer before them has covered, have none.

    Parameters
    ----------
    tokenizer
        Any tokenizer.
    ids
        Its tokens of a stretch of sequence.
    covered
        Bases of the stretch that tokens before `ids` cover.

    Examples
    --------
    >>> from titans_dna.tokenizers.kmer import KmerTokenizer
    >>> tokenizer = KmerTokenizer(3, overlapping=True)
    >>> new_bases(tokenizer, tokenizer.encode(b"ACGTNACG")).tolist()
    [3, 1, 0, 0, 1, 3, 0, 0]
    """
    counts = np.empty(len(ids), np.uint8)
    for at in range(0, len(ids), _CHUNK):
        before = min(at, _LOOK_BACK)
        ends = tokenizer.offsets(ids[at - before : at + _CHUNK])[:, 1]
        reach = np.maximum(np.maximum.accumulate(ends), covered if at == 0 else 0)
        counts[at : at + _CHUNK] = np.diff(reach, prepend=covered if at == 0 else 0)[before:]
    return counts
