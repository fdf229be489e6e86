"""Sequence to training batches."""
