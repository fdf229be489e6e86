"""Trust: how much weight is given to each place that the copy memory follows (``titans_dna.recall``).

A place j predicts a base b_j, and its record r_j says how good its predictions have been. A small network weighs it by
its record, by the number of places and of those that agree, and by the features h of the token:

    w_j = softplus(u . relu(E(r_j) + E(agreeing) + E(all) + U h))
    vote = c tanh(sum_j w_j onehot(b_j) / c)

A vote with the token's embedding as h enters the residual stream before the blocks, so that they know the predictions.
A vote with the final features as h is added to the logits. The bound c limits what wrong places can cost to c nats or
so. Only slots that hold a place are computed: in most sequence they are few.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from titans_dna.recall import RecallForm
from titans_dna.recall.record import AGE, AGE_AT, HELD_AT, HITS, HITS_AT, INVERTED_AT, LAST, LAST_AT, RUN, RUN_AT

FEATURES = 16  # hidden features of the network that weighs a place
BASES = 4
MOST_NATS = 10.0  # bound c of a vote: a wrong prediction with full trust costs 14 bits
WHOLE = 64  # numbers that processors take at once, or a multiple
START = -2.0  # score of a place before training, which is a weight of 0.13


class Places(NamedTuple):
    """The slots of a batch that hold a place; one entry each."""

    token: Tensor  # (P,) number of the token in the batch, row by row
    base: Tensor  # (P,) base that it predicts
    features: Tensor  # (P, FEATURES) of its record and of the other places at the token


class Trust(nn.Module):
    """Weighs the places that are followed at every token."""

    def __init__(self, width: int, form: RecallForm) -> None:
        super().__init__()
        sizes = {"hits": HITS, "last": LAST, "run": RUN, "age": AGE, "inverted": 2}
        sizes |= {"agreeing": form.places + 1, "all": form.places + 1}
        self.tables = nn.ModuleDict({name: nn.Embedding(rows, FEATURES) for name, rows in sizes.items()})
        for table in self.tables.values():
            nn.init.normal_(table.weight, std=0.3)  # type: ignore[arg-type]
        with torch.no_grad():  # one feature starts as the number of hits, so that good places count from the start
            self.tables["hits"].weight[:, 0] = torch.linspace(-4, 4, HITS)  # type: ignore[operator]
        self.early, self.late = nn.Linear(width, FEATURES), nn.Linear(width, FEATURES)
        self.score = nn.Parameter(torch.randn(2, FEATURES) * FEATURES**-0.5)
        self.start = nn.Parameter(torch.full((2,), START))
        self.enter = nn.Linear(BASES, width, bias=False)
        nn.init.normal_(self.enter.weight, std=0.25)

    def places(self, codes: Int[Tensor, "B T S"]) -> Places:
        """Return the slots that hold a place, with what their records say."""
        flat = codes.reshape(-1, codes.shape[-1])
        at = (flat >> HELD_AT & 1).nonzero(as_tuple=True)
        token, code = at[0], flat[at].long()
        base = code & (BASES - 1)
        votes = torch.zeros(flat.shape[0] * BASES, dtype=torch.long, device=codes.device)
        agreeing = votes.index_add_(0, token * BASES + base, torch.ones_like(token))[token * BASES + base]
        everyone = votes.view(-1, BASES).sum(-1)[token]
        parts = {
            "hits": code >> HITS_AT & 63, "last": code >> LAST_AT & 255, "run": code >> RUN_AT & 63,
            "age": code >> AGE_AT & 31, "inverted": code >> INVERTED_AT & 1, "agreeing": agreeing, "all": everyone,
        }  # fmt: skip
        # One after the other: a sum over a stack takes an order that depends on how many places there are.
        features = functools.reduce(torch.add, [self.tables[name](index) for name, index in parts.items()])
        return Places(token, base, features)

    def early_vote(self, places: Places, x: Float[Tensor, "B T N"]) -> Float[Tensor, "B T 4"]:
        """Return the vote with the token's embedding."""
        return self._vote(places, self.early(x), 0)

    def late_vote(self, places: Places, hidden: Float[Tensor, "B T N"]) -> Float[Tensor, "B T 4"]:
        """Return the vote with the final features, which is added to the logits."""
        return self._vote(places, self.late(hidden), 1)

    def _vote(self, places: Places, seen: Tensor, which: int) -> Tensor:
        company = F.relu(places.features + seen.flatten(0, 1)[places.token])
        # In whole vectors: the rest of an array goes through other code, whose last bit may differ, and then the weight
        # of a place would depend on how many places a call has.
        company = F.pad(company, (0, 0, 0, -len(company) % WHOLE))
        score = (company * self.score[which]).sum(-1)
        score = score.to(torch.promote_types(score.dtype, torch.float32)) + self.start[which]  # never in 16 bits
        weight = F.softplus(score)[: len(places.token)]
        total = weight.new_zeros(seen.shape[0] * seen.shape[1] * BASES)
        total = total.index_add(0, places.token * BASES + places.base, weight)
        return MOST_NATS * torch.tanh(total.view(*seen.shape[:2], BASES) / MOST_NATS)
