"""A run that is killed, or told to stop, goes on as if nothing had happened."""

from __future__ import annotations

import csv
import json
import os
import resource
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from titans_dna.cli import main
from titans_dna.errors import CheckpointError, InputMissing, OutputError
from titans_dna.training.checkpoints import WEIGHTS, checkpoints, load_snapshot, save_snapshot
from titans_dna.training.run import pretrain_model, read_settings


def log_of(folder: Path) -> list[list[str]]:
    """Return the lines of a log without the seconds, which differ from run to run."""
    return [line[:-1] for line in csv.reader((folder / "log.csv").read_text().splitlines())]


def wait_for_step(folder: Path, step: int, process: subprocess.Popen[str]) -> None:
    """Return as soon as the log holds a step."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        path = folder / "log.csv"
        lines = path.read_text().splitlines()[1:] if path.exists() else []
        if lines and int(lines[-1].split(",")[0]) >= step:
            return
        time.sleep(0.01)
    raise AssertionError(f"step {step} was not reached: {process.communicate()}")


def call(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, arguments):
    """The run that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "model"
    result = call(*arguments, "--output", folder)
    assert result.exit_code == 0, result.output
    return folder


def assert_equal_runs(folder, whole) -> None:
    assert log_of(folder) == log_of(whole)
    assert (folder / "gates.csv").read_bytes() == (whole / "gates.csv").read_bytes()
    assert (folder / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert (folder / "best" / "model.safetensors").read_bytes() == (whole / "best" / "model.safetensors").read_bytes()


def test_the_same_command_gives_the_same_bytes(whole, arguments, tmp_path):
    assert call(*arguments, "--output", tmp_path / "again").exit_code == 0
    assert_equal_runs(tmp_path / "again", whole)


@pytest.mark.parametrize("step", [5, 14])
def test_a_killed_run_goes_on_with_the_same_losses(whole, arguments, start, tmp_path, step):
    folder = tmp_path / "model"
    process = start(*arguments, "--output", folder)
    wait_for_step(folder, step, process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    result = call("pretrain", "--resume", folder)
    assert result.exit_code == 0, result.output
    assert_equal_runs(folder, whole)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)])
def test_a_preempted_run_saves_and_asks_to_be_queued_again(whole, arguments, start, tmp_path, number, code):
    folder = tmp_path / "model"
    process: subprocess.Popen[str] = start(*arguments, "--output", folder)
    wait_for_step(folder, 2, process)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == code, error
    assert f"go on with --resume {folder}" in error
    assert "Traceback" not in error
    stopped = load_snapshot(folder).run["step"]
    assert 2 <= stopped < 24
    assert not (folder / "model.safetensors").exists()
    assert call("pretrain", "--resume", folder).exit_code == 0
    assert_equal_runs(folder, whole)


def test_a_damaged_checkpoint_is_refused_and_the_one_before_is_used(whole, arguments, tmp_path, caplog):
    folder = tmp_path / "model"
    assert call(*arguments, "--output", folder).exit_code == 0
    newest, before = checkpoints(folder)
    (folder / "model.safetensors").unlink()
    weights = newest / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-7])
    assert load_snapshot(folder).run["step"] == int(before.name.removeprefix("step-")) == 20
    assert "SHA-256" in caplog.text
    assert call("pretrain", "--resume", folder).exit_code == 0
    assert_equal_runs(folder, whole)


@pytest.mark.parametrize("name", ["run.json", "optimizer.safetensors", "lanes.safetensors"])
def test_every_file_of_a_checkpoint_is_checked(whole, arguments, tmp_path, name):
    folder = tmp_path / "model"
    assert call(*arguments, "--steps", 4, "--output", folder).exit_code == 0
    (only,) = checkpoints(folder)
    content = bytearray((only / name).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (only / name).write_bytes(content)
    with pytest.raises(CheckpointError, match="all its checkpoints are damaged"):
        load_snapshot(folder)


def test_a_full_disk_while_saving_leaves_the_last_good_checkpoint(whole, arguments, tmp_path):
    folder = tmp_path / "model"
    assert call(*arguments, "--steps", 4, "--output", folder).exit_code == 0
    good = load_snapshot(folder)
    names = sorted(path.name for path in (folder / "checkpoints").iterdir())
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    good.run["step"] = 8
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # no file may grow beyond 4 kB: a write fails
        with pytest.raises(OutputError, match="cannot write the checkpoint"):
            save_snapshot(folder, good)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == names
    again = load_snapshot(folder)
    assert again.run["step"] == 4
    assert all(torch.equal(again.weights[name], x) for name, x in good.weights.items())


def test_the_name_of_a_checkpoint_is_forced_to_the_disk_last(whole, tmp_path, monkeypatch):
    snapshot, forced = load_snapshot(whole), []
    monkeypatch.setattr(os, "fsync", lambda number: forced.append(Path(f"/proc/self/fd/{number}").readlink()))
    final = save_snapshot(tmp_path, snapshot)
    assert forced[-1] == final.parent
    (partial,) = {path for path in forced if path.parent == final.parent}  # its own entries, before it is renamed
    assert {path.name for path in forced if path.parent == partial} >= {path.name for path in final.iterdir()}


def test_two_checkpoints_are_kept(whole):
    assert [path.name for path in checkpoints(whole)] == ["step-00000024", "step-00000020"]
    assert not list((whole / "checkpoints").glob(".partial*"))


def test_the_split_and_the_counts_are_written_down(whole, arguments):
    lines = [line.split("\t") for line in (whole / "splits.bed").read_text().splitlines()]
    assert [(line[0], line[3]) for line in lines] == [(f"c{i}", "holdout" if i == 4 else "train") for i in range(5)]
    weights = load_file(whole / "model.safetensors")
    assert int(weights["counts.counts"].sum()) > 1000
    assert int((weights["counts.repeats"] > 0).sum()) > 100


def test_nothing_to_resume_is_said_in_one_line(tmp_path):
    with pytest.raises(InputMissing, match=r"no run to resume: it has no run\.json"):
        read_settings(tmp_path)
    result = CliRunner().invoke(main, ["pretrain", "--resume", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert CliRunner().invoke(main, ["pretrain", "--steps", "3"]).exit_code == 2


def test_settings_survive_the_file(whole):
    settings = read_settings(whole)
    assert settings.training.steps == 24
    assert read_settings(whole) == settings
    (whole / "run.json").write_text((whole / "run.json").read_text().replace('"width"', '"wide"'))
    with pytest.raises(CheckpointError, match="settings of the run are damaged"):
        read_settings(whole)


def test_a_resumed_run_records_the_command_that_began_it(arguments, toy, tmp_path, monkeypatch):
    fasta = tmp_path / "a genome.fa"
    fasta.write_bytes((toy / "toy.fa").read_bytes())
    folder = tmp_path / "model"
    words = [*arguments, "--fasta", str(fasta), "--steps", "2", "--output", str(folder)]
    monkeypatch.setattr("sys.argv", ["titans-dna", *words])
    assert call(*words).exit_code == 0
    begun = json.loads((folder / "training.json").read_text())["command"]
    assert shlex.split(begun) == ["titans-dna", *words]
    (folder / "model.safetensors").unlink()
    monkeypatch.setattr("sys.argv", ["titans-dna", "pretrain", "--resume", str(folder)])
    assert call("pretrain", "--resume", folder).exit_code == 0
    assert json.loads((folder / "training.json").read_text())["command"] == begun


def test_a_folder_of_another_run_is_begun_anew(arguments, tmp_path, toy):
    folder = tmp_path / "model"
    assert call(*arguments, "--steps", 8, "--output", folder).exit_code == 0
    assert call(*arguments, "--steps", 2, "--overwrite", "--output", folder).exit_code == 0
    assert [path.name for path in checkpoints(folder)] == ["step-00000002"]
    assert pretrain_model(folder, read_settings(folder), resume=True).finished
