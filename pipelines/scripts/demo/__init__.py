"""The synthetic genome of the demo: composition, genes, repeats, layout, variants, reads."""
