"""Selection by row, name and overlap; items as torch asks for them; files that point to others."""

from __future__ import annotations

import pickle

import h5py
import numpy as np
import pytest
import torch

from titans_dna.errors import ContigUnknown, FormatError, InputMissing
from titans_dna.genome import Interval
from titans_dna.io import EmbeddingWriter, open_embeddings

CONTIGS = {"chrA": (1000, "m1"), "chrB": (500, "m2")}
ROWS = 200
VECTORS = np.random.default_rng(0).normal(size=(ROWS, 5)).astype(np.float32)
REGIONS = [Interval("chrA" if i % 3 else "chrB", 2 * i, 2 * i + 7, "+-."[i % 3], f"n{i % 50}") for i in range(ROWS)]


@pytest.fixture
def path(tmp_path):
    with EmbeddingWriter(tmp_path / "e.h5", 5, CONTIGS, {"model": "tiny"}, compression="blosc2") as writer:
        writer.append(REGIONS, VECTORS)
    return tmp_path / "e.h5"


@pytest.fixture
def ragged(tmp_path):
    counts = np.array([3, 0, 2])
    with EmbeddingWriter(tmp_path / "r.h5", 5, CONTIGS, {}, ragged=True) as writer:
        writer.append(REGIONS[:2], VECTORS[:3], counts=counts[:2])
        writer.append(REGIONS[2:3], VECTORS[3:5], counts=counts[2:])
    return tmp_path / "r.h5"


def overlapping(place: Interval) -> list[int]:
    return [i for i, region in enumerate(REGIONS) if region.overlaps(place)]


@pytest.mark.parametrize("place", ["chrA:1-10", "chrA:100-100", "chrB", "chrA:400-1000", "chrA:900-1,000"])
def test_by_overlap(path, place):
    with open_embeddings(path) as found:
        wanted = overlapping(Interval.parse(place, {"chrA": 1000, "chrB": 500}))
        chosen = found.select(region=place)
        assert chosen.rows.tolist() == wanted
        assert np.array_equal(chosen.numpy(), VECTORS[wanted])
        assert np.array_equal(np.asarray(chosen), VECTORS[wanted])
        assert chosen.intervals() == [REGIONS[i] for i in wanted]


def test_by_name_by_row_and_by_several(path):
    with open_embeddings(path) as found:
        assert found.select(name="n7").rows.tolist() == [7, 57, 107, 157]
        assert found.select(name="nothing").numpy().shape == (0, 5)
        assert np.array_equal(found.select([9, 3, 9, -1]).numpy(), VECTORS[[9, 3, 9, -1]])
        assert np.array_equal(found.select(slice(None, None, 40)).numpy(), VECTORS[::40])
        both = found.select(range(150), name="n7", region=Interval("chrA", 0, 300))
        assert both.rows.tolist() == [i for i in (7, 57, 107) if REGIONS[i].contig == "chrA"]
        with pytest.raises(ContigUnknown):
            found.select(region="chrZ:1-5")
        with pytest.raises(IndexError):
            found.select([ROWS])
        with pytest.raises(IndexError):
            found[ROWS]
        assert np.array_equal(found[-1], VECTORS[-1])
        with pytest.raises(FormatError, match="no column 'gene'"):
            found.column("gene")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_torch_loader_takes_it_as_it_is(path, workers):
    with open_embeddings(path) as found:
        loader = torch.utils.data.DataLoader(found, batch_size=64, num_workers=workers)
        assert np.array_equal(torch.cat(list(loader)).numpy(), VECTORS)
        some = found.select(name="n7")
        (batch,) = torch.utils.data.DataLoader(some, batch_size=8, num_workers=workers)
        assert np.array_equal(batch.numpy(), VECTORS[[7, 57, 107, 157]])
        assert np.array_equal(found.vectors(), VECTORS)  # the parent's own file is as before


def test_it_can_be_sent_to_another_process(path):
    with open_embeddings(path) as found, pickle.loads(pickle.dumps(found)) as back:
        assert np.array_equal(back.vectors(), found.vectors())


def test_ragged_files(ragged):
    with open_embeddings(ragged) as found:
        assert (len(found), found.ragged, found.counts().tolist()) == (3, True, [3, 0, 2])
        assert [found[row].shape for row in range(3)] == [(3, 5), (0, 5), (2, 5)]
        assert np.array_equal(found.vectors(1, 3), VECTORS[3:5])
        assert np.array_equal(found.select([2, 0]).numpy(), VECTORS[[3, 4, 0, 1, 2]])
        assert [item.shape for item in torch.utils.data.DataLoader(found, batch_size=None)][2] == (2, 5)
        with pytest.raises(FormatError, match="ragged"):
            found.take(np.array([0]))


def test_a_column_of_ones_own_is_found(path):
    with h5py.File(path, "a") as file:
        file["regions/cluster"] = np.arange(ROWS) % 4
        file["regions/other"] = [1, 2]
    with open_embeddings(path) as found:
        assert "cluster" in found.columns
        assert "other" not in found.columns
        assert found.column("cluster", 4, 8).tolist() == [0, 1, 2, 3]


def test_plain_h5py_reads_every_native_compression(tmp_path):
    for compression in ("none", "lzf", "gzip"):
        with EmbeddingWriter(tmp_path / "e.h5", 5, CONTIGS, {}, compression=compression) as writer:
            writer.append(REGIONS, VECTORS)
        with h5py.File(tmp_path / "e.h5") as file:
            assert np.array_equal(file["embeddings"][()], VECTORS)
            assert file["regions/contig"].asstr()[:3].tolist() == ["chrB", "chrA", "chrA"]
            assert file["regions/outcome"].asstr()[0] == "embedded"
    with pytest.raises(FormatError, match="lzf"):
        EmbeddingWriter(tmp_path / "f.h5", 5, CONTIGS, {}, compression="zip")
    assert not (tmp_path / "f.h5").exists()


def test_a_value_too_large_for_half_precision_is_refused(tmp_path):
    writer = EmbeddingWriter(tmp_path / "e.h5", 1, CONTIGS, {}, "float16")
    with pytest.raises(FormatError, match=r"70000 does not fit float16"), writer:
        writer.append(REGIONS[:1], np.array([[70000.0]]))
    assert list(tmp_path.iterdir()) == []


def test_what_is_being_written_is_said(tmp_path):
    (tmp_path / "e.h5.work").mkdir()
    with pytest.raises(InputMissing, match="--resume"):
        open_embeddings(tmp_path / "e.h5")
