"""Reads single-base changes of regions from HDF5, as a table with one row for each change.

``/CONTIG:FIRST-LAST`` (1-based) holds ``effects`` (bases, 4) and ``effects_forward``, ``effects_reverse``, float32,
columns A, C, G, T; ``reference`` (bases,) letters; attributes ``contig``, ``start``, ``end`` (0-based half-open).
``/`` in a name is written ``%2F``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.io.disk.hdf5_metadata import LONG, read_metadata
from titans_dna.io.disk.hdf5_reader import dataset, find, read_hdf5
from titans_dna.io.tables.score_table import Column
from titans_dna.io.tables.score_table_reader import Scores

COLUMNS = (
    Column("contig", "text"), Column("position", "integer"), Column("ref", "text"), Column("alt", "text"),
    Column("llr", "score"), Column("llr_forward", "score"), Column("llr_reverse", "score"),
)  # fmt: skip


def open_mutagenesis(path: str | os.PathLike[str]) -> Scores:
    """Open a file of `titans-dna mutagenesis`; ``position`` is 1-based, ``llr`` is ln P(change) - ln P(reference)."""
    with read_hdf5(path) as file:
        return Scores(path=Path(path), columns=COLUMNS, metadata=read_metadata(file), read=_rows)


def _rows(table: Scores) -> Iterator[dict[str, Any]]:
    names = ("effects", "effects_forward", "effects_reverse")
    with read_hdf5(table.path) as file:
        for group in (find(file, name) for name in file if name != LONG):
            letters = dataset(group, "reference", "S")[:].tobytes().decode("ascii")
            scores = np.stack([dataset(group, name, "f", ndim=2)[:] for name in names], -1)
            for place, (ref, values) in enumerate(zip(letters, scores.tolist(), strict=True)):
                where = {"contig": str(group.attrs["contig"]), "position": int(group.attrs["start"]) + place + 1}
                for alt, (mean, forward, reverse) in zip("ACGT", values, strict=True):
                    if alt != ref:
                        numbers = {"llr": mean, "llr_forward": forward, "llr_reverse": reverse}
                        yield {**where, "ref": ref, "alt": alt, **numbers}
