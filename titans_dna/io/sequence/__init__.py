"""Sequence: FASTA, GenBank and EMBL; aligned reads; a sample's own genome; files of contig names."""
