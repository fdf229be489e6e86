"""The report says what was seen: verdicts follow the tallies, and what was not reached is named."""

from __future__ import annotations

import json

import pytest


def case(model: str, right: int, seed: int = 0, distances=(16, 1024)) -> dict[str, object]:
    rows = [["one needle", dna, d, 64, right if d > 16 else 64, 8, 0] for dna in ("random", "real") for d in distances]
    return {
        "model": model,
        "seed": seed,
        "scores_reached": distances[-1],
        "parameters": 10,
        "training_seconds": 1.0,
        "training_steps": 2,
        "training_accuracy": 0.5,
        "capacity": {"1": {"bases": 8, "right": 6, "payloads": 1, "whole": 0}},
        "scores": {"tallies": rows, "read": 1000, "written": 1, "state_numbers": 5},
    }


@pytest.fixture
def budget():
    from needle_budget import Budget
    from needle_training import Plan

    one = (("needles", 8, 1, False), ("needles", 8, 1, True))
    return Budget(
        models=("MAG", "LMM", "window attention"), seeds=1, plan=Plan(), distances=(16, 1024, 4096), main=(),
        claimed=("MAG", "MAC"), goal=0.99, window_goal=0.9, main_groups=(), other_groups=one, counts=(1,), count_rows=1,
    )  # fmt: skip


def test_verdicts_follow_the_tallies(budget):
    from needle_report import claims

    found = claims(budget, {"MAG": [case("MAG", 64, distances=(16, 4096))], "window attention": [case("w", 16)]})
    assert [row["verdict"] for row in found] == ["holds"] * 6
    assert found[0]["measured"] == "1.000 (0.943 to 1.000; 64 bases), 1 seed"
    found = claims(budget, {"MAG": [case("MAG", 60, distances=(16, 4096))], "window attention": [case("w", 40)]})
    assert [row["verdict"] for row in found] == ["fails", "fails", "holds", "fails", "holds", "fails"]
    found = claims(budget, {"MAG": [case("MAG", 64), case("MAG", 64, 1, distances=(16, 1024, 4096))]})
    assert [row["measured"].split(", ")[1] for row in found] == ["2 seeds", "2 seeds", "1 seed", "1 seed"]


def test_seeds_are_joined_and_gaps_are_named(budget, tmp_path, monkeypatch, capsys):
    import needle_report
    import record

    for module in (needle_report, record):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    cases = [case("MAG", 64), case("MAG", 48, seed=1), case("window attention", 16)]
    assert needle_report.report("full", budget, cases, "some.fa", ["IV"]) == 0
    values = json.loads((tmp_path / "evidence_needle.json").read_text())
    assert values["rows"][0] == ["MAG", "one needle", "random", "128", 1.0, 0.875, "not reached", "not reached"]
    assert values["not reached"] == "LMM"
    assert [row["verdict"] for row in values["claims"]] == ["fails"] * 2 + ["holds"] * 4
    assert values["loses"] == "MAG after 1 kb: nowhere"
    assert (tmp_path / "evidence_needle.svg").read_text().startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert (tmp_path / "evidence_needle_capacity.svg").exists()
    assert "chance" in capsys.readouterr().out
