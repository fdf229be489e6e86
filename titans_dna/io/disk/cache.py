"""The folder for what is derived from inputs: indexes, decompressed and converted sequence.

``TITANS_DNA_CACHE``, else ``$XDG_CACHE_HOME/titans-dna``, else ``~/.cache/titans-dna``. An entry's name holds a
digest of the source's real path, size and modification time, so a changed source never meets an old entry. Nothing is
written beside a source.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from titans_dna.errors import OutputError, TitansDNAError
from titans_dna.io.disk.atomic import atomic_path

logger = logging.getLogger(__name__)

_LAYOUT = 1  # raised whenever what is stored under an entry changes its meaning


def cache_folder() -> Path:
    """Give the cache folder, which need not exist yet."""
    chosen = os.environ.get("TITANS_DNA_CACHE")
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "titans-dna"


def cache_entry(source: str | os.PathLike[str], suffix: str) -> Path:
    """Name the cache file for one derivative of a source.

    Parameters
    ----------
    source
        The file it derives from; it must exist.
    suffix
        What kind of derivative it is, such as ``.fai``.
    """
    path = Path(source).resolve()
    status = path.stat()
    identity = f"{_LAYOUT}|{path}|{status.st_size}|{status.st_mtime_ns}|{status.st_ino}"
    digest = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:20]
    return cache_folder() / f"{path.name[:100]}.{digest}{suffix}"


def store(path: Path, write: Callable[[Path], object]) -> None:
    """Put something into the cache: `write` is given a temporary path, which becomes `path` when it is complete.

    Raises
    ------
    OutputError
        If the cache cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            write(temporary)
    except TitansDNAError:
        raise
    except OSError as error:
        message = (
            f"the cache cannot be written ({error.strerror or error}). Set TITANS_DNA_CACHE to a folder with space."
        )
        raise OutputError(message, path=path) from None


def try_to_store(path: Path, write: Callable[[Path], object]) -> None:
    """Put something into the cache if that is possible; work goes on without it."""
    try:
        store(path, write)
    except OutputError as error:
        logger.debug("not cached: %s", error)
