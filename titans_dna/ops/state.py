"""The state of a memory between two calls: an immutable value, one per sample and head."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from titans_dna.errors import ConfigError
from titans_dna.ops.form import MemoryForm


@dataclass(frozen=True, kw_only=True)
class Gates:
    """Data-dependent gates of every token, head and written matrix; all of shape (B, T, H, L).

    ``step`` is theta >= 0, ``momentum`` is eta in [0, 1), ``forgetting`` is alpha in [0, 1) (arXiv 2501.00663,
    equations 10, 13 and 14).
    """

    step: Float[Tensor, "B T H L"]
    momentum: Float[Tensor, "B T H L"]
    forgetting: Float[Tensor, "B T H L"]

    def tokens(self, start: int, end: int) -> Gates:
        """Return the gates of tokens ``start`` to ``end`` (half-open)."""
        return Gates(
            step=self.step[:, start:end], momentum=self.momentum[:, start:end], forgetting=self.forgetting[:, start:end]
        )


@dataclass(frozen=True, kw_only=True)
class Pending:
    """Tokens of a chunk that is not full yet; they are written when the chunk is."""

    keys: Float[Tensor, "B P H D"]
    values: Float[Tensor, "B P H D"]
    gates: Gates
    active: Bool[Tensor, "B P"]


@dataclass(frozen=True, kw_only=True)
class MemoryState:
    """Weights and momentum at the last chunk border, and the tokens since then.

    Each matrix has shape (B, H, out, in). ``momentum`` has one matrix for each written weight.
    """

    weights: tuple[Float[Tensor, "B H _ _"], ...]
    momentum: tuple[Float[Tensor, "B H _ _"], ...]
    pending: Pending | None = None

    @property
    def chunk_position(self) -> int:
        """Number of tokens read since the last chunk border."""
        return 0 if self.pending is None else self.pending.keys.shape[1]


def initial_state(weights: tuple[Tensor, ...], batch: int, form: MemoryForm) -> MemoryState:
    """Return the state before the first token.

    Parameters
    ----------
    weights
        Learned initial weights, one (H, out, in) per matrix.
    batch
        Number of samples; each gets its own memory.
    form
        Shape and rule of the memory.

    Raises
    ------
    ConfigError
        If the number of matrices is not the form's depth.
    """
    if len(weights) != form.depth:
        raise ConfigError(f"the memory has depth {form.depth} but {len(weights)} initial matrices were given")
    own = tuple(w.unsqueeze(0).expand(batch, *w.shape) for w in weights)
    momentum = tuple(torch.zeros_like(w) for w in own[form.first_written :])
    return MemoryState(weights=own, momentum=momentum)
