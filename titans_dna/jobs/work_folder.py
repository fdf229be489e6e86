"""Finished parts of an unfinished run, beside its output, so that a run that was killed can go on.

``OUTPUT.work/`` holds ``job.json``, which says what run it is, one ``.npz`` for each finished unit of work, and where a
unit was, the state of its stream (`titans_dna.model.state_file`). Every file is written under another name and
renamed, so what is there is whole. The folder goes when the output is complete. One run at a time: ``lock`` is held
(flock) while a run lasts.

A folder of that name that holds no job file was made by somebody else. It is refused, and so is a link; from our own
folder only files with names that a run gives are removed.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.errors import CheckpointError, ConfigError, OutputError
from titans_dna.inference.model import SequenceModel
from titans_dna.io.disk.atomic import disk_errors, drop_leftovers, temporary_path
from titans_dna.io.disk.contexts import Opening
from titans_dna.io.disk.discard import discard
from titans_dna.io.disk.lock import lock_file
from titans_dna.model.state import StreamState
from titans_dna.model.state_file import load_state, save_state

SAVE_SECONDS = 30.0  # between two states of a stream that are saved
JOB, LOCK, FORMAT = "job.json", "lock", "titans-dna work folder 1"
PARTS = ("*.npz", "*.npy", "*.targets", "*.vectors", "*.safetensors", ".*.partial")  # all that a run keeps in it

Arrays = dict[str, np.ndarray]


class WorkFolder(Opening):
    """The folder of one run; a context manager. A clean end removes it, an error leaves it if it holds a part.

    Parameters
    ----------
    output
        What the run is to write; ``-`` keeps the parts in a temporary folder.
    job
        All that the parts depend on.
    model
        What the streams of the parts are read by; None where there are none.
    resume
        Use the parts that are there; else they are thrown away.

    Raises
    ------
    ConfigError
        If the parts that are there belong to another job, or the output is no file that a run could go on with.
    OutputError
        If the folder cannot be made, or another run holds it.
    """

    def __init__(
        self, output: Path, job: Mapping[str, Any], model: SequenceModel | None = None, *, resume: bool
    ) -> None:
        self.output, self.job, self.model, self.resume = output, dict(job), model, resume
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if str(output) == "-" or (output.exists() and not output.is_file()):
            if resume:
                raise ConfigError(f"--resume needs a file to go on with, and --output is {output}. Name a file.")
            self._temporary = tempfile.TemporaryDirectory()
            self.path = Path(self._temporary.name) / "work"
        else:
            self.path = output.with_name(output.name + ".work")

    def open(self, stack: ExitStack) -> None:
        """Make the folder, or take it over."""
        if self._temporary:
            stack.enter_context(self._temporary)
        self._claim()
        stack.enter_context(lock_file(self.path / LOCK, self.output))
        self._take_over()
        stack.push(self._leave)

    def _leave(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is None or not any(self.path.glob("*.npz")):
            discard(self.path, (*PARTS, JOB, LOCK))

    def part(self, name: str) -> Arrays | None:
        """Return a finished part, or None."""
        return self._load(self.path / f"{name}.npz")

    def keep(self, name: str, arrays: Arrays) -> None:
        """Keep a finished part and drop what was saved on the way to it."""
        self._save(f"{name}.npz", arrays)
        for leftover in self.path.glob(f"{name}.at-*"):
            leftover.unlink(missing_ok=True)

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return a float32 array on disk, begun with nan; what a part has written into it is kept with the part."""
        path = self.path / f"{name}.npy"
        if path.is_file():
            found = np.lib.format.open_memmap(path, mode="r+")
            if found.shape == shape:
                return found
        made = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        made[:] = np.nan
        made.flush()
        return made

    def checkpoint(self, name: str) -> StreamCheckpoint:
        """Return the place where the stream of an unfinished part is saved."""
        assert self.model is not None
        return StreamCheckpoint(self, name, self.model)

    def _claim(self) -> None:
        """Make the folder, together with its job file, or see that the one that is there was made by a run."""
        drop_leftovers(self.path)
        made = temporary_path(self.path)
        if not os.path.lexists(self.path):
            try:
                made.mkdir()
                (made / JOB).write_text(self._told())
                made.rename(self.path)
            except OSError as error:
                discard(made, (JOB,))
                if not os.path.lexists(self.path):  # else another run was faster, and holds the lock
                    raise OutputError(
                        f"cannot be made ({error.strerror}). Choose another output.", path=self.path
                    ) from None
        if self.path.is_symlink() or self._found() is None:
            raise OutputError(
                "is in the way: unfinished work is kept under this name, and no run has made what is there. "
                "Move it, or choose another output.",
                path=self.path,
            )

    def _take_over(self) -> None:
        """Use or throw away what an earlier run has left."""
        found = self._found()
        if found is not None and self.resume:
            if changed := [key for key in {**self.job, **found} if self.job.get(key) != found.get(key)]:
                raise ConfigError(
                    f"{self.path}: the unfinished run has another {changed[0]} ({found.get(changed[0])!r}, not "
                    f"{self.job.get(changed[0])!r}). Repeat its command, or leave out --resume to begin anew."
                )
        else:
            discard(self.path, PARTS)
        drop_leftovers(self.output)
        self._write(JOB, self._told().encode())

    def _told(self) -> str:
        return json.dumps({"format": FORMAT, "job": self.job}, indent=1)

    def _found(self) -> dict[str, Any] | None:
        """Return what the job file says, or None if there is none of ours."""
        try:
            found = json.loads((self.path / JOB).read_text())
            ours = found["format"] == FORMAT and isinstance(found["job"], dict)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return found["job"] if ours else None

    def _save(self, name: str, arrays: Arrays) -> None:
        partial = self.path / f".{name}.partial"
        with disk_errors(self.path), partial.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(self.path / name)

    def _write(self, name: str, data: bytes) -> None:
        partial = self.path / f".{name}.partial"
        with disk_errors(self.path):
            partial.write_bytes(data)
            partial.replace(self.path / name)

    @staticmethod
    def _load(path: Path) -> Arrays | None:
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError, KeyError, EOFError):
            raise CheckpointError("is damaged. Leave out --resume to begin anew.", path=path) from None


class StreamCheckpoint:
    """Where the stream of one part stood last; see `titans_dna.inference.branches.Checkpoint`."""

    def __init__(self, folder: WorkFolder, name: str, model: SequenceModel) -> None:
        self._folder, self._name, self._device, self._weights = folder, name, model.device, model.weights_sha256
        self._saved = time.monotonic()

    def load(self) -> tuple[int, StreamState, Arrays] | None:
        """Return what was saved last, or None."""
        whole = list(self._folder.path.glob(f"{self._name}.at-*.npz"))
        if not whole:
            return None
        last = max(whole, key=lambda path: int(path.stem.rpartition("-")[2]))
        arrays = self._folder._load(last)
        assert arrays is not None
        state = load_state(last.with_suffix(".safetensors"), weights_sha256=self._weights, device=self._device)
        return int(last.stem.rpartition("-")[2]), state, arrays

    def due(self) -> bool:
        """Tell whether the last time is long ago."""
        return time.monotonic() - self._saved >= SAVE_SECONDS

    def save(self, position: int, state: StreamState, arrays: Arrays) -> None:
        """Save where the stream stands; the state first, for the arrays name it."""
        before = list(self._folder.path.glob(f"{self._name}.at-*"))
        name = f"{self._name}.at-{position}"
        save_state(self._folder.path / f"{name}.safetensors", state, weights_sha256=self._weights)
        self._folder._save(f"{name}.npz", arrays)
        for path in before:
            path.unlink(missing_ok=True)
        self._saved = time.monotonic()
