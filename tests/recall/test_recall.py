"""The compiled copy memory against the plain one, and the promise that only the ids before a token count."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from recall.sequences import COMPLEMENT, mutated, patchwork

from titans_dna.errors import ConfigError
from titans_dna.recall import CopyMemory, RecallForm, RecallState, recall
from titans_dna.recall.reader import NO_PLACES, read_gap
from titans_dna.recall.record import HELD_AT
from titans_dna.recall.reference import ReferenceRecall

FORMS = {
    "default": RecallForm(),
    "small index": RecallForm(words=("1" * 11, "1" * 24), sample_every=(1, 3), index_bits=12, places=4, matches=3),
    "no spacing": RecallForm(words=("1" * 12,), sample_every=(1,), spacing_bases=0, accepted_hits=12, leading_run=0),
    "one place": RecallForm(words=("1" * 16,), sample_every=(2,), places=1, matches=1, inverted=False),
    "horizon": RecallForm(horizon_bases=500, spacing_bases=64),
    "every address has a row": RecallForm(
        words=("110110010111",), sample_every=(1,), index_bits=10, accepted_hits=16, places=32
    ),
}


def bytes_of(memory: CopyMemory) -> int:
    """Bytes that the arrays of a memory take, pages that were never touched among them."""
    return sum(array.nbytes for array in (*memory.store, *itertools.chain(*memory.indexes)))


def begin(form: RecallForm = FORMS["default"]) -> RecallState:
    return RecallState(memory=CopyMemory(form))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", FORMS)
def test_equals_the_reference_to_the_bit(name: str, seed: int) -> None:
    ids = patchwork(6000, seed)
    codes, sources = ReferenceRecall(FORMS[name]).read(ids)
    found = recall(begin(FORMS[name]), ids, sources=True)
    assert (codes > 0).any(1).mean() > 0.2
    np.testing.assert_array_equal(found.codes, codes)
    np.testing.assert_array_equal(found.sources, sources)


@pytest.mark.parametrize("name", ["default", "small index", "horizon"])
def test_cuts_change_nothing(name: str) -> None:
    ids, rng = patchwork(20_000, 3), np.random.default_rng(1)
    whole = recall(begin(FORMS[name]), ids).codes
    cuts = [0, *sorted(rng.choice(len(ids), 40, replace=False).tolist()), len(ids)]
    state, parts = begin(FORMS[name]), []
    for start, end in itertools.pairwise(cuts):
        found = recall(state, ids[start:end])
        parts.append(found.codes)
        state = found.state
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_future_changes_nothing() -> None:
    ids = patchwork(4000, 5)
    other = ids.copy()
    other[2500:] = np.random.default_rng(0).integers(0, 4, 1500)
    np.testing.assert_array_equal(recall(begin(), ids).codes[:2500], recall(begin(), other).codes[:2500])


@pytest.mark.parametrize("cut", [1, 63, 64, 65, 1000, 3001, 4096, 5999])
def test_a_haplotype_reads_as_if_it_had_been_read_alone(cut: int) -> None:
    ids = patchwork(6000, 7)
    rng = np.random.default_rng(cut)
    branch = np.concatenate([rng.integers(0, 4, 30), ids[cut : cut + 400], ids[:300], rng.integers(0, 4, 50)])
    state = recall(begin(), ids[:cut]).state
    recall(state, ids[cut:])  # the strand has gone on
    found = recall(state, branch[:333])
    rest = recall(found.state, branch[333:])
    twig = recall(found.state, ids[:300])  # and a haplotype of the haplotype
    alone = recall(begin(), np.concatenate([ids[:cut], branch])).codes[cut:]
    np.testing.assert_array_equal(np.concatenate([found.codes, rest.codes]), alone)
    alone = recall(begin(), np.concatenate([ids[:cut], branch[:333], ids[:300]])).codes[cut + 333 :]
    np.testing.assert_array_equal(twig.codes, alone)
    again = recall(state, ids[cut:])
    np.testing.assert_array_equal(again.codes, recall(begin(), ids).codes[cut:])
    assert again.state.memory is state.memory


@pytest.mark.parametrize("cut", [1, 63, 64, 65, 1000, 3001])
@pytest.mark.parametrize("name", ["default", "small index", "every address has a row"])
def test_a_haplotype_over_a_strand_over_relatives_reads_as_if_all_were_one_tape(name: str, cut: int) -> None:
    form, rng = FORMS[name], np.random.default_rng(cut)
    known = np.append(patchwork(6399, 21), 4)  # a multiple of the chunk, and a gap at its end
    ids = np.concatenate([patchwork(4000, 23)[:2000], mutated(known[500:2500], 0.05, rng)])
    branch = np.concatenate([rng.integers(0, 4, 20), ids[cut : cut + 300], known[3000:3300], ids[:200]])
    relatives = CopyMemory(form)
    relatives.append(known)
    beginning = RecallState(memory=relatives, position=relatives.end, leaves=True)
    strand = recall(beginning, ids[:cut], sources=True)
    assert strand.state.memory.parent is relatives
    assert bytes_of(strand.state.memory) < bytes_of(relatives) / 2 or cut > 1000
    on = recall(strand.state, ids[cut:], sources=True)
    haplotype = recall(strand.state, branch, sources=True)
    twig = recall(recall(strand.state, branch[:111]).state, ids[:300], sources=True)
    again = recall(beginning, ids[::-1], sources=True)

    def alone(*parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        codes, sources = ReferenceRecall(form).read(np.concatenate([known, *parts]))
        return codes, sources

    for found, parts in (
        (on, (ids[:cut], ids[cut:])), (haplotype, (ids[:cut], branch)),
        (twig, (ids[:cut], branch[:111], ids[:300])), (again, (ids[::-1],)),
    ):  # fmt: skip
        codes, sources = alone(*parts)
        assert found.sources is not None
        assert (found.sources >= 0).any()
        np.testing.assert_array_equal(found.codes, codes[-len(found.codes) :])
        np.testing.assert_array_equal(found.sources, sources[-len(found.codes) :])
    assert relatives.end == len(known)


def test_what_was_appended_is_recalled_as_what_was_read() -> None:
    ids = patchwork(5000, 9)
    memory = CopyMemory(RecallForm())
    memory.append(ids[:2999])
    found = recall(RecallState(memory=memory, position=2999), ids[2999:])
    read = recall(begin(), ids).codes[2999:]
    np.testing.assert_array_equal(found.codes[200:], read[200:])  # a place that was followed there is found anew


def test_a_reader_recalls_nothing_from_before_its_floor() -> None:
    ids = np.random.default_rng(2).integers(0, 4, 3000)
    state = recall(begin(), ids).state
    assert (recall(state, ids).codes[100:] > 0).all(0).any()
    found = recall(replace(state, floor=3000, places=NO_PLACES), ids, sources=True)
    assert found.sources is not None
    assert not ((found.sources >= 0) & (found.sources < 3000)).any()
    plain = ReferenceRecall(RecallForm())
    plain.read(ids)
    plain.floor, plain.places = 3000, []
    np.testing.assert_array_equal(plain.read(ids)[0], found.codes)


def test_a_ring_is_no_larger_for_a_longer_stream_and_recalls_what_is_near() -> None:
    form = RecallForm(horizon_bases=2000, index_bits=16)
    ids = patchwork(60_000, 11)
    state = begin(form)
    sizes, codes = [], []
    for start in range(0, len(ids), 5000):
        found = recall(state, ids[start : start + 5000])
        state = found.state
        codes.append(found.codes)
        sizes.append(bytes_of(state.memory))
    assert sizes[-1] == sizes[len(sizes) // 2]
    unlimited = ReferenceRecall(form).read(ids[:12_000])[0]
    np.testing.assert_array_equal(np.concatenate(codes)[:12_000], unlimited)
    early = recall(begin(form), ids[:5000]).state
    late = recall(early, ids[5000:]).state
    assert late.position == len(ids)
    with pytest.raises(ConfigError, match="larger recall horizon"):
        recall(early, ids[5000:6000])


def test_finds_copies_inverted_copies_and_diverged_ones() -> None:
    rng = np.random.default_rng(4)
    ids = rng.integers(0, 4, 50_000)
    state = recall(begin(), ids).state
    for piece, least in (
        (ids[20_000:21_000], 0.97),
        (COMPLEMENT[ids[20_000:21_000][::-1]], 0.97),
        (mutated(ids[20_000:21_000], 0.15, rng), 0.75),
    ):
        codes = recall(state, piece).codes[:-1]
        assert ((codes >> HELD_AT & 1 == 1) & (codes & 3 == piece[1:, None])).any(1).mean() > least


def test_a_gap_ends_places_and_is_no_part_of_a_word() -> None:
    ids = np.random.default_rng(6).integers(0, 4, 400)
    state = recall(begin(), np.concatenate([ids, ids[:100]])).state
    assert len(state.places)
    found = recall(state, np.array([4]))
    assert not len(found.state.places)
    assert not found.codes.any()
    assert not recall(begin(), np.full(10_000, 4)).state.memory._counts.any()


def test_a_checksum_and_ids_of_a_memory_are_those_of_what_was_read() -> None:
    ids = patchwork(3000, 13)
    one, other = CopyMemory(RecallForm()), CopyMemory(RecallForm())
    one.append(ids)
    for start in range(0, 3000, 77):
        other.append(ids[start : start + 77])
    np.testing.assert_array_equal(one.ids(0, 3000), ids)
    assert one.checksum(2900) == other.checksum(2900) != one.checksum(2899)
    over = one.fork(2000)
    over.append(ids[:500])
    np.testing.assert_array_equal(over.ids(100, 2500), np.concatenate([ids[100:2000], ids[:500]]))


@pytest.mark.parametrize(
    "changes",
    [
        {"words": ()},
        {"words": ("1" * 7, "1" * 20)},
        {"words": ("0" + "1" * 9, "1" * 20)},
        {"words": ("1" * 12,)},
        {"places": 0},
        {"index_bits": 5},
        {"accepted_hits": 40},
        {"matches": 0},
        {"sample_every": (0, 1)},
        {"horizon_bases": -1},
    ],
)
def test_impossible_forms_are_refused(changes: dict) -> None:
    with pytest.raises(ConfigError, match="recall"):
        RecallForm(**changes)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("before", [0, 1, 640, 1003])
@pytest.mark.parametrize("run", [1, 40, 64, 700, 9000])
def test_a_gap_read_at_once_is_one_read_token_by_token(name: str, before: int, run: int) -> None:
    ids, gap = patchwork(4000, 8), np.full(run, 4, dtype=np.uint8)
    at_once, one_by_one = (recall(begin(FORMS[name]), ids[:before]).state for _ in range(2))
    at_once, one_by_one = read_gap(at_once, run), recall(one_by_one, gap).state
    for _ in range(2):  # on its own memory, then on one over it
        assert (at_once.position, at_once.places.tolist()) == (one_by_one.position, [])
        assert at_once.memory.checksum(at_once.position) == one_by_one.memory.checksum(one_by_one.position)
        found, wanted = recall(at_once, ids[before:]), recall(one_by_one, ids[before:])
        np.testing.assert_array_equal(found.codes, wanted.codes)
        at_once, one_by_one = (replace(each.state, leaves=True) for each in (found, wanted))
        at_once, one_by_one = read_gap(at_once, run), recall(one_by_one, gap).state


def test_a_gap_is_read_beside_what_the_memory_holds_already() -> None:
    state = recall(begin(), patchwork(1000, 9)).state
    ahead = recall(state, np.array([0, 1, 2], dtype=np.uint8)).state
    apart = read_gap(state, 100)
    assert apart.memory is not ahead.memory
    assert apart.memory.ids(1000, 1100).tolist() == [4] * 100
    assert ahead.memory.ids(1000, 1003).tolist() == [0, 1, 2]


def test_a_gap_of_no_tokens_leaves_what_is_followed() -> None:
    ids = patchwork(1000, 9)
    state = recall(begin(), np.concatenate([ids, ids[:500]])).state
    assert len(state.places) > 0
    assert read_gap(state, 0) is state


def test_appended_gaps_leave_the_memory_that_appended_tokens_do() -> None:
    ids = np.concatenate([patchwork(1 << 20, 10), np.full(1 << 20, 4, dtype=np.uint8), patchwork(5000, 10)])
    whole, parts = CopyMemory(FORMS["default"]), CopyMemory(FORMS["default"])
    whole.append(ids)
    for start in range(1 << 10, len(ids) + (1 << 20), 1 << 20):  # no piece is a gap alone
        parts.append(ids[max(0, start - (1 << 20)) : start])
    assert whole.entries == parts.entries
    np.testing.assert_array_equal(whole.ids(0, len(ids)), ids)
    codes = [recall(RecallState(memory=m, position=len(ids)), ids[-5000:]).codes for m in (whole, parts)]
    np.testing.assert_array_equal(*codes)
