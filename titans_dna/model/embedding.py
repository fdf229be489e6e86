"""The embedding of a token and, if configured, of the words that end with it, and of the last ids by a convolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from titans_dna.model.config import BackboneConfig

STEM_EXPANSION = 2  # hidden features of the stem, relative to the width
HASH = 0x9E3779B1  # odd multiplier, 2^32 over the golden ratio, which spreads words over a table (Knuth)


class Stem(nn.Module):
    """Features of the last ``stem_tokens`` ids: a row of weights for each id and place, summed up, SiLU, a linear map.

    So the first block already knows whether a motif as long as the stem ends at a token. Ids that cannot be predicted
    have no row.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.targets = config.targets
        self.taps = nn.Conv1d(config.targets, STEM_EXPANSION * config.width, config.stem_tokens)
        self.leave = nn.Linear(STEM_EXPANSION * config.width, config.width, bias=False)

    def forward(self, whole: Int[Tensor, "B S"]) -> Float[Tensor, "B T N"]:
        """Return the features of the last T = S - stem_tokens + 1 ids."""
        known = F.one_hot(whole.clamp(max=self.targets), self.targets + 1)[..., : self.targets]
        return self.leave(F.silu(self.taps(known.mT.to(self.taps.weight)).mT))


class TokenEmbedding(nn.Module):
    """Embedding of a token plus one table per word length of ``config.context_orders``, and the stem.

    The word of length n that ends at a token is a number in base ``targets``. If a table is too small for all words,
    they share rows by a multiplicative hash. A word that reaches beyond the start, or holds an id that cannot be
    predicted, has no embedding.
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
        self.stem_tokens = config.stem_tokens
        self.stem = Stem(config) if config.stem_tokens else None

    @property
    def reach(self) -> int:
        """Number of earlier ids that words, word counts and stem need."""
        return max(max(self.orders, default=1) - 1, self.counted, self.stem_tokens - 1)

    def initial_recent(self, batch: int) -> Tensor:
        """Return the ids before the first token, which cannot be part of a word."""
        return torch.full((batch, self.reach), self.targets, dtype=torch.long, device=self.tokens.weight.device)

    def recent_after(self, ids: Int[Tensor, "B T"], recent: Tensor) -> Tensor:
        """Return the last ids for the next call."""
        whole = torch.cat([recent, ids.long()], 1)
        return whole[:, whole.shape[1] - self.reach :]

    def forward(self, ids: Int[Tensor, "B T"], recent: Tensor) -> tuple[Float[Tensor, "B T N"], Tensor]:
        """Return the embeddings, and the last ids for the next call."""
        x = self.tokens(ids)
        if not self.reach and self.stem is None:
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
                # Knuth's multiplicative hash: the upper bits, scaled to the number of rows, need no division.
                word = ((word * HASH) & 0xFFFFFFFF) * rows >> 32
            # Unknown words look up row 0, times 0: a fixed shape costs less than picking the known ones.
            x = x + table(torch.where(known, word, 0)) * known.unsqueeze(-1)
        if self.stem is not None:
            x = x + self.stem(whole[:, self.reach - self.stem_tokens + 1 :])
        return x, whole[:, whole.shape[1] - self.reach :]
