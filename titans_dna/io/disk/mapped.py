"""Arrays in files that are mapped into memory, and whose place on the disk is taken before anything is written.

A file that is only made long has no place on the disk yet. Where the disk fills up while such a file is written through
its map, the system can report no error, and ends the process (SIGBUS).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.io.disk.atomic import disk_errors

_BLOCK = 1 << 18  # numbers written at once


def new_array(path: Path, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Make a float32 array (.npy) on disk, filled with nan, and map it.

    Raises
    ------
    OutputError
        If the disk has no room for it.
    """
    partial = path.with_name(f".{path.name}.partial")
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    numbers = int(np.prod(shape))
    block = np.full(min(numbers, _BLOCK), np.nan, "<f4").tobytes()
    try:
        with disk_errors(path), partial.open("wb") as stream:
            np.lib.format.write_array_header_1_0(stream, header)
            for start in range(0, numbers, _BLOCK):
                stream.write(block[: 4 * (numbers - start)])
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return np.lib.format.open_memmap(path, mode="r+")
