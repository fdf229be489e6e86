"""What is in the folder of a run is never replaced unasked, and weights never stand beside the record of other ones."""

from __future__ import annotations

import hashlib
import json
import signal
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from titans_dna.cli import main
from titans_dna.io.disk.lock import lock_file
from titans_dna.training.run_folder import LOCK


def call(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words])


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def short(arguments) -> list[str]:
    return [*arguments, "--steps", "4"]


@pytest.fixture
def finished(short, tmp_path) -> Path:
    assert call(*short, "--output", tmp_path / "model").exit_code == 0
    return tmp_path / "model"


def wait_for(path: Path, process) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_a_run_file_of_another_program_makes_no_folder_ours(short, tmp_path):
    (tmp_path / "proj").mkdir()
    for name, text in (("run.json", '{"run": 1}'), ("config.json", "mine"), ("log.csv", "mine")):
        (tmp_path / "proj" / name).write_text(text)
    before = contents(tmp_path)
    for overwrite in ([], ["--overwrite"]):
        result = call(*short, *overwrite, "--output", tmp_path / "proj")
        assert "which no pretraining run has made" in result.output
        assert contents(tmp_path) == before


@pytest.fixture
def labelled(tmp_path) -> list[str]:
    path = tmp_path / "labelled.csv"
    path.write_text("sequence,label\n" + "ACGTACGTAC,a\nTTTTGTTTTG,b\n" * 4)
    return ["finetune", "--data", str(path), "--epochs", "1", "--kmer-bases", "2", "--device", "cpu"]


def test_fine_tuning_does_not_replace_another_model(finished, labelled, tmp_path):
    (tmp_path / "proj").mkdir()
    (tmp_path / "proj" / "model.safetensors").write_text("mine")
    before = contents(tmp_path)
    for output, named in ((finished, "run.json"), (tmp_path / "proj", "model.safetensors")):
        result = call(*labelled, "--model", finished, "--output", output)
        assert result.exit_code == 1
        assert f"holds {named}, which belongs to another model. Choose another --output." in result.output
        assert contents(tmp_path) == before


def test_fine_tuning_takes_its_own_folder_again_but_not_that_of_a_run_at_work(finished, labelled, tmp_path):
    words = [*labelled, "--model", finished, "--output", tmp_path / "classifier"]
    leftover = tmp_path / ".classifier.partial-killed"  # of a run that was killed while it wrote its model
    leftover.mkdir()
    (leftover / "model.safetensors").write_text("half")
    assert call(*words).exit_code == 0
    assert not leftover.exists()
    before = contents(tmp_path / "classifier")
    with lock_file(tmp_path / "classifier" / LOCK, tmp_path / "classifier"):
        assert "another run is writing it" in call(*words).output
    (tmp_path / "classifier" / LOCK).unlink()
    assert contents(tmp_path / "classifier") == before
    assert call(*words).exit_code == 0
    (tmp_path / "classifier" / "base_head.json").write_text("{}")
    assert "holds base_head.json, which belongs to another model" in call(*words).output


@pytest.mark.parametrize("name", ["checkpoints/mine.txt", "config.json", "model.safetensors", "log.csv", "best/mine"])
@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_a_folder_of_somebody_else_is_refused_and_left_as_it_is(short, tmp_path, name, overwrite):
    path = tmp_path / "proj" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    before = contents(tmp_path)
    result = call(*short, *overwrite, "--output", tmp_path / "proj")
    assert result.exit_code == 1
    assert "which no pretraining run has made" in result.output
    assert contents(tmp_path) == before


def test_other_files_of_a_user_stay_where_they_are(short, tmp_path):
    (tmp_path / "proj" / "data").mkdir(parents=True)
    (tmp_path / "proj" / "data" / "notes.txt").write_text("mine")
    assert call(*short, "--output", tmp_path / "proj").exit_code == 0
    assert call(*short, "--overwrite", "--seed", 4, "--output", tmp_path / "proj").exit_code == 0
    assert (tmp_path / "proj" / "data" / "notes.txt").read_text() == "mine"


def test_a_finished_model_is_replaced_only_if_asked_for(short, finished):
    before = contents(finished)
    result = call(*short, "--seed", 4, "--output", finished)
    assert result.exit_code == 1
    assert "holds a finished model" in result.output
    assert "--overwrite" in result.output
    assert contents(finished) == before
    assert call(*short, "--seed", 4, "--overwrite", "--output", finished).exit_code == 0
    assert json.loads((finished / "training.json").read_text())["seed"] == 4
    assert contents(finished)["model.safetensors"] != before["model.safetensors"]
    assert not (finished / ".titans-dna-replaced").exists()
    assert contents(finished).keys() == before.keys()


def test_a_retraining_that_is_killed_leaves_no_old_weights_beside_a_new_record(arguments, start, finished):
    before = contents(finished)
    process = start(*arguments, "--steps", 100_000, "--holdout", "c2", "--overwrite", "--output", finished)
    for name in before:  # the files are set aside one after the other
        wait_for(finished / ".titans-dna-replaced" / name, process)
    wait_for(finished / "checkpoints", process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (finished / "model.safetensors").exists()
    assert contents(finished / ".titans-dna-replaced") == before
    result = call(*arguments, "--output", finished)
    assert result.exit_code == 1
    assert "unfinished run" in result.output
    assert "--resume" in result.output
    assert call(*arguments, "--steps", 4, "--overwrite", "--output", finished).exit_code == 0
    assert contents(finished).keys() == before.keys()


def test_a_checkpoint_that_was_half_written_is_removed_whole(short, finished):
    """The states of the lanes have a name of their own until they are whole."""
    names = contents(finished).keys()
    half = finished / "checkpoints" / ".partial-1-step-00000001"
    half.mkdir(parents=True)
    for name in ("weights.safetensors", ".lanes.safetensors.partial-1", ".tmpAbCdEf"):
        (half / name).write_bytes(b"half")
    assert call(*short, "--overwrite", "--output", finished).exit_code == 0
    assert contents(finished).keys() == names


def test_two_runs_in_one_folder(arguments, start, tmp_path):
    folder = tmp_path / "model"
    first = start(*arguments, "--steps", 100_000, "--output", folder)
    try:
        wait_for(folder / "log.csv", first)
        for words in ((*arguments, "--output", folder), (*arguments, "--overwrite", "--output", folder)):
            result = call(*words)
            assert result.exit_code == 1
            assert "another run is writing it" in result.output
        assert "another run is writing it" in call("pretrain", "--resume", folder).output
        assert first.poll() is None
    finally:
        first.kill()
        first.communicate()


def test_what_a_killed_run_left_of_a_checkpoint_goes(arguments, finished):
    partial = finished / "checkpoints" / ".partial-1-step-00000008"
    partial.mkdir()
    (partial / "weights.safetensors").write_text("half")
    (partial / ".tmpAbC123").write_text("half")
    (finished / "model.safetensors").unlink()
    assert call("pretrain", "--resume", finished).exit_code == 0
    assert not partial.exists()


def test_resume_and_overwrite_exclude_each_other(finished):
    result = call("pretrain", "--resume", finished, "--overwrite")
    assert result.exit_code == 2
    assert "Choose one of them" in result.output


def test_a_users_folder_called_replaced_is_no_matter(short, finished):
    (finished / "replaced").mkdir()
    (finished / "replaced" / "run.json").write_text("mine")
    assert call(*short, "--seed", 4, "--overwrite", "--output", finished).exit_code == 0
    assert (finished / "replaced" / "run.json").read_text() == "mine"
    assert (finished / "model.safetensors").is_file()


def test_a_model_beside_the_one_it_replaced_is_not_lost(arguments, start, short, finished):
    """A run that was killed between its last two moves leaves both; the newer one is the one to keep."""
    older = finished / ".titans-dna-replaced"
    older.mkdir()
    (older / "run.json").write_text("{}")
    before = contents(finished)
    process = start(*arguments, "--steps", 100_000, "--overwrite", "--output", finished)
    wait_for(finished / "log.csv", process)
    wait_for(older / "model.safetensors", process)
    process.kill()
    process.communicate()
    assert contents(older) == {name: digest for name, digest in before.items() if not name.startswith(".titans-dna")}


def test_a_model_that_a_killed_run_has_not_completed_neither_blocks_nor_stays(short, finished):
    for folder in (finished, finished / "best"):
        partial = folder.parent / f".{folder.name}.partial-1"
        partial.mkdir()
        (partial / "config.json").write_text("{}")
    assert call(*short, "--overwrite", "--output", finished).exit_code == 0
    assert not list(finished.glob(".best.partial-*"))
    assert not list(finished.parent.glob(".model.partial-*"))


def test_a_run_that_was_killed_before_its_first_checkpoint_is_begun_anew_by_the_same_command(
    arguments, start, tmp_path
):
    folder = tmp_path / "model"
    process = start(*arguments, "--steps", 100_000, "--save-every", 100_000, "--output", folder)
    wait_for(folder / "log.csv", process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not any((folder / "checkpoints").glob("step-*"))
    assert (folder / "run.json").is_file()
    (folder / "notes.txt").write_text("mine")
    result = call(*arguments, "--steps", 4, "--output", folder)
    assert result.exit_code == 0, result.output
    assert json.loads((folder / "training.json").read_text())["steps"] == 4
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("text", ["{}", "mine", "[" * 100_000])
def test_a_run_json_of_somebody_else_is_not_taken_for_one(short, tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    assert call(*short, "--output", tmp_path).exit_code == 1
    assert (tmp_path / "run.json").read_text() == text
