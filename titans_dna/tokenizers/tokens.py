"""A sequence as tokens, with the bases of every token, the soft mask, and counts of letters that were read as N."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from titans_dna.genome.alphabet import count_ambiguous
from titans_dna.tokenizers.base import Buffer, Ids, Tokenizer, soft_mask

_CHUNK = 1 << 20  # tokens handled at once
_LOOK_BACK = 8  # earlier tokens that may cover a base of a token: overlapping k-mers have at most 8 bases


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Tokens of one sequence."""

    ids: Ids  # (n,) token ids
    offsets: np.ndarray[Any, np.dtype[np.int64]]  # (n, 2) bases of each token, 0-based half-open, in the contig
    masked: np.ndarray[Any, np.dtype[np.float32]]  # (n,) share of each token's bases in lower case, 0 to 1
    ambiguous: dict[str, int]  # number of letters other than N that are read as N, by IUPAC code, and "other"

    def __len__(self) -> int:
        return len(self.ids)


def tokenize(tokenizer: Tokenizer, sequence: Buffer, start: int = 0) -> Tokens:
    """Encode a sequence, and return its ids together with bases, soft mask and counts of what was read as N.

    Parameters
    ----------
    tokenizer
        Any tokenizer.
    sequence
        Bases, upper or lower case.
    start
        Base of the contig, 0-based, at which the sequence begins; it is added to the offsets.

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
    """Return the number of bases that each token is the first to cover, (tokens,) uint8.

    They add up to the bases of the sequence, so the log-probability of a token can be divided among its new bases. Some
    tokens have none: the specials, and single bases that an overlapping k-mer before them covers already.

    Parameters
    ----------
    tokenizer
        Any tokenizer.
    ids
        Tokens of a stretch of sequence.
    covered
        Number of bases at the start of the stretch that tokens before `ids` cover.

    Examples
    --------
    >>> from titans_dna.tokenizers.kmer import KmerTokenizer
    >>> tokenizer = KmerTokenizer(3, overlapping=True)
    >>> new_bases(tokenizer, tokenizer.encode(b"ACGTNACG")).tolist()
    [3, 1, 0, 0, 1, 3, 0, 0]
    """
    counts = np.empty(len(ids), np.uint8)
    for at in range(0, len(ids), _CHUNK):
        # `offsets` counts from the first token given, so a chunk is started a few tokens early, and only differences
        # count.
        before = min(at, _LOOK_BACK)
        ends = tokenizer.offsets(ids[at - before : at + _CHUNK])[:, 1]
        reach = np.maximum(np.maximum.accumulate(ends), covered if at == 0 else 0)
        counts[at : at + _CHUNK] = np.diff(reach, prepend=covered if at == 0 else 0)[before:]
    return counts
