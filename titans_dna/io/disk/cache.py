"""The cache folder, for what is derived from inputs: indexes, and decompressed or converted sequence.

It is ``TITANS_DNA_CACHE``, or else ``$XDG_CACHE_HOME/titans-dna``, or else ``~/.cache/titans-dna``. The name of an
entry holds a digest of the source's real path, size, modification time and inode, so a changed source never meets an
old entry. Nothing is written beside a source, whose folder may be read-only or shared.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from titans_dna.errors import OutputError, TitansDNAError
from titans_dna.io.disk.atomic import NO_ROOM, atomic_path, drop_leftovers, write_error

logger = logging.getLogger(__name__)

_LAYOUT = 1  # to be raised whenever the meaning of a stored entry changes


def cache_folder() -> Path:
    """Return the cache folder, which may not exist yet."""
    chosen = os.environ.get("TITANS_DNA_CACHE")
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "titans-dna"


def cache_entry(source: str | os.PathLike[str], suffix: str) -> Path:
    """Return the path of the cache entry for something derived from a source.

    Parameters
    ----------
    source
        File from which it is derived; it must exist.
    suffix
        Suffix for the kind of entry, such as ``.fai``.
    """
    path = Path(source).resolve()
    status = path.stat()
    # The inode tells a file from another of the same size and time that has been moved to its place.
    identity = f"{_LAYOUT}|{path}|{status.st_size}|{status.st_mtime_ns}|{status.st_ino}"
    digest = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:20]
    return cache_folder() / f"{path.name[:100]}.{digest}{suffix}"


def store(path: Path, write: Callable[[Path], object]) -> None:
    """Store an entry in the cache: `write` gets a temporary path, which is renamed to `path` when it is complete.

    Raises
    ------
    OutputError
        If the cache cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        drop_leftovers(path)  # a run that was killed may have left gigabytes
        with atomic_path(path) as temporary:
            _fill(path, temporary, write)
    except TitansDNAError:
        raise
    except OSError as error:
        message = (
            f"the cache cannot be written ({error.strerror or error}). Set TITANS_DNA_CACHE to a folder with space."
        )
        raise OutputError(message, path=path) from None


def _fill(path: Path, temporary: Path, write: Callable[[Path], object]) -> None:
    """Write an entry; a full disk is the cache's own, so its message names the setting that helps."""
    try:
        write(temporary)
    except TitansDNAError:
        raise
    except Exception as error:
        if write_error(error) not in NO_ROOM:
            raise
        message = "the disk of the cache is full. Make room, or set TITANS_DNA_CACHE to a folder with space."
        raise OutputError(message, path=path) from None


def try_to_store(path: Path, write: Callable[[Path], object]) -> None:
    """Store an entry in the cache if that is possible; otherwise work goes on without it."""
    try:
        store(path, write)
    except OutputError as error:
        logger.debug("not cached: %s", error)
