"""The only code that removes what a run has made; it knows it by name, and leaves everything else where it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path


def discard(folder: Path, patterns: Sequence[str]) -> None:
    """Remove the files below a folder whose names match a pattern, and the folders that are empty then.

    Links are neither followed nor removed. What cannot be removed stays, without an error.

    Parameters
    ----------
    folder
        Nothing is done if it is a link or is not there.
    patterns
        Names as the shell writes them (``part-*.npz``).
    """
    if folder.is_symlink():
        return
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(place, name)
            if any(fnmatchcase(name, pattern) for pattern in patterns) and not path.is_symlink():
                with suppress(OSError):
                    path.unlink()
        with suppress(OSError):
            Path(place).rmdir()
