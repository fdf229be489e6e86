"""Bits along a contig with the memory carried, reset and frozen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import reading
import torch
from frozen import frozen_memories
from reading import bits_along

from titans_dna.model.backbone import Backbone
from titans_dna.recall import RecallForm
from titans_dna.training.evaluation import carried_bits


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(reading, "PIECE_TOKENS", 64)
    monkeypatch.setattr(reading, "RESET_TOKENS", 32)


IDS = np.random.default_rng(3).integers(0, 4, 300).astype(np.uint8)
IDS[100:103] = 4


def test_carried_bits_are_those_of_evaluate(model):
    bits = bits_along(model, IDS, "carried")
    assert np.isnan(bits).sum() == 3
    assert np.nanmean(bits) == pytest.approx(carried_bits(model.backbone, [IDS], model.bos).bits, abs=1e-5)


def test_readings_begin_alike_and_part_where_they_are_cut_off(model):
    bits = {memory: bits_along(model, IDS, memory, 128) for memory in reading.DEEP}
    np.testing.assert_array_equal(bits["carried"][:32], bits["reset"][:32])
    np.testing.assert_array_equal(bits["carried"][:128], bits["frozen later"][:128])
    for memory in reading.DEEP[1:]:
        assert np.nanmax(np.abs(bits[memory] - bits["carried"])) > 1e-4, memory


def test_without_copies_nothing_is_recalled(model):
    np.testing.assert_array_equal(bits_along(model, IDS, "no copies"), bits_along(model, IDS, "carried"))
    torch.manual_seed(0)
    config = replace(model.backbone.config, recall=RecallForm(words=("1" * 12,), sample_every=(1,)))
    recalling = replace(model, backbone=Backbone(config).eval())
    torch.nn.init.constant_(recalling.backbone.trust.start, 2.0)  # its head is zero: what is not foretold takes 2 bits
    ids = np.tile(IDS[:100], 5)
    bits = {memory: bits_along(recalling, ids, memory) for memory in ("carried", "no copies")}
    assert np.abs(bits["carried"] - bits["no copies"])[:90].max() < 1e-6
    assert (bits["no copies"] - bits["carried"])[250:].mean() > 0.5


def test_frozen_is_one_call_with_frozen_memories(model):
    inputs = torch.from_numpy(np.concatenate([[model.bos], IDS[:-1]]).astype(np.int64))[None]
    with torch.inference_mode(), frozen_memories(model.backbone):
        log_p = model.backbone(inputs)[0].log_softmax(-1)
    known = np.flatnonzero(IDS < 4)
    expected = -log_p[known, IDS[known].astype(int)].numpy() / np.log(2)
    np.testing.assert_allclose(bits_along(model, IDS, "frozen")[known], expected, atol=1e-4)


@pytest.mark.parametrize(("memory", "frozen_from", "told"), [("kept", 0, "choose one of"), ("carried", 5, "multiple")])
def test_what_cannot_be_read_is_refused(model, memory, frozen_from, told):
    with pytest.raises(ValueError, match=told):
        bits_along(model, IDS, memory, frozen_from)
