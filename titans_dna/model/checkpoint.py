"""A model on disk: a folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json``.

Nothing is ever unpickled. All files are written beside their final place and then renamed, the weights last: a folder
with new weights is complete.
"""

from __future__ import annotations

import glob
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from titans_dna.errors import CheckpointError, ConfigError, InputMissing, OutputError
from titans_dna.model.backbone import Backbone
from titans_dna.model.config import BackboneConfig

_MOST_JSON_BYTES = 64 << 20  # of a configuration or tokenizer
_SMALL = 1 << 26  # weights for which memory may be taken before the file is read
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A loaded model folder."""

    backbone: Backbone
    tokenizer: dict[str, Any]  # settings for ``titans_dna.tokenizers.load_tokenizer``
    name: str  # name of the folder
    weights_sha256: str  # SHA-256 of the weights file


def save_checkpoint(
    folder: Path, backbone: Backbone, tokenizer: dict[str, Any], texts: Mapping[str, str] | None = None
) -> None:
    """Write a model folder; files of an earlier model in it are replaced, other files stay.

    Parameters
    ----------
    folder
        The folder of the model; it is made if it does not exist.
    backbone
        Model to write.
    tokenizer
        Settings of the model's tokenizer.
    texts
        Further text files by name, such as the log of the training.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    partial = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # A random name, not the process number: in a container, a run that was killed while saving had the same number.
        partial = Path(tempfile.mkdtemp(prefix=_partial_prefix(folder), dir=folder.parent))
        config = {"format_version": FORMAT_VERSION, "backbone": backbone.config.to_dict()}
        (partial / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        (partial / TOKENIZER).write_text(json.dumps(tokenizer, indent=2) + "\n")
        for name, text in (texts or {}).items():
            (partial / name).write_text(text)
        save_file({name: x.detach().cpu().contiguous() for name, x in backbone.state_dict().items()}, partial / WEIGHTS)
        folder.mkdir(exist_ok=True)
        for name in (
            *(texts or {}),
            TOKENIZER,
            CONFIG,
            WEIGHTS,
        ):  # the weights last: without them the folder is no model
            (partial / name).replace(folder / name)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"cannot write the model ({reason}). Make room, or choose another --output.", path=folder
        ) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)


def partial_folders(folder: Path) -> list[Path]:
    """Return the folders that runs have left beside a model folder because they were killed while writing it."""
    return list(folder.parent.glob(f"{glob.escape(_partial_prefix(folder))}*"))


def _partial_prefix(folder: Path) -> str:
    return f".{folder.name}.partial-"


def load_checkpoint(folder: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a model folder.

    Raises
    ------
    InputMissing
        If the folder or one of its files does not exist.
    CheckpointError
        If a file is damaged or the weights do not fit the configuration.
    """
    if not folder.is_dir():
        raise InputMissing("no such model folder. Train one with `titans-dna pretrain`.", path=folder)
    for name in (CONFIG, WEIGHTS, TOKENIZER):
        if not (folder / name).is_file():
            raise InputMissing(f"the model folder has no {name}. Name a folder written by pretrain.", path=folder)
    config, tokenizer = _read_json(folder / CONFIG), _read_json(folder / TOKENIZER)
    if config.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"format version is {config.get('format_version')!r}, not {FORMAT_VERSION}. Use a matching titans-dna.",
            path=folder / CONFIG,
        )
    try:
        form = BackboneConfig.from_dict(config.get("backbone", {}))
        _require_weights(form, folder / WEIGHTS)
        backbone = Backbone(form)
    except ConfigError as error:
        raise CheckpointError(f"{error}", path=folder / CONFIG) from error
    _load_weights(backbone, folder / WEIGHTS)
    backbone.to(device).eval().requires_grad_(False)
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    return Checkpoint(backbone=backbone, tokenizer=tokenizer, name=folder.resolve().name, weights_sha256=digest)


def read_backbone_config(path: Path) -> BackboneConfig:
    """Return the configuration in a ``config.json``: that of a model folder, or one with the keys of a backbone only.

    Raises
    ------
    InputMissing, CheckpointError
        If the file does not exist, or is not a configuration.
    """
    if not path.is_file():
        raise InputMissing("no such configuration. Name the config.json of a model folder.", path=path)
    values = _read_json(path)
    try:
        return BackboneConfig.from_dict(values.get("backbone", values))
    except ConfigError as error:
        raise CheckpointError(f"{error}", path=path) from error


def _read_json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MOST_JSON_BYTES:
        raise CheckpointError(f"has more than {_MOST_JSON_BYTES >> 20} MiB. Restore the file.", path=path)
    try:
        values = json.loads(path.read_text())
    except (ValueError, OSError, RecursionError) as error:
        raise CheckpointError(f"is not JSON ({error}). Restore the file.", path=path) from error
    if not isinstance(values, dict):
        raise CheckpointError("is not a JSON object. Restore the file.", path=path)
    return values


def _require_weights(form: BackboneConfig, path: Path) -> None:
    """Refuse a configuration whose weights cannot be in a file of this size, before memory is taken for them."""
    rows = form.vocabulary + sum(min(4 ** min(n, 20), form.context_buckets) for n in form.context_orders)
    head = form.width // form.memory_heads
    each = int(form.feed_forward * form.width) + form.width + form.memory.expansion * head * (form.memory.depth > 1)
    numbers = form.width * rows + form.layers * form.width + form.width * each
    numbers += form.layers * form.width * form.width + form.stem_tokens
    numbers += form.word_counts.repeat_rows if form.word_counts else 0  # of one byte each, the others have two or more
    held = path.stat().st_size
    if numbers > max(held, _SMALL):
        raise CheckpointError(
            f"asks for at least {numbers:,} weights, and the file of the weights has {held:,} bytes. Use the weights "
            "of this config.",
            path=path.with_name(CONFIG),
        )


def _load_weights(backbone: Backbone, path: Path) -> None:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"the weights are damaged ({error}). Restore the file.", path=path) from error
    expected = backbone.state_dict()
    for name, tensor in expected.items():
        if name not in tensors or tensors[name].shape != tensor.shape:
            found = tuple(tensors[name].shape) if name in tensors else "nothing"
            raise CheckpointError(
                f"{name} should have shape {tuple(tensor.shape)} but {found} is there. Use the weights of this config.",
                path=path,
            )
        if tensors[name].is_floating_point() != tensor.is_floating_point():
            raise CheckpointError(
                f"{name} holds {tensors[name].dtype} where {tensor.dtype} belongs. Restore the file.", path=path
            )
    extra = sorted(set(tensors) - set(expected))
    if extra:
        raise CheckpointError(f"{extra[0]} is not part of this configuration. Use its own weights.", path=path)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise CheckpointError("the weights hold values that are not finite. Train again.", path=path)
    backbone.load_state_dict(tensors)
