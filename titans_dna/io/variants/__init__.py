"""Variants: VCF and BCF, tables of variants, and a VCF copied with scores."""
