"""Gates on held-out sequence: at most 4,096 tokens of it, padding left out, and as rows of the default model's card."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from titans_dna.inference.gates import gate_statistics
from titans_dna.model.backbone import Backbone
from titans_dna.model.config import BackboneConfig
from titans_dna.training.evaluation import GATE_TOKENS, held_out_gates


@pytest.fixture(scope="module")
def model() -> Backbone:
    torch.manual_seed(0)
    sizes = {"width": 16, "attention_heads": 2, "memory_heads": 2, "window_tokens": 16, "chunk_tokens": 8}
    return Backbone(BackboneConfig(layers=2, **sizes)).eval()


def contigs(*bases: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 4, n).astype(np.uint8) for n in bases]


def test_one_contig_is_read_behind_the_start_token(model):
    (ids,) = contigs(100)
    wanted = gate_statistics(model, torch.tensor([[5, *ids.tolist()]]))
    assert held_out_gates(model, [ids], 5) == wanted
    assert held_out_gates(model, [], 5) == []


@pytest.mark.parametrize("bases", [(5000,), (3000, 20, 9000), (100,) * 90], ids=["long", "mixed", "many"])
def test_no_more_than_the_budget_is_read(model, monkeypatch, bases):
    read, stream = [], model.stream
    monkeypatch.setattr(model, "stream", lambda ids: read.append(ids) or stream(ids))
    rows = held_out_gates(model, contigs(*bases), 5)
    (ids,) = read
    assert int((ids < 4).sum()) <= GATE_TOKENS
    assert ids.numel() <= GATE_TOKENS + len(ids)
    assert [(row.layer, row.memory) for row in rows] == [(1, 1), (2, 1)]
    assert (ids[:, 0] == 5).all()
    assert set(ids[ids > 3].tolist()) <= {5, 6}


def test_the_card_has_a_row_for_every_memory(project, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(project / "benchmarks"), *sys.path])
    import train_default

    row = {"memory": 1, "step_at_0": 0.017, "step_at_1": 0.0, "mean_momentum": 0.4, "mean_forgetting": 2e-4}
    training = {"gates": [{"layer": n, "mean_step": 0.021, "writes": 0.983, **row} for n in (1, 2)]}
    lines = train_default.gate_table(training)
    assert lines[-3:-1] == [f"| {n} | 1 | 98.3% | 0.021 | 1.7% | 0.0% | 0.4 | 0.0002 |" for n in (1, 2)]
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    assert train_default.gate_table({}) == []
