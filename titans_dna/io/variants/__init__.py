"""Variants: VCF and BCF, tables of variants, and copies of a VCF with scores."""
