"""A small random model as a folder, a tiny genome, and the command line to compare with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

import titans_dna as td
from titans_dna.cli import main
from titans_dna.model.backbone import Backbone
from titans_dna.model.checkpoint import save_checkpoint
from titans_dna.model.config import BackboneConfig
from titans_dna.tokenizers import NucleotideTokenizer

CONFIG = BackboneConfig(
    width=16, layers=2, attention_heads=2, memory_heads=2, window_tokens=16, chunk_tokens=8, context_orders=(3,)
)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("TITANS_DNA_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "toy"
    with torch.random.fork_rng():
        torch.manual_seed(11)
        backbone = Backbone(CONFIG)
        torch.nn.init.normal_(backbone.head.weight, std=0.5)
    save_checkpoint(folder, backbone, NucleotideTokenizer().to_json())
    return folder


@pytest.fixture(scope="session")
def model(model_folder) -> td.Model:
    return td.load_model(model_folder, device="cpu")


@pytest.fixture(scope="session")
def sequences() -> dict[str, str]:
    random = np.random.default_rng(5)
    made = {name: "".join(random.choice(list("ACGT"), size)) for name, size in {"chrA": 600, "chrB": 300}.items()}
    made["chrB"] = made["chrB"][:100] + "N" * 50 + made["chrB"][150:200].lower() + made["chrB"][200:]
    return made


@pytest.fixture(scope="session")
def fasta(tmp_path_factory, sequences) -> Path:
    path = tmp_path_factory.mktemp("genome") / "toy.fa"
    path.write_text("".join(f">{name}\n{text}\n" for name, text in sequences.items()))
    return path


@pytest.fixture(scope="session")
def command():
    """Call the command line, which must succeed."""

    def call(*arguments: object) -> str:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        return result.output

    return call


@pytest.fixture(scope="session")
def same():
    """Compare two frames: columns, order, text, and numbers to the last digit."""

    def compare(found: pd.DataFrame, expected: pd.DataFrame) -> None:
        pd.testing.assert_frame_equal(
            found.reset_index(drop=True), expected.reset_index(drop=True), check_exact=True, check_dtype=False
        )

    return compare
