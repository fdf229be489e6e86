"""A graphed stream gives what the stream gives, piece after piece; with CUDA it is captured and replayed."""

from __future__ import annotations

import pytest
import torch

from titans_dna.errors import ConfigError
from titans_dna.model.backbone import Backbone
from titans_dna.model.config import BackboneConfig
from titans_dna.model.stream_graph import StreamGraph
from titans_dna.recall import RecallForm

FORM = RecallForm(words=("1" * 8,), sample_every=(1,), index_bits=12, places=4, accepted_hits=10)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def small(**changes) -> Backbone:
    torch.manual_seed(0)
    config = {"width": 32, "attention_heads": 2, "memory_heads": 2, "chunk_tokens": 8, "window_tokens": 8, **changes}
    model = Backbone(BackboneConfig(**config)).to(DEVICE).eval()
    torch.nn.init.normal_(model.head.weight)
    return model


@pytest.mark.parametrize(
    "changes",
    [{}, {"block": "mac", "segment_tokens": 16}, {"reset_tokens": 16}, {"memory_layers": (2,)}, {"recall": FORM}],
)
def test_equals_the_stream(changes: dict) -> None:
    model = small(**changes)
    graph = StreamGraph(model, batch=2, tokens=16)
    ids = torch.randint(0, 5, (2, 64), device=DEVICE).repeat(1, 3)
    with torch.inference_mode():
        state = expected_state = model.initial_state(2)
        kept = []
        for piece in ids.split(16, 1):
            expected = model.stream(piece, expected_state)
            expected_state = expected.state
            found = graph(piece, state)
            state = found.state
            assert state.position_tokens == expected_state.position_tokens
            kept.append((found, expected))
        for found, expected in kept:  # a later piece changes nothing that was returned
            torch.testing.assert_close(found.logits, expected.logits, rtol=0, atol=1e-5)
            torch.testing.assert_close(found.surprise, expected.surprise, rtol=0, atol=1e-5)
            assert found.state.recall is None or found.state.recall.streams[0].position == found.state.position_tokens
        if changes.get("recall"):
            recalled = model.recall(ids)
            assert (recalled.codes[:, 64:] != 0).any()
            without = model.stream(ids, recalled=recalled._replace(codes=torch.zeros_like(recalled.codes)))
            assert not torch.allclose(kept[-1][0].logits, without.logits[:, -16:], atol=1e-3)


def test_refuses_pieces_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="border of all chunks"):
        StreamGraph(small(), batch=1, tokens=12)
    with pytest.raises(ConfigError, match="other than transformer"):
        StreamGraph(small(block="transformer"), batch=1, tokens=16)
    model = small()
    graph = StreamGraph(model, batch=1, tokens=16)
    with pytest.raises(ConfigError, match="this graph reads"):
        graph(torch.zeros(2, 16, dtype=torch.long, device=DEVICE), model.initial_state(2))
