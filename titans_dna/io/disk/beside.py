"""Metadata in a file beside the data, for formats that cannot hold any (bigWig, NumPy).

``PATH.json`` holds text by key, which says how the data were made. The two files should be moved together, but the data
can be read without the metadata.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from titans_dna.io.disk.atomic import write_text


def path_beside(path: str | os.PathLike[str]) -> Path:
    """Return the path of the metadata of a file."""
    return Path(f"{os.fspath(path)}.json")


def write_beside(path: str | os.PathLike[str], metadata: Mapping[str, object]) -> None:
    """Write the metadata of a file."""
    write_text(path_beside(path), json.dumps({key: str(text) for key, text in metadata.items()}, indent=1) + "\n")


def read_beside(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the metadata of a file; empty if there are none, or if they cannot be read."""
    try:
        found = json.loads(path_beside(path).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(key): str(text) for key, text in found.items()} if isinstance(found, dict) else {}
