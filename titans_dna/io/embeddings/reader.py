"""Reads embeddings by row, by name or by overlap with a region, as numpy arrays or as a data set for training.

    with open_embeddings("embeddings.h5") as embeddings:
        vectors = embeddings.select(region="chr1:1,001-2,000").numpy()
        loader = torch.utils.data.DataLoader(embeddings.select(name="BRCA1"), batch_size=64)

`Embeddings` and `Selection` have ``__len__``, ``__getitem__`` and ``__getitems__``, so they are map-style data sets for
torch. They may be sent to worker processes, each of which opens the file for itself. `titans_dna.io.embeddings.writer`
describes the layout.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from titans_dna.errors import FormatError, InputMissing, TitansDNAError
from titans_dna.genome.interval import Interval
from titans_dna.io.disk.contexts import Closing
from titans_dna.io.disk.hdf5_reader import KINDS, check_attributes, check_heaps, damage_said, dataset, find
from titans_dna.io.embeddings.writer import FORMAT_VERSION, HAPLOTYPE_COLUMNS, TEXT_COLUMNS

Vectors = np.ndarray[Any, np.dtype[np.floating[Any]]]
Rows = np.ndarray[Any, np.dtype[np.int64]]
_BLOCK = 1 << 16  # rows of coordinates that are searched at once
_BATCH = 1024
_REMEDY = "Copy it again, or make it again with `titans-dna embed`."
_COLUMNS = {"start": "integer", "end": "integer", **dict.fromkeys(TEXT_COLUMNS, "text")}
#: Datasets that every file has, which are checked when it is opened, and the kinds of numbers that they may have.
_CHECKED = {
    **{f"regions/{key}": KINDS[kind] for key, kind in _COLUMNS.items()},
    **{f"contigs/{key}": KINDS[kind] for key, kind in {"name": "text", "length": "integer", "md5": "text"}.items()},
}
_OPTIONAL = ("offsets", "rows")


class Embeddings(Closing):
    """A file of embeddings, opened by `open_embeddings`; a context manager.

    An item is the vector (width,) of a region, or the vectors (bases, width) of its bases in a ragged file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._opened: tuple[int, Any] | None = None
        self._columns: dict[str, Any] = {}  # checked datasets of /regions of the open file
        try:
            with damage_said(path, _REMEDY):
                _check(self._file, path)
        except TitansDNAError:
            self.close()
            raise

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_opened": None, "_columns": {}}

    def __repr__(self) -> str:
        each = "one vector per base" if self.ragged else "one vector each"
        return f"Embeddings({self.path!r}, {len(self):,} regions, {each} of {self.width:,} numbers)"

    def __len__(self) -> int:
        return int(self._file["regions/start"].shape[0])

    def __getitem__(self, row: int) -> Vectors:
        number = int(row)
        if not -len(self) <= number < len(self):
            raise IndexError(f"row {number} of {len(self)}")
        number %= len(self)
        return self.vectors(number, number + 1) if self.ragged else self.vectors(number, number + 1)[0]

    def __getitems__(self, rows: Sequence[int]) -> list[Vectors]:
        """Return several items at once (torch's loaders ask so)."""
        if self.ragged:
            return [self[row] for row in rows]
        return list(self.take(np.asarray(rows, np.int64)))

    @property
    def _file(self) -> Any:
        """The open file; a forked process opens it again, because HDF5 cannot share an open file between processes."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened, self._columns = (os.getpid(), _open(self.path)), {}
        return self._opened[1]

    @property
    def width(self) -> int:
        """Numbers in one vector."""
        return int(self._file["embeddings"].shape[1])

    @property
    def ragged(self) -> bool:
        """Whether a region has one vector per base."""
        return "offsets" in self._file

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the file, which say how the vectors were made."""
        with damage_said(self.path, _REMEDY):
            return {
                key: value.item() if isinstance(value, np.generic) else value for key, value in self._file.attrs.items()
            }

    @property
    def contigs(self) -> dict[str, tuple[int, str]]:
        """Length in bases and MD5 by contig name."""
        names, lengths, sums = (self._read(f"contigs/{key}").tolist() for key in ("name", "length", "md5"))
        return {name: (length, md5) for name, length, md5 in zip(names, lengths, sums, strict=True)}

    @property
    def shard_rows(self) -> Rows | None:
        """Numbers of the rows of the whole that this shard holds; None for a whole file."""
        return self._read("rows") if "rows" in self._file else None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns under /regions, with those added by hand that have a value for every region."""
        with damage_said(self.path, _REMEDY):
            group = self._file["regions"]
            if not self._columns:
                found = {key: find(group, key) for key in group}
                fitting = [key for key, item in found.items() if getattr(item, "shape", None) == (len(self),)]
                self._columns = {key: dataset(group, key) for key in fitting}
        return tuple(self._columns)

    @property
    def further(self) -> tuple[str, ...]:
        """Names of the columns that only files of a sample's haplotypes have."""
        return tuple(name for name in HAPLOTYPE_COLUMNS if name in self.columns)

    def column(self, name: str, start: int = 0, end: int | None = None) -> np.ndarray[Any, np.dtype[Any]]:
        """Read one column of /regions.

        Raises
        ------
        FormatError
            If there is no such column.
        """
        if name not in self.columns:
            raise FormatError(f"has no column {name!r} of regions. It has {', '.join(self.columns)}.", path=self.path)
        return self._read(f"regions/{name}", start, end)

    def counts(self, start: int = 0, end: int | None = None) -> Rows | None:
        """Read the number of vectors of each region; None if the file is not ragged."""
        if not self.ragged:
            return None
        last = len(self) if end is None else min(end, len(self))
        found: Rows = np.diff(self._read("offsets", start, last + 1))
        if (found < 0).any():
            raise FormatError(f"has offsets that do not ascend. {_REMEDY}", path=self.path)
        return found

    def vectors(self, start: int = 0, end: int | None = None) -> Vectors:
        """Read the vectors of rows start to end (0-based half-open): (n, width), or (bases, width) in a ragged file."""
        if self.ragged:
            last = len(self) if end is None else min(end, len(self))
            start, end = (int(self._read("offsets", row, row + 1)[0]) for row in (min(start, last), last))
            if not 0 <= start <= end <= self._file["embeddings"].shape[0]:
                raise FormatError(f"has offsets {start} to {end}, which are not there. {_REMEDY}", path=self.path)
        return self._read("embeddings", start, end)

    def take(self, rows: Rows) -> Vectors:
        """Read the vectors of some rows, (n, width), in the given order; a row may be given several times.

        Raises
        ------
        FormatError
            If the file is ragged, because its items differ in shape.
        """
        if self.ragged:
            raise FormatError("is ragged: regions differ in their number of vectors. Read them by row.", path=self.path)
        # Sorted and without repeats, because near rows are then read together; `back` restores the order that was asked
        # for.
        wanted, back = np.unique(rows, return_inverse=True)
        result = np.empty((len(wanted), self.width), self._file["embeddings"].dtype)
        for first, last in _runs(wanted):
            low, high = int(wanted[first]), int(wanted[last - 1]) + 1
            result[first:last] = self.vectors(low, high)[wanted[first:last] - low]
        return result[back]

    def intervals(self, start: int = 0, end: int | None = None) -> list[Interval]:
        """Read the regions of rows start to end (0-based half-open)."""
        columns = [self.column(key, start, end).tolist() for key in ("contig", "start", "end", "strand", "name")]
        return [Interval(*row) for row in zip(*columns, strict=True)]

    def outcomes(self, start: int = 0, end: int | None = None) -> list[str]:
        """Read the outcomes of rows start to end (0-based half-open)."""
        return [str(text) for text in self.column("outcome", start, end)]

    def select(
        self,
        rows: Sequence[int] | Rows | slice | None = None,
        *,
        name: str | None = None,
        region: str | Interval | None = None,
    ) -> Selection:
        """Choose regions by row, by exact name and by overlap; all given conditions must hold.

        Parameters
        ----------
        rows
            Rows in any order, or a slice; None for all rows.
        name
            Name of the regions.
        region
            Region with which they must share a base: an `Interval`, or text as in samtools (1-based, inclusive).

        Raises
        ------
        ContigUnknown, FormatError
            If the region cannot be read, or its contig was not embedded.
        IndexError
            If there is no such row.
        """
        chosen = np.arange(len(self)) if rows is None else np.arange(len(self))[rows]
        if name is not None:
            chosen = chosen[np.isin(chosen, self._matching(lambda at, end: self.column("name", at, end) == name))]
        if region is not None:
            lengths = {contig: pair[0] for contig, pair in self.contigs.items()}
            place = region if isinstance(region, Interval) else Interval.parse(region, lengths)
            chosen = chosen[np.isin(chosen, self._matching(lambda at, end: self._overlap(place, at, end)))]
        return Selection(self, chosen)

    def batches(self, rows: int = _BATCH) -> Iterator[tuple[list[Interval], Vectors]]:
        """Yield regions and vectors, ``rows`` rows at a time."""
        for start in range(0, len(self), rows):
            yield self.intervals(start, start + rows), self.vectors(start, start + rows)

    def to_pandas(self) -> Any:
        """Read everything into a frame (see `titans_dna.io.embeddings.convert.embeddings_frame`)."""
        from titans_dna.io.embeddings.convert import embeddings_frame

        return embeddings_frame(self)

    def to_anndata(self) -> Any:
        """Read everything into AnnData (see `titans_dna.io.embeddings.convert.embeddings_anndata`)."""
        from titans_dna.io.embeddings.convert import embeddings_anndata

        return embeddings_anndata(self)

    def close(self) -> None:
        """Close the file."""
        if self._opened is not None and self._opened[0] == os.getpid():
            self._opened[1].close()
            self._opened = None

    def _read(self, name: str, start: int = 0, end: int | None = None) -> np.ndarray[Any, np.dtype[Any]]:
        """Read rows of a dataset, text as text."""
        with damage_said(self.path, _REMEDY):
            found = self._file[name]
            return (found.asstr() if found.dtype.kind in "OS" else found)[start:end]

    def _matching(self, test: Any) -> Rows:
        """Return the rows that pass a test, which is applied to blocks of rows."""
        starts = range(0, len(self), _BLOCK)
        found = [np.flatnonzero(test(start, start + _BLOCK)) + start for start in starts]
        return np.concatenate([np.zeros(0, np.int64), *found])

    def _overlap(self, place: Interval, start: int, end: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Tell which regions of a block share a base with a place."""
        low = np.maximum(self.column("start", start, end), place.start)
        high = np.minimum(self.column("end", start, end), place.end)
        # Contig names are the slowest column to read, so they are compared only where the coordinates overlap.
        near = low < high
        if near.any():
            near &= self.column("contig", start, end) == place.contig
        return near


class Selection:
    """Some rows of a file of embeddings, which are read when they are asked for; itself a map-style data set."""

    def __init__(self, embeddings: Embeddings, rows: Rows) -> None:
        self.embeddings, self.rows = embeddings, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> Vectors:
        return self.embeddings[int(self.rows[number])]

    def __getitems__(self, numbers: Sequence[int]) -> list[Vectors]:
        """Return several items at once (torch's loaders ask so)."""
        return self.embeddings.__getitems__(self.rows[np.asarray(numbers, np.int64)].tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Vectors:
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    def numpy(self) -> Vectors:
        """Read the vectors: (n, width), or in a ragged file (bases of all regions, width)."""
        if self.embeddings.ragged:
            none = np.zeros((0, self.embeddings.width), np.float32)
            return np.concatenate([self.embeddings[row] for row in self.rows]) if len(self) else none
        return self.embeddings.take(self.rows)

    def intervals(self) -> list[Interval]:
        """Read the regions."""
        return [interval for row in self.rows.tolist() for interval in self.embeddings.intervals(row, row + 1)]


def open_embeddings(path: str | os.PathLike[str]) -> Embeddings:
    """Open a file of embeddings for reading.

    Raises
    ------
    InputMissing
        If the file, or a shard to which a virtual file points, does not exist.
    FormatError
        If the file is not HDF5, has another layout, or is of a later version.
    """
    return Embeddings(os.fspath(path))


def _open(name: str) -> Any:
    """Open the file."""
    import h5py

    if not os.path.isfile(name):  # noqa: PTH113
        if os.path.isdir(f"{name}.work"):  # noqa: PTH112
            raise InputMissing(
                "is not complete yet: a run is writing it, or was stopped. Wait, or run it again with --resume.",
                path=name,
            )
        raise InputMissing("there is no such file. Check the path.", path=name)
    check_heaps(name)
    try:
        return h5py.File(name, "r")
    except (OSError, RuntimeError, ValueError):
        raise FormatError(
            "is no HDF5 file, or it is damaged. Make it again with `titans-dna embed`.", path=name
        ) from None


def _check(file: Any, name: str) -> None:
    """Refuse a file of another layout, and one whose parts do not fit together or point out of its folder."""
    check_attributes(file)
    needed = ("embeddings", *_CHECKED)
    missing = [key for key in needed if find(file, key) is None]
    version = file.attrs.get("format_version", 0)
    if missing or not 1 <= version <= FORMAT_VERSION:
        what = f"lacks {missing[0]!r}" if missing else f"has format version {version}, not {FORMAT_VERSION}"
        raise FormatError(f"{what}. Make it with `titans-dna embed` of this version.", path=name)
    found = {key: dataset(file, key, kinds) for key, kinds in _CHECKED.items()}
    found |= {key: dataset(file, key, KINDS["integer"]) for key in _OPTIONAL if find(file, key) is not None}
    vectors = dataset(file, "embeddings", KINDS["score"], ndim=2)
    rows = len(found["regions/start"])
    wanted = {key: rows for key in found if key.startswith("regions/")} | {
        key: len(found["contigs/name"]) for key in found if key.startswith("contigs/")
    }
    wanted |= {key: count for key, count in (("offsets", rows + 1), ("rows", rows)) if key in found}
    odd = [
        f"{key} has {len(found[key])} rows, not {count}" for key, count in wanted.items() if len(found[key]) != count
    ]
    if "offsets" not in found and len(vectors) != rows:
        odd.append(f"embeddings has {len(vectors)} rows, not {rows}")
    if not vectors.shape[1]:
        odd.append("embeddings has no columns")
    if odd:
        raise FormatError(f"{odd[0]}. {_REMEDY}", path=name)
    if vectors.compression is None and vectors._filters:
        import hdf5plugin  # noqa: F401 - registers the filters that are not HDF5's own


def _runs(rows: Rows, gap: int = 32) -> Iterator[tuple[int, int]]:
    """Yield the borders of stretches of sorted rows without large gaps, which are worth reading at once."""
    cuts = np.flatnonzero(np.diff(rows) > gap) + 1
    borders = [0, *cuts.tolist(), len(rows)]
    for first, last in pairwise(borders):
        if first < last:
            yield first, last
