"""The stretches of a strand that the network must read, where only some of its bases are asked for.

A deep memory that resets and attention with a window know nothing of what lies further back than a few thousand bases.
So what lies between the places that are asked for is skimmed: the copy memory alone reads it, at a fraction of the
cost. What is computed at these places is what reading everything gives, but for rounding in some shapes of model
(`titans_dna.model.config.BackboneConfig.lead_tokens`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from titans_dna.inference.streaming import PIECE_TOKENS
from titans_dna.model.config import BackboneConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class Stretches:
    """Disjoint, rising stretches of inputs, half-open, that the network reads."""

    starts: np.ndarray  # (n,) int64; at each but input 0, the network begins with a blank state
    ends: np.ndarray

    @classmethod
    def around(cls, config: BackboneConfig, *asked: tuple[np.ndarray, np.ndarray]) -> Stretches | None:
        """Return the stretches that are needed for some inputs; None if all of the strand has to be read.

        Parameters
        ----------
        config
            Of the model.
        asked
            Starts and ends of spans of inputs, half-open, in any order, of which the results are asked for. Of an empty
            span, the state before it.
        """
        if config.lead_tokens is None:
            return None
        low, high = (np.concatenate(bounds).astype(np.int64) for bounds in zip(*asked, strict=True))
        order = np.argsort(low, kind="stable")
        # A stretch begins and ends with a chunk and a window: a cut within one changes the rounding of what follows.
        # Behind a border, pieces begin where they begin without stretches, so that sums over them have the same bits.
        align = config.align_tokens
        period = math.lcm(config.period_tokens, align, PIECE_TOKENS)
        starts = np.maximum(low[order] // period * period - config.lead_tokens, 0)
        reach = np.maximum.accumulate(-(-high[order] // align) * align)
        first = np.ones(len(starts), dtype=bool)
        first[1:] = starts[1:] > reach[:-1] + config.lead_tokens  # to begin anew costs more than a shorter gap
        return cls(starts=starts[first], ends=reach[np.append(first[1:], True)] if len(first) else reach)

    @property
    def borders(self) -> Sequence[int]:
        """Inputs before which a piece must end."""
        return [*self.starts.tolist(), *self.ends.tolist()]

    def reads(self, position: int) -> bool:
        """Tell whether the network reads the input at this position."""
        found = int(np.searchsorted(self.starts, position, side="right")) - 1
        return found >= 0 and position < self.ends[found]

    def begins(self, position: int) -> bool:
        """Tell whether the network begins at this position with a blank state."""
        found = int(np.searchsorted(self.starts, position))
        return position > 0 and found < len(self.starts) and self.starts[found] == position
