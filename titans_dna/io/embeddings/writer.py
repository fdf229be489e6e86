"""Writes embeddings of regions to HDF5, with their coordinates, and checksums of model and sequence.

    /embeddings           (n, width) float32, float16 or float64; one row per region, in the order of the input; nan
                          where a region has no vector (see its outcome). For ragged files (b, width): one row per base
    /offsets              (n + 1,) int64, ragged files only: region i has the rows offsets[i] to offsets[i + 1] of
                          /embeddings, its bases from the contig's left to its right
    /regions/contig       (n,) text, as the FASTA calls it; as asked where the FASTA has no such contig
    /regions/start, end   (n,) int64, 0-based half-open, as asked: an end beyond the contig is kept
    /regions/strand, name (n,) text, as asked; the strand that was read is the attribute ``strand``
    /regions/outcome      (n,) text: "embedded"; "clipped", embedded up to the end of the contig, which lies before that
                          of the region; "reference_n", "contig_unknown", "beyond_contig", "empty", or "malformed": a
                          line that is no interval, whose name says why
    /regions/haplotype    (n,) int64, 1 or 2: only where regions are those of a sample's haplotypes, whose names end in
                          /1 and /2, and so are the following. The outcome may then be "deleted", too
    /regions/haplotype_start, haplotype_end
                          (n,) int64, where the region lies on the haplotype; start and end are those on the reference
    /regions/haplotype_distance
                          (n,) float64, 1 - cosine of the angle between the vectors of the region's two haplotypes, the
                          same in both rows; nan if one has no vector
    /contigs/name         (m,) text      /contigs/length (m,) int64      /contigs/md5 (m,) text (SAM M5)
    /rows                 (n,) int64, shards only: the row of each region in the whole, ascending
    attributes            format_version, created (UTC; of SOURCE_DATE_EPOCH where that is set), and what the writer is
                          given: model, weights_sha256, layer, pooling, bins, context, strand, tokenizer, fasta,
                          soft_mask, unknown_bases, package_version, command, rows; for a shard, shard as i/n and
                          regions_sha256

A vector of several layers holds the features of one layer after the other; a vector of bins:N holds the vectors of one
bin after the other. Chunks are whole rows of about 256 kB, so a row is read in a fraction of a millisecond, and reading
everything is not slower. Vectors are not compressed unless asked for (``lzf``, ``gzip``, or ``blosc2``, for which other
readers need hdf5plugin). Features are noise in all but their leading bits, so compression gains only 4 to 16%: by
blosc2 at 0.6 to 0.7 of the speed, by the others at less than half (benchmarks/results/embed_writing.md).

The file appears under its name only when it is complete and on disk. Readers cannot follow the writing (SWMR): contigs
are read one after the other, but rows are in the order of the input, so no part of the file is final before the end.
Finished parts are in the folder ``NAME.work`` beside it (see `titans_dna.jobs.work_folder`).
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np

from titans_dna.errors import FormatError
from titans_dna.genome.interval import Interval
from titans_dna.io.disk.atomic import atomic_path, disk_errors
from titans_dna.io.disk.hdf5_file import DiskFile

FORMAT_VERSION = 1
CHUNK_BYTES = 1 << 18  # bytes of a chunk of vectors
BLOCK_BYTES = 4 << 20  # bytes of vectors that are read or written at once
CHUNK_ROWS = 1024  # rows of a chunk of coordinates
MOST_TEXT_BYTES = 64  # longest text that is stored with a fixed width
COMPRESSIONS = ("none", "lzf", "gzip", "blosc2")
DTYPES = ("float16", "float32", "float64")
COLUMNS = ("contig", "start", "end", "strand", "name", "outcome")  # of /regions
TEXT_COLUMNS = ("contig", "strand", "name", "outcome")
HAPLOTYPE_COLUMNS: dict[str, Any] = {
    "haplotype": np.int64, "haplotype_start": np.int64, "haplotype_end": np.int64, "haplotype_distance": np.float64,
}  # fmt: skip
EMBEDDED = "embedded"


@dataclass(frozen=True, kw_only=True, eq=False)
class Outline:
    """What a whole job knows about its file before the first row is written."""

    shard: bool = False  # whether the file is a shard, which records its rows of the whole
    virtual: Any = None  # h5py.VirtualLayout of vectors in other files, instead of vectors that are appended
    #: Bytes of the longest text in columns of /regions, since text of a fixed width is written faster. If it is not
    #: known, or is above 64, the width is variable.
    text_bytes: Mapping[str, int] = field(default_factory=dict)
    further: Sequence[str] = ()  # columns of /regions besides those that every file has, of `HAPLOTYPE_COLUMNS`


class EmbeddingWriter:
    """Writes vectors with their regions; a context manager. The file appears only at a clean end.

    Parameters
    ----------
    path
        Output.
    width
        Numbers in one vector.
    contigs
        Length in bases and MD5 by contig name.
    attributes
        How the vectors were made: text, numbers or lists of these, by key.
    dtype
        ``float32``, or ``float16`` or ``float64``.
    compression
        One of `COMPRESSIONS`.
    ragged
        Whether a region has as many vectors as its ``counts`` say.
    outline
        What a whole job knows about its file before the first row.

    Raises
    ------
    FormatError
        If ``dtype`` or ``compression`` is unknown.
    OutputError
        If the file cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        width: int,
        contigs: Mapping[str, tuple[int, str]],
        attributes: Mapping[str, Any],
        dtype: str = "float32",
        *,
        compression: str = "none",
        ragged: bool = False,
        outline: Outline | None = None,
    ) -> None:
        import h5py

        if dtype not in DTYPES:
            raise FormatError(f"embeddings cannot be stored as {dtype!r}. Use float32, float16 or float64.", path=path)
        self.path, self.width, self.rows, self.vectors = os.fspath(path), width, 0, 0
        self._dtype, self._ragged, self._outline = np.dtype(dtype), ragged, outline or Outline()
        self._stack = ExitStack()
        self._temporary = self._stack.enter_context(atomic_path(path))
        try:
            with disk_errors(self.path):
                self._disk = self._stack.enter_context(DiskFile(self._temporary))
                # Left in reverse order: HDF5 closes its file, the bytes are secured on disk, and only then the file is
                # renamed.
                self._stack.push(self._to_disk)
                self._file = self._stack.enter_context(h5py.File(self._disk, "w", libver=("v110", "v110")))
                self._lay_out(packing(compression))
                lay_out_regions(self._file, contigs, attributes, self._outline.text_bytes)
                for key in self._outline.further:
                    self._file.create_dataset(
                        f"regions/{key}", (0,), HAPLOTYPE_COLUMNS[key], maxshape=(None,), chunks=(CHUNK_ROWS,)
                    )
        except BaseException:
            self.abort()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def append(
        self,
        intervals: Sequence[Interval],
        vectors: np.ndarray[Any, np.dtype[Any]],
        *,
        outcomes: Sequence[str] | None = None,
        counts: np.ndarray[Any, np.dtype[Any]] | None = None,
        rows: np.ndarray[Any, np.dtype[Any]] | None = None,
    ) -> None:
        """Append n intervals with their vectors (n, width); (sum of counts, width) for a ragged file.

        Parameters
        ----------
        intervals, vectors
            Coordinates as they are written, and the vectors.
        outcomes
            One per interval; "embedded" by default.
        counts
            Number of vectors of each interval; only for ragged files.
        rows
            Rows of the whole, ascending; only for shards.

        Raises
        ------
        FormatError
            If the shapes do not agree, or a value does not fit the type of the file.
        OutputError
            If the disk is full.
        """
        columns: dict[str, Any] = {
            key: np.array([getattr(interval, key) for interval in intervals], np.int64) for key in ("start", "end")
        }
        columns |= {key: [getattr(interval, key) for interval in intervals] for key in ("contig", "strand", "name")}
        columns["outcome"] = [EMBEDDED] * len(intervals) if outcomes is None else outcomes
        self.append_columns(columns, vectors, counts=counts, rows=rows)

    def append_columns(
        self,
        columns: Mapping[str, Any],
        vectors: np.ndarray[Any, np.dtype[Any]] | None,
        *,
        counts: np.ndarray[Any, np.dtype[Any]] | None = None,
        rows: np.ndarray[Any, np.dtype[Any]] | None = None,
    ) -> None:
        """Append regions that are given as columns of /regions; the rest is as in `append`."""
        number = len(columns["start"])
        expected = (number if counts is None else int(np.sum(counts)), self.width)
        shape = expected if vectors is None else np.shape(vectors)
        if shape != expected or (counts is None) == self._ragged or (rows is None) == self._outline.shard:
            raise FormatError(f"embeddings have the shape {shape} where {expected} is needed.", path=self.path)
        with disk_errors(self.path):
            if vectors is not None:
                self._extend("embeddings", self.vectors, self._fitting(np.asarray(vectors)))
            for key, values in columns.items():
                text = key in TEXT_COLUMNS
                dtype = self._file[f"regions/{key}"].dtype
                self._extend(f"regions/{key}", self.rows, _text(values, dtype) if text else np.asarray(values, dtype))
            if counts is not None:
                self._extend("offsets", self.rows + 1, self.vectors + np.cumsum(counts, dtype=np.int64))
            if rows is not None:
                self._extend("rows", self.rows, np.asarray(rows, np.int64))
            self._disk.check()
        self.rows, self.vectors = self.rows + number, self.vectors + expected[0]

    def close(self) -> None:
        """Complete the file, and give it its name.

        Raises
        ------
        OutputError
            If the disk is full.
        """
        with disk_errors(self.path):
            self._stack.close()

    def abort(self) -> None:
        """Delete what was written."""
        # As if the block had raised, so that nothing is renamed.
        self._stack.__exit__(InterruptedError, InterruptedError("given up"), None)

    def _extend(self, name: str, start: int, values: np.ndarray[Any, np.dtype[Any]]) -> None:
        """Append values to a dataset."""
        dataset = self._file[name]
        dataset.resize(start + len(values), axis=0)
        if len(values):
            dataset[start:] = values

    def _fitting(self, vectors: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
        """Return the vectors in the number format of the file; refuse a value that would become infinite."""
        with np.errstate(over="ignore"):
            cast = vectors.astype(self._dtype, copy=False)
        if cast.dtype.itemsize < vectors.dtype.itemsize and np.isinf(cast).any() and not np.isinf(vectors).any():
            largest = float(np.nanmax(np.abs(vectors)))
            raise FormatError(f"a feature of {largest:.6g} does not fit {self._dtype}. Use float32.", path=self.path)
        return cast

    def _to_disk(self, kind: type[BaseException] | None, *_: object) -> None:
        """Secure the closed file on disk before it gets its name."""
        if kind is None:
            self._disk.check()
            os.fsync(self._disk.fileno())

    def _lay_out(self, packed: Mapping[str, Any]) -> None:
        """Create the datasets for the vectors."""
        rows = max(1, CHUNK_BYTES // max(1, self.width * self._dtype.itemsize))
        if self._outline.virtual is not None:
            self._file.create_virtual_dataset("embeddings", self._outline.virtual, fillvalue=np.nan)
        else:
            shape, most = (0, self.width), (None, self.width)
            chunks = (rows, max(1, self.width))
            self._file.create_dataset("embeddings", shape, self._dtype, maxshape=most, chunks=chunks, **packed)
        if self._ragged:
            self._file.create_dataset("offsets", (1,), np.int64, maxshape=(None,), chunks=(CHUNK_ROWS,))
        if self._outline.shard:
            self._file.create_dataset("rows", (0,), np.int64, maxshape=(None,), chunks=(CHUNK_ROWS,))


def vector_blocks(
    start: int, end: int, width: int, offsets: np.ndarray[Any, np.dtype[Any]] | None = None
) -> Iterator[tuple[int, int]]:
    """Yield stretches of rows, 0-based half-open, whose vectors have `BLOCK_BYTES` together; a large row comes alone.

    Parameters
    ----------
    start, end
        Rows to divide.
    width
        Numbers of a vector.
    offsets
        (rows + 1,) first vector of every row; None for one vector each.
    """
    most = max(1, BLOCK_BYTES // (4 * width))
    while start < end:
        last = start + most
        if offsets is not None:
            last = int(np.searchsorted(offsets, offsets[start] + most, side="right")) - 1
        last = min(max(start + 1, last), end)
        yield start, last
        start = last


def lay_out_regions(
    file: Any, contigs: Mapping[str, tuple[int, str]], attributes: Mapping[str, Any], text_bytes: Mapping[str, int]
) -> None:
    """Create everything but the vectors: /regions without rows, /contigs, and the attributes."""
    import h5py

    text = h5py.string_dtype("utf-8")
    widths = {**text_bytes, "strand": 1, "outcome": 16}
    for key in COLUMNS:
        fixed = key in TEXT_COLUMNS and 0 <= widths.get(key, -1) <= MOST_TEXT_BYTES
        kind = h5py.string_dtype("utf-8", max(1, widths[key])) if fixed else text if key in TEXT_COLUMNS else np.int64
        file.create_dataset(f"regions/{key}", (0,), kind, maxshape=(None,), chunks=(CHUNK_ROWS,))
    file.create_dataset("contigs/name", data=np.array(list(contigs), object), dtype=text)
    file.create_dataset("contigs/length", data=np.array([pair[0] for pair in contigs.values()], np.int64))
    file.create_dataset("contigs/md5", data=np.array([pair[1] for pair in contigs.values()], object), dtype=text)
    for key, value in {"format_version": FORMAT_VERSION, "created": _now(), **attributes}.items():
        file.attrs[key] = value


def _text(values: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, np.dtype[Any]]:
    """Return text in the form that a dataset takes: objects, or UTF-8 of a fixed width."""
    if dtype.kind == "O":
        return np.asarray(values, object)
    found = np.array([value.encode() if isinstance(value, str) else value for value in values], "S")
    assert found.dtype.itemsize <= dtype.itemsize, "a text is longer than was said"
    return found.astype(dtype)


def packing(compression: str) -> dict[str, Any]:
    """Return the settings of h5py for a compression.

    Raises
    ------
    FormatError
        If the compression is unknown.
    """
    if compression not in COMPRESSIONS:
        raise FormatError(f"compression is {compression!r}. Use one of {', '.join(COMPRESSIONS)}.")
    if compression == "blosc2":
        import hdf5plugin

        return dict(hdf5plugin.Blosc2(cname="lz4", clevel=5, filters=hdf5plugin.Blosc2.BITSHUFFLE))
    settings: dict[str, dict[str, Any]] = {
        "none": {},
        "lzf": {"compression": "lzf", "shuffle": True},
        "gzip": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
    }
    return settings[compression]


def _now() -> str:
    """Return the time in ISO 8601, UTC, or SOURCE_DATE_EPOCH if it is set, so that a run can be repeated exactly."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = (
        datetime.datetime.fromtimestamp(int(epoch), datetime.UTC)
        if epoch.isdecimal()
        else datetime.datetime.now(datetime.UTC)
    )
    return moment.isoformat(timespec="seconds")
