"""Shards that are not of one job are refused; virtual files follow their shards."""

from __future__ import annotations

import numpy as np
import pytest

from titans_dna.errors import ConfigError, FormatError, InputMissing
from titans_dna.genome import Interval
from titans_dna.io import EmbeddingWriter, open_embeddings
from titans_dna.io.embeddings.merge import merge_embeddings
from titans_dna.io.embeddings.writer import Outline

CONTIGS = {"chrA": (1000, "m1")}
VECTORS = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
REGIONS = [Interval("chrA", i, i + 5, "+", f"é{i}") for i in range(10)]


@pytest.fixture
def shard(tmp_path):
    def make(index: int, rows, *, contigs=None, dtype="float32", **changed):
        path = tmp_path / f"s{index}{len(list(tmp_path.iterdir()))}.h5"
        said = {"weights_sha256": "0", "rows": 10, "shard": f"{index}/2", "command": f"embed {index}", **changed}
        with EmbeddingWriter(path, 3, contigs or CONTIGS, said, dtype, outline=Outline(shard=True)) as writer:
            writer.append([REGIONS[r] for r in rows], VECTORS[list(rows)], rows=np.array(rows))
        return path

    return make


ODD, EVEN = range(1, 10, 2), range(0, 10, 2)


@pytest.mark.parametrize("virtual", [False, True])
def test_rows_stand_in_their_order(shard, tmp_path, virtual):
    steps = []
    paths = [shard(2, ODD), shard(1, EVEN)]
    merge_embeddings(
        paths, tmp_path / "m.h5", virtual=virtual, command="merge", progress=lambda n, total: steps.append((n, total))
    )
    with open_embeddings(tmp_path / "m.h5") as found:
        assert np.array_equal(found.vectors(), VECTORS)
        assert found.intervals() == REGIONS
        assert found.attributes["command"] == "embed 2; merge"
        assert "shard" not in found.attributes
        assert found.shard_rows is None
    assert steps == [(10, 10)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weights_sha256": "1"}, "weights_sha256"),
        ({"layer": "1"}, "layer"),
        ({"regions_sha256": "1"}, "regions_sha256"),
        ({"contigs": {"chrA": (1000, "m2")}}, "MD5"),
        ({"dtype": "float16"}, "type"),
        ({"shard": "2/3"}, "2/3"),
    ],
)
def test_shards_of_another_job_are_refused(shard, tmp_path, changes, said):
    with pytest.raises(ConfigError, match=said):
        merge_embeddings([shard(1, EVEN), shard(2, ODD, **changes)], tmp_path / "m.h5")
    assert not (tmp_path / "m.h5").exists()


def test_coverage_is_checked(shard, tmp_path):
    one, two = shard(1, EVEN), shard(2, ODD)
    for paths, said in (
        ([one], "5 of 10 rows .* shard 2/2 is missing"),
        ([one, two, one], "1/2 is given twice"),
        ([one, shard(2, (1, 3, 4, 7, 9))], "2 of 10 rows"),
    ):
        with pytest.raises(ConfigError, match=said):
            merge_embeddings(paths, tmp_path / "m.h5")
    with EmbeddingWriter(tmp_path / "whole.h5", 3, CONTIGS, {}) as writer:
        writer.append(REGIONS, VECTORS)
    with pytest.raises(FormatError, match="whole file"):
        merge_embeddings([tmp_path / "whole.h5"], tmp_path / "m.h5")


def test_a_virtual_file_is_found_from_anywhere_and_misses_its_shards(shard, tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    one, two = (path.rename(tmp_path / "sub" / path.name) for path in (shard(1, EVEN), shard(2, ODD)))
    monkeypatch.chdir(tmp_path)
    merge_embeddings([one, two], tmp_path / "m.h5", virtual=True)
    monkeypatch.chdir("/")
    with open_embeddings(tmp_path / "m.h5") as found:
        assert np.array_equal(found.vectors(), VECTORS)
    two.rename(tmp_path / "away.h5")
    with pytest.raises(InputMissing, match=two.name):
        open_embeddings(tmp_path / "m.h5")


def test_a_virtual_file_is_not_made_where_it_would_not_find_its_shards(shard, tmp_path):
    one, two = shard(1, EVEN), shard(2, ODD)
    (tmp_path / "sub").mkdir()
    with pytest.raises(ConfigError, match="outside of the folder"):
        merge_embeddings([one, two], tmp_path / "sub" / "m.h5", virtual=True)
    assert not list((tmp_path / "sub").iterdir())
