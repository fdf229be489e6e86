"""HDF5 that is damaged, or made to do harm: one line of the error tree, and no byte of another file is read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from titans_dna.errors import FormatError, InputMissing
from titans_dna.genome import Interval
from titans_dna.io import EmbeddingWriter, open_embeddings
from titans_dna.io.disk.hdf5_reader import check_heaps
from titans_dna.io.embeddings.convert import convert_embeddings
from titans_dna.io.formats import sniff
from titans_dna.io.scores import open_scores
from titans_dna.io.tables.score_table import Column, ScoreTableWriter
from titans_dna.io.tables.track_set import write_tracks

ROWS = 6


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "outside" / "secret"
    path.parent.mkdir()
    path.write_bytes(b"root:x:0:0:a secret of the system:/root" * 9)
    return path


@pytest.fixture
def vectors(tmp_path):
    path = tmp_path / "inside" / "e.h5"
    path.parent.mkdir()
    with EmbeddingWriter(path, 4, {"a": (99, "m")}, {"model": "x"}) as writer:
        writer.append([Interval("a", n, n + 1) for n in range(ROWS)], np.ones((ROWS, 4)))
    return path


def replace(path, name, make):
    with h5py.File(path, "a") as file:
        del file[name]
        make(file)


def test_external_storage_is_not_read(vectors, secret):
    outside = [(str(secret), 0, 4 * 4 * ROWS)]
    replace(vectors, "embeddings", lambda f: f.create_dataset("embeddings", (ROWS, 4), "f4", external=outside))
    for read in (open_embeddings, lambda path: convert_embeddings(path, path.with_name("stolen.npy"))):
        with pytest.raises(FormatError, match="'/embeddings' lies in another file"):
            read(vectors)
    assert not vectors.with_name("stolen.npy").exists()


def test_a_column_in_external_storage_is_not_read(vectors, secret):
    with h5py.File(vectors, "a") as file:
        file.create_dataset("regions/mine", (ROWS,), "S8", external=[(str(secret), 0, 8 * ROWS)])
    with open_embeddings(vectors) as found, pytest.raises(FormatError, match="lies in another file"):
        found.column("mine")


@pytest.mark.parametrize("name", ["embeddings", "regions", "regions/name", "contigs/md5"])
def test_links_out_of_a_file_are_not_followed(vectors, tmp_path, name):
    (tmp_path / "outside").mkdir()
    other = tmp_path / "outside" / "other.h5"
    other.write_bytes(vectors.read_bytes())
    replace(vectors, name, lambda file: file.__setitem__(name, h5py.ExternalLink(str(other), name)))
    with pytest.raises(FormatError, match="is a link"):
        open_embeddings(vectors)
    with pytest.raises(FormatError, match="is a link"):
        convert_embeddings(vectors, vectors.with_name("stolen.npy"))


def test_the_links_of_scores_tracks_and_anndata_are_not_followed(tmp_path, vectors, secret):
    with ScoreTableWriter(tmp_path / "s.h5", [Column("contig", "text"), Column("llr", "score")]) as table:
        table.write({"contig": "a", "llr": 1.0})
    with write_tracks(tmp_path / "t.h5", {"a": 5}, ["bits"], {"options": "kind=regions"}) as tracks:
        tracks.add("a", {"bits": np.ones(5, np.float32)})
    convert_embeddings(vectors, tmp_path / "v.h5ad")
    for path, name in (("s.h5", "columns/llr"), ("t.h5", "a/bits"), ("v.h5ad", "X")):
        replace(tmp_path / path, name, lambda f, n=name: f.__setitem__(n, h5py.ExternalLink("v.h5ad", "obs/start")))
    for path in ("s.h5", "t.h5"):
        with pytest.raises(FormatError, match="is a link"):
            list(open_scores(tmp_path / path))
    with pytest.raises(FormatError, match="is a link"):
        convert_embeddings(tmp_path / "v.h5ad", tmp_path / "back.h5")
    replace(
        tmp_path / "t.h5", "a/bits", lambda f: f.create_dataset("a/bits", (5,), "f4", external=[(str(secret), 0, 20)])
    )
    with pytest.raises(FormatError, match="lies in another file"):
        list(open_scores(tmp_path / "t.h5"))


@pytest.mark.parametrize("place", ["{absolute}", "../outside/other.h5", "sub/../../outside/other.h5"])
def test_virtual_sources_lie_beside_the_file(vectors, tmp_path, place):
    (tmp_path / "outside").mkdir()
    other = tmp_path / "outside" / "other.h5"
    other.write_bytes(vectors.read_bytes())
    layout = h5py.VirtualLayout((ROWS, 4), "f4")
    layout[:] = h5py.VirtualSource(place.format(absolute=other), "embeddings", (ROWS, 4))
    replace(vectors, "embeddings", lambda file: file.create_virtual_dataset("embeddings", layout))
    with pytest.raises(FormatError, match="own folder or below"):
        open_embeddings(vectors)


def test_the_source_of_a_virtual_file_may_not_lead_further(vectors, secret):
    shard = vectors.with_name("shard.h5")
    layout = h5py.VirtualLayout((ROWS, 4), "f4")
    layout[:] = h5py.VirtualSource("shard.h5", "embeddings", (ROWS, 4))
    replace(vectors, "embeddings", lambda file: file.create_virtual_dataset("embeddings", layout))
    with pytest.raises(InputMissing, match=r"shard\.h5"):
        open_embeddings(vectors)
    with h5py.File(shard, "w") as file:
        file.create_dataset("embeddings", (ROWS, 4), "f4", external=[(str(secret), 0, 16 * ROWS)])
    with pytest.raises(FormatError, match=r"shard\.h5: '/embeddings' lies in another file"):
        open_embeddings(vectors)


def test_what_is_claimed_must_be_there(vectors):
    claim = lambda file: file.create_dataset("embeddings", (ROWS, 1 << 36), "f4", chunks=(1, 1 << 20))  # noqa: E731
    replace(vectors, "embeddings", claim)
    with pytest.raises(FormatError, match=r"claims 1,649,267,441,664 bytes, but holds 0"):
        open_embeddings(vectors)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("embeddings", np.ones(ROWS, "f4"), "unexpected shape or type"),
        ("embeddings", np.ones((ROWS + 1, 4), "f4"), "embeddings has 7 rows, not 6"),
        ("embeddings", np.ones((ROWS, 4), "i4"), "unexpected shape or type"),
        ("regions/start", np.ones(ROWS, "f4"), "unexpected shape or type"),
        ("regions/name", np.zeros(ROWS, "S5")[:2], "regions/name has 2 rows, not 6"),
        ("offsets", np.arange(3), "offsets has 3 rows, not 7"),
    ],
)
def test_shapes_and_types_are_checked(vectors, name, data, said):
    with h5py.File(vectors, "a") as file:
        if name in file:
            del file[name]
        file[name] = data
    with pytest.raises(FormatError, match=said):
        open_embeddings(vectors)


@pytest.mark.parametrize("offsets", [[0, 1, 2, 3, 2, 5, 6], [0, 1, 2, 3, 4, 5, 600], [-5, 1, 2, 3, 4, 5, 6]])
def test_offsets_must_ascend_within_the_vectors(vectors, offsets):
    with h5py.File(vectors, "a") as file:
        file["offsets"] = offsets
    with open_embeddings(vectors) as found, pytest.raises(FormatError, match="offsets"):
        _ = found.counts(), [found[row] for row in range(len(found))]


def test_a_broken_heap_is_found_before_hdf5_hangs_in_it(vectors):
    check_heaps(vectors)
    data = bytearray(vectors.read_bytes())
    heap = data.index(b"GCOL")
    data[heap + 24 : heap + 32] = bytes(8)  # the size of the first object
    data[heap + 16] = 0  # and its number
    vectors.write_bytes(data)
    for read in (check_heaps, open_embeddings, sniff):
        with pytest.raises(FormatError, match=r"its heap at byte [\d,]+ is broken"):
            read(vectors)


def test_two_thousand_damaged_files_are_read_or_refused():
    script = Path(__file__).with_name("fuzz_hdf5.py")
    found = subprocess.run(
        [sys.executable, str(script), "2000", "4"], capture_output=True, text=True, timeout=200, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert found.returncode == 0, found.stderr[-3000:]
    assert "refused" in found.stdout
