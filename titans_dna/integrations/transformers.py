"""A model as the classes of ``transformers``: for its ``generate``, its ``Trainer``, and what is built on them.

    import titans_dna.integrations.transformers as hf      # registers the classes, so that Auto... know them
    from transformers import AutoModelForCausalLM, AutoTokenizer

    hf.export("default", "exported/")                      # writes config.json, model.safetensors and the tokenizer
    model = AutoModelForCausalLM.from_pretrained("exported/")
    tokenizer = AutoTokenizer.from_pretrained("exported/")
    ids = tokenizer("ACGTACGT", return_tensors="pt").input_ids
    tokenizer.decode(model.generate(ids, max_new_tokens=50, do_sample=True)[0])

The state of the stream stands in the place of a cache of keys: a model reads each token once, and what it keeps does
not grow with the sequence, but for the copy memory.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationMixin,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizer,
)
from transformers.utils import ModelOutput

from titans_dna.checkpoints import model_folder
from titans_dna.errors import CheckpointError, ConfigError
from titans_dna.model.backbone import Backbone
from titans_dna.model.checkpoint import load_checkpoint
from titans_dna.model.config import BackboneConfig
from titans_dna.model.state import StreamState, select
from titans_dna.tokenizers import Tokenizer, load_tokenizer

MODEL_TYPE = "titans-dna"
TOKENIZER = "titans_tokenizer.json"
IGNORED = -100  # a label that does not count, as everywhere in transformers


class TitansConfig(PretrainedConfig):  # type: ignore[misc, unused-ignore]
    """Settings of a backbone and of its tokenizer.

    Parameters
    ----------
    backbone
        What `BackboneConfig.to_dict` returned; None for the size ``tiny``.
    tokenizer
        Settings of the tokenizer; None for one token per base.
    """

    model_type = MODEL_TYPE

    def __init__(
        self, backbone: dict[str, Any] | None = None, tokenizer: dict[str, Any] | None = None, **rest: Any
    ) -> None:
        self.backbone, self.tokenizer = backbone, tokenizer or {"kind": "nucleotide"}
        form = self.form
        given = {
            "vocab_size": form.vocabulary, "hidden_size": form.width, "num_hidden_layers": form.layers,
            "num_attention_heads": form.attention_heads, "bos_token_id": form.targets + 1,
            "pad_token_id": form.targets + 2, "eos_token_id": None, "tie_word_embeddings": False,
        }  # fmt: skip
        super().__init__(**{**given, **rest})

    @property
    def form(self) -> BackboneConfig:
        """Settings of the backbone."""
        if self.backbone is None:
            from titans_dna.model.config import named_config

            return named_config("tiny")
        return BackboneConfig.from_dict(json.loads(json.dumps(self.backbone)))


@dataclass
class TitansOutput(ModelOutput):  # type: ignore[misc, unused-ignore]
    """What a call of the model returns."""

    loss: Tensor | None = None  # mean -ln P of the labels, in nats
    logits: Tensor | None = None  # (B, T, vocabulary); ids that cannot be predicted have the lowest number there is
    state: StreamState | None = None  # after the last token, if ``use_cache``
    hidden_states: tuple[Tensor, ...] | None = None  # (B, T, width) after the last block, if they were asked for


class TitansForCausalLM(PreTrainedModel, GenerationMixin):  # type: ignore[misc, unused-ignore]
    """A backbone that predicts the next token, in the manner of transformers.

    All sequences of a batch begin at their first token; shorter ones are filled up at the end, where filling changes
    nothing. To generate, they have to be equally long.
    """

    config_class = TitansConfig
    base_model_prefix = "backbone"
    _is_stateful = True  # the state is no cache of keys that could be cut back
    _supports_cache_class = False

    def __init__(self, config: TitansConfig) -> None:
        super().__init__(config)
        self.backbone = Backbone(config.form)
        self.post_init()

    def _init_weights(self, module: torch.nn.Module) -> None:
        """Leave the weights as `Backbone` made them."""

    def get_input_embeddings(self) -> torch.nn.Module:
        """Return the table of token embeddings."""
        return self.backbone.embedding.tokens

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None,
        state: StreamState | None = None, use_cache: bool | None = None, output_hidden_states: bool | None = None,
        **_: Any,
    ) -> TitansOutput:  # fmt: skip
        """Read tokens, behind the state if there is one.

        Parameters
        ----------
        input_ids
            (B, T) ids, the start token first.
        attention_mask
            (B, T) 1 for tokens and 0 for filling, which must stand at the end.
        labels
            (B, T) ids, usually those of the input: each is predicted from the tokens before it. -100, and ids that
            cannot be predicted, do not count.
        state
            What an earlier call returned; only tokens behind it are given then.
        use_cache
            Whether to return the state.
        output_hidden_states
            Whether to return the features after the last block.

        Raises
        ------
        ConfigError
            If filling stands before a token.
        """
        if attention_mask is not None and state is None and bool((attention_mask.diff(dim=1) > 0).any()):
            raise ConfigError(
                "filling stands before tokens; set padding_side to right, or give sequences of one length"
            )
        out = self.backbone.stream(input_ids, state)
        targets, logits = self.config.form.targets, out.logits
        if targets < self.config.vocab_size:
            lowest = torch.finfo(logits.dtype).min
            logits = F.pad(logits, (0, self.config.vocab_size - logits.shape[-1]), value=lowest)
        loss = None
        if labels is not None:
            wanted = labels[:, 1:]
            wanted = torch.where((wanted >= 0) & (wanted < targets), wanted, IGNORED)
            loss = F.cross_entropy(out.logits[:, :-1].transpose(1, 2), wanted, ignore_index=IGNORED)
        return TitansOutput(
            loss=loss, logits=logits, state=out.state if use_cache else None,
            hidden_states=(out.hidden,) if output_hidden_states else None,
        )  # fmt: skip

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, state: StreamState | None = None, attention_mask: Tensor | None = None, **_: Any
    ) -> dict[str, Any]:
        """Give the tokens that are not read yet, and the state behind the others."""
        if state is None and attention_mask is not None and not bool(attention_mask.all()):
            raise ConfigError(
                "sequences of different lengths cannot be continued together; call generate for each length"
            )
        return {"input_ids": input_ids if state is None else input_ids[:, -1:], "state": state, "use_cache": True}

    def _update_model_kwargs_for_generation(
        self, outputs: Any, model_kwargs: dict[str, Any], is_encoder_decoder: bool = False, num_new_tokens: int = 1
    ) -> dict[str, Any]:
        return {**model_kwargs, "state": outputs.state}

    @staticmethod
    def _reorder_cache(state: StreamState, beam_idx: Tensor) -> StreamState:
        return select(state, beam_idx)


class TitansTokenizer(PreTrainedTokenizer):  # type: ignore[misc, unused-ignore]
    """The tokenizer of a model: one token per base, or words of bases.

    A start token is put before every sequence; letters that are no base are read as N.
    """

    vocab_files_names = {"settings_file": TOKENIZER}  # noqa: RUF012 - as the base class declares them
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012

    def __init__(self, settings_file: str | None = None, settings: dict[str, Any] | None = None, **rest: Any) -> None:
        if settings is None:
            settings = json.loads(Path(settings_file).read_text()) if settings_file else {"kind": "nucleotide"}
        self.own: Tokenizer = load_tokenizer(settings)
        self._ids = {token: number for number, token in enumerate(self.own.vocabulary)}
        for name, token in (("bos_token", "<bos>"), ("pad_token", "<pad>"), ("unk_token", "N")):
            rest.setdefault(name, token)
        rest.setdefault("padding_side", "right")
        super().__init__(**rest)

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return len(self.own.vocabulary)

    def get_vocab(self) -> dict[str, int]:
        """Return the id of every token."""
        return dict(self._ids)

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        letters = "".join(text.split()).encode("ascii", "replace")
        return [self.own.vocabulary[number] for number in self.own.encode(letters).tolist()]

    def _convert_token_to_id(self, token: str) -> int:
        return self._ids.get(token, self._ids["N"])

    def _convert_id_to_token(self, index: int) -> str:
        return self.own.vocabulary[index]

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Return the bases of tokens, without the start token and filling."""
        return "".join(token for token in tokens if not token.startswith("<"))

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Put a start token before a sequence, and before a second one too."""
        start = [self.bos_token_id]
        return start + token_ids_0 + (start + token_ids_1 if token_ids_1 else [])

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str]:
        """Write the settings of the tokenizer."""
        path = Path(save_directory) / f"{filename_prefix + '-' if filename_prefix else ''}{TOKENIZER}"
        path.write_text(json.dumps(self.own.to_json()) + "\n")
        return (str(path),)


def export(model: str | os.PathLike[str], output: str | os.PathLike[str]) -> None:
    """Write a model as a folder that transformers reads.

    Parameters
    ----------
    model
        ``default``, or a folder that ``titans-dna pretrain`` wrote.
    output
        Folder; it is made if it does not exist.

    Raises
    ------
    InputMissing, CheckpointError
        If the model cannot be read.
    """
    checkpoint = load_checkpoint(model_folder(Path(model)))
    config = TitansConfig(backbone=checkpoint.backbone.config.to_dict(), tokenizer=checkpoint.tokenizer)
    made = TitansForCausalLM(config)
    made.backbone.load_state_dict(checkpoint.backbone.state_dict())
    made.save_pretrained(output)
    TitansTokenizer(settings=checkpoint.tokenizer).save_pretrained(output)


def to_backbone(model: TitansForCausalLM) -> Backbone:
    """Return the backbone of a model that was trained here, for ``save_checkpoint``.

    Raises
    ------
    CheckpointError
        If a weight is not finite.
    """
    if not all(bool(torch.isfinite(weight).all()) for weight in model.backbone.parameters()):
        raise CheckpointError("a weight of the model is not finite; train again")
    return model.backbone


AutoConfig.register(MODEL_TYPE, TitansConfig, exist_ok=True)
AutoModelForCausalLM.register(TitansConfig, TitansForCausalLM, exist_ok=True)
AutoTokenizer.register(TitansConfig, slow_tokenizer_class=TitansTokenizer, exist_ok=True)
