"""Keeps the finished parts of an unfinished run beside its output, so that a run that was killed can go on.

``OUTPUT.work/`` holds ``job.json``, which says which run it belongs to; one ``.npz`` for each finished part; and for an
unfinished part the state of its stream (`titans_dna.model.state_file`). Every file is written under another name and
then renamed, so a file that exists is whole. The folder is removed when the output is complete. Only one run can work
in it at a time: it holds ``lock`` (flock) as long as it lasts.

A folder of this name without a job file was made by somebody else and is refused, and so is a link. From our own folder
only files with the names that a run gives are removed.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from titans_dna.errors import CheckpointError, ConfigError, OutputError
from titans_dna.inference.model import SequenceModel
from titans_dna.io.disk.atomic import UNNAMED, discard, disk_errors, drop_leftovers, temporary_path
from titans_dna.io.disk.contexts import Opening
from titans_dna.io.disk.lock import lock_file
from titans_dna.io.disk.mapped import new_array
from titans_dna.model.state import StreamState
from titans_dna.model.state_file import load_state, save_state, sync_to_disk

SAVE_SECONDS = 30.0  # time between two saves of a stream's state, which is about what a kill costs
JOB, LOCK, FORMAT = "job.json", "lock", "titans-dna work folder 1"
# Names of all files of a run, in the order in which they are deleted: first those that say that others are whole.
PARTS = ("*.npz", "*.npy", "*.targets", "*.vectors", "*.safetensors", ".*.partial", ".*.partial-*", UNNAMED)

Arrays = dict[str, np.ndarray]


class WorkFolder(Opening):
    """The folder of one run; a context manager. It is removed at a clean end, and after an error if it holds no part.

    Parameters
    ----------
    output
        File that the run writes; for ``-`` and pipes the parts are kept in a temporary folder.
    job
        Everything that the parts depend on, as JSON.
    model
        Model that reads the streams of the parts; None where parts have no streams.
    resume
        Use the parts of an earlier run; otherwise they are deleted.

    Raises
    ------
    ConfigError
        If the parts of the earlier run belong to another job, or the output is no regular file, so cannot be resumed.
    OutputError
        If the folder cannot be made, or another run holds it.
    """

    def __init__(
        self, output: Path, job: Mapping[str, Any], model: SequenceModel | None = None, *, resume: bool
    ) -> None:
        self.output, self.job, self.model, self.resume = output, dict(job), model, resume
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._states: dict[str, set[Path]] = {}  # files of the states saved on the way to each part
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
        # This order matters: the lock is a file in the folder, so the folder must exist; and what an earlier run has
        # left may only be read or deleted by the run that holds the lock.
        self._claim()
        stack.enter_context(lock_file(self.path / LOCK, self.output))
        self._take_over()
        # The folder goes while the lock is held, so that no other run can begin in a folder that is being deleted.
        stack.push(self._leave)

    def _leave(self, kind: type[BaseException] | None, error: BaseException | None, _: Any) -> None:
        kept = kind is not None and any(self.path.glob("*.npz"))
        if not kept:
            discard(self.path, (*PARTS, JOB, LOCK))
        if isinstance(error, KeyboardInterrupt) and self._temporary is None:
            goes_on = f"what is finished is kept in {self.path}; the same command with --resume goes on"
            error.add_note(goes_on if kept else "nothing was finished yet, so --resume would begin anew")

    def part(self, name: str) -> Arrays | None:
        """Return a finished part, or None if it is not finished."""
        return self._load(self.path / f"{name}.npz")

    def once(self, name: str, make: Callable[[], Arrays], found: Callable[[], None] = lambda: None) -> Arrays:
        """Return a part: as an earlier run has kept it, or made now, and kept.

        Parameters
        ----------
        name
            Of the part.
        make
            Makes it.
        found
            Called where it was made before, to count it as done.
        """
        part = self.part(name)
        if part is not None:
            found()
            return part
        part = make()
        self.keep(name, part)
        return part

    def keep(self, name: str, arrays: Arrays) -> None:
        """Keep a finished part, and delete the states that were saved on the way to it."""
        self._save(f"{name}.npz", arrays)
        for leftover in self._states.pop(name, ()):
            leftover.unlink(missing_ok=True)

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return a float32 array on disk: new and filled with nan, or as an earlier run has left it."""
        path = self.path / f"{name}.npy"
        if path.is_file():
            found = np.lib.format.open_memmap(path, mode="r+")
            if found.shape == shape:
                return found
        return new_array(path, shape)

    def checkpoint(self, name: str) -> StreamCheckpoint:
        """Return the checkpoint at which the stream of an unfinished part is saved."""
        assert self.model is not None
        return StreamCheckpoint(self, name, self.model)

    def _claim(self) -> None:
        """Make the folder together with its job file, or check that an existing one was made by a run."""
        drop_leftovers(self.path)
        # Made under another name, and renamed with its job file in it: a folder without one counts as somebody else's.
        made = temporary_path(self.path)
        if not os.path.lexists(self.path):
            try:
                made.mkdir()
                (made / JOB).write_text(self._told())
                made.rename(self.path)
            except OSError as error:
                discard(made, (JOB,))
                if not os.path.lexists(self.path):  # otherwise another run was faster, and holds the lock
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
        """Use what an earlier run has left, or delete it."""
        found = self._found()
        if found is not None and self.resume:
            if changed := [key for key in {**self.job, **found} if self.job.get(key) != found.get(key)]:
                raise ConfigError(
                    f"{self.path}: the unfinished run has another {changed[0]} ({found.get(changed[0])!r}, not "
                    f"{self.job.get(changed[0])!r}). Repeat its command, or leave out --resume to begin anew."
                )
        else:
            discard(self.path, PARTS)
        # Listed once: to look for them at every part would take hours where there are parts of 100,000 contigs.
        for path in self.path.glob("*.at-*"):
            self._states.setdefault(path.name.rpartition(".at-")[0], set()).add(path)
        drop_leftovers(self.output)
        self._write(JOB, lambda stream: stream.write(self._told().encode()))

    def _told(self) -> str:
        return json.dumps({"format": FORMAT, "job": self.job}, indent=1)

    def _found(self) -> dict[str, Any] | None:
        """Return the job in the job file, or None if there is no job file of ours."""
        try:
            found = json.loads((self.path / JOB).read_text())
            ours = found["format"] == FORMAT and isinstance(found["job"], dict)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return found["job"] if ours else None

    def _save(self, name: str, arrays: Arrays) -> None:
        self._write(name, lambda stream: np.savez(stream, **arrays))  # type: ignore[arg-type]

    def _write(self, name: str, fill: Callable[[IO[bytes]], object]) -> None:
        """Write a file, and give it its name in such an order that a power cut leaves no empty file under it."""
        partial = self.path / f".{name}.partial"
        with disk_errors(self.path):
            with partial.open("wb") as stream:
                fill(stream)
            sync_to_disk(partial)
            partial.replace(self.path / name)
            sync_to_disk(self.path)

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
    """The last saved state of the stream of one part (see `titans_dna.inference.branches.Checkpoint`)."""

    def __init__(self, folder: WorkFolder, name: str, model: SequenceModel) -> None:
        self._folder, self._name, self._device, self._weights = folder, name, model.device, model.weights_sha256
        self._saved = time.monotonic()

    def load(self) -> tuple[int, StreamState, Arrays] | None:
        """Return position, state and arrays as saved last, or None if nothing was saved."""
        whole = [path for path in self._folder._states.get(self._name, ()) if path.suffix == ".npz"]
        if not whole:
            return None
        last = max(whole, key=lambda path: int(path.stem.rpartition("-")[2]))
        arrays = self._folder._load(last)
        assert arrays is not None
        state = load_state(last.with_suffix(".safetensors"), weights_sha256=self._weights, device=self._device)
        return int(last.stem.rpartition("-")[2]), state, arrays

    def due(self) -> bool:
        """Tell whether the last save was at least `SAVE_SECONDS` ago."""
        return time.monotonic() - self._saved >= SAVE_SECONDS

    def save(self, position: int, state: StreamState, arrays: Arrays) -> None:
        """Save where the stream stands."""
        before = self._folder._states.get(self._name, set())
        pair = [self._folder.path / f"{self._name}.at-{position}{suffix}" for suffix in (".safetensors", ".npz")]
        self._folder._states[self._name] = before | set(pair)
        # The state first: `load` looks for the arrays, and expects a state of the same name beside them. The earlier
        # pair is deleted last, so that one whole pair exists at any time.
        save_state(pair[0], state, weights_sha256=self._weights)
        self._folder._save(pair[1].name, arrays)
        for path in before.difference(pair):
            path.unlink(missing_ok=True)
        self._folder._states[self._name] = set(pair)
        self._saved = time.monotonic()
