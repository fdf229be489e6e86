"""Embedding of a token and, if asked for, of the words that end in it."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from titans_dna.model.config import BackboneConfig

HASH = 0x9E3779B1  # odd multiplier (golden ratio of 2^32): spreads words over a table


class TokenEmbedding(nn.Module):
    """Embedding of a token plus one table per word length of ``config.context_orders``.

    The word of length n that ends at a token is a number in base ``vocabulary``; if a table is too small to hold all
    words of ids that can be predicted, words share rows by a multiplicative hash. A word that is not full yet, or holds
    an id that cannot be predicted, has no embedding of its own.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.orders, self.targets, self.buckets = config.context_orders, config.targets, config.context_buckets
        self.counted = config.word_counts.reach if config.word_counts else 0
        self.tokens = nn.Embedding(config.vocabulary, config.width)
        nn.init.normal_(self.tokens.weight, std=1.0)
        self.rows = tuple(min(self.buckets, self.targets**order) for order in self.orders)
        self.words = nn.ModuleList(nn.Embedding(rows, config.width) for rows in self.rows)
        for parameter in self.words.parameters():
            nn.init.normal_(parameter, std=0.3)

    @property
    def reach(self) -> int:
        """Number of earlier ids that a word, counted ones among them, needs."""
        return max(max(self.orders, default=1) - 1, self.counted)

    def initial_recent(self, batch: int) -> Tensor:
        """Return the ids before the first token: none that could be part of a word."""
        return torch.full((batch, self.reach), self.targets, dtype=torch.long, device=self.tokens.weight.device)

    def forward(self, ids: Int[Tensor, "B T"], recent: Tensor) -> tuple[Float[Tensor, "B T N"], Tensor]:
        """Return the embeddings and the ids to remember."""
        x = self.tokens(ids)
        if not self.reach:
            return x, recent
        whole = torch.cat([recent, ids.long()], 1)
        for order, rows, table in zip(self.orders, self.rows, self.words, strict=True):
            word = torch.zeros_like(whole[:, self.reach :])
            known = torch.ones_like(word, dtype=torch.bool)
            for back in range(order):
                piece = whole[:, self.reach - back : whole.shape[1] - back]
                word = word + piece * self.targets**back
                known = known & (piece < self.targets)
            if rows < self.targets**order:
                word = ((word * HASH) & 0xFFFFFFFF) * rows >> 32
            x = x + table(torch.where(known, word, 0)) * known.unsqueeze(-1)
        return x, whole[:, whole.shape[1] - self.reach :]
