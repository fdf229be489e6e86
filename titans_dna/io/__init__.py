"""Bytes on disk to genome nouns and back; one format, one file.

A name loads its module when it is first used, so that importing this package loads no htslib, HDF5 or bigWig.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors
    from titans_dna.io.aliases import read_aliases
    from titans_dna.io.atomic import atomic_path
    from titans_dna.io.bam import AlignedReads, ReadFilter, open_reads
    from titans_dna.io.bed import IntervalRecord, iterate_intervals, iterate_records, read_intervals
    from titans_dna.io.consensus import ConsensusOptions, SampleGenome, consensus_sequence
    from titans_dna.io.fasta import Fasta, Genome, fetch_circular, open_fasta
    from titans_dna.io.hdf5 import EmbeddingWriter
    from titans_dna.io.hdf5_reader import Embeddings, Selection, open_embeddings
    from titans_dna.io.tables import TsvWriter, read_tsv, write_tsv
    from titans_dna.io.tracks import BigWigTrack
    from titans_dna.io.variant_table import VariantColumns, open_variants, read_variant_strings, read_variant_table
    from titans_dna.io.vcf import VariantReader, VcfRecord, read_variants
    from titans_dna.io.vcf_header import InfoField
    from titans_dna.io.vcf_writer import ScoredVcfWriter, write_scored

_HOMES = {
    "VariantColumns": "variant_table",
    "open_variants": "variant_table",
    "read_variant_strings": "variant_table",
    "read_variant_table": "variant_table",
    "read_aliases": "aliases",
    "AlignedReads": "bam",
    "ConsensusOptions": "consensus",
    "ReadFilter": "bam",
    "SampleGenome": "consensus",
    "consensus_sequence": "consensus",
    "open_reads": "bam",
    "BigWigTrack": "tracks",
    "EmbeddingWriter": "hdf5",
    "Embeddings": "hdf5_reader",
    "Fasta": "fasta",
    "Genome": "fasta",
    "InfoField": "vcf_header",
    "ScoredVcfWriter": "vcf_writer",
    "Selection": "hdf5_reader",
    "TsvWriter": "tables",
    "VariantReader": "vcf",
    "VcfRecord": "vcf",
    "atomic_path": "atomic",
    "fetch_circular": "fasta",
    "IntervalRecord": "bed",
    "iterate_intervals": "bed",
    "iterate_records": "bed",
    "open_embeddings": "hdf5_reader",
    "open_fasta": "fasta",
    "read_intervals": "bed",
    "read_tsv": "tables",
    "read_variants": "vcf",
    "write_scored": "vcf_writer",
    "write_tsv": "tables",
}

__all__ = [
    "AlignedReads",
    "BigWigTrack",
    "ConsensusOptions",
    "EmbeddingWriter",
    "Embeddings",
    "Fasta",
    "Genome",
    "InfoField",
    "IntervalRecord",
    "ReadFilter",
    "SampleGenome",
    "ScoredVcfWriter",
    "Selection",
    "TsvWriter",
    "VariantColumns",
    "VariantReader",
    "VcfRecord",
    "atomic_path",
    "consensus_sequence",
    "fetch_circular",
    "iterate_intervals",
    "iterate_records",
    "open_embeddings",
    "open_fasta",
    "open_reads",
    "open_variants",
    "read_aliases",
    "read_intervals",
    "read_tsv",
    "read_variant_strings",
    "read_variant_table",
    "read_variants",
    "write_scored",
    "write_tsv",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
