"""Pretraining: data to weights, and how good they are."""
