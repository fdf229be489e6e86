"""A model of before the copy memory (made by commit 325b02b) loads and scores as it did."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from titans_dna.inference.model import load_model
from titans_dna.model.checkpoint import load_checkpoint, save_checkpoint

FOLDER = Path(__file__).with_name("before_recall")
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
IDS = torch.tensor([EXPECTED["ids"]])


def test_it_loads_and_scores_as_before() -> None:
    model = load_model(FOLDER, "cpu").backbone
    assert "recall" not in json.loads((FOLDER / "config.json").read_text())["backbone"]
    assert model.config.recall is None
    assert model.trust is None
    assert model.recall(IDS) is None
    torch.testing.assert_close(model(IDS)[0], torch.tensor(EXPECTED["logits"]), rtol=0, atol=2e-5)
    first = model.stream(IDS[:, :17])
    assert first.state.recall is None
    rest = model.stream(IDS[:, 17:], first.state).logits[0]
    torch.testing.assert_close(rest, torch.tensor(EXPECTED["logits"])[17:], rtol=0, atol=2e-5)


def test_it_is_written_as_it_was_read(tmp_path) -> None:
    """So an older version can still read what a newer one saves, where a model has nothing new."""
    old = load_checkpoint(FOLDER)
    save_checkpoint(tmp_path / "again", old.backbone, old.tokenizer)
    before = json.loads((FOLDER / "config.json").read_text())
    assert json.loads((tmp_path / "again" / "config.json").read_text())["backbone"] == before["backbone"]
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 40_000
