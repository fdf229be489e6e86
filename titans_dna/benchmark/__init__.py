"""Benchmarks that run on any checkpoint: needles, copies far back, labelled sequences, labelled variants."""
