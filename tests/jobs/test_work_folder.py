"""A work folder is ours only where it holds our job file; nothing else is touched."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from titans_dna.errors import ConfigError, OutputError
from titans_dna.io.disk.atomic import _host, _started, drop_leftovers
from titans_dna.jobs.work_folder import WorkFolder

PART = {"x": np.arange(3)}


def leave_unfinished(output, job=None):
    """Leave the folder of a run that was killed after its first part."""
    with contextlib.suppress(KeyboardInterrupt), WorkFolder(output, job or {}, resume=False) as work:
        work.keep("0", PART)
        raise KeyboardInterrupt
    return work.path


@pytest.mark.parametrize("content", [None, "notes.txt", "lock", "0.npz", "job.json"])
def test_a_folder_that_no_run_made_is_refused_and_left_as_it_is(tmp_path, content):
    folder = tmp_path / "o.tsv.work"
    folder.mkdir()
    if content:
        (folder / content).write_text('{"mine": 1}')
    for resume in (False, True):
        with pytest.raises(OutputError, match=r"o\.tsv\.work.*is in the way.*Move it"):
            WorkFolder(tmp_path / "o.tsv", {}, resume=resume).__enter__()
    assert [path.name for path in folder.iterdir()] == ([content] if content else [])


def test_a_link_is_refused_and_what_it_points_to_is_left(tmp_path):
    folder = leave_unfinished(tmp_path / "other.tsv")
    before = sorted(path.name for path in folder.iterdir())
    (tmp_path / "o.tsv.work").symlink_to(folder)
    with pytest.raises(OutputError, match="in the way"):
        WorkFolder(tmp_path / "o.tsv", {}, resume=False).__enter__()
    assert sorted(path.name for path in folder.iterdir()) == before
    (tmp_path / "p.tsv.work").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="in the way"):
        WorkFolder(tmp_path / "p.tsv", {}, resume=False).__enter__()


def test_a_file_of_that_name_is_refused(tmp_path):
    (tmp_path / "o.tsv.work").write_text("mine")
    with pytest.raises(OutputError, match="in the way"):
        WorkFolder(tmp_path / "o.tsv", {}, resume=False).__enter__()
    assert (tmp_path / "o.tsv.work").read_text() == "mine"


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path):
    folder = leave_unfinished(tmp_path / "o.tsv")
    (folder / "lock").unlink()
    (tmp_path / "precious").write_text("mine")
    (folder / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError, match="cannot be made"):
        WorkFolder(tmp_path / "o.tsv", {}, resume=True).__enter__()
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_users_file_in_our_folder_outlives_the_run(tmp_path):
    folder = leave_unfinished(tmp_path / "o.tsv")
    (folder / "notes.txt").write_text("mine")
    (folder / "linked.npz").symlink_to(tmp_path / "elsewhere")
    with WorkFolder(tmp_path / "o.tsv", {}, resume=False) as work:
        assert work.part("0") is None  # begun anew
        assert (folder / "notes.txt").is_file()
    assert sorted(path.name for path in folder.iterdir()) == ["linked.npz", "notes.txt"]


def test_a_folder_of_ours_goes_on_or_begins_anew(tmp_path):
    folder = leave_unfinished(tmp_path / "o.tsv", {"model": "a"})
    with pytest.raises(ConfigError, match="another model"):
        WorkFolder(tmp_path / "o.tsv", {"model": "b"}, resume=True).__enter__()
    with WorkFolder(tmp_path / "o.tsv", {"model": "a"}, resume=True) as work:
        np.testing.assert_array_equal(work.part("0")["x"], PART["x"])
    assert not folder.exists()
    with WorkFolder(tmp_path / "o.tsv", {"model": "b"}, resume=False) as work:
        assert work.part("0") is None


def test_the_name_of_a_part_is_forced_to_the_disk_after_its_content(tmp_path, monkeypatch):
    forced = []
    with WorkFolder(tmp_path / "o.tsv", {}, resume=False) as work:
        monkeypatch.setattr(os, "fsync", lambda number: forced.append(Path(f"/proc/self/fd/{number}").readlink()))
        work.keep("0", PART)
        assert forced == [work.path / ".0.npz.partial", work.path]


def test_two_runs_do_not_share_a_folder(tmp_path):
    with WorkFolder(tmp_path / "o.tsv", {}, resume=False):
        with pytest.raises(OutputError, match="another run is writing"):
            WorkFolder(tmp_path / "o.tsv", {}, resume=False).__enter__()
        code = (
            "import sys; from pathlib import Path; from titans_dna.jobs.work_folder import WorkFolder\n"
            "WorkFolder(Path(sys.argv[1]), {}, resume=True).__enter__()"
        )
        other = subprocess.run([sys.executable, "-c", code, str(tmp_path / "o.tsv")], capture_output=True, text=True)
        assert "another run is writing" in other.stderr


def test_a_run_that_was_killed_while_it_made_its_folder_leaves_nothing_that_stays(tmp_path):
    dead = (
        tmp_path / f".partial-{_host()}-{os.getpid()}-1-0123abcd-o.tsv.work"
    )  # our number, another start: a reused one
    dead.mkdir()
    (dead / "job.json").write_text("{}")
    live = tmp_path / f".partial-{_host()}-{os.getpid()}-{_started(os.getpid())}-0123abcd-o.tsv.work"
    live.mkdir()
    with WorkFolder(tmp_path / "o.tsv", {"model": "a"}, resume=False) as work:
        assert json.loads((work.path / "job.json").read_text())["job"] == {"model": "a"}
    assert not dead.exists()
    assert live.exists()


def test_a_number_in_use_again_does_not_keep_a_leftover(tmp_path):
    reused = tmp_path / f".partial-{_host()}-{os.getpid()}-{_started(os.getpid()) - 1}-0123abcd-o.tsv"
    mine = tmp_path / f".partial-{_host()}-{os.getpid()}-{_started(os.getpid())}-0123abcd-o.tsv"
    for path in (reused, mine):
        path.write_text("")
    drop_leftovers(tmp_path / "o.tsv")
    assert not reused.exists()
    assert mine.exists()


def test_what_says_that_others_are_whole_is_deleted_first(tmp_path, monkeypatch):
    """A kill between two deletions leaves vectors without a mark, never a mark without its vectors."""
    gone = []
    real = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda self, **how: (gone.append(self.name), real(self, **how))[1])
    with WorkFolder(tmp_path / "o.h5", {"kind": "x"}, resume=False) as work:
        for name in ("a", "b"):
            (work.path / f"{name}.vectors").touch()
            work.keep(name, {"n": np.zeros(1)})
    order = [name for name in gone if name.endswith((".npz", ".vectors", "job.json"))]
    assert [name.rpartition(".")[2] for name in order] == ["npz", "npz", "vectors", "vectors", "json"]


def test_the_folder_is_not_listed_anew_for_every_part(tmp_path, monkeypatch):
    """Parts of 100,000 contigs would take hours by it."""
    listed = []
    real = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: (listed.append(pattern), real(self, pattern))[1])
    with WorkFolder(tmp_path / "o.h5", {}, resume=False) as work:
        before = len(listed)
        for number in range(20):
            work.once(str(number), lambda: PART)
        assert len(listed) == before


def test_states_of_an_earlier_run_go_when_their_part_is_finished(tmp_path):
    folder = leave_unfinished(tmp_path / "o.h5")
    for name in ("1.at-5.npz", "1.at-5.safetensors", "11.at-5.npz"):
        (folder / name).touch()
    with WorkFolder(tmp_path / "o.h5", {}, resume=True) as work:
        work.keep("1", PART)
        assert sorted(path.name for path in folder.glob("*.at-*")) == ["11.at-5.npz"]
