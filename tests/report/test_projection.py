"""Embeddings in two dimensions: classes from a column or a table, UMAP where it is installed."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from titans_dna.cli.report import report
from titans_dna.errors import ConfigError, FormatError
from titans_dna.genome.interval import Interval
from titans_dna.io.embeddings.writer import EmbeddingWriter
from titans_dna.report.gather import ReportInputs, gather_inputs
from titans_dna.report.page import render_page
from titans_dna.report.regions import read_embedded_regions, umap_projection


@pytest.fixture(autouse=True)
def no_umap(monkeypatch):
    """As if umap-learn were not installed."""
    monkeypatch.setitem(sys.modules, "umap", None)


@pytest.fixture
def path(tmp_path, make):
    make.write_embeddings(tmp_path / "e.h5", [f"gene_{number}" for number in range(40)])
    return tmp_path / "e.h5"


def test_classes_of_a_column_of_the_file(path):
    with h5py.File(path, "a") as file:
        file["regions/cluster"] = np.arange(40) % 3
    assert read_embedded_regions(path, label="cluster").classes.tolist() == [str(n % 3) for n in range(40)]
    assert set(read_embedded_regions(path, label="strand").classes) == {"+"}
    with pytest.raises(FormatError, match="no column 'colour'"):
        read_embedded_regions(path, label="colour")


def test_classes_of_a_table(path, tmp_path):
    table = tmp_path / "labels.tsv"
    table.write_text("name\tkind\n" + "".join(f"gene_{n}\t{'long' if n % 2 else 'short'}\n" for n in range(30)))
    found = read_embedded_regions(path, label="kind", labels=table)
    assert found.classes.tolist() == [("long" if n % 2 else "short") if n < 30 else "other" for n in range(40)]
    with pytest.raises(FormatError, match="'colour'"):
        read_embedded_regions(path, label="colour", labels=table)
    page = render_page(gather_inputs(ReportInputs(embeddings=path, label="kind", labels=table)))
    assert "long</li>" in page
    assert "labels.<wbr>tsv" in page
    assert "UMAP" not in page


def test_labels_without_what_they_need_are_refused(path, tmp_path):
    with pytest.raises(ConfigError, match="--embeddings"):
        ReportInputs(model=tmp_path, label="x")
    with pytest.raises(ConfigError, match="--label"):
        ReportInputs(embeddings=path, labels=tmp_path / "t.tsv")


def test_vectors_per_base_count_with_their_mean(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    vectors[5] = np.nan
    with EmbeddingWriter(tmp_path / "r.h5", 4, {"c": (99, "0")}, {}, ragged=True) as writer:
        writer.append([Interval("c", n, n + 3) for n in range(20)], vectors, counts=np.full(20, 3))
    with EmbeddingWriter(tmp_path / "m.h5", 4, {"c": (99, "0")}, {}) as writer:
        writer.append([Interval("c", n, n + 3) for n in range(20)], np.nanmean(vectors.reshape(20, 3, 4), axis=1))
    one, two = read_embedded_regions(tmp_path / "r.h5"), read_embedded_regions(tmp_path / "m.h5")
    assert one.projection == pytest.approx(two.projection, abs=1e-4)


def test_umap_is_drawn_where_it_is_installed(path, monkeypatch):
    class Fake:
        def __init__(self, **settings):
            assert settings["random_state"] == 0

        def fit_transform(self, vectors):
            return vectors[:, :2] * 10

    assert umap_projection(np.ones((40, 3))) is None
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Fake))
    assert umap_projection(np.ones((15, 3))) is None  # no more than neighbours
    assert umap_projection(np.ones((16, 3))).shape == (16, 2)
    page = render_page(gather_inputs(ReportInputs(embeddings=path)))
    assert page.count("UMAP 1") == 1
    assert page.count("principal component 1") == 1


def test_files_are_told_by_what_they_hold(inputs, tmp_path):
    files = [inputs.embeddings, inputs.model, inputs.track, inputs.evaluation, inputs.variants, inputs.regions]
    result = CliRunner().invoke(report, [*map(str, files), "-o", str(tmp_path / "r.html")], catch_exceptions=False)
    assert result.exit_code == 0
    page = (tmp_path / "r.html").read_text()
    more = tmp_path / "t.entropy_bits.bw"
    more.write_bytes(inputs.track.read_bytes())
    CliRunner().invoke(report, [str(inputs.track), str(more), "-o", str(tmp_path / "two.html")], catch_exceptions=False)
    assert (tmp_path / "two.html").read_text().count("<svg ") == 2
    for part in ("embeddings", "track", "evaluation", "scores", "regions", "training"):
        assert f'<section id="{part}">' in page
    (tmp_path / "x.txt").write_text("hello\n")
    for files, said in (([inputs.embeddings] * 2, "second file"), ([tmp_path / "x.txt"], "no known kind")):
        with pytest.raises(ConfigError, match=said):
            CliRunner().invoke(report, [*map(str, files), "-o", str(tmp_path / "s.html")], catch_exceptions=False)
