"""Writes tracks, several numbers for each base; the ending chooses a bigWig per kind, one table, or one HDF5 file.

=============  ======================================================================================================
format         layout
=============  ======================================================================================================
bigWig         ``NAME.KIND.bw`` for each kind; metadata beside each (`titans_dna.io.disk.beside`)
TSV, Parquet   contig, start (0-based), one column of each kind; a base without any number has no row
HDF5           ``/CONTIG/KIND`` (bases,) float32, nan for a gap; metadata as attributes; a name with ``/`` is
               written with ``%2F`` (`titans_dna.io.disk.hdf5_metadata`)
=============  ======================================================================================================

The metadata of a shard, which have the key ``shard``, also name its kinds (``tracks``), and say what it holds of the
whole (see `titans_dna.io.tables.track_set_reader`).
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.io.disk.atomic import atomic_path
from titans_dna.io.disk.contexts import Opening
from titans_dna.io.disk.hdf5_file import new_hdf5
from titans_dna.io.disk.hdf5_metadata import new_group, write_metadata
from titans_dna.io.formats import format_of
from titans_dna.io.tables.bigwig import BigWigTrack
from titans_dna.io.tables.score_table import Column, ScoreTableWriter

_BASES = 1 << 18  # bases handed over at once
Tracks = Mapping[str, np.ndarray[Any, np.dtype[np.float32]]]  # (bases,) by kind


class TrackWriter(Opening):
    """Writes tracks contig by contig; a context manager. The files appear only at a clean end.

    Parameters
    ----------
    path
        Output.
    lengths
        Length of every contig in bases, in the order in which they are added.
    kinds
        Names of the tracks.
    metadata
        How the tracks were made, text by key.
    """

    def __init__(
        self, path: Path, lengths: Mapping[str, int], kinds: Sequence[str], metadata: Mapping[str, str]
    ) -> None:
        self.path, self.lengths, self.kinds, self.metadata = path, dict(lengths), tuple(kinds), dict(metadata)
        if "shard" in self.metadata:
            self.metadata["tracks"] = " ".join(self.kinds)

    @abstractmethod
    def add(self, contig: str, values: Tracks) -> None:
        """Write all tracks of one contig, (bases,) each."""


class BigWigs(TrackWriter):
    """Writes a bigWig for each kind of track."""

    def open(self, stack: ExitStack) -> None:
        """Make the file."""
        self._tracks = {}
        for kind, path in bigwig_paths(self.path, self.kinds).items():
            told = {**self.metadata, "tracks": kind} if "shard" in self.metadata else self.metadata
            self._tracks[kind] = stack.enter_context(BigWigTrack(path, self.lengths, told))

    def add(self, contig: str, values: Tracks) -> None:
        """Write one contig."""
        for kind, track in self._tracks.items():
            track.add_contig(contig, values[kind])


class Rows(TrackWriter):
    """Writes one table with a column for each kind of track."""

    def open(self, stack: ExitStack) -> None:
        """Make the file."""
        columns = track_columns(self.kinds)
        self._table = stack.enter_context(ScoreTableWriter(self.path, columns, self.metadata))

    def add(self, contig: str, values: Tracks) -> None:
        """Write one contig."""
        for start in range(0, self.lengths[contig], _BASES):  # piece by piece: values may be on disk
            part = {kind: np.asarray(values[kind][start : start + _BASES]) for kind in self.kinds}
            rows = np.flatnonzero(np.isfinite(np.stack(list(part.values()))).any(0))
            named = {"contig": [contig] * len(rows), "start": rows + start}
            self._table.write_columns({**named, **{kind: part[kind][rows] for kind in self.kinds}})


class Arrays(TrackWriter):
    """Writes one HDF5 file with an array for each contig and kind of track."""

    def open(self, stack: ExitStack) -> None:
        """Make the file."""
        self._file = stack.enter_context(new_hdf5(stack.enter_context(atomic_path(self.path))))
        write_metadata(self._file, self.metadata)

    def add(self, contig: str, values: Tracks) -> None:
        """Write one contig."""
        packed: dict[str, Any] = {}
        if bases := self.lengths[contig]:  # an empty dataset has no chunks
            packed = {"chunks": (min(1 << 16, bases),), "compression": "gzip", "compression_opts": 4}
        group = new_group(self._file, contig)
        for kind in self.kinds:
            group.create_dataset(kind, data=values[kind], shuffle=bool(bases), track_times=False, **packed)
            self._file.check_disk()


def write_tracks(
    path: str | os.PathLike[str], lengths: Mapping[str, int], kinds: Sequence[str], metadata: Mapping[str, str]
) -> TrackWriter:
    """Return the writer that the ending of a path asks for; parameters are those of `TrackWriter`.

    Raises
    ------
    OutputError
        If the ending is unknown.
    """
    return format_of(path, holds="tracks").load_writer()(Path(path), lengths, kinds, metadata)


def track_columns(kinds: Iterable[str]) -> tuple[Column, ...]:
    """Return the columns of tracks as a table: a row is a base."""
    return (Column("contig", "text"), Column("start", "integer"), *(Column(kind, "score") for kind in kinds))


def bigwig_paths(path: Path, kinds: Sequence[str]) -> dict[str, Path]:
    """Return the path of the bigWig of each kind."""
    return {kind: path.with_name(f"{path.stem}.{kind}{path.suffix}") for kind in kinds}
