"""A model folder gives back the model bit for bit, or says in one line what is wrong with it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from titans_dna.errors import CheckpointError, ConfigError, InputMissing, OutputError, TitansDNAError
from titans_dna.model.backbone import Backbone
from titans_dna.model.checkpoint import CONFIG, TOKENIZER, WEIGHTS, load_checkpoint, save_checkpoint
from titans_dna.model.config import BackboneConfig
from titans_dna.model.device import choose_device


@pytest.fixture
def folder(tmp_path, make_model) -> Path:
    save_checkpoint(tmp_path / "toy", make_model().float(), {"kind": "nucleotide"}, {"log.csv": "step\n"})
    return tmp_path / "toy"


def test_round_trip_bit_for_bit(tmp_path, make_model, kind, ids):
    folder, wanted = tmp_path / "toy", make_model(kind).float()
    save_checkpoint(folder, wanted, {"kind": "nucleotide"})
    loaded = load_checkpoint(folder)
    assert torch.equal(loaded.backbone.stream(ids).logits, wanted.stream(ids).logits)
    for name, value in wanted.state_dict().items():
        assert torch.equal(loaded.backbone.state_dict()[name], value), name
    assert loaded.backbone.config == wanted.config
    assert loaded.tokenizer == {"kind": "nucleotide"}
    assert loaded.name == "toy"
    assert loaded.weights_sha256 == hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    assert not loaded.backbone.training
    assert not any(p.requires_grad for p in loaded.backbone.parameters())


def test_the_folder_holds_what_it_says_and_nothing_else(folder):
    assert sorted(p.name for p in folder.iterdir()) == sorted([CONFIG, TOKENIZER, WEIGHTS, "log.csv"])
    assert [p.name for p in folder.parent.iterdir()] == ["toy"]


def test_a_second_model_replaces_the_first_and_keeps_other_files(folder, make_model):
    (folder / "notes.txt").write_text("mine")
    other = make_model(seed=9).float()
    save_checkpoint(folder, other, {"kind": "nucleotide"})
    assert torch.equal(load_checkpoint(folder).backbone.head.weight, other.head.weight)
    assert (folder / "notes.txt").read_text() == "mine"


def remove(name: str):
    return lambda folder: (folder / name).unlink()


def edit_config(**changes):
    def change(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text())
        config["backbone"] |= changes
        (folder / CONFIG).write_text(json.dumps(config))

    return change


def edit_weights(function):
    def change(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        function(tensors)
        save_file(tensors, folder / WEIGHTS)

    return change


def truncate(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


def poison(tensors: dict[str, torch.Tensor]) -> None:
    tensors["head.weight"][0, 0] = float("nan")


def write(name: str, text: str):
    return lambda folder: (folder / name).write_text(text)


DAMAGE = {
    "no config": (remove(CONFIG), InputMissing, f"has no {CONFIG}"),
    "no weights": (remove(WEIGHTS), InputMissing, f"has no {WEIGHTS}"),
    "no tokenizer": (remove(TOKENIZER), InputMissing, f"has no {TOKENIZER}"),
    "config is no JSON": (write(CONFIG, "{width: 3"), CheckpointError, "is not JSON"),
    "config is a list": (write(CONFIG, "[]"), CheckpointError, "is not a JSON object"),
    "tokenizer is no JSON": (write(TOKENIZER, ""), CheckpointError, "is not JSON"),
    "format of the future": (write(CONFIG, '{"format_version": 99}'), CheckpointError, "format version is 99"),
    "backbone is a list": (write(CONFIG, '{"format_version": 1, "backbone": [1]}'), CheckpointError, CONFIG),
    "value of a wrong type": (edit_config(width="wide"), CheckpointError, CONFIG),
    "unknown key": (edit_config(widht=3), CheckpointError, "unknown configuration key 'widht'"),
    "impossible value": (edit_config(attention_heads=3), CheckpointError, "not divisible by 3"),
    "other width": (edit_config(width=32), CheckpointError, "should have shape"),
    "more layers": (edit_config(layers=3), CheckpointError, "nothing is there"),
    "fewer layers": (edit_config(layers=1), CheckpointError, "is not part of this configuration"),
    "truncated weights": (truncate, CheckpointError, "the weights are damaged"),
    "empty weights": (lambda folder: (folder / WEIGHTS).write_bytes(b""), CheckpointError, "the weights are damaged"),
    "a weight is missing": (edit_weights(lambda t: t.pop("head.weight")), CheckpointError, "head.weight should have"),
    "weights are whole numbers": (
        edit_weights(lambda t: t.update({"head.weight": t["head.weight"].to(torch.int32)})),
        CheckpointError,
        "head.weight holds torch.int32 where torch.float32 belongs",
    ),
    "a weight is nan": (edit_weights(poison), CheckpointError, "not finite"),
}


@pytest.mark.parametrize("case", list(DAMAGE))
def test_damage_is_said_in_one_line(folder, case):
    harm, kind, message = DAMAGE[case]
    harm(folder)
    with pytest.raises(kind) as caught:
        load_checkpoint(folder)
    text = str(caught.value)
    assert message in text
    assert str(folder) in text
    assert "\n" not in text


def test_no_folder(tmp_path):
    with pytest.raises(InputMissing, match=r"no such model folder.*pretrain"):
        load_checkpoint(tmp_path / "nothing")


def test_nothing_is_unpickled(folder):
    """Pickled weights under the name of the weights are refused, not run."""
    torch.save({"head.weight": torch.zeros(1)}, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(folder)


def test_a_place_that_cannot_be_written(tmp_path):
    config = BackboneConfig(width=16, layers=1, attention_heads=2, memory_heads=2)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write the model") as caught:
        save_checkpoint(tmp_path / "file" / "model", Backbone(config), {})
    assert "\n" not in str(caught.value)
    with pytest.raises(TitansDNAError):
        save_checkpoint(tmp_path / "file", Backbone(config), {})
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_device_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(ConfigError, match="no CUDA device"):
        choose_device("cuda")
    with pytest.raises(ConfigError, match="device is 'tpu'"):
        choose_device("tpu")
