"""Lanes hand out consecutive windows of either strand, and say when they start anew."""

from __future__ import annotations

import numpy as np
import pytest

from titans_dna.errors import ConfigError
from titans_dna.loading.lanes import Contig, LaneSampler, reverse_complement_ids

BOS = 5


def make_contig(bases: int, seed: int = 0) -> Contig:
    ids = np.random.default_rng(seed).integers(0, 4, bases).astype(np.uint8)
    return Contig(ids=ids, weights=np.arange(bases, dtype=np.float32) + 1)


def test_windows_follow_each_other_on_one_strand() -> None:
    contig = make_contig(5000)
    sampler = LaneSampler([contig], lanes=3, window_tokens=64, bos=BOS, restart=0.2, seed=1)
    strands = (contig.ids.tobytes(), reverse_complement_ids(contig.ids).tobytes())
    last: list[int | None] = [None] * 3
    joined = 0
    for _ in range(60):
        batch = sampler.draw()
        for lane in range(3):
            read = (batch.inputs[lane, 0:1], batch.targets[lane])
            if batch.fresh[lane]:
                assert batch.inputs[lane, 0] == BOS
            else:
                assert batch.inputs[lane, 0] == last[lane]
                joined += 1
            assert (batch.inputs[lane, 1:] == batch.targets[lane, :-1]).all()
            known = batch.weights[lane] > 0
            text = read[1][known].astype(np.uint8).tobytes()
            assert any(text in strand for strand in strands)
            last[lane] = int(batch.targets[lane, -1])
    assert joined > 50


def test_weights_belong_to_their_bases() -> None:
    contig = make_contig(1000)
    sampler = LaneSampler([contig], lanes=2, window_tokens=100, bos=BOS, restart=0.3, seed=2)
    for _ in range(20):
        batch = sampler.draw()
        for lane in range(2):
            for target, weight in zip(batch.targets[lane], batch.weights[lane], strict=True):
                if weight:
                    base = int(contig.ids[int(weight) - 1])
                    assert target in (base, 3 - base)


def test_unknown_bases_have_no_weight() -> None:
    ids = make_contig(400).ids.copy()
    ids[100:150] = 4
    contig = Contig(ids=ids, weights=np.ones(400, dtype=np.float32))
    sampler = LaneSampler([contig], lanes=4, window_tokens=64, bos=BOS, seed=3)
    for _ in range(20):
        batch = sampler.draw()
        assert (batch.weights[batch.targets >= 4] == 0).all()


def test_same_seed_same_batches() -> None:
    draws = [
        [LaneSampler([make_contig(2000)], lanes=2, window_tokens=32, bos=BOS, seed=s).draw().inputs for _ in range(1)]
        for s in (4, 4, 5)
    ]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_too_little_sequence_is_refused() -> None:
    with pytest.raises(ConfigError, match="fewer than 64 bases"):
        LaneSampler([make_contig(10)], lanes=1, window_tokens=64, bos=BOS)


def test_nothing_but_n_is_refused() -> None:
    contig = Contig(ids=np.full(1000, 4, dtype=np.uint8), weights=np.ones(1000, dtype=np.float32))
    with pytest.raises(ConfigError):
        LaneSampler([contig], lanes=1, window_tokens=64, bos=BOS)
