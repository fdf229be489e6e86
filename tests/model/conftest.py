"""Small models: every kind of block, some with more than one memory, and some with a memory in a few layers only."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from recall.sequences import COMPLEMENT, mutated

from titans_dna.model.backbone import Backbone
from titans_dna.model.config import BLOCKS, BackboneConfig, MemoryLayout
from titans_dna.recall import RecallForm

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks/evidence"))  # `frozen` is tested here

SMALL = {
    "width": 16, "layers": 2, "attention_heads": 2, "memory_heads": 2, "window_tokens": 16, "chunk_tokens": 8,
    "segment_tokens": 24, "context_orders": (2, 3),
}  # fmt: skip
FAST = MemoryLayout(heads=1, chunk_tokens=12, reset_tokens=36)
FORM = RecallForm(words=("1" * 8,), sample_every=(1,), index_bits=12, places=4, accepted_hits=10, spacing_bases=8)
KINDS = {
    **{block: {"block": block} for block in BLOCKS},
    "mag of two memories": {"block": "mag", "further_memories": (FAST,), "layers": 1},
    "mac of two memories": {"block": "mac", "further_memories": (FAST,), "reset_tokens": 16, "layers": 1},
    "mag in layers 2 and 3 of 3": {"block": "mag", "memory_layers": (2, 3), "layers": 3},
    "mac in layer 1 of 2": {"block": "mac", "memory_layers": (1,)},
    "mag with recall": {"block": "mag", "recall": FORM},
    "window with recall": {"block": "window", "recall": FORM},
}
RECALLING = [kind for kind in KINDS if "recall" in kind]


@pytest.fixture(scope="session")
def make_model():
    """A float64 model with a head far from zero."""

    def make(kind: str = "mag", seed: int = 0, **changes) -> Backbone:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = Backbone(BackboneConfig(**{**SMALL, **KINDS[kind], **changes}))
            torch.nn.init.normal_(model.head.weight, std=0.5)
        return model.double().eval().requires_grad_(False)

    return make


@pytest.fixture(scope="session", params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="session")
def model(make_model, kind) -> Backbone:
    return make_model(kind)


@pytest.fixture(scope="session")
def ids() -> torch.Tensor:
    """Two sequences of bases behind a start token; the last bases are a copy, and words are recalled from 64 on."""
    bases = torch.randint(0, 4, (2, 69), generator=torch.Generator().manual_seed(3))
    bases[:, 55:] = bases[:, 20:34]
    return torch.cat([torch.full((2, 1), 5), bases], 1)


@pytest.fixture(scope="session")
def copies() -> torch.Tensor:
    """Two sequences of 399 bases behind a start token: copies, diverged and inverted copies, and a gap."""
    rows = []
    for seed in (21, 22):
        rng = np.random.default_rng(seed)
        first = rng.integers(0, 4, 90)
        inverted, again = COMPLEMENT[first[::-1]][:60], mutated(first, 0.08, rng)
        row = np.concatenate([first, again, first[10:80], [4] * 5, inverted, rng.integers(0, 4, 20), again, first])
        rows.append(torch.from_numpy(row[:399]))
    return torch.cat([torch.full((2, 1), 5), torch.stack(rows)], 1)
