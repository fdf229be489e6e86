"""A VCF copied with one row of values for each record."""

from __future__ import annotations

from titans_dna.io.variants.vcf import VariantReader, read_variants
from titans_dna.io.variants.vcf_writer import ScoredVcfWriter


def write_scored(source, output, fields, rows, header_lines=(), *, contig_lengths=None) -> tuple[int, int]:
    """Copy a file or a reader; return the records written, and the malformed ones."""
    with source if isinstance(source, VariantReader) else read_variants(source) as reader:
        told = {"contig_lengths": contig_lengths, "header_lines": header_lines}
        with ScoredVcfWriter(output, reader.header, fields, **told) as writer:
            for record, row in zip(reader, rows, strict=True):
                writer.write(record, row)
    return writer.records, writer.malformed
