"""A file for HDF5 that reports a full disk to us, and not to HDF5.

After a failed write, HDF5 cannot close a file: it keeps its memory and its handles, and fails again at every later
step. So writes seem to succeed to HDF5. The error is kept, and the writer has to ask for it (`check`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class DiskFile(io.FileIO):
    """A new file for h5py.File(..., "w"); after a failed write, all further data are kept in memory.

    HDF5 reads again what it wrote, and ends the process where it finds something else. So the data must stay readable
    until the writer has asked for the error, which is soon.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+b")
        self.error: OSError | None = None
        self._lost: list[tuple[int, bytes]] = []  # data that are not on the disk, by place

    def write(self, data: Any, /) -> int:
        """Write the data; if that fails, keep the error and pretend success."""
        view, place = memoryview(data).cast("B"), self.tell()
        done = 0
        try:
            while self.error is None and done < len(view):
                done += super().write(view[done:]) or 0
        except OSError as error:
            self.error = error
        if done < len(view):
            self._lost.append((place + done, bytes(view[done:])))
            self.seek(place + len(view))
        return len(view)

    def readinto(self, buffer: Any, /) -> int:
        """Read from the disk, and what is not there from memory."""
        view, place = memoryview(buffer).cast("B"), self.tell()
        done = super().readinto(view) or 0
        if self.error is None:
            return done
        view[done:] = bytes(len(view) - done)
        for at, data in self._lost:
            start, end = max(at, place), min(at + len(data), place + len(view))
            if start < end:
                view[start - place : end - place] = data[start - at : end - at]
        self.seek(place + len(view))
        return len(view)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to a place; the end counts what is in memory."""
        if whence != io.SEEK_END or self.error is None:
            return super().seek(offset, whence)
        end = max([super().seek(0, whence), *(at + len(data) for at, data in self._lost)])
        return super().seek(end + offset)

    def truncate(self, size: int | None = None, /) -> int:
        """Make the file as long as asked for, unless it is lost anyway."""
        return super().truncate(size) if self.error is None else size or 0

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
    """Make an HDF5 file and yield its h5py.File, whose ``check_disk()`` is to be called after every large write.

    Raises
    ------
    OSError
        At the end of the block, if a write has failed.
    """
    import h5py

    with DiskFile(path) as disk:
        try:
            with h5py.File(disk, "w") as file:
                file.check_disk = disk.check
                yield file
        finally:
            disk.check()
