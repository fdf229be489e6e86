"""``titans-dna doctor``: one line each, and what helps where something is wrong."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version

import pytest
import torch


@pytest.fixture
def doctor():
    import importlib

    return importlib.import_module("titans_dna.cli.doctor")


@pytest.fixture
def lines(run, tmp_path, monkeypatch, default_model):
    """Run doctor in an empty folder; return its exit code and its lines by name."""
    monkeypatch.chdir(tmp_path)

    def call() -> tuple[int, dict[str, str]]:
        result = run("doctor")
        found = {}
        for line in result.output.splitlines():
            name = line[5:25].strip()
            assert name not in found
            found[name] = line
        return result.exit_code, found

    return call


def test_everything_is_looked_at(lines):
    code, found = lines()
    assert code == 0
    assert all(line.startswith("ok   ") for line in found.values())
    assert {"titans-dna", "python", "torch", "pysam", "packaging"} <= set(found)
    assert {"[workflow]", "[convert]", "device", "memory", "checkpoint self-test"} <= set(found)
    assert {"cache", "index", "output"} <= set(found)
    assert {"[dev]", "[docs]"}.isdisjoint(found)
    assert "differs from the reference by" in found["memory"]
    assert found["numpy"].split()[-1] == version("numpy")


def test_versions_out_of_range_and_missing_packages_are_faults_with_a_remedy(lines, doctor, monkeypatch):
    def pretend(name: str) -> str:
        if name == "h5py":
            return "1.0"
        if name in ("biopython", "anndata"):
            raise PackageNotFoundError(name)
        return "1.0" if name == "snakemake" else version(name)

    monkeypatch.setattr(doctor, "version", pretend)
    code, found = lines()
    assert code == 1
    assert found["h5py"].startswith("FAIL")
    assert "1.0 is not <4,>=3.11; run: pip install 'h5py<4,>=3.11'" in found["h5py"]
    assert "not installed; run: pip install 'biopython" in found["biopython"]
    assert found["[convert]"].startswith("ok   ")  # nobody needs an extra
    assert "pip install 'titans-dna[convert]'" in found["[convert]"]
    assert found["[workflow]"].startswith("FAIL")  # but one that is there must fit
    assert "snakemake 1.0 is not" in found["[workflow]"]


@pytest.mark.parametrize(("cuda", "said"), [(None, "built without CUDA"), ("12.8", "for CUDA 12.8 sees no GPU")])
def test_why_there_is_no_gpu(lines, monkeypatch, cuda, said):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    assert said in lines()[1]["device"]


def test_a_memory_that_differs_from_the_reference_is_a_fault(lines, monkeypatch):
    from titans_dna import ops

    run = ops._RUNS["compiled"]
    monkeypatch.setitem(ops._RUNS, "compiled", lambda *given: (run(*given)[0] + 1e-3, *run(*given)[1:]))
    code, found = lines()
    assert code == 1
    assert found["memory"].startswith("FAIL")
    assert "constraints.txt" in found["memory"]


def test_a_cache_that_cannot_be_written(lines, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TITANS_DNA_CACHE", str(tmp_path / "file" / "below"))
    code, found = lines()
    assert code == 1
    assert "set TITANS_DNA_CACHE" in found["cache"]


def test_a_folder_that_cannot_be_written(lines, doctor, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    code, found = lines()
    assert code == 1
    assert "Permission denied" in found["output"]
    assert "--output" in found["output"]


def test_indexes_that_cannot_be_made(lines, doctor, monkeypatch):
    def refuse(*_, **__):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("pysam.tabix_index", refuse)
    code, found = lines()
    assert code == 1
    assert "No space left" in found["index"]
    assert "TMPDIR" in found["index"]
