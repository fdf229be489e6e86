"""A small random model as a folder, a tiny genome, and the command line to compare with."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from toy import CONFIG, cache, toy_sequences, write_fasta  # noqa: F401 - the cache is a fixture

import titans_dna as td
from titans_dna.cli import main
from titans_dna.model.backbone import Backbone
from titans_dna.model.checkpoint import save_checkpoint
from titans_dna.tokenizers import NucleotideTokenizer


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
    return toy_sequences({"chrA": 600, "chrB": 300})


@pytest.fixture(scope="session")
def fasta(tmp_path_factory, sequences) -> Path:
    return write_fasta(tmp_path_factory.mktemp("genome"), sequences)


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
