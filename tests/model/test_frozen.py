"""Frozen memories are read as they stand; forgotten ones start again; nothing else changes."""

from __future__ import annotations

import pytest
import torch
from frozen import forget, frozen_memories

BORDER = 24  # of chunks and segments of the small models
MEMORY_BLOCKS = ["mac", "mag", "mal", "lmm", "mag in layers 2 and 3 of 3", "mac in layer 1 of 2"]
IDS = torch.randint(0, 4, (2, 4 * BORDER + 5), generator=torch.Generator().manual_seed(2))


def weights(state) -> list[torch.Tensor]:
    return [w for block in state.blocks for memory in block.memories for w in memory.memory.weights]


@pytest.mark.parametrize("block", MEMORY_BLOCKS)
def test_a_frozen_memory_keeps_its_weights_and_a_written_one_does_not(make_model, block):
    model = make_model(block)
    first = model.stream(IDS[:, :BORDER])
    with frozen_memories(model):
        frozen = model.stream(IDS[:, BORDER:], first.state)
    written = model.stream(IDS[:, BORDER:], first.state)
    assert all(torch.equal(a, b) for a, b in zip(weights(frozen.state), weights(first.state), strict=True))
    assert not torch.equal(weights(written.state)[0], weights(first.state)[0])
    assert not torch.allclose(frozen.logits, written.logits)


@pytest.mark.parametrize("block", MEMORY_BLOCKS)
def test_cutting_a_frozen_stream_anywhere_changes_nothing(make_model, block):
    model = make_model(block)
    with frozen_memories(model):
        whole = model.stream(IDS).logits
        first = model.stream(IDS[:, :19])
        rest = model.stream(IDS[:, 19:], first.state)
    torch.testing.assert_close(torch.cat([first.logits, rest.logits], 1), whole, rtol=0, atol=1e-10)


def test_memories_are_written_again_afterwards_also_after_an_error(make_model):
    model = make_model("mag")
    before = model.stream(IDS).logits
    with pytest.raises(RuntimeError, match="stop"), frozen_memories(model):
        raise RuntimeError("stop")
    torch.testing.assert_close(model.stream(IDS).logits, before, rtol=0, atol=0)


def test_a_frozen_memory_reads_no_other_sequence_than_attention_reaches(make_model):
    model = make_model("lmm", convolution_tokens=1, context_orders=())
    other = IDS.clone()
    other[:, :BORDER] = (other[:, :BORDER] + 1) % 4
    with frozen_memories(model):
        a, b = model.stream(IDS).logits[:, BORDER:], model.stream(other).logits[:, BORDER:]
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    assert not torch.allclose(model.stream(IDS).logits[:, BORDER:], model.stream(other).logits[:, BORDER:])


@pytest.mark.parametrize("block", MEMORY_BLOCKS)
def test_forgetting_puts_the_memories_alone_back_to_the_start(make_model, block):
    model = make_model(block)
    after = model.stream(IDS[:, : 2 * BORDER]).state
    fresh = forget(model, after)
    start = model.initial_state(2)
    assert all(torch.equal(a, b) for a, b in zip(weights(fresh), weights(start), strict=True))
    assert fresh.position_tokens == after.position_tokens
    for old, new, first in zip(after.blocks, fresh.blocks, start.blocks, strict=True):
        assert old.attention is new.attention
        assert all(torch.equal(a.tail, b.tail) for a, b in zip(old.memories, new.memories, strict=True))
        if new.segment is not None:
            assert torch.equal(new.segment.weights[0][0], first.segment.weights[0][0])


def test_a_forgotten_memory_reads_as_one_that_was_never_written(make_model):
    model = make_model("mag", layers=1)
    with frozen_memories(model):
        never = model.stream(IDS).logits[:, BORDER:]
    written = model.stream(IDS[:, :BORDER]).state
    with frozen_memories(model):
        forgotten = model.stream(IDS[:, BORDER:], forget(model, written)).logits
    torch.testing.assert_close(forgotten, never, rtol=0, atol=1e-10)
