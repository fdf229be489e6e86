"""The statistics of the gates say what each memory does; those of the shipped model must show that it writes."""

from __future__ import annotations

import pytest
import torch

from titans_dna.checkpoints import model_folder
from titans_dna.errors import InputMissing
from titans_dna.inference.gates import RANDOM_BASES, gate_statistics, random_gates
from titans_dna.inference.model import load_model
from titans_dna.model.config import MemoryLayout
from titans_dna.model.memory import NeuralMemory
from titans_dna.ops.form import MemoryForm
from titans_dna.tokenizers import KmerTokenizer

IDS = torch.randint(0, 4, (2, 50), generator=torch.Generator().manual_seed(1))


def memories(model) -> list[NeuralMemory]:
    return [module for module in model.backbone.modules() if isinstance(module, NeuralMemory)]


def set_gates(memory: NeuralMemory, step: list[float], momentum: float = 0.0, forgetting: float = 0.0) -> None:
    """Make the gates of a memory of two heads the same at every token; ``step`` is given for each head."""
    with torch.no_grad():
        memory.gates.weight.zero_()
        bias = memory.gates.bias.view(3, 2, -1)
        bias[0], bias[1], bias[2] = torch.tensor(step).unsqueeze(-1), momentum, forgetting


@pytest.mark.parametrize("block", ["mag", "mac", "mal", "lmm"])
def test_known_gates_are_told(make_model, block):
    model = make_model(block=block, segment_tokens=24)
    shut, half = memories(model)
    set_gates(shut, [-20.0, -20.0])
    set_gates(half, [-20.0, 20.0])
    one, two = gate_statistics(model.backbone, IDS)
    assert (one.layer, one.memory, two.layer, two.memory) == (1, 1, 2, 1)
    assert (one.mean_step, one.step_at_0, one.step_at_1, one.mean_forgetting, one.writes) == (0, 1, 0, 0, 0)
    assert (two.mean_step, two.step_at_0, two.step_at_1, two.writes) == (0.5, 0.5, 0.5, 1)  # one head of two writes
    assert two.mean_forgetting == pytest.approx(0.25)
    assert two.mean_momentum == pytest.approx(0.45)


def test_a_rule_without_momentum_and_forgetting_has_none(make_model):
    model = make_model(memory=MemoryForm(momentum=False, forgetting=False))
    for row in gate_statistics(model.backbone, IDS):
        assert (row.mean_momentum, row.mean_forgetting) == (0, 0)
        assert row.mean_step > 0


def test_tokens_that_are_not_written_do_not_count(make_model):
    model = make_model(layers=1, block="lmm", convolution_tokens=1, context_orders=())
    padded = torch.cat([torch.full((2, 1), model.bos), IDS, torch.full((2, 30), 4), torch.full((2, 9), model.pad)], 1)
    (alone,), (found,) = gate_statistics(model.backbone, IDS), gate_statistics(model.backbone, padded)
    for name, value in vars(alone).items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-6), name


def test_layers_and_memories_are_named_and_no_hook_is_left(make_model):
    model = make_model(layers=3, memory_layers=(1, 3), further_memories=(MemoryLayout(heads=1, chunk_tokens=4),))
    assert [(row.layer, row.memory) for row in gate_statistics(model.backbone, IDS)] == [(1, 1), (1, 2), (3, 1), (3, 2)]
    assert all(not memory._forward_hooks for memory in memories(model))
    assert gate_statistics(make_model(block="window").backbone, IDS) == []


def test_random_bases_are_the_same_every_time_and_in_the_models_tokens(make_model, monkeypatch):
    model = make_model()
    assert random_gates(model) == random_gates(model)
    assert RANDOM_BASES == 4096
    read = []
    words = make_model(KmerTokenizer(k=3), context_orders=())
    stream = words.backbone.stream
    monkeypatch.setattr(words.backbone, "stream", lambda ids: read.append(ids) or stream(ids))
    random_gates(words)
    assert int(read[0][0, 0]) == words.bos
    assert words.tokenizer.decode(read[0][0, 1:].numpy())[:4].strip(b"ACGT") == b""


def test_every_memory_of_the_shipped_model_writes():
    """The real weights, where this checkout has them."""
    try:
        model_folder("default")
    except InputMissing as missing:
        pytest.skip(str(missing))
    model = load_model("default", "cpu")
    found, config = random_gates(model), model.backbone.config
    assert {row.layer for row in found} == {n for n in range(1, config.layers + 1) if config.block_of(n) != "window"}
    assert found
    for row in found:
        assert row.writes > 0.5, row
        assert row.mean_step > 0.001, row
