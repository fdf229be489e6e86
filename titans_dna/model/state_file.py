"""The state of a stream on disk, as one safetensors file, so that reading can go on later or elsewhere.

A copy memory is not in the file, only the positions of its readers. It consists of the sequence that was read, from
which ``titans_dna.model.state.attach`` builds it again.

Tensors are named after their place in the state (``blocks.0.memories.0.memory.weights.1``). The structure of the state,
its numbers, and the checksum of the model's weights are JSON in the metadata of the file. Nothing is unpickled.
"""

from __future__ import annotations

import json
import os
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from titans_dna.errors import CheckpointError, InputMissing, OutputError
from titans_dna.model.state import AttentionState, BlockState, NeuralMemoryState, SegmentState, StreamState
from titans_dna.ops.state import Gates, MemoryState, Pending
from titans_dna.recall import RecallLanes

FORMAT_VERSION = 1
# The only classes that a state file can name, so that a file from elsewhere cannot make any other object.
CLASSES = {
    cls.__name__: cls
    for cls in (StreamState, BlockState, AttentionState, NeuralMemoryState, SegmentState, MemoryState, Pending, Gates)
}


def save_state(path: Path, state: StreamState, *, weights_sha256: str = "") -> None:
    """Write a state; the file appears whole or not at all, even if the power fails.

    Parameters
    ----------
    path
        File to write, usually ``.safetensors``.
    state
        State to write, on any device.
    weights_sha256
        Checksum of the weights of the model that made it; ``load_state`` compares it.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    tree = json.dumps(_encode(state, "", tensors))
    about = {"format_version": str(FORMAT_VERSION), "weights_sha256": weights_sha256, "state": tree}
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        save_file(tensors, partial, metadata=about)
        sync_to_disk(partial)
        partial.replace(path)
        sync_to_disk(path.parent)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"cannot write the state: {error}. Choose another place.", path=path) from error


def sync_to_disk(path: Path) -> None:
    """Force the content of a file, or the names in a folder, to the disk.

    A name can reach the disk before the data, and a file is there after a power cut only if its name was on the disk.
    """
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError:
        if not path.is_dir():  # some network file systems cannot do it for a folder
            raise
    finally:
        os.close(number)


def load_state(path: Path, *, weights_sha256: str = "", device: torch.device | str = "cpu") -> StreamState:
    """Read a state.

    Parameters
    ----------
    path
        File that ``save_state`` wrote.
    weights_sha256
        Checksum of the model by which the state must have been made; "" for any model.
    device
        Device for the tensors.

    Raises
    ------
    InputMissing
        If there is no such file.
    CheckpointError
        If the file is damaged, or of another model.
    """
    if not path.is_file():
        raise InputMissing("no such state file. Write one with save_state.", path=path)
    try:
        with safe_open(path, "pt", device=str(device)) as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if about.get("format_version") != str(FORMAT_VERSION):
            raise CheckpointError(
                f"format version is {about.get('format_version')}, not {FORMAT_VERSION}. Use a matching titans-dna.",
                path=path,
            )
        state = _decode(json.loads(about["state"]), tensors)
        if not isinstance(state, StreamState) or not isinstance(state.recall, RecallLanes | None):
            raise TypeError("no stream state")
    except (
        SafetensorError, KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"the state is damaged ({error}). Read the contig again.", path=path) from error
    if weights_sha256 and about.get("weights_sha256") != weights_sha256:
        raise CheckpointError("the state was made by another model. Use the model that made it.", path=path)
    return state


def _encode(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Return a state as JSON values; its tensors are collected in ``tensors`` by name."""
    if isinstance(value, Tensor):
        # Cloned, because safetensors refuses tensors that share memory.
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, RecallLanes):
        return {"recall": value.to_plain()}
    if isinstance(value, tuple):
        return [_encode(part, f"{name}.{index}", tensors) for index, part in enumerate(value)]
    if is_dataclass(value):
        parts = {f.name: _encode(getattr(value, f.name), f"{name}.{f.name}".strip("."), tensors) for f in fields(value)}
        return {"class": type(value).__name__, "fields": parts}
    return value


def _decode(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return tuple(_decode(part, tensors) for part in value)
    if isinstance(value, dict) and "tensor" in value:
        return tensors[value["tensor"]]
    if isinstance(value, dict) and "recall" in value:
        return RecallLanes.from_plain(value["recall"])
    if isinstance(value, dict):
        parts = {name: _decode(part, tensors) for name, part in value["fields"].items()}
        since = parts.get("since_reset")
        if isinstance(since, int):  # in files of earlier versions it is one number for all rows
            parts["since_reset"] = torch.full(parts["tail"].shape[:1], since, device=parts["tail"].device)
        return CLASSES[value["class"]](**parts)
    return value
