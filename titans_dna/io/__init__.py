"""Bytes on disk to genome nouns and back; one format, one file.

A name loads its module when it is first used, so that importing this package loads no htslib, HDF5 or bigWig.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "disk.atomic": ("atomic_path",),
    "embeddings.reader": ("Embeddings", "Selection", "open_embeddings"),
    "embeddings.writer": ("EmbeddingWriter",),
    "formats": ("Format", "format_of", "sniff"),
    "intervals.bed": ("IntervalRecord", "iterate_intervals", "iterate_records", "read_intervals"),
    "scores": ("Scores", "open_scores"),
    "sequence.aliases": ("read_aliases",),
    "sequence.bam": ("AlignedReads", "ReadFilter", "open_reads"),
    "sequence.consensus": ("ConsensusOptions", "SampleGenome"),
    "sequence.fasta": ("Fasta", "Genome", "open_fasta"),
    "tables.bigwig": ("BigWigTrack",),
    "tables.tsv": ("TsvWriter", "read_tsv", "write_tsv"),
    "variants.variant_table": ("VariantColumns", "open_variants", "read_variant_strings", "read_variant_table"),
    "variants.vcf": ("VariantReader", "VcfRecord", "read_variants"),
    "variants.vcf_header": ("InfoField",),
    "variants.vcf_writer": ("ScoredVcfWriter",),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
