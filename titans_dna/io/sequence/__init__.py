"""Sequence: FASTA, GenBank and EMBL, aligned reads, a sample's own genome, and the names of contigs."""
