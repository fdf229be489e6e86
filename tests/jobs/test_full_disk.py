"""A full disk ends every kind of writing with one line, and the process goes on."""

from __future__ import annotations

import re
import resource
import signal
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from titans_dna.errors import OutputError
from titans_dna.genome import Interval
from titans_dna.io import EmbeddingWriter
from titans_dna.io.disk.hdf5_file import DiskFile, new_hdf5
from titans_dna.io.disk.mapped import new_array
from titans_dna.io.embeddings.convert import convert_embeddings
from titans_dna.io.tables.bigwig import BigWigTrack
from titans_dna.io.tables.score_table import Column, ScoreTableWriter
from titans_dna.io.tables.track_set import write_tracks

FULL = "(?:the file is too large for its disk|the disk is full)"
RANDOM = np.random.default_rng(3).random(200_000).astype(np.float32)


@contextmanager
def files_of(most_bytes: int):
    """No file may grow beyond this."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, limits[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def write_bigwig(path):
    with BigWigTrack(path, {"a": len(RANDOM)}) as track:
        track.add_contig("a", RANDOM)


def write_anndata(path):
    with ScoreTableWriter(path, [Column("contig", "text"), Column("llr", "score")]) as table:
        table.write_columns({"contig": ["a"] * len(RANDOM), "llr": RANDOM})


def write_table(path):
    with ScoreTableWriter(path, [Column("contig", "text"), Column("llr", "score")]) as table:
        for start in range(0, len(RANDOM), 20_000):
            table.write_columns({"contig": ["a"] * 20_000, "llr": RANDOM[start : start + 20_000]})


def write_arrays(path):
    with write_tracks(path, {"a": len(RANDOM), "b": len(RANDOM)}, ["x"], {}) as tracks:
        tracks.add("a", {"x": RANDOM})
        tracks.add("b", {"x": RANDOM})


@pytest.mark.parametrize("most_bytes", [0, 1000, 10_000, 50_000, 200_000, 500_000])
@pytest.mark.parametrize(
    ("write", "suffix"),
    [(write_bigwig, ".bw"), (write_anndata, ".h5ad"), (write_table, ".h5"), (write_arrays, ".h5")],
)
def test_one_line_and_the_old_file_stays(tmp_path, write, suffix, most_bytes):
    if suffix == ".h5ad":
        pytest.importorskip("anndata")
    path = tmp_path / f"out{suffix}"
    path.write_text("old")
    with pytest.raises(OutputError, match=FULL) as caught, files_of(most_bytes):
        write(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("most_bytes", [0, 1000, 5000, 20_000, 40_000])
def test_embeddings_are_not_converted_onto_a_full_disk(tmp_path, most_bytes):
    pytest.importorskip("anndata")
    with EmbeddingWriter(tmp_path / "e.h5", 8, {"a": (9999, "m")}, {}) as writer:
        writer.append([Interval("a", n, n + 1) for n in range(5000)], RANDOM[:40_000].reshape(5000, 8))
    with pytest.raises(OutputError, match=FULL), files_of(most_bytes):
        convert_embeddings(tmp_path / "e.h5", tmp_path / "e.h5ad")
    assert [path.name for path in tmp_path.iterdir()] == ["e.h5"]


def test_what_a_full_disk_did_not_take_can_be_read_again(tmp_path):
    with files_of(1000), DiskFile(tmp_path / "x") as file:
        file.write(b"a" * 900)
        file.write(b"b" * 300)
        file.seek(0)
        found = bytearray(1200)
        assert file.readinto(found) == 1200
        assert bytes(found) == b"a" * 900 + b"b" * 300
        assert file.seek(0, 2) == 1200
        with pytest.raises(OSError, match="too large"):
            file.check()


def test_a_whole_file_of_hdf5_is_as_before(tmp_path):
    with new_hdf5(tmp_path / "x.h5") as file:
        file["x"] = RANDOM
        file.check_disk()
    import h5py

    with h5py.File(tmp_path / "x.h5") as file:
        assert np.array_equal(file["x"][:], RANDOM)


def test_an_array_on_disk_has_its_place_before_it_is_mapped(tmp_path):
    with pytest.raises(OutputError, match=rf"{re.escape(str(tmp_path))}/a\.npy: {FULL}"), files_of(10_000):
        new_array(tmp_path / "a.npy", (4, 1000))
    assert list(tmp_path.iterdir()) == []
    made = new_array(tmp_path / "a.npy", (4, 1000))
    assert made.shape == (4, 1000)
    assert np.isnan(made).all()
    assert (tmp_path / "a.npy").stat().st_blocks * 512 >= 16_000


def test_a_model_and_a_memory_that_do_not_fit_are_one_line(tmp_path):
    from toy import CONFIG

    from titans_dna.model.backbone import Backbone
    from titans_dna.model.checkpoint import save_checkpoint

    torch.manual_seed(0)
    with pytest.raises(OutputError, match=r"cannot write the model .*File too large"), files_of(5000):
        save_checkpoint(tmp_path / "model", Backbone(CONFIG), {})
    assert not list(tmp_path.glob("*/*"))
