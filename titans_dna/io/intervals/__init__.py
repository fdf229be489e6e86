"""Intervals: BED, GTF and GFF3."""
