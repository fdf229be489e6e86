"""Embeddings of regions in HDF5, with the coordinates and check sums that say what they are of.

    /embeddings           (n, width) float16, float32 or float64; chunked, gzip with shuffle
    /regions/contig       (n,) text      /regions/start, end  (n,) int64, 0-based half-open
    /regions/strand, name (n,) text
    /contigs/name         (m,) text      /contigs/length (m,) int64      /contigs/md5 (m,) text (SAM M5)
    attributes            format_version, created, and what the writer is given: model, weights_sha256, layer,
    pooling, context,
                          tokenizer, package_version, command

The file appears under its name only when it is complete.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import numpy as np

from titans_dna.errors import FormatError, InputMissing
from titans_dna.genome.interval import Interval
from titans_dna.io.atomic import atomic_path

__all__ = ["FORMAT_VERSION", "EmbeddingWriter", "Embeddings", "open_embeddings"]

FORMAT_VERSION = 1
_ROWS = 1024  # rows of a chunk at the most
_TEXT = ("contig", "strand", "name")


class EmbeddingWriter:
    """Append vectors with their regions; a context manager, and only its clean end makes the file appear.

    Parameters
    ----------
    path
        Output.
    width
        Numbers in one vector.
    contigs
        Length in bases and MD5 by contig name.
    attributes
        What the vectors were made with; text, numbers or lists of these.
    dtype
        ``float32``, or ``float16`` or ``float64``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        width: int,
        contigs: Mapping[str, tuple[int, str]],
        attributes: Mapping[str, Any],
        dtype: str = "float32",
    ) -> None:
        import h5py

        if dtype not in ("float16", "float32", "float64"):
            raise FormatError(f"embeddings cannot be stored as {dtype!r}. Use float32, float16 or float64.", path=path)
        self.path, self.width, self.rows = os.fspath(path), width, 0
        self._stack = ExitStack()
        temporary = self._stack.enter_context(atomic_path(path))
        try:
            self._file = self._stack.enter_context(h5py.File(temporary, "w"))
            self._lay_out(contigs, attributes, dtype)
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
            self._stack.__exit__(kind, error, trace)

    def append(self, intervals: Sequence[Interval], vectors: np.ndarray[Any, np.dtype[Any]]) -> None:
        """Append the vectors (n, width) of n intervals.

        Raises
        ------
        FormatError
            If the shapes do not agree.
        """
        vectors = np.asarray(vectors)
        if vectors.shape != (len(intervals), self.width):
            expected = (len(intervals), self.width)
            raise FormatError(f"embeddings have the shape {vectors.shape} where {expected} is needed.", path=self.path)
        total = self.rows + len(intervals)
        columns = {"embeddings": vectors}
        for key in ("start", "end"):
            columns[f"regions/{key}"] = np.array([getattr(interval, key) for interval in intervals], np.int64)
        for key in _TEXT:
            columns[f"regions/{key}"] = np.array([getattr(interval, key) for interval in intervals], object)
        for name, values in columns.items():
            dataset = self._file[name]
            dataset.resize(total, axis=0)
            dataset[self.rows : total] = values
        self.rows = total

    def close(self) -> None:
        """Complete the file and give it its name."""
        self._stack.close()

    def abort(self) -> None:
        """Throw away what was written."""
        error = InterruptedError("given up")
        self._stack.__exit__(InterruptedError, error, None)

    def _lay_out(self, contigs: Mapping[str, tuple[int, str]], attributes: Mapping[str, Any], dtype: str) -> None:
        """Make the datasets and attributes."""
        import h5py

        text = h5py.string_dtype("utf-8")
        packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        rows = max(1, min(_ROWS, (1 << 20) // max(1, self.width * np.dtype(dtype).itemsize)))
        self._file.create_dataset(
            "embeddings",
            (0, self.width),
            dtype,
            maxshape=(None, self.width),
            chunks=(rows, max(1, self.width)),
            **packed,
        )
        for key in ("contig", "start", "end", "strand", "name"):
            kind = text if key in _TEXT else np.int64
            self._file.create_dataset(f"regions/{key}", (0,), kind, maxshape=(None,), chunks=(_ROWS,), **packed)
        self._file.create_dataset("contigs/name", data=np.array(list(contigs), object), dtype=text)
        self._file.create_dataset("contigs/length", data=np.array([pair[0] for pair in contigs.values()], np.int64))
        self._file.create_dataset(
            "contigs/md5", data=np.array([pair[1] for pair in contigs.values()], object), dtype=text
        )
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        for key, value in {"format_version": FORMAT_VERSION, "created": created, **attributes}.items():
            self._file.attrs[key] = value


class Embeddings:
    """Vectors of regions read back; made by `open_embeddings`, and a context manager."""

    def __init__(self, file: Any, path: str) -> None:
        self._file, self.path = file, path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return int(self._file["embeddings"].shape[0])

    @property
    def width(self) -> int:
        """Numbers in one vector."""
        return int(self._file["embeddings"].shape[1])

    @property
    def attributes(self) -> dict[str, Any]:
        """What the vectors were made with."""
        return {
            key: value.item() if isinstance(value, np.generic) else value for key, value in self._file.attrs.items()
        }

    @property
    def contigs(self) -> dict[str, tuple[int, str]]:
        """Length in bases and MD5 by contig name."""
        group = self._file["contigs"]
        names, sums = group["name"].asstr()[()], group["md5"].asstr()[()]
        return {name: (int(length), md5) for name, length, md5 in zip(names, group["length"][()], sums, strict=True)}

    def vectors(self, start: int = 0, end: int | None = None) -> np.ndarray[Any, np.dtype[np.floating[Any]]]:
        """Read the vectors of rows start to end (0-based half-open): (n, width)."""
        result: np.ndarray[Any, np.dtype[np.floating[Any]]] = self._file["embeddings"][start:end]
        return result

    def intervals(self, start: int = 0, end: int | None = None) -> list[Interval]:
        """Read the regions of rows start to end (0-based half-open)."""
        group = self._file["regions"]
        text = {key: group[key].asstr()[start:end] for key in _TEXT}
        columns = (text["contig"], group["start"][start:end].tolist(), group["end"][start:end].tolist())
        return [Interval(*row) for row in zip(*columns, text["strand"], text["name"], strict=True)]

    def batches(
        self, rows: int = _ROWS
    ) -> Iterator[tuple[list[Interval], np.ndarray[Any, np.dtype[np.floating[Any]]]]]:
        """Yield regions and vectors, so many rows at a time."""
        for start in range(0, len(self), rows):
            yield self.intervals(start, start + rows), self.vectors(start, start + rows)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_embeddings(path: str | os.PathLike[str]) -> Embeddings:
    """Open a file of embeddings for reading.

    Raises
    ------
    InputMissing
        If the file is not there.
    FormatError
        If it is no HDF5 file, not of this layout, or of a later version.
    """
    import h5py

    name = os.fspath(path)
    if not os.path.isfile(name):  # noqa: PTH113
        raise InputMissing("there is no such file. Check the path.", path=name)
    try:
        file = h5py.File(name, "r")
    except OSError:
        raise FormatError(
            "is no HDF5 file, or it is damaged. Make it again with `titans-dna embed`.", path=name
        ) from None
    missing = [key for key in ("embeddings", "regions/contig", "regions/end", "contigs/md5") if key not in file]
    version = file.attrs.get("format_version", 0)
    if missing or not 1 <= version <= FORMAT_VERSION:
        file.close()
        what = f"lacks {missing[0]!r}" if missing else f"has format version {version}, not {FORMAT_VERSION}"
        raise FormatError(f"{what}. Make it with `titans-dna embed` of this version.", path=name)
    return Embeddings(file, name)
