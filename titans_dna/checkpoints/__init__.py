"""The pretrained model that is part of the package, and the one place where its name becomes a folder.

``default/`` holds the files of a model folder and its card (``README.md``); ``benchmarks/train_default.py`` makes it.
"""

from __future__ import annotations

import json
from pathlib import Path

from titans_dna.errors import InputMissing

__all__ = ["BASE_HEAD", "CLASSIFIER", "DEFAULT", "is_retrained", "model_folder"]

DEFAULT = "default"
CLASSIFIER = "finetune.json"  # what a folder holds beside the model if that is part of a classifier
BASE_HEAD = "base_head.json"  # the same of a head that tells something of every base
FOLDER = Path(__file__).parent


def model_folder(name: str | Path) -> Path:
    """Return the folder of a model: ``default`` is the one in the package, anything else is a path.

    Raises
    ------
    InputMissing
        If the default model is asked for and this installation has none.

    Examples
    --------
    >>> model_folder("my/model").as_posix()
    'my/model'
    """
    if str(name) != DEFAULT:
        return Path(name)
    folder = FOLDER / DEFAULT
    if not (folder / "model.safetensors").is_file():
        raise InputMissing(
            "this installation holds no default model. Install titans-dna again, or name a folder written by pretrain.",
            path=folder,
        )
    return folder


def is_retrained(folder: Path) -> bool:
    """Tell whether the weights were fine-tuned to tell classes apart; its likelihoods then no longer describe DNA."""
    try:
        said = json.loads((folder / CLASSIFIER).read_text())
    except (OSError, ValueError, RecursionError):  # no classifier, or one that its own reader will refuse
        return False
    return isinstance(said, dict) and said.get("mode") != "frozen"
