"""The benchmark against other models runs, and its table says what could not be measured, and why."""

from __future__ import annotations

import json
import sys

import peers
import pytest
import torch

MODELS = ["default", "tiny", "hyena", "convolutions", "selective scan", peers.THEIRS]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder, patch = tmp_path_factory.mktemp("peers"), pytest.MonkeyPatch()
    threads = torch.get_num_threads()
    with patch.context() as context:
        context.setattr(peers, "LEAST_SECONDS", 0.0)
        context.setattr(sys, "argv", ["peers.py", "--quick", "--output", str(folder), "--models", *MODELS])
        peers.main()
    torch.set_num_threads(threads)
    return json.loads((folder / "peers.json").read_text())


def test_every_case_has_a_row(result):
    rows = [dict(zip(result["columns"], row, strict=True)) for row in result["rows"]]
    assert [(row["what"], row["model"]) for row in rows] == [(m, x) for m in ("inference", "training") for x in MODELS]
    for row in rows:
        if row["model"] == peers.THEIRS and row["CPU us a base"] == "- (no titans_pytorch)":
            continue
        assert float(row["CPU us a base"]) > 0
        assert float(row["peak MB"].replace(",", "")) > 0
        assert row["model"] != peers.BASE or row["CPU against hyena"] == "1.00"


def options(**settings):
    return peers.argparse.Namespace(**{"most_gb": 8.0, "most_seconds": 60.0, "step_bases": 64, **settings})


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda *_: torch.empty(1 << 50), "over 8 GB"),
        (lambda *_: bytearray(1 << 50), "over 8 GB"),
        (lambda *_: peers.os.kill(peers.os.getpid(), peers.signal.SIGKILL), "over 8 GB"),
        (lambda *_: [n * n for n in range(1 << 40)], "over 1 s"),
        (lambda *_: __import__("titans_pytorch_of_nobody"), "no titans_pytorch_of_nobody"),
    ],
)
def test_what_is_too_large_or_too_slow_is_said(work, said, monkeypatch):
    monkeypatch.setattr(peers, "measure", work)
    case = peers.Case("tiny", peers.INFERENCE, 64)
    assert peers.in_fork(case, None, options(most_seconds=1.0 if said == "over 1 s" else 60.0)) == said


def test_a_fault_is_no_lack_of_memory(monkeypatch):
    def work(*_):
        raise RuntimeError("more than one element refers to a single memory location")

    monkeypatch.setattr(peers, "measure", work)
    with pytest.raises(RuntimeError, match="failed"):
        peers.in_fork(peers.Case("tiny", peers.INFERENCE, 64), None, options())


def test_a_case_that_takes_long_has_fewer_rounds(monkeypatch):
    asked, cases = [], [peers.Case("tiny", "inference", n) for n in (64, 128)]

    def measure(case, *_):
        asked.append(case.bases)
        return "over 1 s" if case.bases == 128 else peers.Found(1, 1.0, 1.0, 1.0)

    monkeypatch.setattr(peers, "in_fork", measure)
    found = list(peers.rounds(cases, options(rounds=3, seconds=10.0), None))
    assert asked == [64, 128, 64, 64]
    assert [case.bases for case, _ in found] == asked
