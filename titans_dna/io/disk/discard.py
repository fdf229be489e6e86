"""The only code that deletes what runs have made: it deletes files by their names, and leaves all others alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

UNNAMED = ".tmp??????"  # what safetensors calls a file until it is whole; a kill leaves it


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
