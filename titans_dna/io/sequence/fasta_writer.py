"""Writes FASTA: plain, or bgzip-compressed if the name ends in ``.gz``, so that it can be indexed as it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from titans_dna.io.disk.atomic import atomic_path, full_disk
from titans_dna.io.disk.contexts import Opening

LINE_BP = 60  # bases on a line


class FastaWriter(Opening):
    """Write sequences as they come; a context manager, and only its clean end makes the file appear.

    Parameters
    ----------
    path
        Output; ``-`` is standard output.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    def open(self, stack: ExitStack) -> None:
        """Open the file."""
        if self.path == "-":
            stack.enter_context(full_disk("standard output"))
            self._stream: Any = sys.stdout.buffer
            stack.callback(self._stream.flush)
            return
        temporary = stack.enter_context(atomic_path(self.path))
        if self.path.endswith(".gz"):
            import pysam

            self._stream = stack.enter_context(pysam.BGZFile(str(temporary), "wb", index=None))
        else:
            self._stream = stack.enter_context(temporary.open("wb"))

    def write(self, name: str, sequence: bytes, told: Mapping[str, object]) -> None:
        """Write a sequence; its name is followed by notes of the form ``key=value``."""
        words = [name, *(f"{key}={value}" for key, value in told.items())]
        self._stream.write((">" + " ".join("_".join(word.split()) for word in words) + "\n").encode())
        for start in range(0, len(sequence), LINE_BP):
            self._stream.write(sequence[start : start + LINE_BP] + b"\n")
