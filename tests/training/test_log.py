"""The log drops what will be done again, and TensorBoard is told the same."""

from __future__ import annotations

import builtins
import csv

import pytest

from titans_dna.errors import ConfigError
from titans_dna.inference.gates import GateStatistics
from titans_dna.training.log import NAMES, RunLog
from titans_dna.training.loop import LogRow


def row(step: int) -> LogRow:
    return LogRow(
        step=step, split="train", bits_per_base=2 - step / 100, learning_rate=0.1, gradient_norm=1.0,
        bases=step * 10, skipped=0, seconds=float(step),
    )  # fmt: skip


def gates(layer: int) -> GateStatistics:
    return GateStatistics(
        layer=layer, memory=1, mean_step=0.02123456, step_at_0=0.25, step_at_1=0.0, mean_momentum=0.4,
        mean_forgetting=0.0002, writes=1.0,
    )  # fmt: skip


def test_lines_after_the_checkpoint_and_broken_ones_are_dropped(tmp_path):
    log = RunLog(tmp_path)
    for step in (1, 2, 3):
        log.write(row(step))
    log.close()
    with (tmp_path / "log.csv").open("a") as file:
        file.write("2,train,1.9")  # cut off by a kill
    again = RunLog(tmp_path, after_step=2)
    again.write(row(3))
    again.close()
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0] == ",".join(NAMES)
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2", "3"]


def test_a_kill_while_the_log_is_opened_again_loses_no_line(tmp_path, monkeypatch):
    log = RunLog(tmp_path)
    log.write(row(1))
    log.close()
    before = (tmp_path / "log.csv").read_bytes()

    def kill(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(csv, "writer", kill)
    with pytest.raises(KeyboardInterrupt):
        RunLog(tmp_path, after_step=1)
    assert (tmp_path / "log.csv").read_bytes() == before
    monkeypatch.undo()
    RunLog(tmp_path, after_step=1).close()
    assert (tmp_path / "log.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gates.csv", "log.csv"]


def test_gates_of_evaluations_that_come_again_are_dropped(tmp_path):
    log = RunLog(tmp_path)
    for step in (2, 4):
        log.write_gates(step, [gates(1), gates(2)])
    log.close()
    with (tmp_path / "gates.csv").open("a") as file:
        file.write("2,1,1,0.")  # cut off by a kill
    again = RunLog(tmp_path, after_step=3)
    again.write_gates(4, [gates(1)])
    again.close()
    lines = (tmp_path / "gates.csv").read_text().splitlines()
    assert lines[0] == "step,layer,memory,mean_step,step_at_0,step_at_1,mean_momentum,mean_forgetting,writes"
    assert lines[1:] == [f"{step},{layer},1,0.0212346,0.25,0,0.4,0.0002,1" for step, layer in ((2, 1), (2, 2), (4, 1))]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_events_hold_the_losses(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = RunLog(tmp_path, tensorboard=True)
    for step in (1, 2):
        log.write(row(step))
    log.close()
    events = accumulator.EventAccumulator(str(tmp_path / "events")).Reload()
    found = [(e.step, round(e.value, 4)) for e in events.Scalars("train/bits_per_base")]
    assert found == [(1, 1.99), (2, 1.98)]


def test_a_missing_tensorboard_is_said_in_one_line(tmp_path, monkeypatch):
    true_import = builtins.__import__

    def without(name, *rest):
        if "tensorboard" in name:
            raise ImportError(name)
        return true_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'titans-dna\[watch\]'"):
        RunLog(tmp_path, tensorboard=True)
