"""States are values: rows can be chosen, joined, mixed and cut off the graph."""

from __future__ import annotations

import pytest
import torch

from titans_dna.model.state import concatenate, detach, map_tensors, select, state_numbers, where


def tensors(state: object) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    map_tensors(state, lambda x: found.append(x) or x)
    return found


def equal(one: object, two: object) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(two), strict=True))


def test_select_names_rows_in_any_order_and_twice(model, ids):
    state = model.stream(ids[:, :21]).state
    chosen = select(state, [1, 0, 1])
    out = model.stream(ids[[1, 0, 1], 21:], chosen)
    plain = model.stream(ids[:, 21:], state)
    assert torch.allclose(out.hidden, plain.hidden[[1, 0, 1]], atol=1e-10)
    assert chosen.position_tokens == 21
    assert equal(select(chosen, torch.tensor([1, 0])), state)


def test_concatenate_undoes_select(model, ids):
    state = model.stream(ids[:, :21]).state
    joined = concatenate([select(state, [0]), select(state, [1])])
    assert equal(joined, state)
    assert joined.position_tokens == 21


def test_where_takes_each_row_from_its_own(model, ids):
    one, two = model.stream(ids[:, :16]).state, model.stream(ids[:, 16:32]).state
    mixed = where(torch.tensor([True, False]), one, two)
    assert equal(select(mixed, [0]), select(one, [0]))
    assert equal(select(mixed, [1]), select(two, [1]))
    assert not equal(one, two)


def test_a_fresh_lane_reads_as_if_it_were_alone(model, ids):
    later = model.stream(ids[:, :48]).state
    if model.config.phase(48):
        with pytest.raises(ValueError, match="streams stand at phases"):
            model.join([model.initial_state(1), select(later, [1])])
        return
    out = model.stream(ids[:, 16:40], where(torch.tensor([True, False]), model.initial_state(2), later)).hidden
    assert torch.allclose(out[0], model.stream(ids[:1, 16:40]).hidden[0], atol=1e-10)
    assert torch.allclose(out[1], model.stream(ids[:, 16:40], later).hidden[1], atol=1e-10)


def test_streams_of_one_phase_are_joined(model, ids):
    one, two = model.stream(ids[:1, :48]).state, model.stream(ids[1:, :48]).state
    out = model.stream(ids[:, 48:], model.join([one, two])).hidden
    assert torch.allclose(out, model.stream(ids).hidden[:, 48:], atol=1e-10)
    with pytest.raises(ValueError, match="streams stand at phases"):
        model.join([one, model.stream(ids[1:, :47]).state])


def test_detach_ends_the_graph(make_model, kind, ids):
    model = make_model(kind).requires_grad_(True)
    state = model.stream(ids[:, :21]).state
    assert any(x.requires_grad for x in tensors(state))
    assert not any(x.requires_grad for x in tensors(detach(state)))
    assert equal(state, detach(state))


def test_numbers_are_counted_over_rows(model):
    assert state_numbers(model.initial_state(3)) == 3 * state_numbers(model.initial_state(1)) > 0


@pytest.mark.parametrize("block", ["mal", "lmm", "mag"])
def test_lanes_that_began_at_different_times_have_their_own_resets(make_model, ids, block):
    """A window may be shorter than the period of the resets, so lanes of one batch stand at different places of it."""
    model = make_model(block, reset_tokens=48, chunk_tokens=8, further_memories=())
    later = model.stream(ids[:, :16]).state
    mixed = where(torch.tensor([True, False]), model.initial_state(2), later)
    first = model.stream(ids[:, 16:40], mixed)
    assert first.state.blocks[-1].memories[0].since_reset.tolist() == [24, 40]
    second = model.stream(ids[:, 40:], first.state).hidden
    assert torch.allclose(second[0], model.stream(ids[:1, 16:]).hidden[0, 24:], atol=1e-10)
    assert torch.allclose(second[1], model.stream(ids).hidden[1, 40:], atol=1e-10)
