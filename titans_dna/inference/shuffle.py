"""Shuffles a sequence and keeps its dinucleotide counts; such sequences are the null model of an empirical p-value.

The letters are the vertices of a graph, and the dinucleotides of the sequence its edges. A shuffle is a random walk
that uses every edge once (Altschul and Erickson 1985, doi:10.1093/oxfordjournals.molbev.a040370): the edges by which
each letter is left for the last time form a random tree towards the final letter, all other edges come in random order.
"""

from __future__ import annotations

import itertools

import numpy as np


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
