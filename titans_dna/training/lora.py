"""Low-rank adapters, by peft: a few trained weights beside each linear map, in place of the map itself.

A map W is read as W + B A, where A and B are thin and W stays as it is. After training the product is added to W, so
what is saved is a model like any other, and whoever uses it does not need peft.

References
----------
Hu et al. (2021), LoRA: Low-Rank Adaptation of Large Language Models, arXiv 2106.09685.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from titans_dna.errors import ConfigError
from titans_dna.model.backbone import Backbone


def add_adapters(backbone: Backbone, rank: int) -> None:
    """Put an adapter beside every linear map of the blocks; the adapters alone can learn then.

    Parameters
    ----------
    backbone
        It is changed in place.
    rank
        Rows of A and columns of B.

    Raises
    ------
    ConfigError
        If peft is not installed.
    """
    peft = _require_peft()
    maps = [name for name, part in backbone.blocks.named_modules() if isinstance(part, nn.Linear)]
    # The scale of B A is lora_alpha / rank: with twice the rank a new adapter moves as fast whatever the rank is.
    form = peft.LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=maps)
    peft.inject_adapter_in_model(form, backbone.blocks)
    for name, weight in backbone.named_parameters():
        weight.requires_grad_(".lora_" in name)


def merge_adapters(backbone: Backbone) -> None:
    """Add every adapter to its map, and take the adapters away."""
    from peft.tuners.lora import LoraLayer

    for module in list(backbone.blocks.modules()):
        for name, part in list(module.named_children()):
            if isinstance(part, LoraLayer):
                part.merge(safe_merge=True)
                setattr(module, name, part.get_base_layer())


def _require_peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise ConfigError(
            "mode lora needs peft, which is not installed. Run: pip install 'titans-dna[lora]'"
        ) from error
    return peft
