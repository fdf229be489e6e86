"""Outputs appear whole or not at all: written under a temporary name in the same folder, renamed when complete."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from titans_dna.errors import OutputError, TitansDNAError

__all__ = ["atomic_path", "disk_errors"]


@contextmanager
def atomic_path(final: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `final`; rename it on success, remove it when the block raises.

    Parameters
    ----------
    final
        Where the output is to appear. The temporary name ends in the same suffixes. A device or pipe (``/dev/null``) is
        yielded itself, for it must not be replaced.

    Raises
    ------
    OutputError
        If the folder is missing or not writable, if `final` is a folder, or if the block wrote nothing.
    """
    final = Path(final)
    folder = final.parent
    if final.is_dir():
        raise OutputError("is a folder. Name a file.", path=final)
    if final.exists() and not final.is_file():
        yield final
        return
    if not folder.is_dir():
        raise OutputError(f"the folder {str(folder)!r} does not exist. Make it first.", path=final)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {str(folder)!r} is not writable. Choose another output.", path=final)
    temporary = folder / f".partial-{os.getpid()}-{secrets.token_hex(4)}-{final.name[-120:]}"
    try:
        yield temporary
        if not temporary.exists():
            raise OutputError("nothing was written.", path=final)
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def disk_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what the system and HDF5 say about a disk into one line.

    Raises
    ------
    OutputError
        In place of the error of a write.
    """
    try:
        yield
    except TitansDNAError:
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OutputError("the disk is full. Make room, or choose another folder.", path=path) from error
        raise OutputError(f"cannot be written ({error.strerror or error}). Check the disk.", path=path) from error
