"""Folders that Hugging Face's tools can carry; nothing is downloaded here."""

from __future__ import annotations

import torch

from titans_dna.model.hub import PretrainedBackbone


def test_round_trip_bit_for_bit(make_model, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = make_model().float()
    PretrainedBackbone(model, {"kind": "nucleotide"}).save_pretrained(tmp_path / "model")
    loaded = PretrainedBackbone.from_pretrained(tmp_path / "model")
    assert loaded.tokenizer == {"kind": "nucleotide"}
    assert loaded.backbone.config == model.config
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.backbone.state_dict()[name], value), name
