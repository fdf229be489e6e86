"""Two processes give the losses of one with the same global batch, and their checkpoints load in either number."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from distributed_worker import MODEL, RUNS, losses, run, trainer_of

from titans_dna.errors import ConfigError
from titans_dna.training.distributed import World, piece_of_window

ALONE = World()


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> tuple[Path, dict[str, list]]:
    """All strategies under two processes on the loopback; a checkpoint of one process is there for them."""
    folder = tmp_path_factory.mktemp("two")
    run("ddp", ALONE, 3, folder / "one")
    run("ddp with recall", ALONE, 3, folder / "one with recall")
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        str(Path(__file__).with_name("distributed_worker.py")), str(folder),
    ]  # fmt: skip
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, json.loads((folder / "losses.json").read_text())


def alone(name: str) -> str:
    """Return the run that one process makes of the same model."""
    return name if "recall" in name else "ddp"


def assert_same(found: list, wanted: list) -> None:
    assert [row[:2] for row in found] == [list(row[:2]) for row in wanted]
    assert [row[4] for row in found] == [row[4] for row in wanted]
    assert [row[2] for row in found] == pytest.approx([row[2] for row in wanted], abs=2e-5)
    assert [row[3] for row in found] == pytest.approx([row[3] for row in wanted], rel=2e-3)


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_learn_like_one(two, name):
    alone = losses(run(name, ALONE, 6))
    assert_same(two[1][name], alone)
    assert alone[0][2] != alone[-1][2]


def test_the_runs_with_recall_recall():
    batch = trainer_of("ddp with recall", ALONE).sampler.draw()
    assert batch.recalled.any()


@pytest.mark.parametrize("name", ["ddp", "fsdp", "ddp with recall"])
def test_a_checkpoint_of_one_process_goes_on_in_two(two, name):
    assert_same(two[1][f"{name} from one process"], [r for r in losses(run(alone(name), ALONE, 6)) if r[0] > 3])


@pytest.mark.parametrize("name", ["ddp", "fsdp", "ddp with recall"])
def test_a_checkpoint_of_two_processes_goes_on_in_one(two, name):
    rows = losses(run(alone(name), ALONE, 6, two[0] / name, resume=True))
    assert_same([list(r) for r in rows], [r for r in losses(run(alone(name), ALONE, 6)) if r[0] > 3])


def test_lanes_are_shared_evenly():
    assert [World(rank=r, processes=3).share(6) for r in range(3)] == [(0, 2), (2, 4), (4, 6)]
    with pytest.raises(ConfigError, match="no multiple of the 4 processes"):
        World(rank=0, processes=4).share(6)


def test_pieces_start_at_resets_with_a_halo_in_front():
    import dataclasses

    config = dataclasses.replace(MODEL, reset_tokens=16)
    assert piece_of_window(config, 256, 0, 2) == (0, 0, 128)
    halo, start, end = piece_of_window(config, 256, 1, 2)
    assert (start, end) == (128, 256)
    assert halo % 16 == 0
    assert halo <= 128 - 2 * 16  # two layers reach back 16 tokens each
    with pytest.raises(ConfigError, match="only where every memory resets"):
        piece_of_window(MODEL, 256, 0, 2)
    with pytest.raises(ConfigError, match="choose a multiple of 32"):
        piece_of_window(config, 250, 0, 2)


@pytest.mark.parametrize("memory_layers", [(), (1, 3)], ids=["all layers", "layers 1 and 3"])
def test_the_halo_is_enough(memory_layers):
    """Features of the piece behind a halo are those of the whole window, bit for bit up to rounding."""
    import dataclasses

    from titans_dna.model.backbone import Backbone

    torch.manual_seed(0)
    config = dataclasses.replace(MODEL, reset_tokens=16, layers=3, memory_layers=memory_layers)
    net = Backbone(config).eval()
    ids = torch.randint(0, 4, (2, 512))
    halo, start, end = piece_of_window(config, 512, 1, 2)
    with torch.no_grad():
        whole, piece = net.stream(ids).hidden[:, start:end], net.stream(ids[:, halo:end]).hidden[:, start - halo :]
        late = net.stream(ids[:, start:end]).hidden
    assert torch.allclose(whole, piece, atol=1e-5)
    assert not torch.allclose(whole, late, atol=1e-3)
