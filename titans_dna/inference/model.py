"""A model that is ready to read sequence: a backbone together with its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from titans_dna.checkpoints import model_folder
from titans_dna.errors import CheckpointError, ConfigError
from titans_dna.model.backbone import Backbone
from titans_dna.model.checkpoint import TOKENIZER, load_checkpoint
from titans_dna.model.device import choose_device
from titans_dna.recall import RecallForm, Relatives, Target
from titans_dna.tokenizers import NucleotideTokenizer, Tokenizer, load_tokenizer


@dataclass(frozen=True, kw_only=True)
class SequenceModel:
    """A backbone, its tokenizer, and where they came from."""

    backbone: Backbone
    tokenizer: Tokenizer
    name: str
    weights_sha256: str

    relatives: Relatives | None = None  # what was read before every stream
    target: Target | None = None  # contigs whose copy memories stand ready for windows

    def behind(self, relatives: Relatives) -> SequenceModel:
        """Return the model as it reads with these relatives in its copy memory.

        Raises
        ------
        ConfigError
            If it has no copy memory, or one of other settings.
        """
        self._require_form(relatives.memory.form, "relatives")
        return replace(self, backbone=self.backbone.behind(relatives.memory), relatives=relatives)

    def scoring(self, target: Target) -> SequenceModel:
        """Return the model with contigs whose copy memories stand ready for windows.

        Raises
        ------
        ConfigError
            If it has no copy memory, or one of other settings.
        """
        self._require_form(target.form, "the target")
        return replace(self, target=target)

    def _require_form(self, form: RecallForm, whose: str) -> None:
        if self.backbone.config.require_recall(self.name) != form:
            raise ConfigError(
                f"the memory of {whose} was made with other settings than those of {self.name}; make it again with "
                "remember --model"
            )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.backbone.parameters()).device

    @property
    def bos(self) -> int:
        """Id of the start token, which stands before the first base."""
        return self.tokenizer.targets + 1

    @property
    def pad(self) -> int:
        """Id of padding."""
        return self.tokenizer.targets + 2


def require_single_bases(model: SequenceModel, what: str) -> None:
    """Refuse a model whose tokens have several bases.

    Raises
    ------
    ConfigError
        If the model's tokens have several bases.
    """
    if not isinstance(model.tokenizer, NucleotideTokenizer):
        raise ConfigError(
            f"{what} need one token per base, but {model.name} reads {model.tokenizer.kind} tokens; use another model"
        )


def load_model(folder: Path | str, device: str = "auto") -> SequenceModel:
    """Load a model folder; ``default`` names the model in the package.

    Raises
    ------
    InputMissing, CheckpointError
        If the folder does not hold a complete model.
    ConfigError
        If the device does not exist.
    """
    folder = model_folder(folder)
    checkpoint = load_checkpoint(folder, choose_device(device))
    try:
        tokenizer = load_tokenizer(checkpoint.tokenizer)
    except ConfigError as error:
        raise CheckpointError(str(error), path=folder / TOKENIZER) from error
    if len(tokenizer.vocabulary) != checkpoint.backbone.config.vocabulary:
        raise CheckpointError(
            f"the tokenizer has {len(tokenizer.vocabulary)} tokens but the model reads "
            f"{checkpoint.backbone.config.vocabulary}. Restore the tokenizer the model was trained with.",
            path=folder / TOKENIZER,
        )
    if tokenizer.targets != checkpoint.backbone.config.targets:
        raise CheckpointError(
            f"the tokenizer has {tokenizer.targets} tokens that can follow but the model predicts "
            f"{checkpoint.backbone.config.targets}. Restore the tokenizer the model was trained with.",
            path=folder / TOKENIZER,
        )
    return SequenceModel(
        backbone=checkpoint.backbone,
        tokenizer=tokenizer,
        name=checkpoint.name,
        weights_sha256=checkpoint.weights_sha256,
    )
