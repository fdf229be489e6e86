"""From a name to a model: the one in the package, a folder, or one on the Hugging Face Hub."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from titans_dna.api.model import Model
from titans_dna.checkpoints import DEFAULT, is_retrained
from titans_dna.errors import InputMissing
from titans_dna.inference.model import load_model as load_sequence_model

logger = logging.getLogger(__name__)
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_HUB_FILES = ["config.json", "model.safetensors", "tokenizer.json"]


def load_model(name: str | os.PathLike[str] = DEFAULT, device: str = "auto") -> Model:
    """Load a model.

    Parameters
    ----------
    name
        ``default`` for the model in the package, a folder that ``titans-dna pretrain`` or ``save_pretrained`` wrote, or
        ``owner/name`` on the Hugging Face Hub.
    device
        ``auto`` (a GPU if there is one), ``cpu`` or ``cuda``.

    Raises
    ------
    InputMissing
        If there is no such folder, or the Hub does not give it.
    CheckpointError
        If a file of the model is damaged.
    ConfigError
        If the device is not there.
    """
    folder = Path(name)
    if isinstance(name, str) and not folder.exists() and name != DEFAULT and _HUB_NAME.fullmatch(name):
        folder = _download(name)
    if is_retrained(folder):
        logger.warning("%s is a classifier: its vectors are of use, but its training moved its likelihoods", folder)
    return Model(load_sequence_model(folder, device))


def _download(name: str) -> Path:
    """Fetch the files of a model from the Hub into its cache."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_FILES))
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputMissing(
            f"is no folder, and the Hub does not give it ({reason[:120]}). Check the name and the network.", path=name
        ) from error
