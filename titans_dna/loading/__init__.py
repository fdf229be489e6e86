"""Turns sequence into batches for training."""
