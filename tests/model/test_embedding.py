"""A token's embedding is the sum of its own row and those of the words that end in it."""

from __future__ import annotations

import pytest
import torch

from titans_dna.model.config import BackboneConfig
from titans_dna.model.embedding import TokenEmbedding


def make(orders: tuple[int, ...], buckets: int = 4096) -> TokenEmbedding:
    config = BackboneConfig(width=8, layers=1, attention_heads=2, context_orders=orders, context_buckets=buckets)
    torch.manual_seed(0)
    return TokenEmbedding(config).requires_grad_(False)


def read(embedding: TokenEmbedding, ids: list[int]) -> torch.Tensor:
    row = torch.tensor([ids])
    return embedding(row, embedding.initial_recent(1))[0][0]


def test_words_by_hand():
    embedding = make((2, 3))
    out = read(embedding, [5, 1, 3, 0, 4, 2, 2])
    tokens, (pairs, triples) = embedding.tokens.weight, [table.weight for table in embedding.words]
    wanted = [
        tokens[5],  # the start token is part of no word
        tokens[1],  # <bos>C holds no word of bases
        tokens[3] + pairs[1 * 4 + 3],  # CT
        tokens[0] + pairs[3 * 4 + 0] + triples[1 * 16 + 3 * 4 + 0],  # TA, CTA
        tokens[4],  # N
        tokens[2],  # NG
        tokens[2] + pairs[2 * 4 + 2],  # GG; NGG is no word
    ]
    assert torch.allclose(out, torch.stack(wanted))
    assert pairs.shape == (16, 8)
    assert triples.shape == (64, 8)


@pytest.mark.parametrize("cut", range(1, 9))
def test_words_reach_across_a_cut(cut):
    embedding = make((1, 4))
    ids = torch.tensor([[0, 1, 2, 3, 3, 2, 1, 0, 2]])
    whole, recent = embedding(ids, embedding.initial_recent(1))
    first, between = embedding(ids[:, :cut], embedding.initial_recent(1))
    second, after = embedding(ids[:, cut:], between)
    assert torch.equal(torch.cat([first, second], 1), whole)
    assert torch.equal(after, recent)
    assert recent.tolist() == [[1, 0, 2]]


def test_a_small_table_is_shared_by_all_words_and_evenly():
    embedding = make((6,), buckets=64)
    assert embedding.words[0].weight.shape == (64, 8)
    embedding.words[0].weight[:] = torch.arange(64.0)[:, None]
    embedding.tokens.weight.zero_()
    words = torch.cartesian_prod(*[torch.arange(4)] * 6)
    rows = embedding(words, embedding.initial_recent(len(words)))[0][:, -1, 0]
    counts = torch.bincount(rows.long(), minlength=64)
    assert counts.sum() == 4096
    assert counts.min() > 0.5 * 64
    assert counts.max() < 2 * 64


def test_no_orders_is_a_plain_table():
    embedding = make(())
    assert torch.equal(read(embedding, [3, 6]), embedding.tokens.weight[[3, 6]])
    assert embedding.reach == 0
