"""Both strands: exact equivariance, and predictions of the same base averaged."""

from __future__ import annotations

import pytest
import torch

from titans_dna.model.config import BLOCKS
from titans_dna.model.strands import EquivariantFeatures, two_strand_log_probabilities

COMPLEMENT = torch.tensor([3, 2, 1, 0, 4, 5, 6])
BOS = 5


@pytest.mark.parametrize("block", BLOCKS)
def test_features_are_equivariant(make_model, block: str) -> None:
    features = EquivariantFeatures(make_model(block), COMPLEMENT, BOS)
    ids = torch.randint(0, 5, (2, 45), generator=torch.Generator().manual_seed(1))
    here = features(ids)
    there = features(features.reverse_complement(ids))
    half = here.shape[-1] // 2
    swapped = torch.cat([there[..., half:], there[..., :half]], -1).flip(1)
    torch.testing.assert_close(here, swapped, rtol=0, atol=1e-9)
    assert float((here[..., :half] - here[..., half:]).abs().max()) > 1e-3


def test_predictions_of_both_strands_belong_to_the_same_base(make_model) -> None:
    model = make_model()
    ids = torch.randint(0, 4, (1, 40), generator=torch.Generator().manual_seed(2))
    both = two_strand_log_probabilities(model, ids, COMPLEMENT, BOS)
    turned = two_strand_log_probabilities(model, COMPLEMENT[ids.flip(1)], COMPLEMENT, BOS)
    torch.testing.assert_close(both, turned.flip(1)[..., COMPLEMENT[:4]], rtol=0, atol=1e-9)
    place = 17
    ahead = model(torch.cat([torch.full((1, 1), BOS), ids[:, :place]], 1))[0, -1].log_softmax(-1)
    behind_ids = COMPLEMENT[ids[:, place + 1 :].flip(1)]
    behind = model(torch.cat([torch.full((1, 1), BOS), behind_ids], 1))[0, -1].log_softmax(-1)
    expected = 0.5 * (ahead + behind[COMPLEMENT[:4]])
    torch.testing.assert_close(both[0, place], expected, rtol=0, atol=1e-9)
