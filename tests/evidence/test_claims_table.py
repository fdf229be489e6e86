"""The tables of claims are what the committed results say, losses and all."""

from __future__ import annotations

import json

import claims
import pytest


@pytest.mark.parametrize("name", claims.FILES)
def test_the_files_hold_the_table_of_the_committed_results(project, name):
    text = (project / name).read_text()
    assert claims.written(text, claims.table(claims.gather(), claims.FILES[name])) == text, (
        "run: python benchmarks/evidence/claims.py --write"
    )


def test_every_committed_claim_is_whole_and_of_the_full_budget(project):
    for path in (project / "benchmarks/results").glob("evidence_*.json"):
        values = json.loads(path.read_text())
        assert values["budget"] == "full", path.name
        assert path.with_suffix(".md").is_file()
        if "claims" not in values:  # a further table of a script
            continue
        for claim in values["claims"]:
            assert set(claim) == {"claim", "target", "measured", "verdict"}, path.name
            assert claim["verdict"] in {"holds", "fails", "not measured"}, path.name
        assert path.with_suffix(".svg").is_file()


def test_losses_stay_in_the_table(tmp_path):
    rows = [{"claim": name, "target": "t", "measured": "a | b", "verdict": name} for name in ("fails", "holds")]
    (tmp_path / "evidence_stress.json").write_text(json.dumps({"claims": rows}))
    (tmp_path / "evidence_needle.json").write_text(json.dumps({"claims": rows[:1]}))
    gathered = claims.gather(tmp_path)
    assert [name for name, _ in gathered] == ["evidence_needle", "evidence_stress", "evidence_stress"]
    lines = claims.table(gathered).splitlines()
    assert lines[2] == r"| fails | t | a \| b | **fails** | `evidence_needle` |"
    assert len(lines) == 5


def test_the_table_is_written_between_its_marks():
    text = f"before\n{claims.START}\nold\n{claims.END}\nbehind\n"
    new = claims.written(text, "| new |")
    assert new == f"before\n{claims.START}\n\n| new |\n\n{claims.END}\nbehind\n"
    assert claims.written(new, "| new |") == new


@pytest.mark.parametrize("text", ["", claims.START, claims.END + claims.START, claims.START * 2 + claims.END])
def test_a_file_without_a_place_for_it_is_refused(text):
    with pytest.raises(ValueError, match="no place for the table"):
        claims.written(text, "")
