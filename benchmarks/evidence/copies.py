"""Where a sequence repeats itself, and what is gained there: previous copies, bins of distance, a block bootstrap."""

from __future__ import annotations

import itertools

import numpy as np

EDGES_BP = (1, 129, 1024, 4096, 16_384, 65_536, 262_144, 1 << 40)  # of distances; two windows of attention reach 128
NO_COPY, UNKNOWN = 0, -1


def words_before(ids: np.ndarray, kmer_bases: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the word of ``kmer_bases`` bases that ends just before each base, and where there is one.

    There is none where the word would begin before the contig or holds a base that is not known.
    """
    if not 1 <= kmer_bases <= 31:
        raise ValueError(f"kmer_bases is {kmer_bases}; choose 1 to 31")
    numbers, known = np.zeros(len(ids), dtype=np.uint64), np.zeros(len(ids), dtype=bool)
    size = len(ids) - kmer_bases
    if size <= 0:
        return numbers, known
    word, full = np.zeros(size, dtype=np.uint64), np.ones(size, dtype=bool)
    for at in range(kmer_bases):
        piece = ids[at : at + size]
        word = (word << np.uint64(2)) | (piece & 3).astype(np.uint64)
        full &= piece < 4
    numbers[kmer_bases:], known[kmer_bases:] = word, full
    return numbers, known


def previous_copy(ids: np.ndarray, kmer_bases: int) -> np.ndarray:
    """Return the bases back to the last earlier occurrence, on the same strand, of the word before each base.

    The word ends just before the base, so the distance says what a reader could know when it predicts, whether the
    copy goes on or not. ``NO_COPY`` where the word is new, ``UNKNOWN`` where there is no word or no known base.
    """
    words, known = words_before(ids, kmer_bases)
    places = np.flatnonzero(known)
    order = places[np.argsort(words[places], kind="stable")]
    same = words[order[1:]] == words[order[:-1]]
    distance = np.full(len(ids), UNKNOWN, dtype=np.int64)
    distance[places] = NO_COPY
    distance[order[1:][same]] = (order[1:] - order[:-1])[same]
    distance[ids >= 4] = UNKNOWN
    return distance


def distance_bins(distance: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the bin of each base (-1 where unknown) and the bins' names; the first bin is "no copy"."""
    bins = np.searchsorted(EDGES_BP, distance, side="right")
    bins[distance == NO_COPY], bins[distance == UNKNOWN] = 0, -1
    names = ["no copy", *(f"{_short(a)}-{_short(b)}" for a, b in itertools.pairwise(EDGES_BP[:-1]))]
    return bins, [*names, f"{_short(EDGES_BP[-2])}+"]


def _short(bases: int) -> str:
    return str(bases) if bases < 1000 else f"{round(bases / 1024)}k"


def group_means(
    values: np.ndarray, groups: np.ndarray, count: int, *, segment_bases: int = 10_000, draws: int = 1000, seed: int = 0
) -> list[dict[str, float | int | None]]:
    """Return the mean of ``values`` in each group, with a 95% interval of a block bootstrap.

    Parameters
    ----------
    values
        One number per base of a contig; nan where there is none.
    groups
        Group of each base, 0 to ``count`` - 1; others belong to none.
    count
        Number of groups.
    segment_bases
        Length of the segments that are drawn, whole, with replacement: neighbours are not independent.
    draws, seed
        Of the bootstrap.

    Returns
    -------
    list of dict
        ``mean``, ``low``, ``high`` (None where a group is empty), ``bases``, and ``segments`` that hold any of it.
    """
    usable = np.isfinite(values) & (groups >= 0) & (groups < count)
    segments = -(-len(values) // segment_bases)
    cell = (np.arange(len(values)) // segment_bases * count + groups)[usable]
    sums = np.bincount(cell, values[usable], segments * count).reshape(segments, count)
    sizes = np.bincount(cell, minlength=segments * count).reshape(segments, count)
    drawn = np.random.default_rng(seed).multinomial(segments, np.full(segments, 1 / segments), draws)
    found = []
    for group in range(count):
        total, bases = sums[:, group].sum(), int(sizes[:, group].sum())
        row: dict[str, float | int | None] = {"mean": None, "low": None, "high": None}
        if bases:
            weight = drawn @ sizes[:, group]
            means = (drawn @ sums[:, group])[weight > 0] / weight[weight > 0]
            low, high = np.quantile(means, [0.025, 0.975])
            row = {"mean": float(total / bases), "low": float(low), "high": float(high)}
        found.append({**row, "bases": bases, "segments": int((sizes[:, group] > 0).sum())})
    return found
