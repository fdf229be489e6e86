"""The verbs of embeddings: from options to files, and what is refused in one line."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from titans_dna.io.embeddings.reader import open_embeddings


@pytest.fixture
def embed(run, model, genome, tmp_path):
    """Call ``embed``; return the result and the path."""

    def call(*arguments: object, name: str = "e.h5"):
        path = tmp_path / name
        return run("embed", "--model", model, "--fasta", genome, "--device", "cpu", *arguments, "-o", path), path

    return call


def test_whole_contigs_are_tiled(embed):
    result, path = embed("--window-bp", 200, "--stride-bp", 150)
    assert result.exit_code == 0, result.output
    with open_embeddings(path) as found:
        spans = [(r.contig, r.start, r.end) for r in found.intervals()]
        assert spans[:6] == [("chrA", s, min(900, s + 200)) for s in range(0, 900, 150)]
        assert np.isfinite(found.vectors()).all()
        assert found.attributes["command"].startswith("titans-dna")
        assert found.contigs["chrB"][0] == 500


def test_pools_layers_and_types_are_said_in_the_file(embed, bed):
    for number, (pool, layers, dtype, width) in enumerate(
        [("bins:4", ("1", "final"), "float16", 512), ("max", ("0",), "float32", 64), ("none", (), "float32", 64)]
    ):
        options = [value for layer in layers for value in ("--layer", layer)]
        result, path = embed("--bed", bed, "--pool", pool, *options, "--dtype", dtype, "--context", "region",
                             name=f"{number}.h5")  # fmt: skip
        assert result.exit_code == 0, result.output
        with open_embeddings(path) as found:
            assert (found.width, found.ragged) == (width, pool == "none")
            said = found.attributes
            assert (said["pooling"], said["layer"]) == (pool, ",".join(layers) or "final")
            assert said["context"] == "region"
            assert found.vectors().dtype == dtype
    with open_embeddings(path) as found:
        assert found.counts().tolist() == [100, 900, 50, 0, 10]


def test_counts_add_up_on_standard_error(embed, bed):
    result, _ = embed("--bed", bed)
    counts = dict(line.split() for line in result.stderr.splitlines() if not line.startswith("contigs matched"))
    assert counts == {"embedded": "2", "clipped": "1", "contig_unknown": "1", "reference_n": "1", "total": "5"}
    assert result.stdout == ""


def test_shards_of_regions_without_names_merge(embed, run, tmp_path):
    plain = tmp_path / "plain.bed"
    plain.write_text("chrA\t10\t60\nchrA\t100\t180\nchr2\t5\t50\n")
    shards = [embed("--bed", plain, "--shard", f"{i}/2", name=f"p{i}.h5")[1] for i in (1, 2)]
    result = run("merge", *shards, "-o", tmp_path / "merged.h5")
    assert result.exit_code == 0, result.output
    with h5py.File(tmp_path / "merged.h5") as merged:
        assert merged["regions/start"][()].tolist() == [10, 100, 5]


def test_shards_merge_to_the_whole(embed, run, bed, tmp_path):
    _, whole = embed("--bed", bed, name="whole.h5")
    shards = [embed("--bed", bed, "--shard", f"{i}/3", name=f"s{i}.h5") for i in (1, 2, 3)]
    assert all(result.exit_code == 0 for result, _ in shards), [result.output for result, _ in shards]
    merged = tmp_path / "merged.h5"
    result = run("merge", *[path for _, path in shards], "-o", merged)
    assert result.exit_code == 0, result.output
    assert "5 regions of 3 shards" in result.stderr
    with h5py.File(whole) as one, h5py.File(merged) as two:
        assert one["embeddings"][()].tobytes() == two["embeddings"][()].tobytes()
        for key in one["regions"]:
            assert np.array_equal(one["regions"][key][()], two["regions"][key][()])
    result = run("merge", shards[0][1], shards[2][1], "-o", tmp_path / "no.h5")
    assert result.exit_code == 1
    assert "shard 2/3 is missing" in result.stderr
    assert not (tmp_path / "no.h5").exists()


def test_there_is_nothing_to_resume_and_that_is_no_error(embed, bed):
    result, path = embed("--bed", bed, "--resume")
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in path.parent.iterdir()) == ["e.h5"]


def test_conversion_by_the_command_line(embed, run, bed, tmp_path):
    pytest.importorskip("anndata", reason="the extra [convert] is not installed")
    _, path = embed("--bed", bed)
    result = run("convert", path, tmp_path / "e.h5ad")
    assert result.exit_code == 0, result.output
    assert "5 regions" in result.stderr
    result = run("convert", path, tmp_path / "e.txt")
    assert result.exit_code == 1
    assert "no ending that convert writes" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--pool", "median"), "mean, max, last, center"),
        (("--layer", "9"), "final, 0, 1, 2"),
        (("--stride-bp", 5), "--window-bp"),
        (("--shard", "3/2"), "3/2"),
        (("--region", "chrZ:1-5"), "no contig"),
    ],
)
def test_what_is_refused_leaves_no_file(embed, options, said):
    result, path = embed(*options)
    assert result.exit_code in (1, 2)
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert list(path.parent.iterdir()) == []


def test_a_resumed_file_is_that_of_an_undisturbed_run(run, model, genome, bed, tmp_path, monkeypatch):
    """The command in the file is the one that was typed, quoted, but for --resume."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    command = [
        "embed",
        "--model",
        model,
        "--fasta",
        genome,
        "--bed",
        bed,
        "--layer",
        "final",
        "-o",
        tmp_path / "e 1.h5",
    ]
    found = []
    for extra in ([], ["--resume"]):
        monkeypatch.setattr("sys.argv", ["titans-dna", *map(str, command), *extra])
        result = run(*command, *extra)
        assert result.exit_code == 0, result.output
        found.append((tmp_path / "e 1.h5").read_bytes())
    assert found[0] == found[1]
    with open_embeddings(tmp_path / "e 1.h5") as embeddings:
        assert embeddings.attributes["command"].endswith("e 1.h5'")
    counts = {"embedded": 2, "clipped": 1, "reference_n": 1, "contig_unknown": 1, "total": 5}
    said = [line.split() for line in result.stderr.splitlines()[-5:]]
    assert sorted(said) == sorted([outcome, str(number)] for outcome, number in counts.items())
