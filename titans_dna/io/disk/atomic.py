"""Outputs appear whole or not at all: they are written under a temporary name in the same folder, and then renamed.

The temporary name, ``.partial-HOST-PROCESS-STARTED-RANDOM-NAME``, says who writes what. So files that a killed writer
has left can be told from files that others are writing, even on other hosts (`drop_leftovers`). The time at which the
process started tells it from a later process with the same number: in a container every run may be process 1.

`discard` is the only code that deletes what runs have made: it deletes files by their names, and leaves all others
alone.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import resource
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path

from titans_dna.errors import OutputError, TitansDNAError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the system's numbers of errors of a full disk
_NAME_BYTES = 120  # most bytes of the final name in a temporary one; file systems allow names of 255 bytes
UNNAMED = ".tmp??????"  # what safetensors calls a file until it is whole; a kill leaves it


@contextmanager
def atomic_path(final: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `final`; rename it on success, or remove it if the block raises.

    Parameters
    ----------
    final
        Path of the output. The temporary name ends in the same suffixes. A device or pipe (``/dev/null``) is yielded
        itself, because it must not be replaced by a file.

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
    # A rename would replace the device or pipe by a plain file.
    if final.exists() and not final.is_file():
        with full_disk(final):
            yield final
        return
    if not folder.is_dir():
        raise OutputError(f"the folder {str(folder)!r} does not exist. Make it first.", path=final)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {str(folder)!r} is not writable. Choose another output.", path=final)
    # In the same folder, because a rename is atomic only within one file system.
    temporary = temporary_path(final)
    try:
        with full_disk(final):
            yield temporary
        if not temporary.exists():
            raise OutputError("nothing was written.", path=final)
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def temporary_path(final: Path) -> Path:
    """Return a new name beside an output, under which this process writes it."""
    process = f"{os.getpid()}-{_started(os.getpid())}"
    return final.with_name(f".partial-{_host()}-{process}-{secrets.token_hex(4)}-{_short(final.name)}")


def drop_leftovers(final: str | os.PathLike[str]) -> None:
    """Remove temporary files of an output, and their indexes, if their writer ran on this host and has ended."""
    final = Path(final)
    if not Path("/proc/self").exists():  # without /proc, there is no way to tell which processes live
        return
    ours = re.compile(
        rf"\.partial-{re.escape(_host())}-(\d+)-(\d+)-[0-9a-f]{{8}}-{re.escape(_short(final.name))}(\.tbi|\.csi|\.rough)?"
    )
    for path in final.parent.glob(".partial-*"):
        match = ours.fullmatch(path.name)
        if match and _started(int(match[1])) != int(match[2]):
            discard(path, ["*"]) if path.is_dir() else path.unlink(missing_ok=True)


def _started(process: int) -> int:
    """Return when a process of this host started, in clock ticks since boot; 0 if there is no such process."""
    # Field 22 of proc(5). The name of the command, in parentheses, may hold blanks, so fields are counted after it.
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def _host() -> str:
    """Return the name of this machine in letters that a file name may hold."""
    return re.sub(r"[^A-Za-z0-9.-]", "_", socket.gethostname())[:40] or "unknown"


def _short(name: str) -> str:
    """Return a file name; a long one is shortened to a checksum and its last letters, which include the suffixes."""
    raw = os.fsencode(name)
    if len(raw) <= _NAME_BYTES:
        return name
    return hashlib.sha256(raw).hexdigest()[:16] + raw[-100:].decode("ascii", "replace").replace("\ufffd", "_")


@contextmanager
def disk_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn every error of writing, by the system or HDF5, into one line.

    Raises
    ------
    OutputError
        In place of the error of a write.
    """
    try:
        with full_disk(path):
            yield
    # OutputError is an OSError too, so it must pass before the next clause catches it.
    except TitansDNAError:
        raise
    except OSError as error:
        raise OutputError(f"cannot be written ({error.strerror or error}). Check the disk.", path=path) from error


@contextmanager
def full_disk(path: str | os.PathLike[str] | None) -> Iterator[None]:
    """Turn an error about a full disk into one line, and let all others pass.

    Parameters
    ----------
    path
        File that is written; if None, the one that the error names, if it names any.

    Raises
    ------
    OutputError
        In place of the error of a write.
    """
    try:
        yield
    except Exception as error:
        number = write_error(error)
        if number in NO_ROOM:
            full = "the disk is full" if number != errno.EFBIG else "the file is too large for its disk"
            where = getattr(error, "filename", None) if path is None else path
            raise OutputError(f"{full}. Make room, or choose another folder.", path=where) from error
        raise


def write_error(error: Exception) -> int | None:
    """Return the system's number of an error; safetensors has only a sentence for it."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error)) if type(error).__name__ == "SafetensorError" else None
    return int(found[1]) if found else None


def room_for(path: str | os.PathLike[str]) -> int:
    """Return how many bytes can be added to a file that exists, by its disk and by the limit of the process."""
    found = os.statvfs(path)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    free = found.f_bavail * found.f_frsize
    return free if limit == resource.RLIM_INFINITY else min(free, limit - os.stat(path).st_size)  # noqa: PTH116


def discard(folder: Path, patterns: Sequence[str]) -> None:
    """Delete the files below a folder whose names match a pattern, and all folders that are then empty.

    Links are neither followed nor deleted. A file that cannot be deleted stays, without an error.

    Parameters
    ----------
    folder
        The folder; nothing is done if it is a link or does not exist.
    patterns
        Patterns of names as in a shell (``part-*.npz``); files of the first are deleted first.
    """
    if folder.is_symlink():
        return
    for place, _, names in os.walk(folder, topdown=False):
        # Pattern by pattern: after a kill in between, no file is left that says that a later one is whole.
        for pattern in patterns:
            for path in (Path(place, name) for name in names if fnmatchcase(name, pattern)):
                if not path.is_symlink():
                    with suppress(OSError):
                        path.unlink()
        with suppress(OSError):
            Path(place).rmdir()
