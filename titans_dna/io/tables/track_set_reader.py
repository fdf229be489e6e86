"""Shards of tracks read back, in any of the formats of `titans_dna.io.tables.track_set`.

Beside what made it, a shard says in its metadata ``tracks`` (its kinds), ``contigs`` (bases by name of all contigs of
the run, JSON, in order) and ``rows`` (which of these it holds, as ranges).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.errors import FormatError, InputMissing
from titans_dna.io.disk.hdf5_metadata import read_metadata
from titans_dna.io.tables.bigwig import shard_metadata_path
from titans_dna.io.tables.score_table import Column, is_score_table
from titans_dna.io.tables.score_table_reader import open_score_table

__all__ = ["TrackShard", "holds_tracks", "open_track_shard"]

_BASES = 1 << 18  # read at once


@dataclass(frozen=True, kw_only=True)
class TrackShard:
    """Tracks of some contigs of a run."""

    path: Path
    kinds: tuple[str, ...]
    lengths: dict[str, int]  # bases of all contigs of the run, in its order
    metadata: dict[str, str]

    @property
    def is_snv_table(self) -> bool:
        """Whether it is a file of `titans_dna.io.tables.snv_table`."""
        return self.path.name.endswith(".tsv.gz") and self.holds_snvs

    @property
    def holds_snvs(self) -> bool:
        """Whether its numbers are ln P of four bases, in whatever format."""
        return "kind=all-snvs" in self.metadata.get("options", "").split()

    @property
    def is_table(self) -> bool:
        """Whether its numbers are rows, to be copied by ``rows``, and not arrays, to be read by ``fill``."""
        return self.path.suffix != ".h5" and is_score_table(self.path)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of a table, typed."""
        kinds = [Column(kind, "score") for kind in self.kinds]
        yield from open_score_table(self.path, [Column("start", "integer"), *kinds]).rows()

    def fill(self, contig: str, arrays: Mapping[str, np.ndarray[Any, np.dtype[np.float32]]]) -> None:
        """Read all tracks of one contig into arrays (bases,), nan for a gap, at constant memory."""
        starts = range(0, self.lengths[contig], _BASES)
        if self.path.suffix == ".h5":
            import h5py

            with h5py.File(self.path, "r") as file:
                for kind, array in arrays.items():
                    for start in starts:
                        array[start : start + _BASES] = file[f"{contig}/{kind}"][start : start + _BASES]
            return
        import pyBigWig

        (array,) = arrays.values()
        if not self.path.stat().st_size:  # a shard without values
            array[:] = np.nan
            return
        with pyBigWig.open(str(self.path)) as track:
            for start in starts:
                end = min(start + _BASES, len(array))
                array[start:end] = track.values(contig, start, end, numpy=True)


def open_track_shard(path: str | os.PathLike[str]) -> TrackShard:
    """Open a shard of tracks.

    Raises
    ------
    InputMissing
        If the file is not there.
    FormatError
        If it is no shard of tracks.
    """
    path = Path(path)
    if not path.is_file():
        raise InputMissing("there is no such file. Check the path.", path=path)
    metadata = _metadata(path)
    try:
        lengths = {str(name): int(bases) for name, bases in json.loads(metadata["contigs"]).items()}
        kinds = tuple(metadata["tracks"].split())
    except (KeyError, ValueError):
        where = f" {shard_metadata_path(path).name} must lie beside it." if path.suffix == ".bw" else ""
        raise FormatError(
            f"is no shard of tracks: it was not made with --shard.{where} Give the shards of one run.", path=path
        ) from None
    return TrackShard(path=path, kinds=kinds, lengths=lengths, metadata=metadata)


def holds_tracks(path: Path) -> bool:
    """Tell a shard of tracks from other shards."""
    return path.suffix == ".bw" or (path.is_file() and "tracks" in _metadata(path))


def _metadata(path: Path) -> dict[str, str]:
    """Return what a file says of itself; nothing where it is no file of tracks."""
    if path.suffix == ".bw":
        beside = shard_metadata_path(path)
        try:
            found = json.loads(beside.read_text()) if beside.is_file() else {}
        except ValueError:
            return {}
        return {str(key): str(value) for key, value in found.items()}
    if path.suffix == ".h5":
        import h5py

        try:
            with h5py.File(path, "r") as file:
                return read_metadata(file)
        except OSError:
            return {}
    found = open_score_table(path).metadata if is_score_table(path) else {}
    return {key.removeprefix("titans_dna_"): text for key, text in found.items()}
