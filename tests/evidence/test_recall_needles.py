"""What is planted is what is said, greedy decoding follows a toy rule, and the table and claims say what was seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import recall_needles as script
import recall_needles_cells as measuring
import recall_needles_decoding as decoding
import recall_needles_task as task
import torch
from read_before import state_after

from titans_dna.inference.model import SequenceModel
from titans_dna.model.backbone import Backbone
from titans_dna.model.config import BackboneConfig
from titans_dna.recall import CopyMemory, RecallForm, RecallState
from titans_dna.tokenizers import NucleotideTokenizer


def filler(bases: int) -> np.ndarray:
    return np.random.default_rng(bases).integers(0, 4, bases, dtype=np.uint8)


def haystack(cell: task.Cell, number: int = 0, seed: int = 5) -> task.Haystack:
    return task.make_haystack(np.random.default_rng(seed), cell, filler, number)


@pytest.fixture(scope="module")
def model():
    """A model with weights as they begin and a copy memory."""
    torch.manual_seed(1)
    config = BackboneConfig(
        width=16, layers=1, attention_heads=2, memory_heads=1, window_tokens=16, chunk_tokens=8,
        recall=RecallForm(index_bits=16),
    )  # fmt: skip
    backbone = Backbone(config).eval().requires_grad_(False)
    return SequenceModel(backbone=backbone, tokenizer=NucleotideTokenizer(), name="toy", weights_sha256="")


@pytest.mark.parametrize("distance", [1, 2, 4])
def test_decoys_differ_in_exactly_so_many_bases_and_have_values_of_their_own(distance):
    cell = task.Cell(test="t", bases=20_000, haystacks=1, needles=5, decoys=8, distance=distance)
    made = haystack(cell)
    near = np.stack([made.ids[start : start + 24] for start in made.decoys]).reshape(5, 8, 24)
    assert ((near != made.keys[:, None]).sum(2) == distance).all()
    assert all(len(np.unique(rows, axis=0)) == 8 for rows in near)
    behind = [made.ids[start + 24 : start + 48] for start in [*made.starts, *made.decoys]]
    assert len(np.unique(behind, axis=0)) == 45


def test_needles_lie_at_their_depths_and_touch_nothing():
    cell = task.Cell(test="t", bases=50_000, haystacks=1, needles=20, decoys=3, distance=2)
    made = haystack(cell)
    for row, start in enumerate(made.starts):
        assert abs(start / cell.bases - task.DEPTHS[row % 5]) <= task.NEAR
        assert np.array_equal(made.ids[start : start + 48], np.concatenate([made.keys[row], made.values[row]]))
    assert np.diff(np.sort([*made.starts, *made.decoys])).min() >= cell.item_bases
    assert (made.ids != filler(cell.bases)).sum() <= 80 * 48
    one = replace(cell, needles=1)
    depths = [haystack(one, number).starts[0] / cell.bases for number in range(5)]
    assert np.abs(np.array(depths) - task.DEPTHS).max() <= task.NEAR


def test_the_newest_value_is_asked_for_and_the_other_lies_before_it():
    cell = task.Cell(
        test="t", bases=30_000, haystacks=1, needles=30, key_bases=32, value_bases=16, overwritten=True, depths=False
    )
    made = haystack(cell)
    for key, value, start in zip(made.keys, made.values, made.starts, strict=True):
        text, found = made.ids.tobytes(), []
        while (at := text.find(key.tobytes(), found[-1] + 1 if found else 0)) >= 0:
            found.append(at)
        assert len(found) == 2
        assert found[-1] == start
        assert np.array_equal(made.ids[start + 32 : start + 48], value)
        assert not np.array_equal(made.ids[found[0] + 32 : found[0] + 48], value)


def test_questions_are_changed_in_exactly_so_many_bases():
    made = haystack(task.Cell(test="t", bases=9000, haystacks=1, needles=9, changed=2))
    assert ((made.questions != made.keys).sum(1) == 2).all()
    plain = haystack(task.Cell(test="t", bases=9000, haystacks=1, needles=9))
    assert np.array_equal(plain.questions, plain.keys)


def test_decoding_goes_on_with_what_it_said():
    """A toy rule: the next base is the sum of all that were read, modulo 4."""

    def read(ids, state):
        state = state + ids.sum(1)
        return (state % 4).astype(np.uint8), state

    state = np.array([1, 0])
    found = decoding.decode(read, state, np.array([[1, 1], [2, 0]]), 5)
    assert found.tolist() == [[3, 2, 0, 0, 0], [2, 0, 0, 0, 0]]
    assert state.tolist() == [1, 0]


def test_the_network_continues_every_row_as_if_it_were_alone(model):
    state = state_after(model, [filler(700)], context_tokens=100)
    rows = torch.from_numpy(filler(700)[None, 200:240].astype(np.int64))
    read = decoding.by_network(model.backbone)
    torch.nn.init.normal_(model.backbone.head.weight, std=0.5)
    (alone,) = decoding.decode(read, state, rows.numpy(), 6)
    ids = rows
    for base in alone:
        assert model.backbone.stream(ids, state).logits[0, -1, :4].argmax() == base
        ids = torch.cat([ids, torch.tensor([[int(base)]])], 1)


@pytest.mark.parametrize("test", measuring.TASKS)
def test_the_rule_alone_finds_needles_among_decoys(model, test):
    cell = task.Cell(test=test, bases=65_536, haystacks=2, needles=5, **measuring.TASKS[test])
    found = measuring.measure(model, cell, filler(100_000), 1)
    assert (found["asked"], found["bases"]) == (10, 240)
    assert found["rule_exact"] == 10
    assert len(found["answers"]) == 10
    assert found["asked"] - found["exact"] == len(found["misses"])
    again = measuring.measure(model, cell, filler(100_000), 1)
    assert again["answers"] == found["answers"]


def test_a_miss_says_what_was_followed(model):
    cell = task.Cell(test="t", bases=4096, haystacks=1)
    made = haystack(cell)
    state = state_after(model, [made.ids], context_tokens=128)
    wrong = made.values[0].copy()
    wrong[3] = 3 - wrong[3]
    told = measuring.why(state, made, 0, wrong)
    assert (told["why"], told["at"]) == ("against all places, later", 3)
    assert told["right"][1] >= 27
    assert told["right"][3] == made.values[0][3]
    lost = replace(made, starts=made.starts + 7)
    assert measuring.why(state, lost, 0, 3 - made.values[0])["why"] == "not found"


def counts(exact: int, **changes):
    return {
        "asked": 100, "exact": exact, "bases": 1600, "right": 1600 - 100 + exact, "rule_exact": 100,
        "seconds_read": 2.0, "seconds_asked": 1.0, "answers": ["ACGT"] * 100,
        "misses": [{"why": "not found"}] * (100 - exact), **changes,
    }  # fmt: skip


def test_table_and_claims_say_what_was_seen():
    found = [(cell, counts(100)) for cell in measuring.planned(full=True)]
    rows = script.claims(found, full=True)
    assert {row["verdict"] for row in rows} == {"holds"}
    assert len(rows) == len(measuring.TASKS) + 2 * (len(measuring.FURTHER) + 1) + 1
    worse = [
        (cell, counts(89) if cell.test == "NIAH, decoys d1" and cell.bases == 98_304 else counted)
        for cell, counted in found
    ]
    failing = [row for row in script.claims(worse, full=True) if row["verdict"] == "fails"]
    assert [row["measured"] for row in failing] == ["0.890, 1.000, 1.000, 1.000, 1.000 (500 asked)"]
    other = [
        (cell, counts(100, answers=["ACGA"] * 2 + ["ACGT"] * 98) if cell.read_by == measuring.WHOLE else counted)
        for cell, counted in found
    ]
    assert script.claims(other, full=True)[-1]["measured"] == "196 of 200"
    table = script.table(worse)
    assert all(len(row) == len(script.COLUMNS) for row in table)
    (row,) = [row for row in table if row[0] == "NIAH, decoys d1" and row[2] == "98,304"]
    assert row[5:11] == ["100", 0.89, "0.814 to 0.937", 0.9931, 1.0, "11 not found"]
    (row,) = [row for row in table if row[:4] == ["NIAH", "real", "786,432", "5"]]
    assert row[-2:] == [0.53, 0.65]
    assert {row["verdict"] for row in script.claims(found, full=False)} == {"not measured"}


def test_the_figure_is_drawn(tmp_path):
    script.draw([(cell, counts(95)) for cell in measuring.planned(full=True)], tmp_path / "figure.svg")
    assert "<svg" in (tmp_path / "figure.svg").read_text()


def test_cells_are_kept_under_different_names():
    for full in (False, True):
        names = [(cell.name, cell.read_by) for cell in measuring.planned(full)]
        assert len(set(names)) == len(names)


def test_seconds_are_of_the_longest_haystacks():
    found = script.seconds([(cell, counts(100)) for cell in measuring.planned(full=True)])
    assert found["CPU seconds per Mb read by the network"] == round(2 / 0.786432, 3)
    assert found["CPU seconds per question"] == 0.01


def test_the_rule_believes_the_longest_run_then_the_newest_place():
    """Two copies of a word go on differently: the newer is believed, unless it agrees for a shorter stretch."""
    word, form = filler(40), RecallForm(index_bits=12)

    def told(*copies):
        parts = [
            np.concatenate([filler(300 + n), copy, [base], filler(350 + n)]) for n, (copy, base) in enumerate(copies)
        ]
        memory = CopyMemory(form)
        memory.append(np.concatenate([*parts, filler(200)]).astype(np.uint8))
        reader = RecallState(memory=memory, position=memory.end)
        bases, readers = decoding.by_rule(word[None], [reader])
        assert readers[0].position == reader.position + 40
        return int(bases[0])

    near = word.copy()
    near[15] = 3 - near[15]
    assert told((word, 1), (word, 2)) == 2
    assert told((word, 2), (word, 1)) == 1
    assert told((word, 1), (near, 2)) == 1
    assert told((near, 2), (word, 1)) == 1
