"""Conversion there and back, and what other programs make of the files."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from titans_dna.errors import ConfigError, FormatError, InputMissing, OutputError
from titans_dna.genome import Interval
from titans_dna.io import EmbeddingWriter, open_embeddings
from titans_dna.io.embeddings.convert import convert_embeddings

pytest.importorskip("anndata", reason="the extra [convert] is not installed")
pytest.importorskip("pyarrow", reason="the extra [convert] is not installed")

CONTIGS = {"chrA": (1000, "m1"), "chrB": (5, "m2")}
SAID = {"model": "tiny", "rows": 30, "bins": 1, "pooling": "mean", "share": 0.5, "created": "2020-01-01T00:00:00+00:00"}
VECTORS = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
VECTORS[3] = np.nan
REGIONS = [Interval("chrA", i, i + 5, "+-."[i % 3], f"é{i}" if i else "") for i in range(30)]
OUTCOMES = ["reference_n" if i == 3 else "embedded" for i in range(30)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr("titans_dna.io.embeddings.writer.BLOCK_BYTES", 160)  # ten rows


@pytest.fixture(params=["float32", "float16"])
def path(request, tmp_path):
    with EmbeddingWriter(tmp_path / "e.h5", 4, CONTIGS, SAID, request.param) as writer:
        writer.append(REGIONS, VECTORS, outcomes=OUTCOMES)
    return tmp_path / "e.h5"


def content(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
        return found, dict(file.attrs)


@pytest.mark.parametrize("suffix", [".h5ad", ".parquet"])
def test_there_and_back_without_loss(path, tmp_path, suffix):
    assert convert_embeddings(path, tmp_path / f"x{suffix}") == 30
    assert convert_embeddings(tmp_path / f"x{suffix}", tmp_path / "back.h5") == 30
    one, two = content(path), content(tmp_path / "back.h5")
    assert one[1] == two[1]
    assert one[0].keys() == two[0].keys()
    for key, value in one[0].items():
        assert value.dtype.kind == two[0][key].dtype.kind
        if value.dtype.kind == "f":
            assert value.tobytes() == two[0][key].tobytes()
        else:
            assert np.array_equal(value, two[0][key]), key


def test_anndata_reads_it(path, tmp_path):
    import anndata

    convert_embeddings(path, tmp_path / "x.h5ad")
    data = anndata.read_h5ad(tmp_path / "x.h5ad")
    assert data.shape == (30, 4)
    with open_embeddings(path) as found:
        assert np.array_equal(data.X, found.vectors(), equal_nan=True)
    assert data.obs["start"].tolist() == list(range(30))
    assert data.obs["name"].tolist() == [region.name for region in REGIONS]
    assert data.obs["outcome"].tolist() == OUTCOMES
    assert data.uns["titans_dna"]["model"] == "tiny"
    assert data.uns["contigs"].loc["chrA", "md5"] == "m1"


def test_pyarrow_and_numpy_read_it(path, tmp_path):
    import pyarrow.parquet

    convert_embeddings(path, tmp_path / "x.parquet")
    convert_embeddings(path, tmp_path / "x.npy")
    table = pyarrow.parquet.read_table(tmp_path / "x.parquet")
    assert table.column_names == ["contig", "start", "end", "strand", "name", "outcome", "embedding"]
    with open_embeddings(path) as found:
        wanted = found.vectors()
    assert np.array_equal(np.load(tmp_path / "x.npy", mmap_mode="r"), wanted, equal_nan=True)
    assert np.array_equal(np.array(table["embedding"].to_pylist(), wanted.dtype), wanted, equal_nan=True)


def test_vectors_per_base_go_to_parquet_alone(tmp_path):
    counts = np.array([0, 12, 3, 1, *[0] * 26])
    with EmbeddingWriter(tmp_path / "r.h5", 4, CONTIGS, SAID, ragged=True) as writer:
        writer.append(REGIONS, VECTORS[:16], counts=counts)
    convert_embeddings(tmp_path / "r.h5", tmp_path / "r.parquet")
    convert_embeddings(tmp_path / "r.parquet", tmp_path / "back.h5")
    assert content(tmp_path / "back.h5")[0]["offsets"].tolist() == [0, *np.cumsum(counts)]
    assert content(tmp_path / "back.h5")[0]["embeddings"].tobytes() == VECTORS[:16].tobytes()
    for suffix in (".npy", ".h5ad"):
        with pytest.raises(ConfigError, match="parquet"):
            convert_embeddings(tmp_path / "r.h5", tmp_path / f"r{suffix}")


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("e.h5", "x.csv", "no ending that convert writes"),
        ("x.npy", "y.h5", "without their regions"),
        ("e.h5", "y.h5", "no conversion"),
    ],
)
def test_what_cannot_be_is_said(path, tmp_path, source, target, said):
    with pytest.raises((ConfigError, OutputError), match=said):
        convert_embeddings(tmp_path / source, tmp_path / target)
    assert not (tmp_path / target).exists()


def test_files_of_other_origin_are_refused(path, tmp_path, monkeypatch):
    for suffix in (".h5ad", ".parquet"):
        with pytest.raises(InputMissing):
            convert_embeddings(tmp_path / f"none{suffix}", tmp_path / "y.h5")
        (tmp_path / f"text{suffix}").write_text("x")
        with pytest.raises(FormatError, match=r"made of embeddings|as titans-dna writes it"):
            convert_embeddings(tmp_path / f"text{suffix}", tmp_path / "y.h5")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(OutputError, match=r"titans-dna\[convert\]"):
        convert_embeddings(path, tmp_path / "x.parquet")
    assert not (tmp_path / "y.h5").exists()
    assert not (tmp_path / "x.parquet").exists()
