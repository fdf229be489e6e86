"""What the evidence on adaptation reads: contigs that the model never saw, and what kind of copy each base lies in."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from copies import words_before
from setting import DEMO, Setting

# AluY, the youngest large family (the consensus that every Alu alignment begins with).
ALU = (
    b"GGCCGGGCGCGGTGGCTCACGCCTGTAATCCCAGCACTTTGGGAGGCCGAGGCGGGCGGATCACGAGGTCAGGAGATCGAGACCATCCCGGCTAAAACGGTGAAACCCCGTCTC"
    b"TACTAAAAATACAAAAAATTAGCCGGGCGTGGTGGCGGGCGCCTGTAGTCCCAGCTACTCGGGAGGCTGAGGCAGGAGAATGGCGTGAACCCGGGAGGCGGAGCTTGCAGTGAG"
    b"CCGAGATCGCGCCACTGCACTCCAGCCTGGGCGACAGAGCGAGACTCCGTCTCAAAAAAA"
)
ALU_WORD, ALU_WINDOW, ALU_SHARE = 12, 100, 0.05  # bases of a word, window, and share of its words that are Alu's
WIDESPREAD = 5  # places elsewhere in the genome from which on a word counts as dispersed


@dataclass(frozen=True, kw_only=True)
class Contig:
    """A contig to read, and the kind of element that each base lies in."""

    name: str
    ids: np.ndarray
    kinds: tuple[str, ...]  # names of elements
    element: np.ndarray  # (bases,) index of ``kinds``


def ids_of(path: Path, contig: str | None = None) -> np.ndarray:
    """Return the ids of a contig, by default the first."""
    from titans_dna.loading.genomes import open_genome

    genome = open_genome(path)
    return np.array(genome.ids_of(contig or genome.contigs.names[0]))


def demo(contig: str, bases: int | None = None) -> Contig:
    """Return a contig of the demo genome with its planted elements: which families have been seen before on it?"""
    ids = ids_of(DEMO, contig)
    kinds = ("elsewhere", "tandem repeat", "private family, first copy", "private family, later copy",
             "shared family, first copy", "shared family, later copy")  # fmt: skip
    element = np.zeros(len(ids), dtype=np.int64)
    seen: Counter[str] = Counter()
    for name, start, end, _, kind, label in json.loads(DEMO.with_suffix(".json").read_text())["features"]:
        if name == contig and kind == "tandem":
            element[start:end] = 1
        elif name == contig and kind == "dispersed":
            family = label.partition(":")[0]
            element[start:end] = (2 if "private" in family else 4) + bool(seen[family])
            seen[family] += 1
    return Contig(name=f"demo {contig}", ids=ids[:bases], kinds=kinds, element=element[:bases])


def yeast(setting: Setting, contig: str, kmer_bases: int) -> Contig:
    """Return a yeast chromosome; elements are by how often a word comes on the other chromosomes, either strand.

    There is no annotation of transposons at hand: words on five or more places elsewhere are Ty elements and their
    ends, telomeric repeats, and parts of gene families.
    """
    from titans_dna.loading.genomes import open_genome

    genome = open_genome(setting.data / "genomes/yeast_R64-1-1.fa.gz")
    ids = np.array(genome.ids_of(contig))
    others = []
    for name in genome.contigs.names:
        forward = np.array(genome.ids_of(name))
        for strand in (forward, np.where(forward < 4, 3 - forward, forward)[::-1]) if name != contig else ():
            words, known = words_before(strand, kmer_bases)
            others.append(words[known])
    numbers, counts = np.unique(np.concatenate(others), return_counts=True)
    words, known = words_before(ids, kmer_bases)
    at = np.searchsorted(numbers, words).clip(max=len(numbers) - 1)
    times = np.where(known & (numbers[at] == words), counts[at], 0)
    element = np.digitize(times, (1, WIDESPREAD))
    kinds = ("nowhere else in the genome", "on 1 to 4 other places", "on 5 or more (Ty, telomeres)")
    return Contig(name=f"yeast {contig}", ids=ids, kinds=kinds, element=element)


def chr20(setting: Setting) -> Contig:
    """Return a megabase of human chr20; elements are stretches that share words with an Alu, on either strand."""
    ids = ids_of(setting.data / "human/hg19_chr20_1Mb.fa.gz")
    return Contig(name="human chr20, 1 Mb", ids=ids, kinds=("elsewhere", "Alu"), element=like_alu(ids).astype(np.int64))


def like_alu(ids: np.ndarray) -> np.ndarray:
    """Return which bases lie in a window where many words are those of the Alu consensus or its complement."""
    from titans_dna.tokenizers import base_ids

    consensus = base_ids(ALU)
    wanted: set[int] = set()
    for strand in (consensus, (3 - consensus)[::-1]):
        words, known = words_before(strand, ALU_WORD)
        wanted.update(words[known].tolist())
    words, known = words_before(ids, ALU_WORD)
    hits = np.isin(words, np.array(sorted(wanted), dtype=np.uint64)) & known
    half = ALU_WINDOW // 2
    total = np.concatenate([[0], np.cumsum(hits)])
    at = np.arange(len(ids))
    low, high = np.maximum(at - half, 0), np.minimum(at + half, len(ids))
    return (total[high] - total[low]) >= ALU_SHARE * ALU_WINDOW
