"""What the tests of several folders share: a cache of their own, a small model's shape, and a toy genome."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from titans_dna.model.backbone import Backbone
from titans_dna.model.checkpoint import save_checkpoint
from titans_dna.model.config import BackboneConfig
from titans_dna.recall import RecallForm
from titans_dna.tokenizers import NucleotideTokenizer

CONFIG = BackboneConfig(
    width=16, layers=2, attention_heads=2, memory_heads=2, window_tokens=16, chunk_tokens=8, context_orders=(3,)
)
RECALL = RecallForm(words=("1" * 8,), sample_every=(1,), index_bits=12, places=4, accepted_hits=12, spacing_bases=16)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    """A cache folder of its own for every test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("TITANS_DNA_CACHE", str(folder))
    return folder


def toy_sequences(lengths: dict[str, int]) -> dict[str, str]:
    """Random bases; chrB has a gap and a piece in lower case."""
    random = np.random.default_rng(5)
    made = {name: "".join(random.choice(list("ACGT"), size)) for name, size in lengths.items()}
    made["chrB"] = made["chrB"][:100] + "N" * 50 + made["chrB"][150:200].lower() + made["chrB"][200:]
    return made


def write_fasta(folder: Path, sequences: dict[str, str]) -> Path:
    """Write them as FASTA, a line each."""
    path = folder / "toy.fa"
    path.write_text("".join(f">{name}\n{text}\n" for name, text in sequences.items()))
    return path


def save_small_model(folder: Path) -> None:
    """Save a small random model with a copy memory, whose predictions are far from even."""
    with torch.random.fork_rng():
        torch.manual_seed(11)
        backbone = Backbone(replace(CONFIG, recall=RECALL))
        torch.nn.init.normal_(backbone.head.weight, std=0.5)
    save_checkpoint(folder, backbone, NucleotideTokenizer().to_json())
