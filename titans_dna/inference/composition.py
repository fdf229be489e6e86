"""What a sequence is made of, beside another: GC, short words, and stretches that were copied from earlier places.

A model that goes on with a sequence can repeat what it has read. These figures stand beside what it generates, so that
copying is not taken for invention.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from titans_dna.inference.generate import Generated, Prompt
from titans_dna.recall.copies import find_copies

WORD_BP = 3  # length of the words that are counted
LEAST_COPY_BP = 32  # shortest stretch that counts as copied


@dataclass(frozen=True, kw_only=True)
class Composition:
    """Figures about the composition of a sequence; nan where there is nothing to count."""

    gc: float  # share of G and C among its known bases
    word_divergence: float  # Jensen-Shannon divergence in bits of its words of 3 bases from the prompt's, 0 to 1
    copied: float  # share of its bases in stretches that the copy memory foretold from an earlier place
    longest_copy_bp: int  # longest of these stretches


def describe_prompt(prompt: Prompt) -> Composition:
    """Return the composition of a prompt; what was read before it is where copies can come from."""
    ids = prompt.inputs[len(prompt.inputs) - len(prompt.sequence) :]
    copied, longest = math.nan, 0
    if prompt.begin is not None:
        first = prompt.begin.position + len(prompt.inputs) - len(ids)
        copies = find_copies(prompt.begin, prompt.inputs, LEAST_COPY_BP)
        lengths = [each.end - max(first, each.start) for each in copies if each.end > first]
        copied, longest = _share(lengths, len(ids))
    return Composition(gc=gc_share(ids), word_divergence=math.nan, copied=copied, longest_copy_bp=longest)


def describe_generated(prompt: Prompt, found: Generated) -> Composition:
    """Return the composition of a sequence; copies can come from the prompt, all before it, and the sequence itself."""
    copied, longest = math.nan, 0
    if prompt.state.recall is not None:
        reader = replace(prompt.state.recall.streams[0], leaves=True)
        ids = np.concatenate([[prompt.last], found.ids]).astype(np.uint8)
        lengths = [each.end - each.start for each in find_copies(reader, ids, LEAST_COPY_BP)]
        copied, longest = _share(lengths, len(found.ids))
    read = prompt.inputs[len(prompt.inputs) - len(prompt.sequence) :]
    return Composition(
        gc=gc_share(found.ids),
        word_divergence=divergence(count_words(read), count_words(found.ids)),
        copied=copied,
        longest_copy_bp=longest,
    )


def _share(lengths: list[int], bases: int) -> tuple[float, int]:
    return (sum(lengths) / bases if bases else math.nan), max(lengths, default=0)


def gc_share(ids: np.ndarray) -> float:
    """Return the share of G and C among known bases, given as ids 0 to 3 for A, C, G, T; nan if there is none."""
    known = ids[ids < 4]
    return float(((known == 1) | (known == 2)).mean()) if len(known) else math.nan


def count_words(ids: np.ndarray, word_bp: int = WORD_BP) -> np.ndarray:
    """Return how often each word occurs, overlapping, (4**word_bp,); words with a base that is not known are left out.

    Parameters
    ----------
    ids
        (bases,) 0 to 3 for A, C, G and T; higher for any other letter.
    word_bp
        Length of a word.
    """
    if len(ids) < word_bp:
        return np.zeros(4**word_bp, np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(ids.astype(np.int64), word_bp)
    known = windows[(windows < 4).all(1)]
    return np.bincount(known @ 4 ** np.arange(word_bp)[::-1], minlength=4**word_bp)


def divergence(first: np.ndarray, second: np.ndarray) -> float:
    """Return the Jensen-Shannon divergence of two counts in bits, 0 for equal shares to 1; nan if one is empty."""
    if not (first.sum() and second.sum()):
        return math.nan
    p, q = first / first.sum(), second / second.sum()
    return _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2


def _entropy(shares: np.ndarray) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log2(some)).sum())
