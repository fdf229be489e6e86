"""A file for HDF5 to write to that tells us, not HDF5, when the disk is full.

HDF5 cannot close a file after a write has failed: it keeps its memory and its handles, and complains again at every
later step. So writes never fail towards it; the error is kept, and whoever writes asks for it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class DiskFile(io.FileIO):
    """A new file for h5py.File(..., "w"); after a failed write everything else that is written is dropped."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+b")
        self.error: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write all of the data, or keep the error."""
        view = memoryview(data).cast("B")
        done = 0
        try:
            while self.error is None and done < len(view):
                done += super().write(view[done:]) or 0
        except OSError as error:
            self.error = error
        return len(view)

    def check(self) -> None:
        """Raise the error of an earlier write, if there was one.

        Raises
        ------
        OSError
            Of the system.
        """
        if self.error is not None:
            raise self.error


@contextmanager
def new_hdf5(path: Path) -> Iterator[Any]:
    """Make an HDF5 file and give the h5py.File.

    Raises
    ------
    OSError
        When the block is left, if a write has failed.
    """
    import h5py

    with DiskFile(path) as disk:
        try:
            with h5py.File(disk, "w") as file:
                yield file
        finally:
            disk.check()
