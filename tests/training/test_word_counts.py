"""Counted words against plain loops, and their evidence against a dictionary."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from titans_dna.errors import ConfigError
from titans_dna.loading.lanes import reverse_complement_ids
from titans_dna.model.backbone import Backbone
from titans_dna.model.config import BackboneConfig, WordCountForm
from titans_dna.model.word_counts import PSEUDO_COUNT, WordCounts, canonical_rows, decode_counts, hash_words
from titans_dna.training.word_counts import count_words, encode_counts

FORM = WordCountForm(orders=(1, 2, 4), repeat_order=6, repeat_rows=1 << 12)
SMALL = BackboneConfig(width=16, layers=1, attention_heads=2, memory_heads=1, window_tokens=16, word_counts=FORM)


def bases(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(5, count, p=[0.245] * 4 + [0.02]).astype(np.uint8)


def followers(contigs: list[np.ndarray], order: int) -> dict[tuple[int, ...], Counter[int]]:
    """What follows each word on either strand, by a plain loop; counted where the longest order's word is known."""
    longest = FORM.order
    found: dict[tuple[int, ...], Counter[int]] = {}
    for ids in contigs:
        for strand in (ids, reverse_complement_ids(ids)):
            for at in range(longest, len(strand)):
                word = strand[at - longest : at + 1].tolist()
                if max(word) < 4:
                    found.setdefault(tuple(word[longest - order : -1]), Counter())[word[-1]] += 1
    return found


def test_a_word_shares_its_row_with_its_reverse_complement_alone():
    rows = canonical_rows(2)
    assert sorted(Counter(rows.tolist()).values()) == [2] * 32
    assert set(rows.tolist()) == set(range(32))
    for word in ([0, 1, 2], [3, 3, 1]):
        other = [3 - base for base in reversed(word)]
        number, twin = (w[0] * 16 + w[1] * 4 + w[2] for w in (word, other))
        assert rows[number] == rows[twin]


def test_codes_keep_small_counts_and_are_near_for_large_ones():
    counts = np.array([0, 1, 5, 63, 64, 100, 1000, 12_345, 10**9])
    found = decode_counts(torch.from_numpy(encode_counts(counts))).numpy()
    assert found[:5].tolist() == [0, 1, 5, 63, 64]
    assert found[5:8] == pytest.approx(counts[5:8], rel=0.02)
    assert found[8] > 15_000


@pytest.mark.parametrize("order", [1, 2, 4])
def test_evidence_is_that_of_a_dictionary_of_counts(order):
    contigs = [bases(700, 1), bases(300, 2)]
    module = WordCounts(SMALL, FORM)
    module.store(*count_words(contigs, [0, 1], [frozenset()], FORM)[0])
    ids = torch.from_numpy(bases(200, 3).astype(np.int64))[None]
    evidence = module(ids, torch.full((1, FORM.reach), 4))[0]
    counts, at = followers(contigs, order), FORM.orders.index(order)
    for t in range(200):
        word = ids[0, max(0, t + 1 - order) : t + 1].tolist()
        shown = evidence[t, 4 * at : 4 * at + 4]
        if len(word) < order or max(word) > 3:
            assert not shown.any()
            continue
        seen = counts.get(tuple(word), Counter())
        total = sum(seen.values())
        wanted = [math.log((seen[b] + PSEUDO_COUNT) / (total + 4 * PSEUDO_COUNT)) for b in range(4)]
        assert shown.tolist() == pytest.approx(wanted, abs=1e-5)
        assert float(evidence[t, 12 + at]) == pytest.approx(0.2 * math.log1p(total), abs=1e-5)
        if t + 1 < 200 and ids[0, t + 1] < 4:  # the next token's surprise is that of this word's prediction
            assert float(evidence[t + 1, 15 + at]) == pytest.approx(-wanted[int(ids[0, t + 1])], abs=1e-5)


def test_repeats_foretell_what_followed_most_often():
    unit = bases(60, 5)
    unit[unit == 4] = 0
    module = WordCounts(SMALL, FORM)
    module.store(*count_words([np.tile(unit, 4)], [0], [frozenset()], FORM)[0])
    ids = torch.from_numpy(np.tile(unit, 2).astype(np.int64))[None]
    evidence = module(ids, torch.full((1, FORM.reach), 4))[0, :, 18:]
    foretold = evidence[10:-1, :4]
    hits = foretold.sum(1) == 1
    assert hits.float().mean() > 0.95
    assert (foretold.argmax(1)[hits] == ids[0, 11:][hits]).float().mean() > 0.95
    assert evidence[20:, 4].mean() > 0.9  # said right about the token itself
    assert evidence[20:, 5].mean() < 0.1
    assert not evidence[: FORM.repeat_order - 1].any()


def test_versions_leave_out_their_groups():
    one, two = bases(500, 6), bases(400, 7)
    whole, without = count_words([one, two], [3, 8], [frozenset(), frozenset({8})], FORM)
    alone = count_words([one], [0], [frozenset()], FORM)[0]
    assert all(torch.equal(a, b) for a, b in zip(without, alone, strict=True))
    assert not torch.equal(whole[0], alone[0])
    with pytest.raises(ConfigError, match="more than 64 groups"):
        count_words([one], [64], [frozenset()], FORM)


def test_each_sample_reads_its_version_and_the_last_is_read_otherwise():
    versions = count_words([bases(500, 6), bases(400, 7)], [0, 1], [{0}, {1}, ()], FORM)
    module = WordCounts(SMALL, FORM)
    ids, recent = torch.from_numpy(bases(50, 9).astype(np.int64)).expand(2, -1), torch.full((2, FORM.reach), 4)
    alone = []
    for version in versions:
        module.use([version])
        alone.append(module(ids[:1], recent[:1])[0])
    module.use(versions)
    assert torch.equal(module(ids, recent)[1], alone[2])
    found = module(ids, recent, torch.tensor([1, 0]))
    assert torch.equal(found[0], alone[1])
    assert torch.equal(found[1], alone[0])


@pytest.mark.parametrize("cut", [1, 5, 6, 7, 31])
def test_cutting_a_stream_changes_nothing(cut):
    torch.manual_seed(0)
    net = Backbone(SMALL).eval()
    torch.nn.init.normal_(net.counts.choose.weight)
    net.counts.store(*count_words([bases(900, 1)], [0], [()], FORM)[0])
    ids = torch.from_numpy(bases(40, 4).astype(np.int64))[None]
    with torch.no_grad():
        whole, first = net(ids), net.stream(ids[:, :cut])
        second = net.stream(ids[:, cut:], first.state)
    assert torch.allclose(torch.cat([first.logits, second.logits], 1), whole, atol=1e-5)


def test_the_tables_are_part_of_the_weights():
    net, other = Backbone(SMALL).eval(), Backbone(SMALL).eval()
    net.counts.store(*count_words([bases(900, 1)], [0], [()], FORM)[0])
    ids = torch.from_numpy(bases(40, 4).astype(np.int64))[None]
    before = other(ids)
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(ids), net(ids))
    assert not torch.allclose(other(ids), before)


def test_rows_and_checks_are_in_range():
    row, check = hash_words(torch.arange(100_000), 1 << 10)
    assert 0 <= int(row.min()) <= int(row.max()) < 1 << 10
    assert (int(check.min()), int(check.max())) == (1, 63)
    assert len({*row.tolist()}) == 1 << 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"orders": (2, 3)}, "even number"), ({"orders": (4, 2)}, "rising"), ({"repeat_order": 3}, "repeat_order"),
     ({"repeat_rows": 100}, "power of two")],
)  # fmt: skip
def test_impossible_forms_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        replace(FORM, **changes)
