"""The self-test of a model folder: the model's loss on a sequence that is kept beside the weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from titans_dna.errors import CheckpointError, InputMissing
from titans_dna.inference.model import SequenceModel, load_model
from titans_dna.io.disk.atomic import write_text
from titans_dna.training.evaluation import carried_bits

SELF_TEST = "self_test.json"
TOLERANCE = 1e-3  # bits per base by which processors and versions of PyTorch may differ


def write_self_test(folder: Path, sequence: str, source: str) -> float:
    """Score a sequence with the model in ``folder``, keep both there, and return the bits per base."""
    bits = _bits(load_model(folder, "cpu"), sequence)
    text = json.dumps({"source": source, "bits_per_base": bits, "sequence": sequence}, indent=1)
    write_text(folder / SELF_TEST, text + "\n")
    return bits


def run_self_test(folder: Path, device: str = "auto") -> tuple[float, float]:
    """Return the bits per base found and expected, which should differ by less than ``TOLERANCE``.

    Raises
    ------
    InputMissing
        If the folder is no model or holds no self-test.
    CheckpointError
        If the model or the self-test is damaged.
    """
    model, path = load_model(folder, device), folder / SELF_TEST
    if not path.is_file():
        raise InputMissing("the model folder has no self-test. Restore the file.", path=path)
    try:
        values = json.loads(path.read_text())
        sequence, expected = str(values["sequence"]), float(values["bits_per_base"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"the self-test is damaged ({error}). Restore the file.", path=path) from error
    return _bits(model, sequence), expected


def _bits(model: SequenceModel, sequence: str) -> float:
    ids = np.asarray(model.tokenizer.encode(sequence.encode()), dtype=np.uint8)
    return carried_bits(model.backbone, [ids], model.bos).bits
