"""What a file was made with, in a file beside it, for formats that cannot say it themselves (bigWig, NumPy).

``PATH.json`` holds text by key. Whoever moves the one file should move the other; without it the data are the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from titans_dna.io.disk.atomic import atomic_path


def path_beside(path: str | os.PathLike[str]) -> Path:
    """Return where the metadata of a file lie."""
    return Path(f"{os.fspath(path)}.json")


def write_beside(path: str | os.PathLike[str], metadata: Mapping[str, object]) -> None:
    """Write the metadata of a file."""
    with atomic_path(path_beside(path)) as temporary:
        temporary.write_text(json.dumps({key: str(text) for key, text in metadata.items()}, indent=1) + "\n")


def read_beside(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the metadata of a file; nothing where they are not there or cannot be read."""
    try:
        found = json.loads(path_beside(path).read_text())
    except (OSError, ValueError):
        return {}
    return {str(key): str(text) for key, text in found.items()} if isinstance(found, dict) else {}
