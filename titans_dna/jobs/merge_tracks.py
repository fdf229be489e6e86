"""Merges shards of tracks into the tracks that a run without shards would have written.

A shard holds whole contigs, or stretches of them. As for tables of scores, shards that were made differently are
refused, and so is a missing shard.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from titans_dna.errors import FormatError, OutputError
from titans_dna.io.disk.mapped import new_array
from titans_dna.io.formats import format_of
from titans_dna.io.tables.bigwig import BigWigTrack
from titans_dna.io.tables.score_table import ScoreTableWriter
from titans_dna.io.tables.snv_table import SnvTableWriter, read_lines
from titans_dna.io.tables.track_set import track_columns, write_tracks
from titans_dna.io.tables.track_set_reader import TrackShard, open_track_shard
from titans_dna.jobs.merge_scores import check_shards
from titans_dna.jobs.provenance import command_line, metadata_of_whole
from titans_dna.jobs.shards import stretches_of

_OWN = ("contigs", "tracks")  # keys of the metadata that only shards have

Row = TypeVar("Row")
Source = Mapping[str, Sequence[tuple[int, int, int]]]  # of each contig, the stretches: number of the shard, start, end


def merge_tracks(paths: Sequence[Path], output: Path) -> int:
    """Merge shards of tracks; return the number of contigs.

    Parameters
    ----------
    paths
        All shards of one run, in any order and in one format; bigWigs must be of one kind of track.
    output
        A file of the same format.

    Raises
    ------
    InputMissing, FormatError
        If a file does not exist, is not a shard, or the shards do not fit together into one whole.
    OutputError
        If the output has another format, or cannot be written.
    """
    shards = [open_track_shard(path) for path in paths]
    _check_formats(shards, output)
    order, lengths = check_shards(paths, [shard.metadata for shard in shards]), shards[0].lengths
    try:
        source = stretches_of(order, lengths)
    except FormatError as error:
        raise FormatError(f"{error.what}.", path=paths[0]) from None
    if shards[0].format.holds == "all-SNVs":
        lines = [_Ahead(read_lines(shard.path), _place_of_line) for shard in shards]
        with SnvTableWriter(output, _whole(shards[0])) as table:
            for contig, stretches in source.items():
                for shard, _, end in stretches:
                    table.copy(lines[shard].take(contig, end), lengths[contig])
    elif shards[0].format.name in ("TSV", "Parquet"):
        _copy_rows(shards, source, output)
    else:
        _copy_arrays(shards, source, output)
    return len(source)


def _check_formats(shards: Sequence[TrackShard], output: Path) -> None:
    """Refuse shards in different formats, and an output in another format than theirs."""
    first = shards[0]
    ending = next(end for end in first.format.endings if first.path.name.endswith(end))
    if other := [shard.path for shard in shards if shard.format is not first.format]:
        raise FormatError(f"is not {ending} as {first.path.name} is. Give the shards of one run.", path=other[0])
    verb = "mutagenesis --all-snvs" if first.holds_snvs else "score-regions --tracks"
    if format_of(output, verb=verb) is not first.format:
        what = f"has another ending than the shards. Shards in {ending} can only be merged into {ending}."
        raise OutputError(what, path=output)


def _place_of_line(line: bytes) -> tuple[str, int]:
    contig, position, _ = line.split(b"\t", 2)
    return contig.decode(), int(position) - 1


def _place_of_row(row: dict[str, Any]) -> tuple[str, int]:
    return str(row["contig"]), int(row["start"])


class _Ahead(Generic[Row]):
    """Gives the rows of one stretch after the other, in the order of a file; some stretches may have none."""

    def __init__(self, rows: Iterable[Row], place: Callable[[Row], tuple[str, int]]) -> None:
        self._rows, self._place = iter(rows), place
        self._next = next(self._rows, None)

    def take(self, contig: str, end: int) -> Iterator[Row]:
        """Yield the rows of a contig before a base; there are none if the file goes on with another contig."""
        while self._next is not None:
            found, start = self._place(self._next)
            if found != contig or start >= end:
                return
            yield self._next
            self._next = next(self._rows, None)


def _whole(shard: TrackShard) -> dict[str, str]:
    kept = {key: value for key, value in metadata_of_whole(shard.metadata).items() if key not in _OWN}
    return {**kept, "command": command_line()}


def _copy_rows(shards: Sequence[TrackShard], source: Source, output: Path) -> None:
    """Copy the rows contig by contig, reading every shard once."""
    rows = [_Ahead(shard.table, _place_of_row) for shard in shards]
    with ScoreTableWriter(output, track_columns(shards[0].kinds), _whole(shards[0])) as writer:
        for contig, stretches in source.items():
            for shard, _, end in stretches:
                for row in rows[shard].take(contig, end):
                    writer.write(row)


def _copy_arrays(shards: Sequence[TrackShard], source: Source, output: Path) -> None:
    """Copy the arrays contig by contig, through a file on disk: those of a chromosome may not fit into memory."""
    kinds, lengths = shards[0].kinds, shards[0].lengths
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".merge-") as folder:

        def arrays(contig: str) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
            place = Path(folder) / "tracks.npy"
            place.unlink(missing_ok=True)
            found = dict(zip(kinds, new_array(place, (len(kinds), lengths[contig])), strict=True))
            for shard, start, end in source[contig]:
                shards[shard].check(contig)
                shards[shard].fill(contig, start, end, found)
            return found

        if shards[0].format.name == "bigWig":
            with BigWigTrack(output, lengths, _whole(shards[0])) as bigwig:
                for contig in lengths:
                    bigwig.add_contig(contig, *arrays(contig).values())
            return
        with write_tracks(output, lengths, kinds, _whole(shards[0])) as tracks:
            for contig in lengths:
                tracks.add(contig, arrays(contig))
