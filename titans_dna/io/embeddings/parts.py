"""Keeps the vectors of an unfinished job on disk, in the order in which they were made, and finds them by target.

    NAME.targets    int64, numbers (targets) of the vectors in the output
    NAME.vectors    float32, the vectors, in the same order

Both files grow together. Whoever writes them records how many vectors are safe, and everything after these is cut off
when the files are opened again. This record also says that a file is complete (see `titans_dna.jobs.work_folder`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.io.disk.atomic import disk_errors
from titans_dna.io.disk.contexts import Closing


class VectorFile(Closing):
    """Writes vectors one after the other; a context manager.

    Parameters
    ----------
    path
        Without a suffix.
    width
        Numbers in a vector.
    count
        Number of vectors of an earlier run to keep; what follows them is cut off.

    Raises
    ------
    OutputError
        If the files cannot be written.
    """

    def __init__(self, path: Path, width: int, count: int = 0) -> None:
        self.count = self._kept = count  # vectors written, and vectors that `flush` has secured on disk
        self._sizes = {path.with_suffix(".targets"): 8, path.with_suffix(".vectors"): 4 * width}
        with disk_errors(path):
            self._files = [file.open("ab") for file in self._sizes]
            self._cut()

    def close(self) -> None:
        """Close the files, and cut off what `flush` has not secured, which gives back its room on a full disk."""
        for file in self._files:
            with suppress(OSError):  # `append` and `flush` report a full disk
                file.close()
        self._cut()

    def append(self, targets: np.ndarray[Any, np.dtype[Any]], vectors: np.ndarray[Any, np.dtype[Any]]) -> None:
        """Append vectors (n, width) and their numbers (n,).

        Raises
        ------
        OutputError
            If the disk is full.
        """
        for file, values in zip(self._files, (targets.astype("<i8"), vectors.astype("<f4")), strict=True):
            with disk_errors(file.name):
                file.write(values.tobytes())
        self.count += len(targets)

    def flush(self) -> None:
        """Secure on disk what was appended.

        Raises
        ------
        OutputError
            If the disk is full.
        """
        for file in self._files:
            with disk_errors(file.name):
                file.flush()
                os.fsync(file.fileno())
        self._kept = self.count

    def _cut(self) -> None:
        for path, size in self._sizes.items():
            os.truncate(path, self._kept * size)


class PartVectors:
    """Reads vectors of several files by their targets.

    Parameters
    ----------
    paths
        Paths of the files, without a suffix; a target must be in at most one of them.
    width
        Numbers in a vector.
    total
        Number of targets of the whole job.
    """

    def __init__(self, paths: Sequence[Path], width: int, total: int) -> None:
        self._width, self._files, self._borders = width, [path.with_suffix(".vectors") for path in paths], [0]
        self._position = np.full(total, -1, np.int64)
        for path in paths:
            targets = np.fromfile(path.with_suffix(".targets"), "<i8")
            self._position[targets] = self._borders[-1] + np.arange(len(targets))
            self._borders.append(self._borders[-1] + len(targets))

    def read(self, start: int, end: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the vectors of targets start to end (half-open): float32, nan where a target has none."""
        result = np.full((end - start, self._width), np.nan, np.float32)
        position = self._position[start:end]
        order = np.argsort(position, kind="stable")
        order = order[position[order] >= 0]
        places = position[order]
        file = np.searchsorted(self._borders, places, side="right") - 1
        # One long read is faster than many short ones, so up to 64 vectors between wanted ones are read along.
        cuts = np.flatnonzero((np.diff(places) > 64) | (np.diff(file) > 0)) + 1
        for first, last in zip([0, *cuts], [*cuts, len(places)], strict=True):
            if first < last:
                at = int(file[first])
                low, number = int(places[first]), int(places[last - 1] - places[first]) + 1
                offset = (low - self._borders[at]) * self._width * 4
                block = np.fromfile(self._files[at], "<f4", number * self._width, offset=offset)
                result[order[first:last]] = block.reshape(number, -1)[places[first:last] - low]
        return result
