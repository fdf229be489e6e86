"""A genome of 12 Mb in ten parts: the whole workflow killed three times and resumed ends in the results of one run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from small_run import contents

pytest.importorskip("snakemake", reason="snakemake is not installed")
psutil = pytest.importorskip("psutil", reason="psutil is not installed")

SHARDS = 10


def write_model(folder: Path) -> None:
    """The smallest model there is, with weights as they begin: what it says does not matter here, its speed does."""
    import torch

    from titans_dna.model.backbone import Backbone
    from titans_dna.model.checkpoint import save_checkpoint
    from titans_dna.model.config import BackboneConfig
    from titans_dna.training.words import NUCLEOTIDES

    torch.manual_seed(1)
    config = BackboneConfig(
        width=16, layers=1, attention_heads=1, memory_heads=1, window_tokens=32, persistent_tokens=1
    )
    save_checkpoint(folder, Backbone(config), NUCLEOTIDES.to_json())


def write_run(folder: Path, fasta: Path) -> None:
    """Settings, a region of 1 kb every 20 kb of each contig, and the model."""
    from titans_dna.io.sequence.fasta import open_fasta

    folder.mkdir()
    write_model(folder / "model")
    with open_fasta(fasta) as genome:
        lengths = genome.contigs.lengths
    rows = [
        f"{contig}\t{start}\t{start + 1000}\tr{start}\n"
        for contig, bases in lengths.items()
        for start in range(0, bases - 1000, 20_000)
    ]
    (folder / "regions.bed").write_text("".join(rows))
    (folder / "samples.tsv").write_text("sample\tbed\nyeast\tregions.bed\n")
    settings = {
        "samples": "samples.tsv", "results": "out", "device": "cpu", "model": "model", "genome": {"fasta": str(fasta)},
        "score_genome": {"shards": SHARDS}, "embed": {"shards": SHARDS},
    }  # fmt: skip
    (folder / "my.yaml").write_text(yaml.safe_dump(settings))


def start(project: Path, folder: Path) -> subprocess.Popen[bytes]:
    """Start the workflow."""
    cores = os.environ.get("CORES", "2")
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", project / "Snakefile", "--cores", cores,
        "embed", "score_genome", "--rerun-incomplete", "--configfile", "my.yaml",
    ]  # fmt: skip
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (folder / "snakemake.log").open("ab") as log:
        return subprocess.Popen(
            list(map(str, command)), cwd=folder, stdout=log, stderr=log,
            env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip


def finish(running: subprocess.Popen[bytes], folder: Path) -> None:
    assert running.wait() == 0, (folder / "snakemake.log").read_text()[-3000:]


def in_the_middle(out: Path) -> Iterator[Path]:
    """What unfinished jobs have kept of their work."""
    yield from (out / "shards").glob("*.work/*.npz")
    yield from (out / "shards").glob("*.work/*.at-*")
    yield from (out / "shards").glob("*.parts/*.done")


def kill_all(running: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it has started, by a signal that cannot be caught."""
    first = psutil.Process(running.pid)
    first.suspend()  # it starts no more
    for process in [*first.children(recursive=True), first]:
        process.kill()
    running.wait()


def kill_in_the_middle(running: subprocess.Popen[bytes], folder: Path, jobs: int) -> list[str]:
    """Kill all at once, after so many jobs, when one under way has kept something; return what was kept."""
    log = folder / "snakemake.log"
    before = log.read_text().count("Finished jobid")
    while running.poll() is None:
        kept = [path.parent.name for path in in_the_middle(folder / "out")]
        if kept and log.read_text().count("Finished jobid") >= before + jobs:
            kill_all(running)
            return kept
        time.sleep(0.1)
    raise AssertionError(log.read_text()[-3000:])


@pytest.mark.slow
@pytest.mark.real
def test_a_run_killed_three_times_ends_in_the_same_results(project, shared_data, tmp_path):
    fasta = shared_data / "genomes/yeast_R64-1-1.fa.gz"
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        write_run(folder, fasta)
    finish(start(project, whole), whole)
    for jobs in (1, 5, 6):
        assert kill_in_the_middle(start(project, killed), killed, jobs)
        subprocess.run([sys.executable, "-m", "snakemake", "--snakefile", project / "Snakefile", "--unlock",
                        "--configfile", "my.yaml"], cwd=killed, check=True, capture_output=True)  # fmt: skip
    finish(start(project, killed), killed)
    one, other = contents(whole / "out"), contents(killed / "out")
    assert {"samples/yeast/embeddings.h5", "genomes/reference.tracks/tracks.surprise.bw"} <= one.keys()
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []
