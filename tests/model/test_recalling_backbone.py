"""A model with a copy memory recalls, and is the same however a stream is cut, batched, kept and taken up again."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from frozen import forget, frozen_memories
from model.conftest import FORM, RECALLING
from safetensors import safe_open
from safetensors.torch import save_file

from titans_dna.errors import CheckpointError, ConfigError
from titans_dna.model.backbone import Backbone
from titans_dna.model.config import SIZES, BackboneConfig
from titans_dna.model.hub import PretrainedBackbone
from titans_dna.model.state import attach, concatenate, detach, map_tensors, select, where
from titans_dna.model.state_file import load_state, save_state
from titans_dna.recall import RecallForm

COMPLEMENT = torch.tensor([3, 2, 1, 0, 4, 5, 6])
CUT = 203  # within a chunk of the copy memory and one of the deep memory


@pytest.fixture(scope="module", params=RECALLING)
def model(request, make_model) -> Backbone:
    return make_model(request.param)


def close(one: torch.Tensor, two: torch.Tensor) -> None:
    torch.testing.assert_close(one, two, rtol=0, atol=1e-9)


def same_readers(one, two) -> None:
    for a, b in zip(one.recall.streams, two.recall.streams, strict=True):
        assert (a.position, a.floor) == (b.position, b.floor)
        np.testing.assert_array_equal(a.places, b.places)


def test_the_sequences_recall_and_it_counts(model, copies):
    recalled = model.recall(copies)
    held = (recalled.codes != 0).any(-1)
    assert held.sum() > 200
    none = recalled._replace(codes=torch.zeros_like(recalled.codes))
    with_places, without = model.stream(copies, recalled=recalled), model.stream(copies, recalled=none)
    assert (with_places.logits - without.logits).abs()[held].max() > 0.1
    assert torch.equal(with_places.logits, model.stream(copies).logits)
    first = int(held.any(0).nonzero()[0])
    assert torch.equal(with_places.hidden[:, :first], without.hidden[:, :first])


def test_nothing_before_a_changed_token_moves(model, copies):
    whole = model.stream(copies)
    for changed in (1, 64, 150, 256, 399):
        other = copies.clone()
        other[0, changed] = (copies[0, changed] + 1) % 4
        moved = model.stream(other)
        assert torch.equal(moved.hidden[:, :changed], whole.hidden[:, :changed])
        assert torch.equal(moved.logits[1], whole.logits[1])


@pytest.mark.parametrize("edges", [[64], [63, 65], [1, 128, 129, 300], list(range(1, 400)), list(range(50, 400, 50))])
def test_any_cut_is_one_pass(model, copies, edges):
    whole, state, parts = model.stream(copies), None, []
    for start, end in zip([0, *edges], [*edges, 400], strict=True):
        parts.append(model.stream(copies[:, start:end], state))
        state = parts[-1].state
    close(torch.cat([part.hidden for part in parts], 1), whole.hidden)
    same_readers(state, whole.state)


def test_batch_mates_and_padding_change_nothing(model, copies):
    whole = model.stream(copies)
    for row in range(2):
        alone = model.stream(copies[row : row + 1])
        close(alone.hidden[0], whole.hidden[row])
    close(model.stream(torch.cat([copies, torch.full((2, 70), 6)], 1)).hidden[:, :400], whole.hidden)


def test_a_state_is_read_on_from_again_and_again(model, copies):
    """By its own stream, which goes first, then by haplotypes and by itself: each as if it were alone."""
    state = model.stream(copies[:, :CUT]).state
    on = model.stream(copies[:, CUT:], state)
    other = torch.cat([copies[:, :CUT], COMPLEMENT[copies[:, 1:150].flip(1)]], 1)
    close(model.stream(other[:, CUT:], state).hidden, model.stream(other).hidden[:, CUT:])
    assert torch.equal(model.stream(copies[:, CUT:], state).hidden, on.hidden)
    close(on.hidden, model.stream(copies).hidden[:, CUT:])


def test_rows_of_states_are_values(model, copies):
    state = model.stream(copies[:, :CUT]).state
    rows = [1, 0, 1]
    twice = model.stream(copies[rows, CUT:], select(state, rows))
    close(twice.hidden, model.stream(copies).hidden[rows, CUT:])
    both = concatenate([select(state, [0]), select(state, [1])])
    close(model.stream(copies[:, CUT:], both).hidden, model.stream(copies).hidden[:, CUT:])
    earlier = model.stream(copies[:, : CUT - 8]).state
    if model.config.block == "window":
        mixed = where(torch.tensor([True, False]), earlier, state)
        read = model.stream(copies[:, CUT : CUT + 60], mixed).hidden
        close(read[1], model.stream(copies).hidden[1, CUT : CUT + 60])
        skipped = torch.cat([copies[:1, : CUT - 8], copies[:1, CUT : CUT + 60]], 1)
        close(read[0], model.stream(skipped).hidden[0, CUT - 8 :])
    same_readers(detach(state), state)


def test_a_saved_state_is_attached_and_goes_on_to_the_bit(model, copies, tmp_path):
    state, path = model.stream(copies[:, :CUT]).state, tmp_path / "state.safetensors"
    save_state(path, state)
    on = model.stream(copies[:, CUT:], state)
    loaded = load_state(path)
    with pytest.raises(CheckpointError, match=r"give it back with titans_dna\.model\.state\.attach") as caught:
        model.stream(copies[:, CUT:], loaded)
    assert "\n" not in str(caught.value)
    back = attach(loaded, lambda row: copies[row, :CUT].numpy())
    assert torch.equal(model.stream(copies[:, CUT:], back).logits, on.logits)
    assert attach(back, lambda row: pytest.fail("it is attached")) is back
    save_state(tmp_path / "again.safetensors", loaded)  # one that was not attached is saved as it was
    again = attach(load_state(tmp_path / "again.safetensors"), lambda row: copies[row, :CUT].numpy())
    assert torch.equal(model.stream(copies[:, CUT:], again).logits, on.logits)
    mixed = select(loaded, [1])
    one = attach(mixed, lambda _: copies[1, :CUT].numpy())
    close(model.stream(copies[1:, CUT:], one).hidden, on.hidden[1:])


def test_an_older_state_can_be_saved_when_its_stream_has_gone_on(make_model, copies, tmp_path):
    form = replace(FORM, horizon_bases=100)
    model = make_model("mag", recall=form)
    state = model.stream(copies[:, :CUT]).state
    on = model.stream(copies[:, CUT:], state)
    save_state(tmp_path / "s.safetensors", state)
    back = attach(load_state(tmp_path / "s.safetensors"), lambda row: copies[row, :CUT].numpy())
    assert torch.equal(model.stream(copies[:, CUT:], back).logits, on.logits)


def test_attach_refuses_another_sequence(model, copies, tmp_path):
    path = tmp_path / "state.safetensors"
    save_state(path, model.stream(copies[:, :CUT]).state)
    changed = copies.clone()
    changed[1, 7] = (changed[1, 7] + 1) % 4
    for ids in (changed[:, :CUT], copies[:, : CUT - 1], copies[:, : CUT + 1], copies[:, :0]):
        with pytest.raises(CheckpointError, match="not the one that the saved state had read"):
            attach(load_state(path), lambda row, ids=ids: ids[row].numpy())


def of_stream(number: int, value: object):
    return lambda tree: tree["streams"][0].__setitem__(number, value)


def of_place(number: int, value: object):
    return lambda tree: tree["streams"][0][2][0].__setitem__(number, value)


def of_form(**values: object):
    return lambda tree: tree["form"].update(values)


HOSTILE = {
    "a place far ahead": of_place(0, 10**9),
    "a place at the reader": of_place(0, CUT),
    "a place before the start": of_place(0, -1),
    "a place beyond 64 bits": of_place(0, 1 << 70),
    "a place between two": of_place(0, 17.5),
    "a place that is text": of_place(0, "17"),
    "a place that is nothing": of_place(0, None),
    "a direction of 0": of_place(1, 0),
    "outcomes below 0": of_place(2, -1),
    "outcomes of 33 bits": of_place(2, 1 << 32),
    "a run of many": of_place(3, 1 << 62),
    "a place of three numbers": lambda tree: tree["streams"][0][2][0].pop(),
    "more places than slots": lambda tree: tree["streams"][0][2].extend([[5, 1, 0, 0]] * 5),
    "places that are a number": of_stream(2, 3),
    "a floor behind the reader": of_stream(1, CUT + 1),
    "a negative position": of_stream(0, -5),
    "a position beyond all": of_stream(0, 1 << 60),
    "a position that is a float": of_stream(0, float(CUT)),
    "a position that is true": of_stream(0, True),
    "a reader too few": lambda tree: tree["streams"].pop(),
    "a checksum too few": lambda tree: tree["checksums"].pop(),
    "checksums that are text": lambda tree: tree.update(checksums=["a", "b"]),
    "no form": lambda tree: tree.pop("form"),
    "a form that is a list": lambda tree: tree.update(form=[1]),
    "a form with another key": of_form(wrods=1),
    "index bits of a float": of_form(index_bits=12.5),
    "index bits of text": of_form(index_bits="12"),
    "an index beyond all": of_form(index_bits=60),
    "no place": of_form(places=0),
    "words that are numbers": of_form(words=[3]),
    "words of lists": of_form(words=[["1"] * 8]),
    "a horizon beyond 64 bits": of_form(horizon_bases=1 << 80),
    "samples that are a number": of_form(sample_every=3),
    "samples of a float": of_form(sample_every=[1.5]),
    "all readers gone": lambda tree: tree.update(streams=[], checksums=[]),
    "one reader and one checksum gone": lambda tree: (tree["streams"].pop(), tree["checksums"].pop()),
    "another checksum": lambda tree: tree.update(checksums=[1, 2]),
    "another form": of_form(places=7),
    "streams that are text": lambda tree: tree.update(streams="ab"),
}


@pytest.fixture(scope="module")
def edited(make_model, copies, tmp_path_factory):
    """Write a state with its copy memory's part changed; return the model and the file."""
    model, path = make_model("mag with recall"), tmp_path_factory.mktemp("hostile") / "state.safetensors"
    state = model.stream(copies[:, :CUT]).state
    assert len(state.recall.streams[0].places)
    save_state(path, state)
    with safe_open(path, "pt") as file:
        about = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def write(change):
        tree = json.loads(about["state"])
        change(tree["fields"]["recall"])
        save_file(tensors, path, metadata={**about, "state": json.dumps(tree)})
        return model, path

    return write


@pytest.mark.parametrize("case", list(HOSTILE))
def test_a_damaged_copy_memory_is_refused_in_one_line(edited, copies, case):
    model, path = edited(lambda part: HOSTILE[case](part["recall"]))
    with pytest.raises(CheckpointError) as caught:
        model.stream(copies[:, CUT:], attach(load_state(path), lambda row: copies[row, :CUT].numpy()))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [5, "x", [], {"recall": 3}, {"recall": []}, {"class": "Gates", "fields": []}])
def test_a_copy_memory_that_is_none_is_refused(edited, copies, value):
    def change(part):
        part.clear()
        if isinstance(value, dict):
            part.update(value)

    model, path = edited(change)
    if not isinstance(value, dict):
        with safe_open(path, "pt") as file:
            about, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        tree = json.loads(about["state"])
        tree["fields"]["recall"] = value
        save_file(tensors, path, metadata={**about, "state": json.dumps(tree)})
    with pytest.raises(CheckpointError):
        model.stream(copies[:, CUT:], attach(load_state(path), lambda row: copies[row, :CUT].numpy()))


def test_a_state_without_readers_says_so(edited, make_model, copies):
    model = make_model("mag with recall")
    state = replace(model.stream(copies[:, :CUT]).state, recall=None)
    with pytest.raises(ConfigError, match="no readers of a copy memory"):
        model.stream(copies[:, CUT:], state)


def test_forgetting_takes_the_places_along(model, copies):
    state = forget(model, model.stream(copies[:, :200]).state)
    recalled = model.recall(copies[:, 200:], state)
    floor = state.recall.streams[0].floor
    assert floor == 200
    assert not recalled.codes[:, 0].any()
    with_all = model.recall(copies[:, 200:], model.stream(copies[:, :200]).state)
    assert (with_all.codes != 0).sum() > (recalled.codes != 0).sum()
    if model.config.block == "window":  # nothing but the window and its copies is left of what was read before
        other = torch.cat([COMPLEMENT[copies[:, :150]], copies[:, 150:]], 1)
        read = forget(model, model.stream(other[:, :200]).state)
        torch.testing.assert_close(model.recall(copies[:, 200:], read).codes, recalled.codes)


def test_frozen_memories_still_recall(model, copies):
    with frozen_memories(model):
        whole = model.stream(copies)
        first = model.stream(copies[:, :CUT])
        close(model.stream(copies[:, CUT:], first.state).hidden, whole.hidden[:, CUT:])
        recalled = model.recall(copies)
        none = model.stream(copies, recalled=recalled._replace(codes=torch.zeros_like(recalled.codes)))
    assert (whole.logits - none.logits).abs().max() > 0.1


def test_a_hub_folder_recalls_as_before(make_model, copies, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = make_model("mag with recall").float()
    PretrainedBackbone(model, {"kind": "nucleotide"}).save_pretrained(tmp_path / "model")
    loaded = PretrainedBackbone.from_pretrained(tmp_path / "model").backbone
    assert loaded.config == model.config
    assert torch.equal(loaded.eval()(copies), model(copies))
    model.double()


def test_the_form_survives_json_and_is_left_out_where_there_is_none():
    for form in (RecallForm(), FORM, replace(FORM, horizon_bases=10**9, inverted=False)):
        config = BackboneConfig(recall=form)
        values = json.loads(json.dumps(config.to_dict()))
        assert values["recall"]["words"] == list(form.words)
        assert BackboneConfig.from_dict(values) == config
    assert "recall" not in BackboneConfig().to_dict()
    assert BackboneConfig.from_dict(BackboneConfig().to_dict()).recall is None
    assert BackboneConfig.from_dict({"width": 64, "recall": {}}).recall == RecallForm()
    assert SIZES["default"].recall is not None


@pytest.mark.parametrize(
    "recall",
    [3, "x", {"words": 5}, {"words": [5]}, {"places": "x"}, {"places": 4.0}, {"wrods": []}, {"sample_every": [1]}, [1]],
)
def test_impossible_forms_are_refused_by_the_configuration(recall):
    with pytest.raises(ConfigError) as caught:
        BackboneConfig.from_dict({"recall": recall})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("targets", [1, 64, 4096])
def test_tokens_of_several_bases_are_refused_by_name(targets):
    with pytest.raises(ConfigError, match=f"recall needs the four bases as targets, not {targets}; use one token per"):
        BackboneConfig(vocabulary=targets + 3, targets=targets, recall=FORM)


def test_every_weight_has_a_gradient_even_where_nothing_is_recalled(make_model, copies):
    model = make_model("mag with recall").requires_grad_(True)
    model(copies).log_softmax(-1)[..., 0].sum().backward()
    trusted = dict(model.trust.named_parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trusted.values())
    model.zero_grad()
    assert not model.recall(copies[:, :60]).codes.any()
    model(copies[:, :60]).log_softmax(-1)[..., 0].sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in trusted.values())  # DDP waits for every gradient
    model.zero_grad(set_to_none=True)
    model.requires_grad_(False)


def test_a_state_holds_as_many_numbers_as_without(make_model):
    """The copy memory is beside the tensors: what ``map_tensors`` sees is the same."""
    found: list[list[torch.Size]] = []
    for kind in ("mag", "mag with recall"):
        shapes: list[torch.Size] = []
        map_tensors(make_model(kind).initial_state(2), lambda x, shapes=shapes: shapes.append(x.shape) or x)
        found.append(shapes)
    assert found[0] == found[1]
