"""The backbone is causal, the same wherever it is cut, and keeps its samples apart; for every kind of block."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from titans_dna.model.backbone import Backbone, StreamOutput
from titans_dna.model.config import BLOCKS, BackboneConfig
from titans_dna.model.state import StreamState, map_tensors

CLOSE = {"abs": 1e-5, "rel": 0}  # logits are float32
TIGHT = {"abs": 1e-10, "rel": 0}  # features and surprise are float64


def same(one: StreamOutput, two: StreamOutput) -> None:
    assert one.logits.numpy() == pytest.approx(two.logits.numpy(), **CLOSE)
    assert one.hidden.numpy() == pytest.approx(two.hidden.numpy(), **TIGHT)
    assert one.surprise.numpy() == pytest.approx(two.surprise.numpy(), **TIGHT)


def in_parts(model: Backbone, ids: torch.Tensor, edges: list[int]) -> tuple[list[StreamOutput], StreamState]:
    state, parts = None, []
    for start, end in zip([0, *edges], [*edges, ids.shape[1]], strict=True):
        parts.append(model.stream(ids[:, start:end], state))
        state = parts[-1].state
    return parts, state


def tensors(state: object) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    map_tensors(state, lambda x: found.append(x) or x)
    return found


@pytest.mark.parametrize("changed", [0, 1, 7, 8, 9, 16, 33, 69])
@pytest.mark.parametrize("into", [0, 4], ids=["another base", "N"])
def test_nothing_before_a_changed_token_moves(model, ids, changed, into):
    other = ids.clone()
    other[0, changed] = (ids[0, changed] + 1) % 4 if into == 0 else into
    one, two = model.stream(ids), model.stream(other)
    assert torch.equal(one.hidden[:, :changed], two.hidden[:, :changed])
    assert torch.equal(one.surprise[:, :changed], two.surprise[:, :changed])
    assert not torch.allclose(one.hidden[0, changed], two.hidden[0, changed])
    assert torch.equal(one.hidden[1], two.hidden[1])  # nor does the other sample


def test_only_an_unbounded_reader_knows_the_first_token_at_the_end(make_model, kind):
    model = make_model(kind, layers=1, context_orders=(), reset_tokens=0, further_memories=(), memory_layers=())
    ids = torch.randint(0, 4, (1, 70), generator=torch.Generator().manual_seed(0))
    other = ids.clone()
    other[0, 2] = (ids[0, 2] + 1) % 4
    moved = (model.stream(ids).hidden[0, -1] - model.stream(other).hidden[0, -1]).abs().max()
    if model.config.block == "window":
        assert moved == 0  # out of the window of the only layer
    else:
        assert moved > 1e-9


def test_a_memory_that_is_reset_forgets(make_model):
    model = make_model("lmm", layers=1, context_orders=(), reset_tokens=16, convolution_tokens=1)
    ids = torch.randint(0, 4, (1, 40), generator=torch.Generator().manual_seed(0))
    other = ids.clone()
    other[0, 10] = (ids[0, 10] + 1) % 4
    one, two = model.stream(ids).hidden[0], model.stream(other).hidden[0]
    assert not torch.equal(one[10:16], two[10:16])
    assert torch.equal(one[16:], two[16:])


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edges=st.sets(st.integers(1, 69), max_size=5).map(sorted))
def test_any_cut_is_one_pass(model, ids, edges):
    whole = model.stream(ids)
    parts, state = in_parts(model, ids, edges)
    joined = {name: torch.cat([getattr(p, name) for p in parts], 1) for name in ("logits", "hidden", "surprise")}
    same(StreamOutput(state=state, **joined), whole)
    for one, two in zip(tensors(state), tensors(whole.state), strict=True):
        assert one.double().numpy() == pytest.approx(two.double().numpy(), **TIGHT)
    assert state.position_tokens == 70


def test_token_by_token_is_one_pass(model, ids):
    whole = model.stream(ids)
    parts, _ = in_parts(model, ids, list(range(1, 70)))
    assert torch.cat([p.hidden for p in parts], 1).numpy() == pytest.approx(whole.hidden.numpy(), **TIGHT)


def test_samples_are_independent(model, ids):
    both = model.stream(ids)
    for row in range(2):
        alone = model.stream(ids[row : row + 1])
        assert alone.hidden[0].numpy() == pytest.approx(both.hidden[row].numpy(), **TIGHT)
        assert alone.logits[0].numpy() == pytest.approx(both.logits[row].numpy(), **CLOSE)


@pytest.mark.parametrize("padding", [1, 8, 13, 40])
def test_padding_on_the_right_changes_nothing_before_it(model, ids, padding):
    padded = torch.cat([ids, torch.full((2, padding), 6)], 1)
    one, two = model.stream(ids), model.stream(padded)
    assert two.hidden[:, :70].numpy() == pytest.approx(one.hidden.numpy(), **TIGHT)


def test_the_same_input_twice_gives_the_same_bits(model, ids):
    state = model.stream(ids[:, :21]).state
    copies = [tensor.clone() for tensor in tensors(state)]
    one, two = model.stream(ids[:, 21:], state), model.stream(ids[:, 21:], state)
    assert torch.equal(one.hidden, two.hidden)
    assert all(torch.equal(a, b) for a, b in zip(tensors(state), copies, strict=True))  # no call changes its state
    assert torch.equal(model(ids), model.stream(ids).logits)


@pytest.mark.parametrize("token", [4, 5, 6], ids=["N", "start", "padding"])
def test_tokens_that_are_no_base_leave_the_memory_untouched(make_model, kind, ids, token):
    model = make_model(kind, reset_tokens=0, further_memories=())
    before = model.stream(ids[:, :64]).state  # a whole number of chunks: nothing is pending
    after = model.stream(torch.full((2, 64), token), before).state
    written = model.stream(ids[:, :64], before).state
    for layer, (one, two, three) in enumerate(zip(before.blocks, after.blocks, written.blocks, strict=True), 1):
        assert bool(one.memories) == (model.config.block_of(layer) not in ("transformer", "window"))
        for a, b, c in zip(one.memories, two.memories, three.memories, strict=True):
            for x, y in zip(a.memory.weights + a.memory.momentum, b.memory.weights + b.memory.momentum, strict=True):
                assert torch.equal(x, y)
            assert not torch.equal(a.memory.weights[0], c.memory.weights[0])


def test_a_gap_is_seen_by_no_later_token_but_shifts_positions(make_model, kind):
    """Attention skips an N: with all keys N, a later base sees only itself and the persistent tokens."""
    model = make_model(kind, context_orders=(), convolution_tokens=1)
    base = torch.tensor([[2]])
    outs = []
    for gap in (torch.full((1, 5), 4), torch.full((1, 5), 6)):  # N or padding: their content differs, unseen
        outs.append(model.stream(torch.cat([gap, base], 1)).hidden[0, -1])
    assert outs[0].numpy() == pytest.approx(outs[1].numpy(), **TIGHT)


@pytest.mark.parametrize("block", BLOCKS)
def test_the_head_starts_at_even_odds(block):
    config = BackboneConfig(width=16, layers=1, attention_heads=2, memory_heads=2, block=block)
    assert torch.equal(Backbone(config)(torch.tensor([[5, 0, 1]])), torch.zeros(1, 3, 4))


def test_every_weight_has_a_gradient(make_model, kind, ids):
    model = make_model(kind).requires_grad_(True)
    state = model.stream(ids[:, :30]).state
    logits = model.stream(ids[:, 30:], state).logits
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 30:].flatten() % 4).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    model.requires_grad_(False)


@pytest.mark.parametrize("block", ["mac", "mag", "mal", "lmm"])
def test_reading_in_pieces_changes_no_gradient(make_model, ids, block, monkeypatch):
    """Long inputs are read piece by piece and computed again on the way back; the gradient is that of one pass."""
    found = []
    monkeypatch.setattr("titans_dna.model.memory.KEPT_PIECES", 1)
    for chunks in (100, 2):
        monkeypatch.setattr("titans_dna.model.memory.GROUP_CHUNKS", chunks)
        monkeypatch.setattr("titans_dna.ops.chunked.GROUP_CHUNKS", chunks)
        model = make_model(block, reset_tokens=0, further_memories=()).requires_grad_(True)
        out = model.stream(ids)
        (out.hidden.square().sum() + out.surprise.sum()).backward()
        found.append((out.hidden.detach(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}))
    (hidden, gradients), (other_hidden, others) = found
    assert hidden.numpy() == pytest.approx(other_hidden.numpy(), **TIGHT)
    assert gradients.keys() == others.keys()
    for name, gradient in gradients.items():
        assert gradient.numpy() == pytest.approx(others[name].numpy(), abs=1e-9, rel=1e-9), name
