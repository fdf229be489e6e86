"""The scripts of benchmarks/evidence are no package: tests import them by name, as they import each other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from titans_dna.inference.model import SequenceModel
from titans_dna.model.backbone import Backbone
from titans_dna.model.config import BackboneConfig
from titans_dna.tokenizers import NucleotideTokenizer

EVIDENCE = Path(__file__).resolve().parents[2] / "benchmarks/evidence"
sys.path[:0] = [str(EVIDENCE), str(EVIDENCE.parent)]


@pytest.fixture
def setting(tmp_path, monkeypatch):
    """The small budget, with everything written below a temporary folder."""
    import setting as module

    monkeypatch.setattr(module, "BUILD", tmp_path / "evidence")
    monkeypatch.setattr(module.record, "RESULTS", tmp_path / "results")
    return module.Setting(budget="small", seed=1, data=tmp_path)


@pytest.fixture(scope="module")
def model():
    """A small model with weights as they begin."""
    torch.manual_seed(1)
    backbone = Backbone(
        BackboneConfig(width=16, layers=1, attention_heads=2, memory_heads=1, window_tokens=16, chunk_tokens=8)
    )
    torch.nn.init.normal_(backbone.head.weight, std=0.5)
    return SequenceModel(backbone=backbone.eval(), tokenizer=NucleotideTokenizer(), name="small", weights_sha256="")
