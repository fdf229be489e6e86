"""The named sizes are what their table says."""

from __future__ import annotations

import pytest
import torch

from titans_dna.errors import ConfigError
from titans_dna.model.backbone import Backbone
from titans_dna.model.config import SIZES, named_config

MILLIONS = {"default": 0.131, "nano": 0.22, "tiny": 0.45, "small": 1.9, "base": 7.0, "large": 28.0, "xl": 110.0}


@pytest.mark.parametrize("name", SIZES)
def test_parameters(name: str) -> None:
    with torch.device("meta"):
        model = Backbone(named_config(name))
    millions = sum(x.numel() for x in model.parameters()) / 1e6
    assert millions == pytest.approx(MILLIONS[name], rel=0.07)


def test_an_unknown_size_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="nano, tiny, small, base, large, xl"):
        named_config("huge")


def test_the_documentation_tells_the_parameters_of_every_size(project) -> None:
    page = (project / "docs/pages/tutorials/pretrain.md").read_text()
    for name, config in SIZES.items():
        with torch.device("meta"):
            count = sum(x.numel() for x in Backbone(config).parameters())
        assert f"| `{name}` | {count:,} | {config.layers} x {config.width} |" in page
