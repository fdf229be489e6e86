"""Checkpoints from which a training run can go on: everything that the next step depends on, in safetensors and JSON.

    checkpoints/step-00000200/
      weights.safetensors    all weights
      optimizer.safetensors  moments of the optimiser, by name of parameter
      lanes.safetensors      memories of all lanes
      run.json               step, sampler, counters; SHA-256 of the other files

A checkpoint is written under another name, flushed to the disk and renamed; older ones are removed only after that. If
a checkpoint is damaged, the one before it is used. Nothing is unpickled, so a checkpoint cannot run code.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from titans_dna.errors import CheckpointError, OutputError, TitansDNAError
from titans_dna.model.state import StreamState
from titans_dna.model.state_file import load_state, save_state, sync_to_disk

logger = logging.getLogger(__name__)

FOLDER, KEPT = "checkpoints", 2
WEIGHTS, OPTIMIZER, LANES, RUN = "weights.safetensors", "optimizer.safetensors", "lanes.safetensors", "run.json"
SNAPSHOT_FILES = (WEIGHTS, OPTIMIZER, LANES, RUN)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The state of a run between two steps."""

    weights: dict[str, Tensor]
    moments: dict[str, Any]  # state of the optimiser: {"state": {name: {...}}, "param_groups": [...]}
    lanes: StreamState | None  # memories of all lanes; None if every lane starts anew
    run: dict[str, Any]  # plain values: step, sampler, counters


def require_folder(output: Path) -> None:
    """Stop a run whose folder was deleted: in a new one, without lock and settings, its model would be half a run.

    Raises
    ------
    OutputError
        If the folder is gone.
    """
    if not output.is_dir():
        raise OutputError("was deleted while the run was at work. Start it again.", path=output)


def save_snapshot(output: Path, snapshot: Snapshot) -> Path:
    """Write a checkpoint below ``output``, and remove all but the last two.

    Raises
    ------
    OutputError
        If it cannot be written, for example because the disk is full; earlier checkpoints stay as they are.
    """
    require_folder(output)
    final = output / FOLDER / f"step-{snapshot.run['step']:08d}"
    partial = final.with_name(f".partial-{os.getpid()}-{final.name}")
    try:
        partial.mkdir(parents=True)
        _write(partial, snapshot)
        # A run that was killed after writing this checkpoint takes its steps again, and a folder is not replaced by a
        # rename.
        if final.exists():
            shutil.rmtree(final)
        partial.replace(final)
        sync_to_disk(final.parent)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"cannot write the checkpoint ({reason}). Free space, then go on with --resume.", path=final
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    for old in checkpoints(output)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def _write(folder: Path, snapshot: Snapshot) -> None:
    save_file({k: v.detach().cpu().contiguous().clone() for k, v in snapshot.weights.items()}, folder / WEIGHTS)
    moments = {
        f"{name}|{key}": torch.as_tensor(value).detach().cpu().contiguous().clone()
        for name, values in snapshot.moments["state"].items()
        for key, value in values.items()
    }
    save_file(moments, folder / OPTIMIZER)
    if snapshot.lanes is not None:
        save_state(folder / LANES, snapshot.lanes)
    # Checked when the checkpoint is read, so that a run goes on from the one before if a disk has damaged this one.
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
    run = {**snapshot.run, "param_groups": snapshot.moments["param_groups"], "files": files}
    (folder / RUN).write_text(json.dumps(run, indent=1) + "\n")
    # A rename may reach the disk before the data: after a power cut the checkpoint would be there, but empty.
    for path in (*folder.iterdir(), folder):
        sync_to_disk(path)


def checkpoints(output: Path) -> list[Path]:
    """Return the folders of the checkpoints below ``output``, the newest first."""
    return sorted((output / FOLDER).glob("step-*"), reverse=True)


def load_snapshot(output: Path, device: torch.device | str = "cpu") -> Snapshot:
    """Read the newest checkpoint that is whole; a warning names those that are damaged.

    Raises
    ------
    CheckpointError
        If there is no whole checkpoint.
    """
    found = checkpoints(output)
    for folder in found:
        try:
            return _read(folder, device)
        except TitansDNAError as error:
            logger.warning("%s; the checkpoint before it is used", error)
    what = "all its checkpoints are damaged" if found else "it holds no checkpoint"
    raise CheckpointError(f"cannot resume: {what}. Start again with a new --output.", path=output)


def _read(folder: Path, device: torch.device | str) -> Snapshot:
    try:
        run = json.loads((folder / RUN).read_text())
        for name, digest in run["files"].items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                raise CheckpointError("its SHA-256 differs from the one in run.json", path=folder / name)
        moments: dict[str, dict[str, Tensor]] = {}
        for key, value in load_file(folder / OPTIMIZER).items():
            name, _, part = key.rpartition("|")
            moments.setdefault(name, {})[part] = value
        weights = load_file(folder / WEIGHTS)
        lanes = load_state(folder / LANES, device=device) if LANES in run["files"] else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        if isinstance(error, TitansDNAError):
            raise
        raise CheckpointError(f"the checkpoint is damaged ({error})", path=folder) from error
    return Snapshot(
        weights=weights, moments={"state": moments, "param_groups": run["param_groups"]}, lanes=lanes, run=run
    )
