"""The needle task says what it plants, its scores count what was foretold, and a seed decides everything."""

from __future__ import annotations

import numpy as np
import pytest
import torch


@pytest.fixture(scope="module")
def task():
    import needle_task

    return needle_task


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def items(task, ids):
    """Every planted item of a sequence, as (start, name, payload), in order."""
    found = []
    for start in range(len(ids) - task.ITEM_BASES + 1):
        if np.array_equal(ids[start : start + 16], task.FLAG):
            found.append((start, ids[start + 16 : start + 24].tobytes(), ids[start + 24 : start + 32].tobytes()))
    return found


@pytest.mark.parametrize("variant", ["needles", "overwritten", "decoys"])
def test_the_last_item_ends_the_trial_and_nothing_overlaps(task, rng, variant):
    for _ in range(20):
        trial = task.make_trial(rng, variant, task.draw_bases(rng, 700), 4)
        assert len(trial.start) == 700
        starts = [start for start, _, _ in items(task, trial.start)]
        assert np.diff(starts).min() >= task.ITEM_BASES
        if variant != "decoys":
            assert starts[-1] == 700 - task.ITEM_BASES


def test_needles_stand_where_they_are_said_to(task, rng):
    trial = task.make_trial(rng, "needles", task.draw_bases(rng, 1000), 9)
    planted = {(name, payload) for _, name, payload in items(task, trial.start)}
    assert planted == {(n.name.tobytes(), n.payload.tobytes()) for n in trial.asked}
    assert len({name for name, _ in planted}) == 9


def test_the_newest_payload_is_the_one_that_counts(task, rng):
    trial = task.make_trial(rng, "overwritten", task.draw_bases(rng, 1000), 5)
    planted = items(task, trial.start)
    assert len(planted) == 10
    newest = {name: payload for _, name, payload in planted}
    assert newest == {n.name.tobytes(): n.payload.tobytes() for n in trial.asked}


def test_decoys_differ_in_two_bases_and_change_no_answer(task, rng):
    for _ in range(20):
        trial = task.make_trial(rng, "decoys", task.draw_bases(rng, 700), 3)
        planted, answers = items(task, trial.start), {n.name.tobytes(): n.payload.tobytes() for n in trial.asked}
        assert [payload for _, name, payload in planted if name in answers] == list(answers.values())
        others = [np.frombuffer(name, np.uint8) for _, name, _ in planted if name not in answers]
        assert len(others) == 3
        assert all(min((other != n.name).sum() for n in trial.asked) <= 2 for other in others)
        flags = np.lib.stride_tricks.sliding_window_view(trial.start[:-16], 16)
        assert ((flags != task.FLAG).sum(1) == 2).sum() >= 3


def test_near_misses_are_as_near_as_said(task, rng):
    for _ in range(200):
        assert 2 <= (task.near_miss(rng, task.FLAG) != task.FLAG).sum() <= 3
        assert (task.near_miss(rng, task.FLAG, most=2) != task.FLAG).sum() == 2


def test_training_asks_for_the_newest_payload_of_a_name_that_was_planted(task, rng):
    asked = 0
    for _ in range(100):
        row = task.training_row(rng, task.draw_bases(rng, 512), 12)
        known: dict[bytes, bytes] = {}
        for start, name, payload in items(task, row.ids):
            if row.asked[start + 24]:
                assert known[name] == payload
                assert row.asked[start + 24 : start + 32].all()
                assert not row.asked[start : start + 24].any()
                asked += 1
            known[name] = payload
        assert row.asked.sum() % 8 == 0
    assert asked > 100


def test_a_payload_cannot_be_read_off_the_question(task, rng):
    """Of two trials with the same names, the bases before a payload are the same whatever the payload is."""
    name = task.draw_bases(rng, 8)
    first, second = (task.draw_needle(rng, name).item() for _ in range(2))
    assert np.array_equal(first[: task.MARKER_BASES], second[: task.MARKER_BASES])
    payloads = np.stack([task.draw_needle(rng, name).payload for _ in range(4000)])
    assert np.abs(np.bincount(payloads.ravel(), minlength=4) / payloads.size - 0.25).max() < 0.02


def test_the_flag_occurs_in_no_filler_by_chance(task, rng):
    ids = task.draw_bases(rng, 200_000)
    assert not items(task, ids)


def test_filler_walks_along_the_genome_and_around_its_end(rng):
    from needle_filler import Filler

    genome = np.arange(50, dtype=np.uint8) % 4
    filler = Filler(rng, 3, genome, real=2)
    read = np.concatenate([filler.read(30), filler.read(45)], 1)
    assert read.shape == (3, 75)
    assert all(np.array_equal(row[:25], row[50:]) for row in read[1:])
    assert not np.array_equal(read[0, :25], read[0, 50:])


def test_tallies_count_bases_and_whole_payloads():
    from needle_scores import Tally

    tally = Tally()
    tally.add(np.array([[True] * 8, [True] * 6 + [False] * 2]))
    assert (tally.bases, tally.right, tally.payloads, tally.whole) == (16, 14, 2, 1)
    assert tally.join(tally) == Tally(32, 28, 4, 2)
    low, high = Tally(384, 384, 48, 48).interval()
    assert 0.99 < low < 1.0 <= high + 1e-9
    low, high = Tally(100, 25, 0, 0).interval()
    assert (round(low, 3), round(high, 3)) == (0.175, 0.343)


class Oracle:
    """A stand-in for a model: it knows all needles, or answers one base everywhere."""

    def __init__(self, answers: dict[bytes, np.ndarray]) -> None:
        self.answers = answers

    def stream(self, ids, state):
        from titans_dna.model.backbone import StreamOutput

        logits = torch.zeros(*ids.shape, 4)
        for row, sequence in enumerate(ids.numpy().astype(np.uint8)):
            payload = self.answers.get(sequence[16:24].tobytes(), np.zeros(8, np.uint8))
            for base, wanted in enumerate(payload):
                logits[row, 23 + base, wanted] = 1.0
        return StreamOutput(logits, state, logits, logits[..., 0])


def test_asking_scores_an_oracle_at_one_and_a_constant_at_its_luck(task, rng):
    from needle_scores import ask

    from titans_dna.model.state import StreamState

    needles = task.draw_needles(rng, 150)
    state, rows = StreamState(blocks=(), recent=torch.zeros(2, 1)), [n % 2 for n in range(150)]
    assert ask(Oracle({n.name.tobytes(): n.payload for n in needles}), state, rows, needles).all()
    hits = ask(Oracle({}), state, rows, needles)
    assert np.array_equal(hits, np.stack([n.payload == 0 for n in needles]))


@pytest.mark.parametrize("name", ["MAG", "MAC", "window attention"])
def test_a_seed_decides_training_and_scores(task, name):
    from needle_scores import Group, begin, score
    from needle_training import Plan, Stage, train

    plan = Plan(stages=(Stage(bases=96, steps=2), Stage(bases=128, steps=1, price=0.1)), batch_bases=400)
    genome = task.draw_bases(np.random.default_rng(0), 3000)
    seen = []
    for _ in range(2):
        trained = train(name, 3, plan, genome)
        groups = [Group("needles", 2, 1, False), Group("decoys", 1, 2, True)]
        progress = begin(trained.model, groups, genome, np.random.default_rng(1))
        scores = score(trained.model, progress, (16, 700))
        seen.append((trained.accuracy, scores.to_json(), [p.detach().clone() for p in trained.model.parameters()]))
    assert seen[0][:2] == seen[1][:2]
    assert all(torch.equal(a, b) for a, b in zip(seen[0][2], seen[1][2], strict=True))
    assert {row[2] for row in seen[0][1]["tallies"]} == {16, 700}
    assert sum(row[3] for row in seen[0][1]["tallies"]) == 2 * (2 * 8 + 2 * 8)


def test_asking_a_fork_leaves_the_stream_as_it_was(task, rng):
    from needle_models import make_model
    from needle_scores import ask

    model = make_model("MAG", 0).eval()
    torch.nn.init.normal_(model.head.weight)
    ids = torch.randint(0, 4, (1, 96), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        state = model.stream(ids[:, :64]).state
        before = model.stream(ids[:, 64:], state).logits
        ask(model, state, [0] * 3, task.draw_needles(rng, 3))
        assert torch.equal(model.stream(ids[:, 64:], state).logits, before)


def test_a_stream_that_stopped_goes_on_to_the_same_scores(task, tmp_path):
    from needle_models import make_model
    from needle_scores import Group, begin, score

    model, genome = make_model("LMM", 0).eval(), task.draw_bases(np.random.default_rng(0), 3000)
    torch.nn.init.normal_(model.head.weight)
    groups = [Group("needles", 2, 2, False), Group("overwritten", 1, 1, True)]
    whole = score(model, begin(model, groups, genome, np.random.default_rng(2)), (16, 300, 900))
    first = begin(model, groups, genome, np.random.default_rng(2))
    score(model, first, (16, 300), lambda progress: torch.save(progress, tmp_path / "stopped"))
    second = torch.load(tmp_path / "stopped", weights_only=False)
    assert second.distance == 300
    assert score(model, second, (16, 300, 900)).to_json() == whole.to_json()


@pytest.mark.parametrize("name", ["LMM", "MAC"])
def test_a_stream_that_was_saved_goes_on_alike(rng, tmp_path, name):
    from needle_budget import BUDGETS
    from needle_models import make_model
    from needle_scores import begin, load_progress, score

    model, genome = make_model(name, 0).eval(), rng.integers(0, 4, 9000, dtype=np.uint8)
    progress = begin(model, BUDGETS["small"].groups("LMM"), genome, rng)
    score(model, progress, [1024], lambda _: None)
    torch.save(progress, tmp_path / "saved")
    again = load_progress(tmp_path / "saved")
    assert (again.distance, again.scores.to_json()) == (progress.distance, progress.scores.to_json())
    for stream in (progress, again):
        score(model, stream, [2048], lambda _: None)
    assert again.scores.to_json() == progress.scores.to_json()


def test_a_file_that_would_run_something_is_refused(tmp_path):
    import pickle

    from needle_scores import load_progress

    class Run:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    torch.save(Run(), tmp_path / "saved")
    with pytest.raises(pickle.UnpicklingError, match="WeightsUnpickler"):
        load_progress(tmp_path / "saved")
    assert not (tmp_path / "ran").exists()
