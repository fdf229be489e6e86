"""Trains models and classifiers on sequence, and measures how good they are."""
