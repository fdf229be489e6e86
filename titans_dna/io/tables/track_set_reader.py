"""Reads tracks in any format of `titans_dna.io.tables.track_set`: as rows, or contig by contig as arrays.

A shard has three more keys in its metadata: ``tracks`` (its kinds), ``contigs`` (lengths of all contigs of the run by
name, as JSON, in order) and ``rows`` (which of the bases of these contigs, one after the other, it holds, as ranges).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.errors import FormatError, TitansDNAError
from titans_dna.io.disk.beside import path_beside, read_beside
from titans_dna.io.disk.hdf5_metadata import LONG, contig_of, dataset_of, read_metadata
from titans_dna.io.disk.hdf5_reader import dataset, find, read_hdf5
from titans_dna.io.formats import Format, sniff
from titans_dna.io.tables.score_table_reader import Scores
from titans_dna.io.tables.track_set import track_columns

_BASES = 1 << 18  # bases read at once


def open_bigwig(path: str | os.PathLike[str]) -> Scores:
    """Open a bigWig as a table with one score, which is named by the last part of the file's name before the ending."""
    path = Path(path)
    columns = track_columns([path.stem.rpartition(".")[2]])
    return Scores(path=path, columns=columns, metadata=read_beside(path), read=_bigwig_rows)


def open_arrays(path: str | os.PathLike[str]) -> Scores:
    """Open tracks in HDF5 as a table with a score for each kind."""
    with read_hdf5(path) as file:
        metadata = read_metadata(file)
        kinds = list(dict.fromkeys(kind for group in _contigs(file).values() for kind in group))
    return Scores(path=Path(path), columns=track_columns(kinds), metadata=metadata, read=_array_rows)


def _contigs(file: Any) -> dict[str, Any]:
    """Return the groups that hold tracks."""
    groups = {name: find(file, name) for name in file if name != LONG}
    return {contig_of(name, group): group for name, group in groups.items() if hasattr(group, "items")}


def _array_rows(table: Scores) -> Iterator[dict[str, Any]]:
    with read_hdf5(table.path) as file:
        for contig, group in _contigs(file).items():
            tracks = {kind: dataset(group, kind, "f") for kind in group}
            bases = max((len(data) for data in tracks.values()), default=0)
            for start in range(0, bases, _BASES):
                part = {kind: data[start : start + _BASES] for kind, data in tracks.items()}
                yield from _rows(contig, start, part)


def _bigwig_rows(table: Scores) -> Iterator[dict[str, Any]]:
    import pyBigWig

    if not table.path.stat().st_size:  # a shard without values
        return
    kind = table.columns[-1].name
    with pyBigWig.open(str(table.path)) as track:
        for contig, bases in track.chroms().items():
            for start in range(0, bases, _BASES):
                values = track.values(contig, start, min(start + _BASES, bases), numpy=True)
                yield from _rows(contig, start, {kind: values})


def _rows(contig: str, start: int, part: Mapping[str, np.ndarray[Any, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a row for every base that has a number in any track."""
    values = np.stack(list(part.values()))
    places = np.flatnonzero(np.isfinite(values).any(0))
    for place, numbers in zip(places.tolist(), values[:, places].T.tolist(), strict=True):
        yield {"contig": contig, "start": start + place, **dict(zip(part, numbers, strict=True))}


@dataclass(frozen=True, kw_only=True)
class TrackShard:
    """A shard of tracks: some contigs of a run, or stretches of them."""

    table: Scores
    format: Format
    kinds: tuple[str, ...]
    lengths: dict[str, int]  # length in bases of every contig of the run, in order

    @property
    def path(self) -> Path:
        """The file."""
        return self.table.path

    @property
    def metadata(self) -> dict[str, str]:
        """How it was made, text by key."""
        return self.table.metadata

    @property
    def holds_snvs(self) -> bool:
        """Whether its numbers are ln P of the four bases, in any format."""
        return "kind=all-snvs" in self.metadata.get("options", "").split()

    def check(self, contig: str) -> None:
        """Refuse a file if a track of a contig is not as long as its metadata say.

        Raises
        ------
        FormatError
            If a track has another length.
        """
        wanted = self.lengths[contig]
        if self.format.name == "HDF5":
            with read_hdf5(self.path) as file:
                found = {len(dataset_of(file, contig, kind)) for kind in self.kinds} or {wanted}
        elif self.path.stat().st_size:
            import pyBigWig

            with pyBigWig.open(str(self.path)) as track:
                found = {track.chroms().get(contig, wanted)}
        else:  # a shard without values
            return
        if found != {wanted}:
            raise FormatError(f"has {max(found):,} bases of {contig}, not {wanted:,}. Make it again.", path=self.path)

    def fill(
        self, contig: str, first: int, last: int, arrays: Mapping[str, np.ndarray[Any, np.dtype[np.float32]]]
    ) -> None:
        """Read a stretch of all tracks of a contig of a bigWig or HDF5 file into arrays (bases,), nan for a gap."""
        # Piece by piece, because an array may be a memory map of a whole chromosome.
        spans = [(start, min(start + _BASES, last)) for start in range(first, last, _BASES)]
        if self.format.name == "HDF5":
            with read_hdf5(self.path) as file:
                for kind, array in arrays.items():
                    track = dataset_of(file, contig, kind)
                    for start, end in spans:
                        array[start:end] = track[start:end]
            return
        import pyBigWig

        (array,) = arrays.values()
        if not self.path.stat().st_size:  # a shard without values
            array[first:last] = np.nan
            return
        with pyBigWig.open(str(self.path)) as track:
            for start, end in spans:
                array[start:end] = track.values(contig, start, end, numpy=True)


def open_track_shard(path: str | os.PathLike[str]) -> TrackShard:
    """Open a shard of tracks.

    Raises
    ------
    InputMissing
        If the file is not there.
    FormatError
        If the file is not a shard of tracks.
    """
    path, found = Path(path), sniff(path)
    try:
        if found is None or found.holds not in ("tracks", "all-SNVs"):
            raise KeyError("tracks")
        table = found.load_reader()(path)
        lengths = {str(name): int(bases) for name, bases in json.loads(table.metadata["contigs"]).items()}
        kinds = tuple(table.metadata["tracks"].split())
        if min(lengths.values(), default=0) < 0:
            raise ValueError(lengths)
    except TitansDNAError:
        raise
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        where = f" {path_beside(path).name} must lie beside it." if found and found.name == "bigWig" else ""
        raise FormatError(
            f"is no shard of tracks: it was not made with --shard.{where} Give the shards of one run.", path=path
        ) from None
    return TrackShard(table=table, format=found, kinds=kinds, lengths=lengths)
