"""The vote of the relatives: at a base of a sequence, which base has each genome that was read before?

No genome is aligned. A place of each is found by spaced words and followed through substitutions, on both strands, as
in the copy memory, but for one place a genome and from both sides: a place that comes from the left vouches for its
base by the 64 bases to the left of it, one that comes from the right by those to the right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titans_dna.recall.memory import GAP, CopyMemory
from titans_dna.recall.relatives import Relatives

BLOCK = 1 << 14  # bases that are read at once: blocks begin at multiples of it, so that no vote depends on the request
LEAD = 2048  # bases read before and behind a block
NONE = 4  # instead of a base: the genome has no vote


@dataclass(frozen=True, kw_only=True)
class VoteRule:
    """By what rule a genome votes; chosen on CFTR's odd exons."""

    matches: int = 32  # a word that lies at more places in the memory is passed over, see ``most_matches``
    accepted_hits: int = 24  # of 34 bases in and around a word, those that must agree for its place to be followed
    trusted_hits: int = 40  # of the 64 bases on one side, those that must agree for a vote

    def most_matches(self, memory: CopyMemory) -> np.ndarray:
        """Return at how many places of a memory each of its words may lie, (words,) int64.

        In a large memory every short word lies at many places by chance: one of 11 bases at 700 of a mammal's. So the
        limit is ``matches`` or four times what chance gives, whichever is more: a repeat is passed over, not a word.
        """
        counted = np.array([word.count("1") for word in memory.form.words])
        # Of a word that is written one time in so many, that many fewer are ever found.
        held = np.array(memory.entries) * np.array(memory.form.sample_every)
        chance = held / 4.0 ** np.minimum(counted, memory.form.index_bits // 2)
        return np.maximum(self.matches, 4 * chance).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class SideVotes:
    """What the places that come from one side say; (T, G) each."""

    base: np.ndarray  # uint8: 0 to 3, or ``NONE``
    hits: np.ndarray  # uint8: of the 64 bases on that side, those that agree


def votes(relatives: Relatives, ids: np.ndarray, rule: VoteRule | None = None) -> np.ndarray:
    """Return the base that each genome has at each base of a sequence.

    Parameters
    ----------
    relatives
        What was read.
    ids
        (T,) 0 to 3 for A, C, G and T, a higher number for any other letter.
    rule
        When to trust a place.

    Returns
    -------
    numpy.ndarray
        (T, G) uint8, genomes in the order of ``relatives.genomes``; ``NONE`` where one has no vote.
    """
    rule = rule or VoteRule()
    ids = np.minimum(ids, GAP).astype(np.uint8)
    left = one_side(relatives, ids, rule)
    complement = np.array([3, 2, 1, 0, GAP], dtype=np.uint8)
    right = one_side(relatives, complement[ids[::-1]], rule)
    bases, hits = complement[right.base[::-1]], right.hits[::-1]
    nearer = np.where(hits > left.hits, bases, left.base)  # the side that agrees better speaks
    return np.where(np.maximum(hits, left.hits) >= rule.trusted_hits, nearer, NONE).astype(np.uint8)


def one_side(relatives: Relatives, ids: np.ndarray, rule: VoteRule) -> SideVotes:
    """Return what the places say that are found when a sequence is read from its beginning."""
    from titans_dna.recall.vote_kernels import follow_genomes

    memory, (starts, genomes) = relatives.memory, relatives.table
    query = CopyMemory(memory.form)
    query.lay(ids)
    shape = (len(ids), len(relatives.genomes))
    found = SideVotes(base=np.full(shape, NONE, dtype=np.uint8), hits=np.zeros(shape, dtype=np.uint8))
    if len(genomes):
        follow_genomes(
            query.store, len(ids), memory.store, memory.indexes, starts, genomes, memory.end, *memory.words,
            memory.form.index_bits, rule.most_matches(memory), rule.accepted_hits, found.base, found.hits,
        )  # fmt: skip
    return found
