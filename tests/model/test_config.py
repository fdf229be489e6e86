"""A configuration refuses what cannot be built, by name and with a remedy."""

from __future__ import annotations

import json

import pytest

from titans_dna.errors import ConfigError
from titans_dna.model.config import BLOCKS, MEMORY_BLOCKS, BackboneConfig, MemoryLayout, named_config
from titans_dna.ops.form import MemoryForm

REFUSED = {
    "layers is 0": {"layers": 0},
    "width is -4": {"width": -4},
    "window_tokens is 0": {"window_tokens": 0},
    "chunk_tokens is 0": {"chunk_tokens": 0},
    "memory_heads is 0": {"memory_heads": 0},
    "attention_heads is 0": {"attention_heads": 0},
    "block is 'magic'; choose one of": {"block": "magic"},
    "width 128 is not divisible by 3": {"attention_heads": 3},
    "width 128 is not divisible by 5": {"memory_heads": 5},
    "attention head width is 2": {"width": 8, "attention_heads": 4},
    "targets is 9 of a vocabulary of 7": {"targets": 9},
    "targets is 0 of a vocabulary of 7": {"targets": 0},
    "persistent_tokens must be 0 or more": {"persistent_tokens": -1},
    "convolution_tokens 1 or more": {"convolution_tokens": 0},
    "feed_forward above 0": {"feed_forward": 0.0},
    "segment_tokens 100 is no multiple of chunk_tokens 64": {"block": "mac", "segment_tokens": 100},
    "reset_tokens 100 is no multiple of chunk_tokens 64": {"reset_tokens": 100},
    "memory_layers is (1,) but block window has no memory; leave it out": {"block": "window", "memory_layers": (1,)},
    "memory_layers is (1,) but block transformer": {"block": "transformer", "memory_layers": (1,)},
    "memory_layers is (3,) of 2 layers; give rising numbers from 1 to 2": {"memory_layers": (3,)},
    "memory_layers is (0, 1) of 2 layers": {"memory_layers": (0, 1)},
    "memory_layers is (2, 1) of 2 layers": {"memory_layers": (2, 1)},
    "memory_layers is (2, 2) of 2 layers": {"memory_layers": (2, 2)},
    "memory_layers is (1.5,) of 2 layers": {"memory_layers": (1.5,)},
    "context_orders and context_buckets must be 1 or more": {"context_orders": (3, 0)},
}


@pytest.mark.parametrize("message", list(REFUSED))
def test_impossible_values_are_refused(message):
    with pytest.raises(ConfigError) as caught:
        BackboneConfig(**REFUSED[message])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_configuration_survives_json(block):
    config = BackboneConfig(
        block=block,
        context_orders=(3, 5),
        further_memories=(MemoryLayout(heads=2),),
        memory=MemoryForm(depth=3, momentum=False),
    )
    assert BackboneConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("block", MEMORY_BLOCKS)
def test_layers_with_a_memory_survive_json_and_are_left_out_where_all_have_one(block):
    config = BackboneConfig(block=block, layers=4, memory_layers=(2, 4))
    assert [config.block_of(layer) for layer in (1, 2, 3, 4)] == ["window", block, "window", block]
    assert json.loads(json.dumps(config.to_dict()))["memory_layers"] == [2, 4]
    assert BackboneConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    everywhere = BackboneConfig(block=block, layers=4)
    assert "memory_layers" not in everywhere.to_dict()
    assert {everywhere.block_of(layer) for layer in (1, 2, 3, 4)} == {block}
    with pytest.raises(ConfigError, match="memory_layers is 2; give a list"):
        BackboneConfig.from_dict({"memory_layers": 2})


def test_an_unknown_key_is_named():
    with pytest.raises(ConfigError, match="unknown configuration key 'widht'"):
        BackboneConfig.from_dict({"widht": 3})
    with pytest.raises(ConfigError, match="unknown configuration key 'depht'"):
        BackboneConfig.from_dict({"memory": {"depht": 3}})


def test_an_unknown_size_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"model size is 'huge'; choose one of .*tiny"):
        named_config("huge")
