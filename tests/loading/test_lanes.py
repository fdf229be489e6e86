"""Lanes hand out consecutive windows of either strand, and say when they start anew."""

from __future__ import annotations

import json

import numpy as np
import pytest

from titans_dna.errors import ConfigError
from titans_dna.loading.lanes import MASKED, Contig, LaneSampler, reverse_complement_ids

BOS = 5


def make_contig(bases: int, seed: int = 0) -> Contig:
    ids = np.random.default_rng(seed).integers(0, 4, bases).astype(np.uint8)
    return Contig(codes=ids)


def test_windows_follow_each_other_on_one_strand() -> None:
    contig = make_contig(5000)
    sampler = LaneSampler([contig], lanes=3, window_tokens=64, bos=BOS, restart=0.2, seed=1)
    strands = (contig.codes.tobytes(), reverse_complement_ids(contig.codes).tobytes())
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


def test_soft_masked_bases_have_their_weight_on_both_strands() -> None:
    codes = np.zeros(1000, dtype=np.uint8)  # A; on the other strand T
    codes[::2] = 1 | MASKED  # C; on the other strand G
    sampler = LaneSampler(
        [Contig(codes=codes)], lanes=4, window_tokens=100, bos=BOS, restart=0.3, soft_mask_weight=0.25, seed=2
    )
    for _ in range(20):
        batch = sampler.draw()
        assert batch.inputs.max() <= BOS
        wanted = np.where(np.isin(batch.targets, (1, 2)), 0.25, 1.0) * (batch.targets < 4)
        assert np.array_equal(batch.weights, wanted.astype(np.float32))


def test_unknown_bases_have_no_weight() -> None:
    ids = make_contig(400).codes.copy()
    ids[100:150] = 4
    contig = Contig(codes=ids)
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
    contig = Contig(codes=np.full(1000, 4, dtype=np.uint8))
    with pytest.raises(ConfigError):
        LaneSampler([contig], lanes=1, window_tokens=64, bos=BOS)


def test_a_restored_sampler_goes_on_with_the_same_batches() -> None:
    """The state passes through JSON, as it does in a checkpoint."""
    contigs = [make_contig(3000, seed) for seed in range(3)]

    def make() -> LaneSampler:
        return LaneSampler(contigs, lanes=5, window_tokens=64, bos=BOS, restart=0.3, random_lanes=2, seed=6)

    first, second = make(), make()
    for _ in range(7):
        first.draw()
    second.restore(json.loads(json.dumps(first.state())))
    for _ in range(10):
        one, two = first.draw(), second.draw()
        assert all(np.array_equal(getattr(one, f), getattr(two, f)) for f in one.__dataclass_fields__)


def test_random_lanes_always_start_anew_and_others_stream() -> None:
    sampler = LaneSampler(
        [make_contig(20_000)], lanes=6, window_tokens=32, bos=BOS, restart=0.05, random_lanes=2, seed=1
    )
    fresh = np.array([sampler.draw().fresh for _ in range(30)])
    assert fresh[:, 4:].all()
    assert fresh[1:, :4].mean() < 0.2


def test_genomes_are_drawn_by_weight_and_length() -> None:
    """A of weight 3 and C of weight 1, of twice the length: drawn 3 to 2."""
    a, c = (Contig(codes=np.full(n, base, dtype=np.uint8), weight=w) for base, n, w in ((0, 1000, 3.0), (1, 2000, 1.0)))
    sampler = LaneSampler([a, c], lanes=50, window_tokens=10, bos=BOS, restart=1.0, both_strands=False, seed=8)
    drawn = np.concatenate([sampler.draw().targets[:, 0] for _ in range(40)])
    assert abs((drawn == 0).mean() - 0.6) < 0.04
    assert set(drawn.tolist()) == {0, 1}
    with pytest.raises(ConfigError, match="weight of 0"):
        LaneSampler([Contig(codes=a.codes, weight=0.0)], lanes=1, window_tokens=10, bos=BOS)


def test_a_lane_keeps_the_version_of_the_counts_that_has_not_seen_its_contig() -> None:
    contigs = [
        Contig(codes=np.full(500, base, dtype=np.uint8), versions=versions)
        for base, versions in ((0, (2, 5)), (1, (7,)))
    ]
    sampler = LaneSampler(contigs, lanes=8, window_tokens=20, bos=BOS, restart=0.3, both_strands=False, seed=9)
    last = None
    for _ in range(40):
        batch = sampler.draw()
        for lane in range(8):
            assert batch.versions[lane] in contigs[int(batch.targets[lane, 0])].versions
            if last is not None and not batch.fresh[lane]:
                assert batch.versions[lane] == last.versions[lane]
        last = batch


def test_windows_may_be_shorter_than_the_longest() -> None:
    sampler = LaneSampler([make_contig(2000)], lanes=2, window_tokens=64, bos=BOS, restart=0.01, seed=3)
    short, full = sampler.draw(16), sampler.draw()
    assert short.inputs.shape == (2, 16)
    assert full.inputs.shape == (2, 64)
    assert (full.inputs[:, 0] == short.targets[:, -1]).all()
