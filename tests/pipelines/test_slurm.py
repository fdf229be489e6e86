"""The workflow on a real Slurm: a job is killed in the middle, and the results are those of a run without it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from one_node_slurm import OneNodeSlurm, missing
from small_run import contents, write_relatives_run, write_run

pytest.importorskip("snakemake_executor_plugin_slurm", reason="the slurm executor of snakemake is not installed")
pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")


@pytest.fixture
def slurm() -> Iterator[OneNodeSlurm]:
    folder = Path(tempfile.mkdtemp(prefix="slurm"))  # a socket's path must be short
    with OneNodeSlurm(folder) as running:
        yield running
    shutil.rmtree(folder)


@pytest.fixture
def submit(project, environment, slurm):
    """A function that starts the workflow on Slurm with the profile of the project."""

    def start(folder: Path, *arguments: str, path: str = "") -> subprocess.Popen[str]:
        own = environment | {"PATH": f"{path}:{slurm.bin}:{Path(sys.executable).parent}:{environment['PATH']}"}
        command = [
            sys.executable, "-m", "snakemake", "--snakefile", project / "Snakefile", "--configfile", "my.yaml",
            "--profile", project / "pipelines/profiles/slurm", "--slurm-init-seconds-before-status-checks", "2",
            "--latency-wait", "5", *arguments,
        ]  # fmt: skip
        return subprocess.Popen(
            list(map(str, command)), cwd=folder, env=own, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    return start


def completed(slurm: OneNodeSlurm) -> list[dict[str, str]]:
    """The jobs that have ended, as Slurm wrote them down."""
    lines = (slurm.folder / "jobs.txt").read_text().splitlines()
    return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]


@pytest.mark.slow
def test_a_killed_job_goes_on_and_the_results_are_those_of_a_local_run(tmp_path, slurm, submit, snakemake):
    for where in ("local", "cluster"):
        write_run(tmp_path / where)
    running = submit(tmp_path / "cluster")
    try:
        killed = kill_in_training(slurm, tmp_path / "cluster/out")
        output, _ = running.communicate(timeout=1500)
    finally:
        running.kill()
    assert running.returncode == 0, output[-3000:]
    states = {job["JobId"]: job["JobState"] for job in completed(slurm)}
    assert states.pop(killed) != "COMPLETED"
    assert set(states.values()) == {"COMPLETED"}
    assert {job["Partition"] for job in completed(slurm)} == {"cpu"}  # nothing asks for a GPU
    log = (tmp_path / "cluster/out/logs/pretrain.log").read_text()
    assert "checkpoints/step-" in log  # what the second job went on from

    here = snakemake(tmp_path / "local", "--cores", 2, "--configfile", "my.yaml", path=Path(sys.executable).parent)
    assert here.returncode == 0, here.stderr[-3000:]
    local, cluster = contents(tmp_path / "local/out"), contents(tmp_path / "cluster/out")
    assert local.keys() == cluster.keys()
    assert {
        "samples/first/variants.scored.vcf.gz", "samples/second/regions.scored.tsv", "samples/second/embeddings.h5",
        "genomes/reference.tracks/tracks.surprise.bw", "genomes/second.tracks/tracks.surprise.bw",
        "classifier/finetune.json", "report.html",
    } <= local.keys()  # fmt: skip
    assert [name for name in local if local[name] != cluster[name]] == []


@pytest.mark.slow
def test_a_job_that_slurm_queues_again_goes_on_and_ends_in_the_same_model(tmp_path, slurm, submit, snakemake):
    for where in ("local", "cluster"):
        write_run(tmp_path / where)
    running = submit(tmp_path / "cluster", "--until", "pretrain")
    try:
        job = job_in_training(slurm, tmp_path / "cluster/out")
        slurm.run("scontrol", "requeue", job)  # what preemption does to it
        output, _ = running.communicate(timeout=600)
    finally:
        running.kill()
    assert running.returncode == 0, output[-3000:]
    ends = [found["JobState"] for found in completed(slurm) if found["JobId"] == job]
    assert ends[1:] == ["COMPLETED"], ends  # the same job, twice, and no other was submitted for it
    log = (tmp_path / "cluster/out/logs/pretrain.log").read_text()
    assert "checkpoints/step-" in log

    words = ("--cores", 2, "--configfile", "my.yaml", "--until", "pretrain")
    here = snakemake(tmp_path / "local", *words, path=Path(sys.executable).parent)
    assert here.returncode == 0, here.stderr[-3000:]
    local, cluster = contents(tmp_path / "local/out"), contents(tmp_path / "cluster/out")
    assert "model/model.safetensors" in local
    assert local == cluster


@pytest.mark.slow
def test_relatives_are_read_once_and_ranges_scored_by_many_jobs(tmp_path, project, slurm, submit, snakemake):
    """Two shards of two workers each, on ranges of one contig; the local run has one of each."""
    write_relatives_run(tmp_path / "local", project / "data/demo.fa")
    write_relatives_run(tmp_path / "cluster", project / "data/demo.fa", shards=2)
    targets = ("score_variants", "score_regions", "embed")
    running = submit(tmp_path / "cluster", *targets)
    output, _ = running.communicate(timeout=900)
    assert running.returncode == 0, output[-3000:]
    assert {job["JobState"] for job in completed(slurm)} == {"COMPLETED"}
    words = ("--cores", 2, *targets, "--configfile", "my.yaml", "--config", "workers=1")
    here = snakemake(tmp_path / "local", *words, path=Path(sys.executable).parent)
    assert here.returncode == 0, here.stderr[-3000:]
    local, cluster = contents(tmp_path / "local/out"), contents(tmp_path / "cluster/out")
    assert local.keys() == cluster.keys() >= {"genomes/reference.tdm", "samples/one/variants.scored.vcf.gz"}
    for found in (local, cluster):  # these two tell by which command a file was made
        for name in ("samples/one/variants.scored.vcf.gz", "samples/one/regions.scored.tsv"):
            found[name] = [line for line in found[name].splitlines() if b"command=" not in line]
        found["samples/one/embeddings.h5"].pop("@command")
        found.pop("samples/one/variants.scored.vcf.gz.tbi")  # its offsets depend on the length of that command
    assert [name for name in local if local[name] != cluster[name]] == []


@pytest.mark.slow
def test_jobs_that_run_a_model_go_to_the_partition_with_gpus(tmp_path, slurm, submit, stand_in):
    write_run(tmp_path / "cluster")
    running = submit(tmp_path / "cluster", "--config", "device=cuda", "--until", "evaluate", path=str(stand_in))
    output, _ = running.communicate(timeout=600)
    assert running.returncode == 0, output[-3000:]
    assert sorted(job["Partition"] for job in completed(slurm)) == ["cpu", "gpu", "gpu"]
    verbs = [line.split()[0] for line in (tmp_path / "cluster/calls.txt").read_text().splitlines()]
    assert verbs == ["info", "pretrain", "evaluate"]


def job_in_training(slurm: OneNodeSlurm, out: Path) -> str:
    """Wait until the training has saved a checkpoint; return its job."""
    for _ in range(1800):
        if list(out.glob("runs/pretrain-*/checkpoints/step-*/run.json")):
            return slurm.run("squeue", "-h", "-t", "R", "-o", "%i").split()[0]
        time.sleep(0.1)
    raise AssertionError("the training saved no checkpoint")


def kill_in_training(slurm: OneNodeSlurm, out: Path) -> str:
    """Kill the training, with a signal that cannot be caught; return the job."""
    job = job_in_training(slurm, out)
    slurm.run("scancel", "--signal=KILL", "--full", job)
    return job
