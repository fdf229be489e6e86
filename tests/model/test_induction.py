"""A memory that starts as an induction recalls, before any training, what came after the same words."""

from __future__ import annotations

import pytest
import torch

from titans_dna.errors import ConfigError
from titans_dna.model.backbone import Backbone
from titans_dna.model.config import BackboneConfig
from titans_dna.model.memory import NeuralMemory

SETTINGS = {"width": 32, "layers": 1, "attention_heads": 2, "memory_heads": 1, "chunk_tokens": 16, "stem_tokens": 12}


def make(induction: bool, **changes) -> Backbone:
    torch.manual_seed(3)
    config = BackboneConfig(**{**SETTINGS, "block": "lmm", "initial_step": 0.5, "induction": induction, **changes})
    return Backbone(config).eval()


def error(model: Backbone, ids: torch.Tensor) -> torch.Tensor:
    """Return the squared distance of each read from the value of the next token (T - 1,)."""
    (memory,) = [module for module in model.modules() if isinstance(module, NeuralMemory)]
    values, reads = [], []
    call = memory._call

    def spy(tokens, active, state):
        out = call(tokens, active, state)
        values.append(tokens[2][0, :, 0])
        reads.append(out.reads[0, :, 0])
        return out

    memory._call = spy
    with torch.inference_mode():
        model.stream(ids[None])
    memory._call = call
    return (torch.cat(reads)[:-1] - torch.cat(values)[1:]).square().sum(-1)


def test_a_repeat_is_recalled_before_training():
    unit = torch.randint(0, 4, (40,), generator=torch.Generator().manual_seed(5))
    told, second = unit.repeat(8), slice(292, 318)  # the last copy, from where the stem sees nothing else
    untold = torch.cat([torch.randint(0, 4, (280,), generator=torch.Generator().manual_seed(6)), unit])
    ratio = {}
    for induction in (True, False):
        model = make(induction)
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, NeuralMemory):
                    module.gain.fill_(1.0)  # from its small start a memory says little of what it holds
        ratio[induction] = float(error(model, told)[second].mean() / error(model, untold)[second].mean())
    assert ratio[True] < 0.92 < 0.97 < ratio[False]


def test_keys_are_queries_one_token_late():
    model = make(True)
    (memory,) = [module for module in model.modules() if isinstance(module, NeuralMemory)]
    query, key, value = memory.project.weight.chunk(3)
    assert torch.equal(query, key)
    assert not torch.equal(query, value)
    taps = memory.convolution.weight.detach().chunk(3, 1)
    assert [int(part.mean(1).argmax()) - len(part) for part in taps] == [-1, -2, -1]


def test_other_models_stay_as_they_are():
    config = BackboneConfig(block="mag")
    assert "induction" not in config.to_dict()
    assert BackboneConfig.from_dict({**config.to_dict(), "induction": True}).induction
    with pytest.raises(ConfigError, match="induction needs convolution_tokens of 2 or more"):
        BackboneConfig(induction=True, convolution_tokens=1)
