"""Puts a score in relation: to the scores of common variants, and to the same change in shuffled surroundings.

A shuffle keeps the dinucleotide counts. The letters are the vertices of a graph, and the dinucleotides of the sequence
its edges. A shuffle is a random walk that uses every edge once (Altschul and Erickson 1985,
doi:10.1093/oxfordjournals.molbev.a040370): the edges by which each letter is left for the last time form a random tree
towards the final letter, all other edges come in random order.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from titans_dna.genome.bases import Bases
from titans_dna.inference.alleles import Allele
from titans_dna.inference.branches import Branches, Checkpoint, read_branches
from titans_dna.inference.metrics import placements
from titans_dna.inference.model import SequenceModel, require_single_bases
from titans_dna.inference.score_variants import branch_stride
from titans_dna.inference.strand import Strand

FEWEST_BACKGROUND = 20  # fewest scores in a class for quantiles; fewer would give steps of more than 5%


def length_class(ref_bp: int, alt_bp: int) -> str:
    """Return the class within which scores are compared: ``substitution`` if ALT is as long as REF, else ``indel``."""
    return "substitution" if ref_bp == alt_bp else "indel"


def quantiles(scores: np.ndarray, classes: Sequence[str], background: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the share of background scores of the same class that are below each score, ties counting half.

    A low value means that hardly any common variant is as unlikely. It is nan where there is no score, or where the
    class has fewer than ``FEWEST_BACKGROUND`` members.
    """
    found = np.full(len(scores), np.nan)
    labels = np.asarray(classes, dtype=str)
    for name, values in background.items():
        if len(values) < FEWEST_BACKGROUND:
            continue
        rows = np.flatnonzero((labels == name) & np.isfinite(scores))
        found[rows] = placements(scores[rows], values)
    return found


def shuffled_scores(
    model: SequenceModel,
    sequence: Bases,
    alleles: Sequence[Allele],
    *,
    horizon_bp: int,
    shuffles: int,
    seed: int,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> np.ndarray:
    """Score each allele in ``shuffles`` surroundings with shuffled dinucleotides, averaged over both strands.

    On either side ``horizon_bp`` bases are shuffled. Everything beyond them stays, and so do the bases between the
    leftmost and the rightmost placement of the allele. The random numbers of a shuffle follow from ``seed``, the allele
    and its place, so they depend neither on other alleles nor on their order.

    Returns
    -------
    numpy.ndarray
        (alleles, shuffles) float64: ln P(ALT) - ln P(REF) in nats.

    Raises
    ------
    ConfigError
        If the model's tokens have several bases.
    """
    require_single_bases(model, "shuffled surroundings")
    strands = [Strand.of(sequence, model.tokenizer, reverse=reverse) for reverse in (False, True)]
    stride, count = branch_stride(model.backbone.config), len(alleles) * shuffles * 2
    length = len(sequence)
    places = np.empty((2, 4, len(alleles)), dtype=np.int64)  # per strand: cut; bases read for REF, for ALT; not counted
    for row, allele in enumerate(alleles):
        low, high = max(0, allele.first - horizon_bp), min(length, allele.last + horizon_bp)
        grown = len(allele.alt) - (allele.end - allele.start)
        for lane, strand in enumerate(strands):
            start, stop = strand.span(low, high)
            cut = start // stride * stride
            places[lane, :, row] = cut, stop - cut, stop - cut + grown, strand.span(allele.first, allele.last)[0] - cut

    # Haplotypes are numbered by strand, allele, shuffle, and then REF before ALT. A pair shares its shuffle.
    def haplotype(index: int) -> tuple[np.ndarray, np.ndarray]:
        lane, rest = divmod(index, count)
        (row, number), with_alt = divmod(rest // 2, shuffles), bool(rest % 2)
        allele, strand = alleles[row], strands[lane]
        window = _surroundings(sequence, allele, horizon_bp, (seed, number), with_alt)
        cut, skipped = int(places[lane, 0, row]), int(places[lane, 3, row])
        start = strand.span(max(0, allele.first - horizon_bp), min(length, allele.last + horizon_bp))[0]
        ids = np.concatenate([strand.ids[cut:start], model.tokenizer.encode(strand.allele(window))])
        return ids, (np.arange(len(ids)) >= skipped).astype(float)

    each = np.repeat(np.arange(len(alleles)), shuffles)
    branches = Branches(
        lanes=np.repeat([0, 1], count),
        cuts=np.concatenate([np.repeat(places[lane, 0, each], 2) for lane in (0, 1)]),
        lengths=np.concatenate([places[lane, 1:3, each].reshape(-1) for lane in (0, 1)]),
        haplotype=haplotype,
    )
    # REF is a haplotype too, since its surroundings are shuffled, so nothing is summed along the strands themselves.
    nothing = np.empty(0, dtype=np.int64)
    found, _ = read_branches(
        model, strands, branches, [(nothing, nothing)] * 2, checkpoint=checkpoint, progress=progress
    )
    by = found.reshape(2, len(alleles), shuffles, 2)
    return (by[..., 1] - by[..., 0]).mean(0)


def _surroundings(sequence: Bases, allele: Allele, horizon_bp: int, seeds: tuple[int, int], with_alt: bool) -> bytes:
    """Return the window around an allele with both flanks shuffled, and REF or ALT between them."""
    left = sequence[max(0, allele.first - horizon_bp) : allele.first].upper()
    right = sequence[allele.last : allele.last + horizon_bp].upper()
    middle = sequence[allele.first : allele.last]
    if with_alt:
        middle = sequence[allele.first : allele.start] + allele.alt + sequence[allele.end : allele.last]
    text = f"{allele.start} {allele.end} {allele.alt.decode()}".encode()
    own = int.from_bytes(hashlib.sha256(text).digest()[:8], "little")
    random = np.random.default_rng([seeds[0], seeds[1], own])
    return shuffle_dinucleotides(left, random) + middle + shuffle_dinucleotides(right, random)


def empirical_p(scores: np.ndarray, null: np.ndarray) -> np.ndarray:
    """Return the empirical p-value: the share of scores that are at most the true one, which itself is counted too.

    Parameters
    ----------
    scores
        True scores, (n,); nan gives nan.
    null
        Scores in shuffled surroundings, (n, shuffles).
    """
    # Counting the true score makes the p-value valid (it is never 0): North, Curtis and Sham 2002, doi:10.1086/341527.
    p = (1 + (null <= scores[:, None]).sum(1)) / (1 + null.shape[1])
    return np.where(np.isfinite(scores), p, np.nan)


def shuffle_dinucleotides(sequence: bytes, random: np.random.Generator) -> bytes:
    """Return a uniformly random sequence with the same first and last letter and the same count of every dinucleotide.

    Examples
    --------
    >>> shuffle_dinucleotides(b"AAACACCC", np.random.default_rng(1))
    b'AAACCACC'
    """
    if len(sequence) < 4:
        return sequence
    edges: dict[int, list[int]] = {}
    for a, b in itertools.pairwise(sequence):
        edges.setdefault(a, []).append(b)
    last = sequence[-1]
    final = _last_edges(edges, last, random)
    order: dict[int, list[int]] = {}
    for vertex in sorted(edges):
        rest = list(edges[vertex])
        if vertex in final:
            rest.remove(final[vertex])
        shuffled = [rest[i] for i in random.permutation(len(rest))]
        # Reversed, since the walk takes edges from the end: the edge of the tree is taken last.
        order[vertex] = [*shuffled, final[vertex]][::-1] if vertex in final else shuffled
    walk = bytearray([sequence[0]])
    for _ in range(len(sequence) - 1):
        walk.append(order[walk[-1]].pop())
    return bytes(walk)


def _last_edges(edges: dict[int, list[int]], root: int, random: np.random.Generator) -> dict[int, int]:
    """Return a uniformly random tree of edges to ``root``, one from every other letter (Wilson's loop-erased walk)."""
    tree: dict[int, int] = {}
    inside = {root}
    for start in sorted(edges):
        at = start
        while at not in inside:
            # A walk that comes back to a letter overwrites its edge, which erases the loop.
            tree[at] = edges[at][int(random.integers(len(edges[at])))]
            at = tree[at]
        at = start
        while at not in inside:
            inside.add(at)
            at = tree[at]
    return tree
