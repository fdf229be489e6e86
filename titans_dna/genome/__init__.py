"""The nouns of a genome: intervals, variants, letters, contigs. Standard library and numpy only."""

from titans_dna.genome.alphabet import count_ambiguous, is_nucleotides, reverse_complement
from titans_dna.genome.contigs import ContigTable
from titans_dna.genome.interval import Interval, iterate_tiles, merge_intervals
from titans_dna.genome.variant import Fetch, Variant

__all__ = [
    "ContigTable",
    "Fetch",
    "Interval",
    "Variant",
    "count_ambiguous",
    "is_nucleotides",
    "iterate_tiles",
    "merge_intervals",
    "reverse_complement",
]
