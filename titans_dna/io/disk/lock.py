"""Locks between processes: a file whose lock (flock) is released when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from titans_dna.errors import OutputError


@contextmanager
def lock_file(path: Path, output: Path) -> Iterator[None]:
    """Hold the lock of a file while the block runs; the file is made if it does not exist.

    Parameters
    ----------
    path
        File of the lock, which must not be a link.
    output
        Output that the lock protects; messages name it.

    Raises
    ------
    OutputError
        If another process holds the lock, or the file cannot be made.
    """
    descriptor = _opened(path)
    try:
        while not _taken(descriptor, output) or not _names(path, descriptor):
            # The last holder has deleted the file between our opening and our locking: lock the file that is there now.
            os.close(descriptor)
            descriptor = _opened(path)
        yield
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise OutputError(f"cannot be made ({error.strerror}). Choose another output.", path=path) from None


def _taken(descriptor: int, output: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError("another run is writing it. Wait, or choose another output.", path=output) from None
    except OSError:
        pass  # a file system without locks cannot tell that two runs are at work
    return True


def _names(path: Path, descriptor: int) -> bool:
    """Tell whether the path still names the open file."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
