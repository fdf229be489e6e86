"""The vote of the relatives on alleles: how many of the genomes that were read before have REF, ALT, or another base.

A contig is read in blocks at fixed places, with some bases before and behind each, so the votes at a base depend on
the contig and the relatives alone: not on the other variants of a file, nor on shards or workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from titans_dna.genome.bases import Bases
from titans_dna.inference.alleles import Allele
from titans_dna.recall import Relatives
from titans_dna.recall.vote import BLOCK, LEAD, NONE, votes
from titans_dna.tokenizers.base import base_ids

FEW = 3  # genomes with ALT beyond which one more says nothing
ALT_WEIGHT = 0.3  # of each genome with ALT; chosen on CFTR's odd exons
# Log odds that a substitution is tolerated: a logistic regression of synonymous changes against all others in CFTR's
# odd exons, both classes with one weight (benchmarks/evidence/relatives.py).
TOLERANCE = {
    "none": -2.05,
    "share": -0.59,  # of the voters that have REF, smoothed
    "any_alt": 1.4,
    "alt": 0.5,  # each of the first three with ALT
    "any_other": 1.02,
    "other": 0.31,  # each of the first three with a third base
    "transition": 1.15,
    "from_cpg": -0.91,  # a transition that takes a CpG away is common, so it need not be tolerated to be seen
    "to_cpg": 0.93,
}


def block_votes(relatives: Relatives, sequence: Bases, block: int) -> np.ndarray:
    """Return the votes at the bases of one block of a contig, (bases, genomes) uint8 (`titans_dna.recall.vote`)."""
    start, end = block * BLOCK, min((block + 1) * BLOCK, len(sequence))
    low, high = max(0, start - LEAD), min(len(sequence), end + LEAD)
    return votes(relatives, base_ids(sequence[low:high]))[start - low : end - low]


def vote_on_alleles(relatives: Relatives, sequence: Bases, alleles: Sequence[Allele]) -> np.ndarray:
    """Return how many relatives have REF, ALT, or something else where each allele lies.

    Parameters
    ----------
    relatives
        The genomes that vote.
    sequence
        The whole contig.
    alleles
        On this contig, in any order. A substitution of several bases has the vote of a genome only if the genome agrees
        with one side at all of them.

    Returns
    -------
    numpy.ndarray
        (alleles, 4) float64: the numbers with REF, ALT and another base, and the ``tolerance``; nan for insertions and
        deletions, on which no single base decides, and the last for substitutions of several bases too.
    """
    found = np.full((len(alleles), 4), np.nan)
    single = [row for row, allele in enumerate(alleles) if len(allele.alt) == allele.end - allele.start > 0]
    last = {row: (alleles[row].start // BLOCK, (alleles[row].end - 1) // BLOCK) for row in single}
    for (first, end), rows in groupby(sorted(single, key=last.__getitem__), key=last.__getitem__):
        told = np.concatenate([block_votes(relatives, sequence, block) for block in range(first, end + 1)])
        for row in rows:
            allele = alleles[row]
            span = slice(allele.start - first * BLOCK, allele.end - first * BLOCK)
            here = told[span]
            ref = (here == base_ids(sequence[allele.start : allele.end])[:, None]).all(0)
            alt = (here == base_ids(allele.alt)[:, None]).all(0)
            found[row, :3] = ref.sum(), alt.sum(), ((here != NONE).all(0) & ~ref & ~alt).sum()
            if len(allele.alt) == 1:
                left = sequence[max(0, allele.start - 1) : allele.start]
                right = sequence[allele.end : allele.end + 1]
                change = sequence[allele.start : allele.end] + allele.alt
                found[row, 3] = tolerance(found[row, :3], left.upper(), change.upper(), right.upper())
    return found


def vote_score(counts: np.ndarray) -> np.ndarray:
    """Return one number for the votes (n, 3) on each allele: the lower, the more the relatives speak against ALT.

    It is -(REF + 1) / (voters + 2) + 0.3 min(ALT, 3): the share of those that have REF, smoothed, and a bonus for each
    of the first three relatives that live with ALT. It lies between -1 and 0.9; -0.5 if none votes.
    """
    ref, alt, other = counts.T
    return ALT_WEIGHT * np.minimum(alt, FEW) - (ref + 1) / (ref + alt + other + 2)


def tolerance(counts: np.ndarray, left: bytes, change: bytes, right: bytes) -> float:
    """Return the log odds that a substitution is tolerated, from votes and the kind of change; lower is more damaging.

    Parameters
    ----------
    counts
        (3,) relatives with REF, ALT, another base. If none votes, the kind of change alone speaks.
    left, change, right
        The base before, REF and ALT, and the base behind, in upper case; empty at the ends of a contig.
    """
    ref, alt, other = counts
    transition = change in (b"AG", b"GA", b"CT", b"TC")
    told = {
        "none": 1.0,
        "share": (ref + 1) / (ref + alt + other + 2),
        "any_alt": alt > 0,
        "alt": min(alt, FEW),
        "any_other": other > 0,
        "other": min(other, FEW),
        "transition": transition,
        "from_cpg": transition and (change[:1] + right == b"CG" or left + change[:1] == b"CG"),
        "to_cpg": change[1:] + right == b"CG" or left + change[1:] == b"CG",
    }
    return float(sum(weight * told[name] for name, weight in TOLERANCE.items()))
