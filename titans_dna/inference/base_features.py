"""Features of every base from both strands: what the model knows after reading up to it from either side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from titans_dna.inference.embed import EmbedOptions, block_features
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.windows import WindowedStrand


class BothStrands:
    """A contig whose bases have features of the forward and of the reverse strand, side by side.

    A stretch is read in windows: the network begins anew at least ``window_bp`` bases before it, and the copy memory
    holds all of the contig before that, on each strand. So a stretch has the same features whatever else is read.

    Parameters
    ----------
    model
        With one token per base.
    sequence
        The whole contig.
    layers
        ``final``, or numbers of blocks (0: token embedding).
    window_bp
        Bases that the network reads before a block at least; also the size of a block, rounded up.

    Raises
    ------
    ConfigError
        If a layer is unknown, the model reads tokens of several bases, or its copy memory forgets.
    """

    def __init__(self, model: SequenceModel, sequence: bytes, layers: Sequence[str], window_bp: int) -> None:
        self.options = EmbedOptions(layers=tuple(layers))
        self.options.check(model)
        self.length_bp = len(sequence)
        self.strands = tuple(
            WindowedStrand(model, sequence, reverse=reverse, window_bp=window_bp) for reverse in (False, True)
        )
        for strand in self.strands:
            strand.remember_to(len(sequence))

    @property
    def block_bp(self) -> int:
        """Bases of a block; stretches that begin and end with blocks cost least."""
        return self.strands[0].block_tokens

    def read(self, start: int, end: int) -> np.ndarray:
        """Return the features of bases ``start`` to ``end`` (0-based half-open), (bases, 2 x columns) float32.

        The first half of the columns is that of the forward strand.
        """
        found = []
        for windowed in self.strands:
            low, high = windowed.strand.span(start, end)
            size = windowed.block_tokens
            blocks = range(low // size, -(-high // size))
            values = np.concatenate([block_features(windowed, self.options, block)[0] for block in blocks])
            values = values[low - blocks.start * size : high - blocks.start * size]
            found.append(values[::-1] if windowed.strand.reverse else values)
        return np.concatenate(found, 1)


def mirrored(features: np.ndarray) -> np.ndarray:
    """Return the features (..., bases, columns) of the reverse complement: the strands change places, bases turn."""
    half = features.shape[-1] // 2
    return np.concatenate([features[..., ::-1, half:], features[..., ::-1, :half]], -1)
