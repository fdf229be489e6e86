"""Counts the words of the training sequence, for the tables of ``model/word_counts.py``.

A network that is trained with counts of its own training sequence would trust them too much, because every window that
it sees has been counted. So there are several *versions* of the counts, each without some groups of contigs, and a
window is read with a version that has not counted it. The finished model holds the counts of everything.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch

from titans_dna.errors import ConfigError
from titans_dna.loading.lanes import reverse_complement_ids
from titans_dna.model.config import WordCountForm
from titans_dna.model.word_counts import BASES, EXACT, STEPS, canonical_rows, hash_words

Version = tuple[torch.Tensor, torch.Tensor]  # codes of counts and repeats, both uint8
MAXIMUM_GROUPS = 64
PARTS = BASES**2  # repeats are collected in parts, by the first two bases of the word, which bounds the memory
LEAST = 2  # times that a word and its successor must occur to count as a repeat


def encode_counts(counts: np.ndarray) -> np.ndarray:
    """Encode counts as one byte each: exact below ``EXACT``, then ``STEPS`` codes per doubling."""
    large = EXACT + np.rint(STEPS * np.log2(np.maximum(counts, EXACT) / EXACT))
    return np.minimum(np.where(counts < EXACT, counts, large), 255).astype(np.uint8)


def words_before(ids: np.ndarray, word_bases: int) -> tuple[np.ndarray, np.ndarray]:
    """Return every word of ``word_bases`` known bases that a known base follows, and that base.

    A word is a number in base 4, its first base the highest digit.
    """
    size = max(0, len(ids) - word_bases)
    word, known = np.zeros(size, dtype=np.int64), np.ones(size, dtype=bool)
    for at in range(word_bases + 1):
        piece = ids[at : at + size]
        known &= piece < BASES
        if at < word_bases:
            word = word * BASES + (piece & (BASES - 1))
    return word[known], ids[word_bases:][known]


def count_words(
    contigs: Sequence[np.ndarray], groups: Sequence[int], left_out: Sequence[Collection[int]], form: WordCountForm
) -> list[Version]:
    """Return one version of the tables for each set of groups in ``left_out``, without the contigs of these groups.

    Parameters
    ----------
    contigs
        Base ids of every contig.
    groups
        Group of every contig, 0 to 63.
    left_out
        Groups to leave out of each version.
    form
        Sizes of the tables.

    Raises
    ------
    ConfigError
        If there are more than 64 groups.
    """
    if max(groups, default=0) >= MAXIMUM_GROUPS:
        raise ConfigError(f"the contigs form more than {MAXIMUM_GROUPS} groups; use fewer")
    kept = np.ones((len(left_out), MAXIMUM_GROUPS), dtype=bool)
    for version, out in enumerate(left_out):
        kept[version, list(out)] = False
    counts = _complete(contigs, groups, kept, form)
    repeats = _repeats(contigs, groups, kept, form)
    return [(torch.from_numpy(a), torch.from_numpy(b)) for a, b in zip(counts, repeats, strict=True)]


def _complete(contigs: Sequence[np.ndarray], groups: Sequence[int], kept: np.ndarray, form: WordCountForm) -> list:
    """Return, for each version, the encoded counts of all words of ``form.order`` + 1 bases."""
    rows = canonical_rows(form.order).numpy()
    by_group = {g: np.zeros(len(rows) // 2, dtype=np.int64) for g in groups}
    for ids, group in zip(contigs, groups, strict=True):
        word, base = words_before(ids, form.order)
        by_group[group] += np.bincount(rows[word * BASES + base], minlength=len(rows) // 2)
    # The term of zeros makes the sum an array even if no group is left.
    return [encode_counts(sum(x for g, x in by_group.items() if keep[g]) + 0 * rows[: len(rows) // 2]) for keep in kept]


def _repeats(contigs: Sequence[np.ndarray], groups: Sequence[int], kept: np.ndarray, form: WordCountForm) -> list:
    """Return, for each version, the hashed table of the successors of repeated words."""
    parts: list[list[np.ndarray]] = [[] for _ in range(PARTS)]
    split = BASES ** (form.repeat_order - 2)
    for ids, group in zip(contigs, groups, strict=True):
        # Both strands are counted here, because hashed words, unlike those of `_complete`, have no row in common with
        # their reverse complement.
        for strand in (ids, reverse_complement_ids(ids)):
            word, base = words_before(strand, form.repeat_order)
            # The group is in the lowest bits of the key, so that after one sort every version can leave its groups out.
            keys = (word * BASES + base) * MAXIMUM_GROUPS + group
            part = word // split
            order = np.argsort(part.astype(np.uint8), kind="stable")
            cuts = np.searchsorted(part[order], np.arange(1, PARTS))
            for into, piece in zip(parts, np.split(keys[order], cuts), strict=True):
                into.append(piece)
    tables = [np.zeros(form.repeat_rows, dtype=np.uint8) for _ in kept]
    best = [np.zeros(form.repeat_rows, dtype=np.int32) for _ in kept]
    for number in range(PARTS):
        keys = np.concatenate(parts[number]) if parts[number] else np.zeros(0, dtype=np.int64)
        parts[number] = []
        keys.sort()
        keys, seen = _again(keys)
        for table, most, keep in zip(tables, best, kept, strict=True):
            _enter(table, most, keys, seen & keep[keys % MAXIMUM_GROUPS], form)
    return tables


def _again(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted keys whose word and successor occur at least ``LEAST`` times, and a mask of ones."""
    pair = keys // MAXIMUM_GROUPS
    start = np.flatnonzero(np.diff(pair, prepend=-1))
    size = np.diff(np.append(start, len(pair)))
    keys = keys[np.repeat(size >= LEAST, size)]
    return keys, np.ones(len(keys), dtype=bool)


def _enter(table: np.ndarray, most: np.ndarray, keys: np.ndarray, chosen: np.ndarray, form: WordCountForm) -> None:
    """Enter pairs of word and successor into a hashed table; of several in one row, the most frequent stays."""
    pair = keys[chosen] // MAXIMUM_GROUPS
    start = np.flatnonzero(np.diff(pair, prepend=-1))
    size = np.diff(np.append(start, len(pair))).astype(np.int32)
    pair, size = pair[start][size >= LEAST], size[size >= LEAST]
    row, check = (x.numpy() for x in hash_words(torch.from_numpy(pair // BASES), form.repeat_rows))
    value = (check * BASES + pair % BASES).astype(np.uint8)
    better = size > most[row]
    # Of several assignments to one row the last one stays, so the most frequent pair comes last.
    order = np.argsort(size[better], kind="stable")
    row, value, size = row[better][order], value[better][order], size[better][order]
    table[row], most[row] = value, size
