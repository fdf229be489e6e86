"""Cases are kept at the full budget, results go to their own folders, and one command runs what is there."""

from __future__ import annotations

import json
from dataclasses import replace

import run
import setting as module


def test_a_full_case_is_measured_once_and_a_small_one_every_time(setting):
    calls = []

    def measure():
        calls.append(1)
        return {"n": len(calls)}

    full = replace(setting, budget="full")
    assert [full.once("case", measure) for _ in range(2)] == [{"n": 1}, {"n": 1}]
    assert replace(full, seed=2).once("case", measure) == {"n": 2}
    assert [setting.once("case", measure) for _ in range(2)] == [{"n": 3}, {"n": 4}]


def test_small_results_are_never_written_over_full_ones(setting, tmp_path):
    claim = module.claim("it works", "always", "once", True)
    for budget in ("small", "full"):
        replace(setting, budget=budget).write("thing", "A thing", ["a"], [[1.5]], [claim], detail="d")
    small, full = tmp_path / "evidence", tmp_path / "results"
    assert json.loads((small / "evidence_thing.json").read_text())["budget"] == "small"
    values = json.loads((full / "evidence_thing.json").read_text())
    assert (values["budget"], values["claims"], values["seed"]) == ("full", [claim], 1)
    text = (full / "evidence_thing.md").read_text()
    assert "- detail: d" in text
    assert "claims" not in text
    assert "| 1.5 |" in text


def test_what_was_not_measured_is_said(setting):
    assert [module.claim("", "", "", v)["verdict"] for v in (True, False, None)] == ["holds", "fails", "not measured"]


def test_the_command_runs_the_scripts_that_are_there(tmp_path):
    for name in ("stress", "needle"):
        (tmp_path / f"{name}.py").touch()
    found = run.commands("small", 3, 2, tmp_path)
    assert [command[1:] for command in found] == [
        [str(tmp_path / "needle.py"), "--budget", "small", "--seed", "3", "--jobs", "2"],
        [str(tmp_path / "stress.py"), "--budget", "small", "--seed", "3"],
    ]
    names = [command[1].rpartition("/")[2] for command in run.commands("full", 1, 1)]
    assert set(names) >= {"adaptation.py", "linear_cost.py", "downstream.py", "stress.py"}
