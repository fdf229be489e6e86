"""Bytes on disk to genome nouns and back; one format, one file.

A name loads its module when it is first used, so that importing this package loads no htslib, HDF5 or bigWig.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors
    from titans_dna.io.disk.atomic import atomic_path
    from titans_dna.io.embeddings.reader import Embeddings, Selection, open_embeddings
    from titans_dna.io.embeddings.writer import EmbeddingWriter
    from titans_dna.io.formats import Format, format_of, sniff
    from titans_dna.io.intervals.bed import IntervalRecord, iterate_intervals, iterate_records, read_intervals
    from titans_dna.io.scores import Scores, open_scores
    from titans_dna.io.sequence.aliases import read_aliases
    from titans_dna.io.sequence.bam import AlignedReads, ReadFilter, open_reads
    from titans_dna.io.sequence.consensus import ConsensusOptions, SampleGenome, consensus_sequence
    from titans_dna.io.sequence.fasta import Fasta, Genome, open_fasta
    from titans_dna.io.tables.bigwig import BigWigTrack
    from titans_dna.io.tables.tsv import TsvWriter, read_tsv, write_tsv
    from titans_dna.io.variants.variant_table import (
        VariantColumns,
        open_variants,
        read_variant_strings,
        read_variant_table,
    )
    from titans_dna.io.variants.vcf import VariantReader, VcfRecord, read_variants
    from titans_dna.io.variants.vcf_header import InfoField
    from titans_dna.io.variants.vcf_writer import ScoredVcfWriter, write_scored

_HOMES = {
    "VariantColumns": "variants.variant_table",
    "open_variants": "variants.variant_table",
    "read_variant_strings": "variants.variant_table",
    "read_variant_table": "variants.variant_table",
    "read_aliases": "sequence.aliases",
    "AlignedReads": "sequence.bam",
    "ConsensusOptions": "sequence.consensus",
    "ReadFilter": "sequence.bam",
    "SampleGenome": "sequence.consensus",
    "consensus_sequence": "sequence.consensus",
    "open_reads": "sequence.bam",
    "BigWigTrack": "tables.bigwig",
    "Format": "formats",
    "Scores": "scores",
    "format_of": "formats",
    "open_scores": "scores",
    "sniff": "formats",
    "EmbeddingWriter": "embeddings.writer",
    "Embeddings": "embeddings.reader",
    "Fasta": "sequence.fasta",
    "Genome": "sequence.fasta",
    "InfoField": "variants.vcf_header",
    "ScoredVcfWriter": "variants.vcf_writer",
    "Selection": "embeddings.reader",
    "TsvWriter": "tables.tsv",
    "VariantReader": "variants.vcf",
    "VcfRecord": "variants.vcf",
    "atomic_path": "disk.atomic",
    "IntervalRecord": "intervals.bed",
    "iterate_intervals": "intervals.bed",
    "iterate_records": "intervals.bed",
    "open_embeddings": "embeddings.reader",
    "open_fasta": "sequence.fasta",
    "read_intervals": "intervals.bed",
    "read_tsv": "tables.tsv",
    "read_variants": "variants.vcf",
    "write_scored": "variants.vcf_writer",
    "write_tsv": "tables.tsv",
}

__all__ = [
    "AlignedReads",
    "BigWigTrack",
    "ConsensusOptions",
    "EmbeddingWriter",
    "Embeddings",
    "Fasta",
    "Format",
    "Genome",
    "InfoField",
    "IntervalRecord",
    "ReadFilter",
    "SampleGenome",
    "ScoredVcfWriter",
    "Scores",
    "Selection",
    "TsvWriter",
    "VariantColumns",
    "VariantReader",
    "VcfRecord",
    "atomic_path",
    "consensus_sequence",
    "format_of",
    "iterate_intervals",
    "iterate_records",
    "open_embeddings",
    "open_fasta",
    "open_reads",
    "open_scores",
    "open_variants",
    "read_aliases",
    "read_intervals",
    "read_tsv",
    "read_variant_strings",
    "read_variant_table",
    "read_variants",
    "sniff",
    "write_scored",
    "write_tsv",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
