"""A write of HDF5 that fails ends as an error of the system, and nothing is left."""

from __future__ import annotations

import resource
import signal
from contextlib import contextmanager

import numpy as np
import pytest

from titans_dna.errors import OutputError
from titans_dna.io.tables.score_table import Column, ScoreTableWriter
from titans_dna.io.tables.track_set import write_tracks

VALUES = np.random.default_rng(1).random(100_000).astype(np.float32)


@contextmanager
def small_files():
    """No file may grow beyond 4 kB."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def write_table(path):
    with ScoreTableWriter(path, [Column("score", "score")]) as table:
        for value in VALUES:
            table.write({"score": value})


def write_arrays(path):
    with write_tracks(path, {"a": len(VALUES)}, ["A"], {}) as tracks:
        tracks.add("a", {"A": VALUES})


@pytest.mark.parametrize(("write", "suffix"), [(write_table, ".h5"), (write_table, ".parquet"), (write_arrays, ".h5")])
def test_what_does_not_fit_is_one_line(tmp_path, write, suffix):
    pytest.importorskip("pyarrow" if suffix == ".parquet" else "h5py")
    with pytest.raises(OutputError, match=f"t{suffix}: the file is too large"), small_files():
        write(tmp_path / f"t{suffix}")
    assert not list(tmp_path.iterdir())
