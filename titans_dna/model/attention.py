"""Causal attention with persistent tokens.

There are three kinds: over a sliding window, over all earlier tokens, and over a segment together with what the memory
recalls for it. They share the projection, rotary positions, and learned persistent keys and values.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from titans_dna.model.config import BackboneConfig
from titans_dna.model.state import AttentionState, SegmentState

ROTARY_BASE = 10_000.0


def rotate(x: Float[Tensor, "B T H D"], first_position: int) -> Float[Tensor, "B T H D"]:
    """Return ``x`` with rotary positions ``first_position``, ``first_position + 1``, ... (arXiv 2104.09864).

    Only the first half of the features is rotated. The other half is for content without a position, such as the
    persistent keys. Only differences of positions matter, so callers count from wherever it suits them. Angles
    are computed in float64, because those of large positions would be inexact in float32.
    """
    half = x.shape[-1] // 4
    cosine, sine = (
        wave[first_position : first_position + x.shape[1]]
        for wave in _waves(_table_rows(first_position + x.shape[1]), half, x.dtype, x.device)
    )
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat([a * cosine - b * sine, a * sine + b * cosine, rest], -1)


def _table_rows(positions: int) -> int:
    """Return the number of positions in a table: a power of two, so that a few tables serve all calls."""
    return 1 << max(10, (positions - 1).bit_length())


@functools.lru_cache(maxsize=16)
def _waves(positions: int, half: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of the angles of positions 0, 1, ..., each of shape (positions, 1, half)."""
    with torch.inference_mode(False):  # a table made for scoring must also serve training
        rates = ROTARY_BASE ** (-torch.arange(half, dtype=torch.float64, device=device) / half)
        angles = torch.arange(positions, dtype=torch.float64, device=device)[:, None, None] * rates
        return angles.cos().to(dtype), angles.sin().to(dtype)


class PersistentAttention(nn.Module):
    """The part that all kinds of attention share: the projection to q, k and v, and persistent keys and values."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.heads, self.head_width = config.attention_heads, config.width // config.attention_heads
        self.project = nn.Linear(config.width, 3 * config.width, bias=False)
        self.persistent_keys = nn.Parameter(torch.randn(config.persistent_tokens, self.heads, self.head_width // 2))
        self.persistent_values = nn.Parameter(torch.randn(config.persistent_tokens, self.heads, self.head_width))

    def empty(self, batch: int, tokens: int) -> AttentionState:
        """Return a cache of ``tokens`` blank tokens, to which no query may attend."""
        blank = self.persistent_keys.new_zeros(batch, tokens, self.heads, self.head_width)
        return AttentionState(keys=blank, values=blank, valid=blank.new_zeros(batch, tokens, dtype=torch.bool))

    def split(self, x: Float[Tensor, "B T N"]) -> tuple[Tensor, Tensor, Tensor]:
        """Return q, k and v, each (B, T, H, D)."""
        q, k, v = self.project(x).unflatten(-1, (3, self.heads, self.head_width)).unbind(2)
        return q, k, v

    def attend(self, q: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Return attention of ``q`` (B, T, H, D) to persistent tokens and, where ``mask``, to ``keys`` (B, S, H, D)."""
        rows, count = keys.shape[0], self.persistent_keys.shape[0]
        # Persistent keys have no position, so they are 0 in the half of the features that is rotated.
        persistent = F.pad(self.persistent_keys, (self.head_width - self.head_width // 2, 0))
        keys = torch.cat([persistent.expand(rows, -1, -1, -1).to(keys), keys], 1)
        values = torch.cat([self.persistent_values.expand(rows, -1, -1, -1).to(values), values], 1)
        out = F.scaled_dot_product_attention(
            q.transpose(1, 2),
            keys.transpose(1, 2),
            values.transpose(1, 2),
            attn_mask=F.pad(mask, (count, 0), value=True),
        )
        return out.transpose(1, 2)


class SlidingWindowAttention(PersistentAttention):
    """Attention of each token to the last ``window_tokens`` tokens and to persistent tokens.

    Queries are cut into blocks of one window. A block attends to itself and to the block before it, under a band mask,
    so the cost is linear in the number of tokens.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__(config)
        self.window = config.window_tokens

    def initial_state(self, batch: int) -> AttentionState:
        """Return the state before the first token."""
        return self.empty(batch, self.window)

    def forward(
        self, x: Float[Tensor, "B T N"], state: AttentionState, valid: Bool[Tensor, "B T"]
    ) -> tuple[Float[Tensor, "B T N"], AttentionState]:
        """Return the attended values of every token and the state after the last.

        No other token attends to a token that is not ``valid``.
        """
        tokens = x.shape[1]
        q, k, v = self.split(x)
        keys, values = torch.cat([state.keys, k], 1), torch.cat([state.values, v], 1)
        seen = torch.cat([state.valid, valid], 1)
        after = AttentionState(keys=keys[:, tokens:], values=values[:, tokens:], valid=seen[:, tokens:])
        return self._by_blocks(q, keys, values, seen).flatten(2), after

    def _by_blocks(self, q: Tensor, keys: Tensor, values: Tensor, seen: Tensor) -> Tensor:
        batch, tokens = q.shape[:2]
        width = min(self.window, 1 << (tokens - 1).bit_length())  # queries in a block; short calls use short blocks
        blocks = -(-tokens // width)
        q = F.pad(q, (0, 0, 0, 0, 0, blocks * width - tokens))
        span = self.window + width
        after = blocks * width + self.window - keys.shape[1]
        unfold = [F.pad(x, (0, 0, 0, 0, 0, after)).unfold(1, span, width) for x in (keys, values)]
        keys, values = (x.movedim(-1, 2).flatten(0, 1) for x in unfold)  # (B * blocks, span, H, D)
        mask = F.pad(seen, (0, after)).unfold(1, span, width).flatten(0, 1)[:, None, None, :]
        row = torch.arange(width, device=q.device)[:, None]
        column = torch.arange(span, device=q.device)[None, :]
        # A query sees itself in any case: a row of the mask without a single key would give nan.
        itself = column == row + self.window
        mask = mask & (column > row) & (column <= row + self.window) | itself
        # Positions are counted from the start of each block and not of the call: so the rounding of a token does not
        # depend on where a stream was cut before it, as long as it was cut between blocks. A memory that learns while
        # it reads can make much of a rounding.
        q = rotate(q.unflatten(1, (blocks, width)).flatten(0, 1), self.window)
        out = self.attend(q, rotate(keys, 0), values, mask)
        return out.unflatten(0, (batch, blocks)).flatten(1, 2)[:, :tokens]


class FullAttention(PersistentAttention):
    """Attention of each token to all tokens before it: the quadratic baseline, whose state grows with the stream."""

    def initial_state(self, batch: int) -> AttentionState:
        """Return the state before the first token."""
        return self.empty(batch, 0)

    def forward(
        self, x: Float[Tensor, "B T N"], state: AttentionState, valid: Bool[Tensor, "B T"]
    ) -> tuple[Float[Tensor, "B T N"], AttentionState]:
        """Return the attended values of every token and the state after the last."""
        before = state.keys.shape[1]
        q, k, v = self.split(x)
        keys, values = torch.cat([state.keys, k], 1), torch.cat([state.values, v], 1)
        seen = torch.cat([state.valid, valid], 1)
        row = torch.arange(before, before + x.shape[1], device=x.device)[:, None]
        column = torch.arange(keys.shape[1], device=x.device)[None, :]
        mask = seen[:, None, None, :] & (column < row) | (column == row)
        out = self.attend(rotate(q, before), rotate(keys, 0), values, mask)
        return out.flatten(2), AttentionState(keys=keys, values=values, valid=seen)


class SegmentAttention(PersistentAttention):
    """Attention inside a segment to [persistent | recalled | segment], causal in both (arXiv 2501.00663, equation 22).

    Token i sees what was recalled for tokens up to i only. In the matrix form of the paper, it would see the future
    through what is recalled for later tokens.
    """

    def forward(
        self,
        x: Float[Tensor, "B T N"],
        recalled: Float[Tensor, "B T N"],
        state: SegmentState,
        valid: Bool[Tensor, "B T"],
    ) -> tuple[Float[Tensor, "B T N"], dict[str, Tensor]]:
        """Return the attended values of the next T tokens of a segment, and the caches of the state after them."""
        before = state.keys.shape[1]
        q, k, v = self.split(x)
        _, k_recalled, v_recalled = self.split(recalled)
        caches = {
            "keys": torch.cat([state.keys, k], 1),
            "values": torch.cat([state.values, v], 1),
            "recalled_keys": torch.cat([state.recalled_keys, k_recalled], 1),
            "recalled_values": torch.cat([state.recalled_values, v_recalled], 1),
            "valid": torch.cat([state.valid, valid], 1),
        }
        row = torch.arange(before, before + x.shape[1], device=x.device)[:, None]
        column = torch.arange(before + x.shape[1], device=x.device)[None, :]
        mask = caches["valid"][:, None, None, :] & (column < row) | (column == row)
        keys = torch.cat([rotate(caches["recalled_keys"], 0), rotate(caches["keys"], 0)], 1)
        values = torch.cat([caches["recalled_values"], caches["values"]], 1)
        out = self.attend(rotate(q, before), keys, values, torch.cat([mask, mask], -1))
        return out.flatten(2), caches
