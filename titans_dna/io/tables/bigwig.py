"""Genome tracks as bigWig: one number for each base, gaps where there is none.

A bigWig cannot hold metadata, so these are in a file beside it (`titans_dna.io.disk.beside`). A shard without any value
is an empty file, because a bigWig without values cannot be read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from titans_dna.errors import ContigUnknown, FormatError, OutputError
from titans_dna.io.disk.atomic import atomic_path, room_for
from titans_dna.io.disk.beside import write_beside
from titans_dna.io.disk.contexts import Opening

_CHUNK = 1 << 18  # values handed over at once
# Bytes of the file, its index and its zoom levels included; 5.2 and 65 were measured on random values.
_BYTES_VALUE, _BYTES_RUN, _BYTES_CONTIG, _BYTES_MARGIN = 6, 70, 128, 1 << 16


class BigWigTrack(Opening):
    """Write values along contigs; a context manager, and only its clean end makes the file appear.

    Parameters
    ----------
    path
        Output, usually ``.bw``.
    lengths
        Bases of every contig, in the order in which values will come.
    metadata
        What the track was made with, by key; a shard has the key ``shard``. Without metadata, no file is written
        beside.

    Raises
    ------
    OutputError
        If no value was added, unless the track is a shard.
    """

    def __init__(
        self, path: str | os.PathLike[str], lengths: Mapping[str, int], metadata: Mapping[str, str] | None = None
    ) -> None:
        self.path, self.lengths, self.metadata = os.fspath(path), dict(lengths), dict(metadata or {})
        self.is_shard = "shard" in self.metadata
        self.values, self._runs = 0, 0  # values written so far, and stretches of them without a gap
        self._order = {name: number for number, name in enumerate(self.lengths)}
        self._last: tuple[int, int] = (-1, 0)

    def open(self, stack: ExitStack) -> None:
        """Open the file."""
        import pyBigWig

        self._temporary = stack.enter_context(atomic_path(self.path))
        self._temporary.touch()
        self._require_room()
        self._file = pyBigWig.open(str(self._temporary), "w")
        stack.push(self._finish)
        # pyBigWig refuses a header without contigs, so a shard that has none gets one that is not used.
        self._file.addHeader(list(self.lengths.items()) or [("none", 1)])

    def _finish(self, kind: type[BaseException] | None, *_: Any) -> None:
        self._file.close()
        if kind is not None:
            return
        if not self.values and not self.is_shard:
            raise OutputError("has no values, and a bigWig without values cannot be read.", path=self.path)
        if not self.values:
            # A shard without values is an empty file, which the merge knows, because no reader opens a bigWig without
            # values.
            self._temporary.write_bytes(b"")
        if self.metadata:
            write_beside(self.path, self.metadata)

    def add_contig(self, contig: str, values: np.ndarray[Any, np.dtype[np.floating[Any]]]) -> None:
        """Add one value for each base of a contig, piece by piece, because they may be on disk."""
        for start in range(0, len(values), _CHUNK):
            self.add(contig, start, values[start : start + _CHUNK])

    def add(self, contig: str, start: int, values: np.ndarray[Any, np.dtype[np.floating[Any]]]) -> None:
        """Add one value for each base from `start` (0-based) on; NaN leaves a gap.

        Raises
        ------
        ContigUnknown
            If the contig is not among ``lengths``.
        FormatError
            If values come before earlier ones, reach beyond the contig, or are infinite.
        """
        if contig not in self._order:
            raise ContigUnknown(f"contig {contig!r} was not announced for the track.", path=self.path)
        values = np.asarray(values, np.float32)
        place, end = (self._order[contig], start), start + len(values)
        if place < self._last or start < 0:
            raise FormatError(
                f"values at {contig}:{start + 1} come after later ones. Add them in order.", path=self.path
            )
        if end > self.lengths[contig]:
            message = f"values end at {contig}:{end}, beyond its {self.lengths[contig]} bases."
            raise FormatError(message, path=self.path)
        if np.isinf(values).any():
            raise FormatError(f"values from {contig}:{start + 1} on are infinite. Use NaN for a gap.", path=self.path)
        present = np.concatenate([[False], ~np.isnan(values), [False]])
        edges = np.flatnonzero(present[1:] != present[:-1])
        self._require_room(int(present.sum()), len(edges) // 2)
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            for at in range(first, last, _CHUNK):
                piece = values[at : min(at + _CHUNK, last)]
                self._file.addEntries(contig, start + at, values=piece.tolist(), span=1, step=1)
                self.values += len(piece)
        self._last = (place[0], end)

    def _require_room(self, values: int = 0, runs: int = 0) -> None:
        """Refuse to go on where the disk may fill up, at which pyBigWig would end the process."""
        self._runs += runs
        whole = _BYTES_VALUE * (self.values + values) + _BYTES_RUN * self._runs + _BYTES_CONTIG * len(self.lengths)
        need = whole + _BYTES_MARGIN - self._temporary.stat().st_size
        if (room := room_for(self._temporary)) < need:
            what = f"the disk is full: a bigWig may need {need / 1e6:,.1f} MB more, and there are {room / 1e6:,.1f} MB"
            raise OutputError(f"{what}. Make room, or choose another folder.", path=self.path)
