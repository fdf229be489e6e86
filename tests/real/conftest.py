"""Real genomes beside the project, and a model small enough to read them in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from titans_dna.inference.model import SequenceModel, load_model
from titans_dna.io.sequence.fasta import open_fasta
from titans_dna.model.config import BackboneConfig
from titans_dna.training.config import TrainingConfig
from titans_dna.training.data import Source, Split
from titans_dna.training.run import RunSettings, pretrain_model

SMALL = BackboneConfig(width=16, layers=1, attention_heads=2, memory_heads=1, window_tokens=64, context_orders=(3,))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """One cache for all real tests: a compressed genome is unpacked once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TITANS_DNA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def yeast(shared_data) -> Path:
    return shared_data / "genomes/yeast_R64-1-1.fa.gz"


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory, yeast) -> Path:
    """A model trained for a few steps on pieces of yeast, contig I held out."""
    folder = tmp_path_factory.mktemp("yeast")
    with open_fasta(yeast) as fasta:
        pieces = {"IV": fasta.fetch("IV", 400_000, 500_000), "I": fasta.fetch("I", 100_000, 110_000)}
    (folder / "piece.fa").write_bytes(b"".join(b">" + n.encode() + b"\n" + s + b"\n" for n, s in pieces.items()))
    config = TrainingConfig(steps=25, lanes=8, window_tokens=128, learning_rate=1e-2, evaluate_every=25, seed=1)
    sources = (Source(path=folder / "piece.fa"),)
    settings = RunSettings(
        sources=sources, backbone=SMALL, training=config, split=Split(holdout=("chrI",)), device="cpu"
    )  # fmt: skip
    assert "bits per base (validation)" in pretrain_model(folder / "model", settings).summary
    return folder / "model"


@pytest.fixture(scope="session")
def model(model_folder) -> SequenceModel:
    return load_model(model_folder, "cpu")
