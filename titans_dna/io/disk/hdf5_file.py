"""A file for HDF5 that reports a full disk to us, and not to HDF5.

After a failed write, HDF5 cannot close a file: it keeps its memory and its handles, and fails again at every later
step. So writes seem to succeed to HDF5. The error is kept, and whoever writes has to ask for it (`check`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class DiskFile(io.FileIO):
    """A new file for h5py.File(..., "w"); after a failed write, all further data are dropped."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+b")
        self.error: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write the data; if that fails, keep the error and pretend success."""
        view = memoryview(data).cast("B")
        done = 0
        try:
            while self.error is None and done < len(view):
                done += super().write(view[done:]) or 0
        except OSError as error:
            self.error = error
        return len(view)

    def check(self) -> None:
        """Raise the error of the first failed write, if there was one.

        Raises
        ------
        OSError
            The error of the system.
        """
        if self.error is not None:
            raise self.error


@contextmanager
def new_hdf5(path: Path) -> Iterator[Any]:
    """Make an HDF5 file and yield its h5py.File.

    Raises
    ------
    OSError
        At the end of the block, if a write has failed.
    """
    import h5py

    with DiskFile(path) as disk:
        try:
            with h5py.File(disk, "w") as file:
                yield file
        finally:
            disk.check()
