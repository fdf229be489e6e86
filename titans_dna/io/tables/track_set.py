"""Several numbers for each base along contigs, by suffix: a bigWig of each kind, one table, or one HDF5 file.

==============================  =====================================================================================
suffix                          layout
==============================  =====================================================================================
``.bw``                         ``NAME.KIND.bw`` for each kind
``.tsv``, ``.tsv.gz``           contig, start (0-based), one column of each kind; a base without any number has no row
``.parquet``                    the same
``.h5``                         ``/CONTIG/KIND`` (bases,) float32, nan for a gap; metadata as attributes
==============================  =====================================================================================

A shard, which has the key ``shard``, says its kinds too (``tracks``), and what it holds of the whole (see
`titans_dna.io.tables.track_set_reader`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from titans_dna.errors import OutputError
from titans_dna.io.disk.atomic import atomic_path
from titans_dna.io.disk.hdf5_file import new_hdf5
from titans_dna.io.disk.hdf5_metadata import write_metadata
from titans_dna.io.tables.bigwig import BigWigTrack
from titans_dna.io.tables.score_table import Column, ScoreTableWriter

__all__ = ["TrackSetWriter"]

_SUFFIXES = (".bw", ".tsv", ".tsv.gz", ".parquet", ".h5")
_BASES = 1 << 18  # handed over at once


class TrackSetWriter:
    """Write tracks contig by contig; a context manager, and only its clean end makes the files appear.

    Parameters
    ----------
    path
        Output; the format goes by its suffix.
    lengths
        Bases of every contig, in the order in which they will come.
    kinds
        Names of the tracks.
    metadata
        What they were made with.

    Raises
    ------
    OutputError
        If the suffix is unknown.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        lengths: Mapping[str, int],
        kinds: Sequence[str],
        metadata: Mapping[str, str],
    ) -> None:
        self.path, self.lengths, self.kinds, self.metadata = Path(path), dict(lengths), tuple(kinds), dict(metadata)
        if "shard" in self.metadata:
            self.metadata["tracks"] = " ".join(self.kinds)
        check_track_path(self.path)

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._bigwigs: dict[str, BigWigTrack] = {}
        self._table: ScoreTableWriter | None = None
        self._file: Any = None
        if self.path.suffix == ".bw":
            for kind in self.kinds:
                name = self.path.with_name(f"{self.path.stem}.{kind}.bw")
                told = {**self.metadata, "tracks": kind} if "shard" in self.metadata else None
                self._bigwigs[kind] = self._stack.enter_context(BigWigTrack(name, self.lengths, told))
        elif self.path.suffix == ".h5":
            self._file = self._stack.enter_context(new_hdf5(self._stack.enter_context(atomic_path(self.path))))
            write_metadata(self._file, self.metadata)
        else:
            columns = [Column("contig", "text"), Column("start", "integer")]
            columns += [Column(kind, "score") for kind in self.kinds]
            self._table = self._stack.enter_context(ScoreTableWriter(self.path, columns, self.metadata))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, contig: str, values: Mapping[str, np.ndarray[Any, np.dtype[np.float32]]]) -> None:
        """Write all tracks of one contig, (bases,) each."""
        if self._file is not None:
            packed: dict[str, Any] = {}
            if bases := self.lengths[contig]:  # an empty dataset has no chunks
                packed = {"chunks": (min(1 << 16, bases),), "compression": "gzip", "compression_opts": 4}
            for kind in self.kinds:
                self._file.create_dataset(
                    f"{contig}/{kind}", data=values[kind], shuffle=bool(bases), track_times=False, **packed
                )
            return
        for start in range(0, self.lengths[contig], _BASES):
            part = {kind: np.asarray(values[kind][start : start + _BASES]) for kind in self.kinds}
            for kind, bigwig in self._bigwigs.items():
                bigwig.add(contig, start, part[kind])
            if self._table is not None:
                rows = np.flatnonzero(np.isfinite(np.stack(list(part.values()))).any(0))
                named = {"contig": [contig] * len(rows), "start": rows + start}
                self._table.write_columns({**named, **{kind: part[kind][rows] for kind in self.kinds}})


def check_track_path(path: Path) -> None:
    """Refuse a path whose suffix says no format."""
    if not path.name.endswith(_SUFFIXES):
        raise OutputError(f"ends in no known suffix. Choose one of {', '.join(_SUFFIXES)}.", path=path)
