"""Text of any length is kept in HDF5."""

from __future__ import annotations

import h5py
import pytest

from titans_dna.io.disk.hdf5_metadata import LONG, read_metadata, write_metadata


@pytest.mark.parametrize("size", [0, 60_000, 60_001, 300_000])
def test_text_comes_back(tmp_path, size):
    """An attribute holds 64 kB: the ranges of a shard of many contigs are longer."""
    told = {"model": "a ü", "rows": "1" * size}
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write_metadata(file, told)
        assert (LONG in file) == (size > 60_000)
    with h5py.File(tmp_path / "x.h5") as file:
        assert read_metadata(file) == told
