"""Finished parts of a long job, beside its output: what a run that was killed leaves to the next one.

``NAME.parts/`` holds ``job.json``, which says what is being made, the output while it is put together, and per part

    00012.targets    int64 numbers of the vectors, in the order in which they were finished
    00012.vectors    float32 vectors, the same order
    00012.done       number of vectors; it appears, by renaming, when both files are whole and on the disk

A part without its ``.done`` is made again from its start. So whatever moment a run is killed at, the next one finds
parts that are whole, and nothing else. One run at a time: ``lock`` is held (flock) while a run lasts.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from titans_dna.errors import ConfigError, OutputError
from titans_dna.io.atomic import atomic_path
from titans_dna.io.hdf5 import disk_errors

__all__ = ["PartFolder", "PartVectors"]


class PartFolder:
    """The parts of one output; a context manager that holds the lock.

    Parameters
    ----------
    output
        The file that the parts are for.
    job
        What makes the parts what they are; parts of another job are of no use.
    width
        Numbers in a vector.
    resume
        Whether to go on with the parts of an earlier run.

    Raises
    ------
    OutputError
        If another run holds the folder, or there are parts and `resume` is false.
    ConfigError
        If the parts are those of another job.
    """

    def __init__(self, output: Path, job: Mapping[str, Any], width: int, *, resume: bool) -> None:
        self.output, self.width = output, width
        self.folder = output.with_name(f"{output.name}.parts")
        if output.is_dir():
            raise OutputError("is a folder. Name a file.", path=output)
        if not output.parent.is_dir():
            raise OutputError(f"the folder {str(output.parent)!r} does not exist. Make it first.", path=output)
        with disk_errors(self.folder):
            self.folder.mkdir(exist_ok=True)
            self._lock = (self.folder / "lock").open("w")
        try:
            self._take_over(json.loads(json.dumps(job)), resume)
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the folder after success; else keep the finished parts, if there are any."""
        for path in self.folder.glob("*.vectors"):
            if not path.with_suffix(".done").exists():
                path.unlink()
                path.with_suffix(".targets").unlink(missing_ok=True)
        if error is None or not self.finished:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    @property
    def finished(self) -> frozenset[int]:
        """Numbers of the parts that are whole."""
        return frozenset(int(path.stem) for path in self.folder.glob("*.done"))

    @property
    def whole(self) -> Path:
        """Where the output is to be put together: in the folder, so that a killed run leaves nothing beside it."""
        return self.folder / self.output.name

    def publish(self) -> None:
        """Give the output, complete at `whole`, its name."""
        with disk_errors(self.output):
            self.whole.replace(self.output)

    def write(self, number: int, emitted: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        """Write one part from targets and vectors as they come, and have it on the disk.

        Raises
        ------
        OutputError
            If the disk is full.
        """
        stem = self.folder / f"{number:05d}"
        with disk_errors(self.output):
            total = 0
            with stem.with_suffix(".targets").open("wb") as targets, stem.with_suffix(".vectors").open("wb") as vectors:
                for numbers, values in emitted:
                    targets.write(numbers.astype("<i8").tobytes())
                    vectors.write(values.astype("<f4").tobytes())
                    total += len(numbers)
                for stream in (targets, vectors):
                    stream.flush()
                    os.fsync(stream.fileno())
            with atomic_path(stem.with_suffix(".done")) as temporary:
                temporary.write_text(str(total))

    def _take_over(self, job: Any, resume: bool) -> None:
        """Lock the folder, and check what an earlier run has left."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError("another run is writing it. Wait, or choose another output.", path=self.output) from None
        record = self.folder / "job.json"
        if self.finished and not resume:
            what = f"holds {len(self.finished)} finished parts of a run that was stopped. Add --resume, or delete it."
            raise OutputError(what, path=self.folder)
        earlier = json.loads(record.read_text()) if record.exists() and self.finished else job
        changed = sorted(key for key in {**job, **earlier} if job.get(key) != earlier.get(key))
        if changed:
            what = f"was begun with another {', '.join(changed)}. Delete it, or give what was given then."
            raise ConfigError(f"{self.folder}: {what}")
        with disk_errors(self.folder), atomic_path(record) as temporary:
            temporary.write_text(json.dumps(job, indent=1) + "\n")


class PartVectors:
    """Vectors of some parts, found by their targets.

    Parameters
    ----------
    folder
        Of the parts.
    numbers
        The parts; a target stands in at most one of them.
    total
        Number of targets of the whole job.
    """

    def __init__(self, folder: PartFolder, numbers: Iterable[int], total: int) -> None:
        self._width, self._files, self._borders = folder.width, [], [0]
        self._position = np.full(total, -1, np.int64)
        for number in sorted(numbers):
            stem = folder.folder / f"{number:05d}"
            targets = np.fromfile(stem.with_suffix(".targets"), "<i8")
            self._position[targets] = self._borders[-1] + np.arange(len(targets))
            self._files.append(stem.with_suffix(".vectors"))
            self._borders.append(self._borders[-1] + len(targets))

    def read(self, start: int, end: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the vectors of targets start to end (half-open): float32, nan where a target has none."""
        result = np.full((end - start, self._width), np.nan, np.float32)
        position = self._position[start:end]
        order = np.argsort(position, kind="stable")
        order = order[position[order] >= 0]
        places = position[order]
        file = np.searchsorted(self._borders, places, side="right") - 1
        cuts = np.flatnonzero((np.diff(places) > 64) | (np.diff(file) > 0)) + 1
        for first, last in zip([0, *cuts], [*cuts, len(places)], strict=True):
            if first < last:
                at = int(file[first])
                low, number = int(places[first]), int(places[last - 1] - places[first]) + 1
                offset = (low - self._borders[at]) * self._width * 4
                block = np.fromfile(self._files[at], "<f4", number * self._width, offset=offset)
                result[order[first:last]] = block.reshape(number, -1)[places[first:last] - low]
        return result
