"""Both strands of a sequence through one backbone.

A causal model knows a base by what stands before it. Read on the reverse complement it knows the same base by what
stands behind it. ``two_strand_log_probabilities`` averages the two predictions of the same base.
``EquivariantFeatures`` joins the features of the two readings, so that reverse-complementing the input reverses the
positions and swaps the two halves of the features, exactly: one set of weights serves both strands.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from titans_dna.model.backbone import Backbone


class EquivariantFeatures(nn.Module):
    """Features of every token from both strands, equivariant under reverse complement.

    Parameters
    ----------
    backbone
        Read on both strands.
    complement
        Id of the complement of every id, (V,).
    bos
        Id that stands before the first token of a strand.
    """

    complement: Tensor

    def __init__(self, backbone: Backbone, complement: Int[Tensor, " V"], bos: int) -> None:
        super().__init__()
        self.backbone, self.bos = backbone, bos
        self.register_buffer("complement", complement, persistent=False)

    def reverse_complement(self, ids: Int[Tensor, "B T"]) -> Int[Tensor, "B T"]:
        """Return the other strand."""
        return self.complement[ids.flip(1)]

    def forward(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T M"]:
        """Return features of width M = 2 N: a token given itself and all before it, then itself and all behind it."""
        both = torch.cat([ids, self.reverse_complement(ids)])
        start = torch.full_like(both[:, :1], self.bos)
        hidden = self.backbone.stream(torch.cat([start, both], 1)).hidden[:, 1:]
        forward, reverse = hidden.chunk(2)
        return torch.cat([forward, reverse.flip(1)], -1)


def two_strand_log_probabilities(
    backbone: Backbone, ids: Int[Tensor, "B T"], complement: Int[Tensor, " V"], bos: int
) -> Float[Tensor, "B T V"]:
    """Return ln P of every target at every place, averaged over the two strands.

    The forward reading predicts base i from bases 0 to i - 1, the reverse reading predicts its complement from the
    complements of bases T - 1 down to i + 1; both start from ``bos``, so both rows belong to base i (a reversed
    reading that is not shifted by one would belong to its neighbour).
    """
    targets = backbone.config.targets
    both = torch.cat([ids, complement[ids.flip(1)]])
    start = torch.full_like(both[:, :1], bos)
    log_p = backbone(torch.cat([start, both[:, :-1]], 1)).log_softmax(-1)
    forward, reverse = log_p.chunk(2)
    return 0.5 * (forward + reverse.flip(1)[..., complement[:targets]])
