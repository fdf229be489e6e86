"""Training lowers the loss where there is something to learn, and survives a step that cannot be taken."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from titans_dna.errors import ConfigError
from titans_dna.loading.lanes import MASKED, Batch, Contig
from titans_dna.model.backbone import Backbone
from titans_dna.model.config import SIZES, BackboneConfig
from titans_dna.training.config import TrainingConfig
from titans_dna.training.evaluation import carried_bits, reset_bits
from titans_dna.training.loop import LogRow, Trainer, train
from titans_dna.training.objective import NextBase
from titans_dna.training.optimizer import learning_rate, make_optimizer

SMALL = BackboneConfig(width=16, layers=1, attention_heads=2, memory_heads=2, window_tokens=16, chunk_tokens=8)


def small(**changes) -> TrainingConfig:
    return TrainingConfig(**{"steps": 4, "lanes": 4, "window_tokens": 32, "evaluate_every": 2, **changes})


def contig(ids: np.ndarray) -> Contig:
    return Contig(codes=ids.astype(np.uint8))


def model(seed: int = 0, config: BackboneConfig = SMALL) -> Backbone:
    torch.manual_seed(seed)
    return Backbone(config)


def run(net: Backbone, ids: np.ndarray, config: TrainingConfig, held_out: list[np.ndarray] | None = None):
    rows: list[LogRow] = []
    train(Trainer(net, [contig(ids)], config), held_out or [], report=rows.append)
    return rows


def test_a_period_is_learned():
    period = np.tile([0, 1, 2, 3, 3, 1], 200)
    rows = run(model(), period, small(steps=40, learning_rate=1e-2, evaluate_every=40), [period])
    train_rows = [row for row in rows if row.split == "train"]
    assert train_rows[0].bits_per_base == pytest.approx(2.0, abs=1e-4)  # the head starts at even odds
    assert train_rows[-1].bits_per_base < 0.5
    assert rows[-1].split == "validation"
    assert rows[-1].bits_per_base < 0.5
    assert [row.step for row in train_rows] == list(range(1, 41))
    assert train_rows[-1].bases > 0.9 * 40 * 4 * 32


def test_the_same_seed_gives_the_same_bits():
    ids = np.random.default_rng(0).integers(0, 4, 500)
    one, two, three = model(), model(), model()
    rows = [run(net, ids, small(seed=seed)) for net, seed in ((one, 1), (two, 1), (three, 2))]
    assert [r.bits_per_base for r in rows[0]] == [r.bits_per_base for r in rows[1]]
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert [r.bits_per_base for r in rows[0]] != [r.bits_per_base for r in rows[2]]


def test_a_step_that_is_not_finite_is_not_taken_but_counted(monkeypatch):
    ids = np.random.default_rng(0).integers(0, 4, 500)
    taken: list[list[torch.Tensor]] = []
    true_forward, net = NextBase.forward, model()

    def forward(self, *arguments):
        taken.append([p.detach().clone() for p in net.parameters()])
        loss, state = true_forward(self, *arguments)
        return (loss * float("nan") if len(taken) == 2 else loss), state

    monkeypatch.setattr(NextBase, "forward", forward)
    rows = run(net, ids, small())
    same = [all(torch.equal(x, y) for x, y in zip(a, b, strict=True)) for a, b in itertools.pairwise(taken)]
    assert same == [False, True, False]
    assert [row.skipped for row in rows if row.split == "train"] == [0, 1, 1, 1]
    assert all(torch.isfinite(p).all() for p in net.parameters())


def test_bases_of_weight_zero_are_not_learned():
    """Every other base is random and masked: the loss can fall far below one bit only if those do not count."""
    ids = np.random.default_rng(0).integers(0, 4, 400).astype(np.uint8)
    ids[::2] = 0
    masked = Contig(codes=ids | np.where(np.arange(400) % 2, MASKED, 0).astype(np.uint8))
    config = small(steps=30, learning_rate=1e-2, soft_mask_weight=0.0)
    rows: list[LogRow] = []
    train(Trainer(model(), [masked], config), [], report=rows.append)
    assert rows[-1].bits_per_base < 0.7
    assert rows[-1].bases < 30 * 4 * 32 * 0.6


def batch_of(ids: list[int], weights: list[float]) -> Batch:
    return Batch(
        inputs=np.array([[5, *ids[:-1]]]), targets=np.array([ids]), weights=np.array([weights], dtype=np.float32),
        fresh=np.array([True]), versions=np.array([0]), bases=np.ones((1, len(ids)), dtype=np.float32),
    )  # fmt: skip


def test_soft_mask_weights_change_loss_and_gradient_as_computed_by_hand():
    """The gradient at the head is the sum over bases of weight * (p - onehot) x hidden, over the sum of weights."""
    net = model()
    torch.nn.init.normal_(net.head.weight)
    ids, weights = [0, 3, 2], [1.0, 0.1, 1.0]
    loss, _ = NextBase(net)(batch_of(ids, weights), None, sum(weights))
    loss.backward()
    with torch.no_grad():
        out = net.stream(torch.tensor([[5, 0, 3]]))
        p, hidden = out.logits[0].softmax(-1), out.hidden[0]
        wanted = sum(-w * p[t, y].log() for t, (y, w) in enumerate(zip(ids, weights, strict=True))) / 2.1
        error = (p - torch.eye(4)[ids]) * torch.tensor(weights)[:, None] / 2.1
    assert float(loss.detach()) == pytest.approx(float(wanted), rel=1e-5)
    assert torch.allclose(net.head.weight.grad, error.T @ hidden, atol=1e-6)


def test_reverse_complements_leave_the_loss_of_a_palindrome_unchanged():
    """A sequence that is its own reverse complement, drawn whole, is one window on either strand."""
    half = np.random.default_rng(4).integers(0, 4, 16)
    palindrome = np.concatenate([half, 3 - half[::-1]])
    other = np.concatenate([half, half])
    config = small(steps=3, window_tokens=32, restart=1.0)
    losses = [
        [row.bits_per_base for row in run(model(), ids, dataclasses.replace(config, both_strands=both))]
        for ids in (palindrome, other) for both in (True, False)
    ]  # fmt: skip
    assert losses[0] == losses[1]
    assert losses[2] != losses[3]


def test_parts_of_a_step_add_up_to_the_whole():
    """The gradients of accumulated parts are those of one pass, with the memories of all lanes carried."""
    ids = np.random.default_rng(0).integers(0, 4, 2000)
    whole, parts = (run(model(), ids, small(accumulate=n, restart=0.2, evaluate_every=9)) for n in (1, 2))
    assert [r.bits_per_base for r in parts] == pytest.approx([r.bits_per_base for r in whole], abs=1e-5)
    assert [r.gradient_norm for r in parts] == pytest.approx([r.gradient_norm for r in whole], rel=1e-3)
    with pytest.raises(ConfigError, match="no multiple of 3 parts"):
        Trainer(model(), [contig(ids)], small(accumulate=3))


def test_windows_grow():
    config = small(steps=10, window_tokens=64, first_window_tokens=8, window_warmup=0.6)
    assert [config.window_at(step) for step in range(10)] == [8, 8, 16, 16, 32, 32, 64, 64, 64, 64]
    ids = np.random.default_rng(0).integers(0, 4, 2000)
    rows = run(model(), ids, config)
    per_step = np.diff([0, *(row.bases for row in rows)])
    assert per_step[0] == 4 * 8
    assert per_step[-1] == pytest.approx(4 * 64, rel=0.2)


def test_bfloat16_learns_too():
    period = np.tile([0, 1, 2, 3, 3, 1], 200)
    rows = run(model(), period, small(steps=40, learning_rate=1e-2, precision="bfloat16"))
    assert rows[-1].bits_per_base < 0.6


def rate(step: int, run: TrainingConfig) -> float:
    return learning_rate(step, run.steps, run.learning_rate, warmup=run.warmup, final=run.final_rate)


def test_the_learning_rate_rises_and_falls():
    config = TrainingConfig(steps=100, warmup=0.1, learning_rate=1.0, final_rate=0.1)
    rates = [rate(step, config) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert rates[10] == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.55)
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    assert rate(100, config) == pytest.approx(0.1)
    assert rate(0, TrainingConfig(steps=1)) == pytest.approx(TrainingConfig().learning_rate)


def test_decay_is_for_matrices_alone():
    net = model(config=BackboneConfig(width=16, layers=1, attention_heads=2, memory_heads=2, context_orders=(2,)))
    groups = make_optimizer(net, TrainingConfig(weight_decay=0.3)).param_groups
    names = {id(p): name for name, p in net.named_parameters()}
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0]
    decayed, kept = ([names[id(p)] for p in group["params"]] for group in groups)
    assert sorted(decayed + kept) == sorted(names.values())
    assert "head.weight" in decayed
    assert not [name for name in decayed if "norm" in name or "bias" in name or name.startswith("embedding")]


def test_carried_and_reset_readings_are_one_on_a_single_window():
    net = model().eval()
    torch.nn.init.normal_(net.head.weight)
    ids = np.random.default_rng(3).integers(0, 5, 200).astype(np.uint8)
    carried, reset = carried_bits(net, [ids], 5), reset_bits(net, [ids], 5, 200)
    assert carried.bits == pytest.approx(reset.bits, abs=1e-5)
    assert carried.bases == reset.bases == int((ids < 4).sum())
    short = reset_bits(net, [ids], 5, 32)
    assert short.bases == carried.bases
    assert abs(short.bits - carried.bits) > 1e-4


REFUSED = {
    "steps is 0": {"steps": 0}, "lanes is 0": {"lanes": 0}, "restart is 0": {"restart": 0},
    "restart is 1.5": {"restart": 1.5}, "soft_mask_weight is 2": {"soft_mask_weight": 2},
    "random_share is 1.5": {"random_share": 1.5}, "precision is 'half'": {"precision": "half"},
    "first_window_tokens is 9999": {"first_window_tokens": 9999}, "strategy is 'tp'": {"strategy": "tp"},
    "learning_rate and clip must be above 0": {"learning_rate": 0.0}, "evaluation_bases is 0": {"evaluation_bases": 0},
}  # fmt: skip


@pytest.mark.parametrize("message", list(REFUSED))
def test_impossible_settings_are_refused(message):
    with pytest.raises(ConfigError, match=message):
        TrainingConfig(**REFUSED[message])


def test_windows_that_end_within_a_chunk_are_refused_or_kept_apart():
    """A lane that starts anew must not read the pending tokens of the lane's last window."""
    ids = np.random.default_rng(0).integers(0, 4, 500)
    with pytest.raises(ConfigError, match="window_tokens is 33"):
        run(model(), ids, small(window_tokens=33))
    run(model(), ids, small(window_tokens=33, restart=1.0, steps=2))


@pytest.mark.parametrize("size", ["default", "nano"])
def test_a_named_size_is_trained_with_the_default_window(size):
    """The window may be shorter than the period after which the memories of the lanes begin anew."""
    config = dataclasses.replace(SIZES[size], word_counts=None)
    rows = run(model(config=config), np.random.default_rng(0).integers(0, 4, 9000), TrainingConfig(steps=1, lanes=2))
    assert rows[0].bits_per_base == pytest.approx(2.0, abs=1e-3)


def test_a_lane_begins_anew_after_its_own_number_of_tokens():
    """Over windows of half a period, the loss of staggered lanes is the mean of the losses of each lane alone."""
    net = model(config=dataclasses.replace(SMALL, reset_tokens=64))
    torch.nn.init.normal_(net.head.weight)
    ids = torch.from_numpy(np.random.default_rng(5).integers(0, 4, (2, 161)))
    fresh = [[True, True], [False, False], [True, False], [False, False], [False, False]]
    objective, state, together = NextBase(net), None, []
    for number, rows in enumerate(fresh):
        piece = ids[:, 32 * number : 32 * number + 33].numpy()
        batch = Batch(
            inputs=piece[:, :-1], targets=piece[:, 1:], weights=np.ones((2, 32), dtype=np.float32),
            fresh=np.array(rows), versions=np.zeros(2, dtype=np.int64), bases=np.ones((2, 32), dtype=np.float32),
        )  # fmt: skip
        loss, state = objective(batch, state, 64.0)
        together.append(float(loss.detach()))
    stretches = [(0, 0, 64), (0, 64, 160), (1, 0, 160)]  # lane, first and last token between two restarts
    lost = torch.zeros(2, 160)
    for lane, start, end in stretches:
        logits = net.stream(ids[lane : lane + 1, start:end]).logits[0].detach()
        targets = ids[lane, start + 1 : end + 1]
        lost[lane, start:end] = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    alone = lost.view(2, 5, 32).mean((0, 2)).tolist()
    assert together == pytest.approx(alone, abs=1e-5)
