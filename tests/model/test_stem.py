"""The stem sees the last ids and nothing else, wherever the stream is cut; without it a model is what it was."""

from __future__ import annotations

import json

import pytest
import torch

from titans_dna.errors import ConfigError
from titans_dna.model.backbone import Backbone
from titans_dna.model.config import BackboneConfig, WordCountForm
from titans_dna.model.embedding import TokenEmbedding
from titans_dna.model.state import select
from titans_dna.model.word_counts import WordCounts


def make(stem_tokens: int = 6, **changes) -> TokenEmbedding:
    config = BackboneConfig(width=8, layers=1, attention_heads=2, stem_tokens=stem_tokens, **changes)
    torch.manual_seed(0)
    return TokenEmbedding(config).double().requires_grad_(False)


def bases(tokens: int = 20, rows: int = 2) -> torch.Tensor:
    return torch.randint(0, 4, (rows, tokens), generator=torch.Generator().manual_seed(1))


def read(embedding: TokenEmbedding, ids: torch.Tensor) -> torch.Tensor:
    return embedding(ids, embedding.initial_recent(len(ids)))[0]


def test_the_stem_by_hand():
    embedding, ids = make(3), torch.tensor([[1, 3, 0]])
    taps = embedding.stem.taps
    sums = torch.stack([
        taps.bias + taps.weight[:, 1, 2],
        taps.bias + taps.weight[:, 1, 1] + taps.weight[:, 3, 2],
        taps.bias + taps.weight[:, 1, 0] + taps.weight[:, 3, 1] + taps.weight[:, 0, 2],
    ])  # fmt: skip
    wanted = embedding.tokens.weight[ids[0]] + embedding.stem.leave(torch.nn.functional.silu(sums))
    assert torch.allclose(read(embedding, ids)[0], wanted)


@pytest.mark.parametrize("cut", [1, 2, 5, 6, 7, 19])
@pytest.mark.parametrize("orders", [(), (2, 9)])
def test_a_cut_changes_nothing(cut, orders):
    embedding, ids = make(context_orders=orders), bases()
    whole, last = embedding(ids, embedding.initial_recent(2))
    first, between = embedding(ids[:, :cut], embedding.initial_recent(2))
    second, after = embedding(ids[:, cut:], between)
    assert torch.allclose(torch.cat([first, second], 1), whole, atol=1e-12)
    assert torch.equal(after, last)


def test_a_base_reaches_the_next_ones_of_the_stem_and_no_earlier_one():
    embedding, ids = make(), bases()
    other = ids.clone()
    other[:, 7] = (other[:, 7] + 1) % 4
    changed = (read(embedding, ids) - read(embedding, other)).abs().amax((0, 2)) > 1e-9
    assert changed.nonzero().flatten().tolist() == list(range(7, 13))


def test_ids_that_are_no_base_count_as_nothing():
    embedding, ids = make(), bases()
    for other in (5, 6):
        masked = [ids.clone(), ids.clone()]
        masked[0][:, 7], masked[1][:, 7] = 4, other
        first, second = (read(embedding, x)[:, 8:] for x in masked)
        assert torch.equal(first, second)
    start = torch.cat([torch.full((2, 6), 5), ids], 1)
    assert torch.allclose(read(embedding, start)[:, 6:], read(embedding, ids), atol=1e-12)


@pytest.mark.parametrize("cut", [1, 13, 32, 40])
def test_a_model_with_a_stem_streams(make_model, ids, cut):
    model = make_model("mac", stem_tokens=12)
    whole = model.stream(ids)
    first = model.stream(ids[:, :cut])
    second = model.stream(ids[:, cut:], select(first.state, [0, 1]))
    assert torch.allclose(torch.cat([first.logits, second.logits], 1), whole.logits, atol=1e-9)


def test_the_stem_may_reach_further_back_than_counted_words():
    counts = WordCountForm(orders=(2,), repeat_order=4, repeat_rows=16)
    config = BackboneConfig(width=8, layers=1, attention_heads=2, stem_tokens=9, word_counts=counts, memory_heads=1)
    torch.manual_seed(0)
    model, ids = Backbone(config).requires_grad_(False), bases()
    assert isinstance(model.counts, WordCounts)
    torch.nn.init.normal_(model.head.weight)
    first = model.stream(ids[:, :3])
    second = model.stream(ids[:, 3:], first.state)
    assert torch.allclose(torch.cat([first.logits, second.logits], 1), model.stream(ids).logits, atol=1e-5)


def test_without_a_stem_a_model_is_what_it_was():
    config = BackboneConfig(width=16, layers=1, attention_heads=2, memory_heads=2, context_orders=(2,))
    model = Backbone(config)
    assert not any("stem" in name for name in model.state_dict())
    assert "stem_tokens" not in config.to_dict()
    assert model.initial_state(1).recent.shape == (1, 1)


def test_the_stem_survives_json_and_is_refused_for_words():
    config = BackboneConfig(stem_tokens=32)
    assert BackboneConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(ConfigError, match="stem_tokens is -1"):
        BackboneConfig(stem_tokens=-1)
    with pytest.raises(ConfigError, match="stem_tokens is 8 for 4096 targets"):
        BackboneConfig(stem_tokens=8, vocabulary=4100, targets=4096)
