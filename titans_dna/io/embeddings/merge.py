"""Merges shards of embeddings into one file: they are checked for origin and coverage, and then copied or pointed to.

Shards fit together if all their attributes agree (weights, layer, pooling, context, ...), and if they were made from
the same contigs (MD5) and regions (SHA-256). Together they must hold every row of the whole exactly once. The rows of
the merged file are those of a run without shards.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.errors import ConfigError, FormatError
from titans_dna.io.disk.hdf5_reader import damage_said
from titans_dna.io.embeddings.reader import Embeddings, open_embeddings
from titans_dna.io.embeddings.writer import COLUMNS, EmbeddingWriter, Outline, vector_blocks

OWN = ("shard", "command", "created", "fasta")  # attributes in which shards may differ
OF_SHARDS = ("shard", "created", "regions_sha256")  # attributes that the merged file does not take over
MOST_STRETCHES = 20_000  # most pieces of a virtual file; HDF5 looks through all of them at every read


def merge_embeddings(
    paths: Sequence[Path],
    output: Path,
    *,
    virtual: bool = False,
    command: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Merge shards and return the number of rows.

    Parameters
    ----------
    paths
        All shards of one job, in any order.
    output
        HDF5 file.
    virtual
        Whether to point to the vectors in the shards (an HDF5 virtual dataset with relative paths) instead of copying
        them; coordinates are copied in any case.
    command
        Command of the merge, recorded after that of the first shard.
    progress
        Called with the number of rows written since the last call, and the number of all rows.

    Raises
    ------
    ConfigError
        If the shards are not of one job, or rows are missing or given twice.
    FormatError, InputMissing
        If a file is not a shard of embeddings.
    OutputError
        If the output cannot be written.
    """
    with ExitStack() as stack:
        shards = [stack.enter_context(open_embeddings(path)) for path in paths]
        rows = [_rows(shard) for shard in shards]
        total = _check_origin(shards)
        _check_coverage(shards, rows, total)
        first, file = shards[0], shards[0]._file["embeddings"]
        attributes = {key: value for key, value in first.attributes.items() if key not in OF_SHARDS}
        attributes["command"] = "; ".join(filter(None, [attributes.get("command", ""), command]))
        layout = _layout(shards, rows, total, output) if virtual else None
        with EmbeddingWriter(
            output, first.width, first.contigs, attributes, str(file.dtype), compression=_compression(file),
            ragged=first.ragged,
            outline=Outline(virtual=layout, text_bytes=_text_bytes(first), further=first.further),
        ) as writer:  # fmt: skip
            for columns, vectors, counts in _blocks(shards, rows, total, with_vectors=not virtual):
                writer.append_columns(columns, vectors, counts=counts)
                progress(len(columns["start"]), total)
    return total


def _rows(shard: Embeddings) -> np.ndarray:
    """Return the rows of the whole that a shard holds; refuse a whole file."""
    rows = shard.shard_rows
    if rows is None:
        raise FormatError(
            "is a whole file, not a shard. Merge what `titans-dna embed --shard i/n` wrote.", path=shard.path
        )
    return rows


def _check_origin(shards: Sequence[Embeddings]) -> int:
    """Refuse shards of different jobs; return the number of rows of the whole."""
    first = shards[0]
    said = {key: value for key, value in first.attributes.items() if key not in OWN}
    for other in shards[1:]:
        found = {key: value for key, value in other.attributes.items() if key not in OWN}
        differing = sorted(key for key in said.keys() | found.keys() if said.get(key) != found.get(key))
        if other.contigs != first.contigs:
            differing.append("contigs (names, lengths, MD5)")
        if (other.width, other.ragged, other._file["embeddings"].dtype) != (
            first.width, first.ragged, first._file["embeddings"].dtype,
        ):  # fmt: skip
            differing.append("width or type")
        if differing:
            raise ConfigError(
                f"{other.path} differs from {first.path} in {', '.join(differing)}. Merge shards of one job."
            )
        if _shard(other).partition("/")[2] != _shard(first).partition("/")[2]:
            raise ConfigError(
                f"{other.path} is shard {_shard(other)} and {first.path} is {_shard(first)}. Merge shards of one job."
            )
    with damage_said(first.path):
        return int(said["rows"])


def _shard(embeddings: Embeddings) -> str:
    """Return which shard a file is, as i/n."""
    name = embeddings.attributes.get("shard")
    if not re.fullmatch("[0-9]{1,9}/[0-9]{1,9}", str(name)):
        raise FormatError(
            f"says that it is shard {name!r}, which must be like 1/8. Make it again.", path=embeddings.path
        )
    return str(name)


def _check_coverage(shards: Sequence[Embeddings], rows: Sequence[np.ndarray], total: int) -> None:
    """Refuse shards that do not hold every row exactly once."""
    names = [_shard(shard) for shard in shards]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"shard {', '.join(twice)} is given twice. Name each file once.")
    for shard, found in zip(shards, rows, strict=True):
        if len(found) and not (found[0] >= 0 and found[-1] < total and (np.diff(found) > 0).all()):
            raise FormatError(f"has rows that are not of {total:,} or do not ascend. Make it again.", path=shard.path)
    # Memory is taken for the rows that are there, because a damaged file may claim any total.
    there, times = np.unique(np.concatenate(rows), return_counts=True)
    if odd := total - len(there) + int((times > 1).sum()):
        count = int(names[0].partition("/")[2])
        lacking = [f"{i}/{count}" for i in range(1, count + 1) if f"{i}/{count}" not in names]
        what = f"shard {', '.join(lacking)} is missing" if lacking else "some rows are there twice or missing"
        raise ConfigError(f"{odd:,} of {total:,} rows are not covered once: {what}.")


def _blocks(
    shards: Sequence[Embeddings], rows: Sequence[np.ndarray], total: int, *, with_vectors: bool
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray | None, np.ndarray | None]]:
    """Yield columns, vectors and, if ragged, numbers of vectors of the whole, block by block."""
    for start, end in vector_blocks(0, total, shards[0].width):
        # The rows of a shard ascend, so those that fall into a block are one span of it.
        spans = [np.searchsorted(found, [start, end]).tolist() for found in rows]
        order = np.argsort(np.concatenate([f[low:high] for f, (low, high) in zip(rows, spans, strict=True)]))
        pieces = list(zip(shards, spans, strict=True))
        columns = {
            key: np.concatenate([shard.column(key, low, high) for shard, (low, high) in pieces])[order]
            for key in (*COLUMNS, *shards[0].further)
        }
        counts = None
        if shards[0].ragged:
            counts = np.concatenate([np.asarray(shard.counts(low, high)) for shard, (low, high) in pieces])
        vectors = None
        if with_vectors:
            vectors = np.concatenate([shard.vectors(low, high) for shard, (low, high) in pieces])
            vectors = vectors[order if counts is None else _spread(counts, order)]
        yield columns, vectors, counts if counts is None else counts[order]


def _spread(counts: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return the order of vectors that belongs to an order of regions with ``counts`` vectors each."""
    ends = np.cumsum(counts)
    stretches = [np.arange(ends[i] - counts[i], ends[i]) for i in order]
    return np.concatenate([np.zeros(0, np.int64), *stretches])


def _layout(shards: Sequence[Embeddings], rows: Sequence[np.ndarray], total: int, output: Path) -> Any:
    """Return an HDF5 layout of where each stretch of vectors of the whole lies in the shards."""
    import h5py

    counts = np.ones(total, np.int64)
    for shard, found in zip(shards, rows, strict=True):
        if (numbers := shard.counts()) is not None:
            counts[found] = numbers
    offsets = np.concatenate([[0], np.cumsum(counts)])
    first = shards[0]
    layout = h5py.VirtualLayout((int(offsets[-1]), first.width), first._file["embeddings"].dtype)
    stretches = 0
    for shard, found in zip(shards, rows, strict=True):
        # Relative, so that the folder with all files can be moved.
        relative = os.path.relpath(shard.path, output.parent)
        if relative.startswith(".."):
            raise ConfigError(
                f"{shard.path} lies outside of the folder of {output}, where a virtual file finds no shards. Put "
                f"the output beside or above the shards, or merge by copying."
            )
        source = h5py.VirtualSource(relative, "embeddings", shape=shard._file["embeddings"].shape)
        # A stretch of rows that follow each other both in the shard and in the whole is one piece of the virtual file.
        cuts = [0, *(np.flatnonzero(np.diff(found) != 1) + 1).tolist(), len(found)]
        stretches += len(cuts) - 1
        if stretches > MOST_STRETCHES:
            raise ConfigError("the rows of the shards alternate too often for a virtual file. Merge by copying.")
        at = 0
        for low, high in pairwise(cuts):
            if low < high:
                start, end = int(offsets[found[low]]), int(offsets[found[high - 1] + 1])
                if start < end:
                    layout[start:end] = source[at : at + end - start]
                at += end - start
    return layout


def _text_bytes(shard: Embeddings) -> dict[str, int]:
    """Return the widths of the text columns, which are the same in every shard of a job."""
    kinds = {key: shard._file[f"regions/{key}"].dtype for key in ("contig", "name")}
    return {key: kind.itemsize for key, kind in kinds.items() if kind.kind == "S"}


def _compression(dataset: Any) -> str:
    """Return the name of the compression of a dataset."""
    if dataset.compression is None:
        return "blosc2" if dataset._filters else "none"
    return str(dataset.compression)
