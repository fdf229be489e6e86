"""Outputs appear whole or not at all: written under a temporary name in the same folder, renamed when complete.

The temporary name, ``.partial-HOST-PROCESS-STARTED-RANDOM-NAME``, says who writes what, so that what a killed writer
has left can be told from what others, on other hosts too, are writing (`drop_leftovers`). The time at which the process
started tells it from a later one of the same number: in a container every run may be process 1.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from titans_dna.errors import OutputError, TitansDNAError
from titans_dna.io.disk.discard import discard

_NAME_BYTES = 120  # of a final name inside a temporary one; file systems allow 255 in all


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
        If the folder is missing or not writable, if `final` is a folder, or if the block wrote nothing or filled the
        disk.
    """
    final = Path(final)
    folder = final.parent
    if final.is_dir():
        raise OutputError("is a folder. Name a file.", path=final)
    if final.exists() and not final.is_file():
        with full_disk(final):
            yield final
        return
    if not folder.is_dir():
        raise OutputError(f"the folder {str(folder)!r} does not exist. Make it first.", path=final)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {str(folder)!r} is not writable. Choose another output.", path=final)
    temporary = temporary_path(final)
    try:
        with full_disk(final):
            yield temporary
        if not temporary.exists():
            raise OutputError("nothing was written.", path=final)
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_path(final: Path) -> Path:
    """Return a new name beside an output, under which this process writes it."""
    process = f"{os.getpid()}-{_started(os.getpid())}"
    return final.with_name(f".partial-{_host()}-{process}-{secrets.token_hex(4)}-{_short(final.name)}")


def drop_leftovers(final: str | os.PathLike[str]) -> None:
    """Remove temporary files of this output, and their indexes, whose writer on this host was killed."""
    final = Path(final)
    if not Path("/proc/self").exists():  # no way to tell who lives
        return
    ours = re.compile(
        rf"\.partial-{re.escape(_host())}-(\d+)-(\d+)-[0-9a-f]{{8}}-{re.escape(_short(final.name))}(\.tbi|\.csi)?"
    )
    for path in final.parent.glob(".partial-*"):
        match = ours.fullmatch(path.name)
        if match and _started(int(match[1])) != int(match[2]):
            discard(path, ["*"]) if path.is_dir() else path.unlink(missing_ok=True)


def _started(process: int) -> int:
    """Return when a process of this host started, in clock ticks since boot; 0 if there is none, or nobody knows."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def _host() -> str:
    """Return the name of this machine, as a file name may hold it."""
    return re.sub(r"[^A-Za-z0-9.-]", "_", socket.gethostname())[:40] or "unknown"


def _short(name: str) -> str:
    """Return a file name, or for a long one a checksum and its last letters, suffixes included."""
    raw = os.fsencode(name)
    if len(raw) <= _NAME_BYTES:
        return name
    return hashlib.sha256(raw).hexdigest()[:16] + raw[-100:].decode("ascii", "replace").replace("\ufffd", "_")


@contextmanager
def disk_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what the system and HDF5 say about a disk into one line.

    Raises
    ------
    OutputError
        In place of the error of a write.
    """
    try:
        with full_disk(path):
            yield
    except TitansDNAError:
        raise
    except OSError as error:
        raise OutputError(f"cannot be written ({error.strerror or error}). Check the disk.", path=path) from error


@contextmanager
def full_disk(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn into one line what the system says about a disk without room, and let all else pass.

    Raises
    ------
    OutputError
        In place of the error of a write.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            full = "the disk is full" if error.errno != errno.EFBIG else "the file is too large for its disk"
            raise OutputError(f"{full}. Make room, or choose another folder.", path=path) from error
        raise
