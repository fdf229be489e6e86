from __future__ import annotations

import h5py
import numpy as np
import pytest

from titans_dna.errors import FormatError, InputMissing
from titans_dna.genome import Interval
from titans_dna.io import EmbeddingWriter, open_embeddings

CONTIGS = {"chrA": (1000, "m1"), "chrB": (500, "m2")}
ATTRIBUTES = {
    "model": "tiny",
    "weights_sha256": "00",
    "layer": 3,
    "pooling": "mean",
    "context": 1024,
    "tokenizer": "{}",
}


def test_vectors_regions_and_origin_come_back(tmp_path):
    path = tmp_path / "e.h5"
    vectors = np.random.default_rng(0).normal(size=(2500, 7)).astype(np.float32)
    regions = [Interval("chrA" if i % 2 else "chrB", i, i + 5, "+-."[i % 3], f"é{i}") for i in range(2500)]
    with EmbeddingWriter(path, 7, CONTIGS, ATTRIBUTES) as writer:
        for start in range(0, 2500, 700):
            writer.append(regions[start : start + 700], vectors[start : start + 700])
        assert not path.exists()
    with open_embeddings(path) as back:
        assert (len(back), back.width) == (2500, 7)
        assert np.array_equal(back.vectors(), vectors)
        assert np.array_equal(back.vectors(10, 20), vectors[10:20])
        assert back.intervals() == regions
        assert back.contigs == CONTIGS
        assert back.attributes.items() >= {**ATTRIBUTES, "format_version": 1}.items()
        assert back.attributes["created"].endswith("+00:00")
        batches = list(back.batches(1000))
        assert [len(r) for r, _ in batches] == [1000, 1000, 500]
    with h5py.File(path) as file:
        assert set(file) == {"embeddings", "regions", "contigs"}
        assert set(file["regions"]) == {"contig", "start", "end", "strand", "name", "outcome"}
        assert file["embeddings"].dtype == np.float32
        assert file["embeddings"].compression is None


def test_no_regions_make_an_empty_file_and_half_precision_is_a_choice(tmp_path):
    with EmbeddingWriter(tmp_path / "e.h5", 4, CONTIGS, {}, "float16") as writer:
        writer.append([], np.empty((0, 4)))
    with open_embeddings(tmp_path / "e.h5") as back:
        assert len(back) == 0
        assert back.vectors().dtype == np.float16
        assert back.intervals() == []


def test_wrong_shapes_and_errors_leave_no_file(tmp_path):
    with pytest.raises(FormatError, match=r"\(1, 3\)"), EmbeddingWriter(tmp_path / "e.h5", 4, CONTIGS, {}) as writer:
        writer.append([Interval("chrA", 0, 1)], np.ones((1, 3)))
    with pytest.raises(FormatError, match="int8"):
        EmbeddingWriter(tmp_path / "e.h5", 4, CONTIGS, {}, "int8")
    writer = EmbeddingWriter(tmp_path / "e.h5", 4, CONTIGS, {})
    writer.abort()
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_embedding_file_is_refused(tmp_path):
    with pytest.raises(InputMissing):
        open_embeddings(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("x")
    with pytest.raises(FormatError, match="no HDF5"):
        open_embeddings(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(FormatError, match="lacks 'embeddings'"):
        open_embeddings(tmp_path / "other.h5")
    with EmbeddingWriter(tmp_path / "late.h5", 1, CONTIGS, {"format_version": 99}):
        pass
    with pytest.raises(FormatError, match="version 99"):
        open_embeddings(tmp_path / "late.h5")
