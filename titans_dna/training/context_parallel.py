"""Divides a long window among several processes, for models whose memories all reset.

A memory that goes back to its initial weights every R tokens carries nothing beyond a reset. So a piece of the window
that starts at a reset needs from its left only the tokens to which attention, convolutions and words reach back. Each
process reads its piece after a halo of so many tokens, which is extended to a reset at each layer, and counts the loss
of its own piece only. The result is exact, and the processes exchange nothing but gradients.
"""

from __future__ import annotations

from dataclasses import replace

from titans_dna.errors import ConfigError
from titans_dna.loading.lanes import Batch
from titans_dna.model.config import BackboneConfig


def piece_of_window(config: BackboneConfig, window_tokens: int, rank: int, processes: int) -> tuple[int, int, int]:
    """Return the tokens at which halo and piece of a process start, and at which the piece ends (0-based half-open).

    Raises
    ------
    ConfigError
        If a memory never resets, attention sees all tokens, or the pieces would not start at resets.
    """
    resets = [layout.reset_tokens for layout in config.memories]
    if config.block == "transformer" or (config.block != "window" and not all(resets)):
        raise ConfigError(
            "a window can be cut over processes only where every memory resets; set reset_tokens of the model, "
            "or use the ddp strategy"
        )
    period = config.period_tokens
    if window_tokens % (processes * period):
        raise ConfigError(
            f"window_tokens is {window_tokens}; for {processes} processes choose a multiple of {processes * period}"
        )
    piece = window_tokens // processes
    start = halo = rank * piece
    reach = max(config.window_tokens, config.convolution_tokens)
    # Each layer reaches back from the halo of the layer above it, so the halo grows layer by layer.
    for _ in range(config.layers):
        halo = max(0, (halo - reach) // period * period)
    words = max(*config.context_orders, config.word_counts.reach if config.word_counts else 0, config.stem_tokens, 1)
    return max(0, (halo - words) // period * period), start, start + piece


def own_piece(batch: Batch, config: BackboneConfig, rank: int, processes: int) -> Batch:
    """Return the halo and the piece of this process; bases of the halo have weight 0."""
    halo, start, end = piece_of_window(config, batch.inputs.shape[1], rank, processes)
    weights = batch.weights[:, halo:end].copy()
    weights[:, : start - halo] = 0.0
    recalled = None if batch.recalled is None else batch.recalled[:, halo:end]
    return replace(
        batch, inputs=batch.inputs[:, halo:end], targets=batch.targets[:, halo:end], weights=weights, recalled=recalled
    )
