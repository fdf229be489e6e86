"""Locks between processes: a file whose lock (flock) goes when its holder ends, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from titans_dna.errors import OutputError


@contextmanager
def lock_file(path: Path, output: Path) -> Iterator[None]:
    """Hold the lock of a file while the block runs; the file is made if need be.

    Parameters
    ----------
    path
        File of the lock. It must be no link.
    output
        What the lock stands for; the message names it.

    Raises
    ------
    OutputError
        If another process holds the lock, or the file cannot be made.
    """
    descriptor = _opened(path)
    try:
        while not _taken(descriptor, output) or not _names(path, descriptor):
            # Its last holder has removed the file between our opening and our locking: lock the one that is there now.
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
        pass  # a file system without locks: two runs at once cannot be told there
    return True


def _names(path: Path, descriptor: int) -> bool:
    """Tell whether the path still names the open file."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
