"""The vote of the relatives: against a plain reading of the rule, and on sequences whose relatives are known."""

from __future__ import annotations

import numpy as np
import pytest
from recall.sequences import COMPLEMENT, mutated, patchwork

from titans_dna.errors import ConfigError
from titans_dna.recall import RecallForm, Relatives
from titans_dna.recall.reference import address_of
from titans_dna.recall.vote import NONE, VoteRule, one_side, votes

RNG = np.random.default_rng(3)
TARGET = RNG.integers(0, 4, 3000)


def memory(genomes: dict[str, list[np.ndarray]], form: RecallForm | None = None) -> Relatives:
    found = Relatives.empty(form or RecallForm())
    for genome, contigs in genomes.items():
        for number, ids in enumerate(contigs):
            found.read(f"{genome}{number}", genome, [ids], "")
    return found


def plain_side(relatives: Relatives, ids: np.ndarray, rule: VoteRule) -> tuple[np.ndarray, np.ndarray]:
    """Read the rule base by base: no windows of bits, no index but the words that the memory has written."""
    form, names = relatives.memory.form, relatives.genomes
    tape = relatives.memory.ids(0, relatives.memory.end).tolist()
    owner = {}
    for contig in relatives.contigs:
        owner |= dict.fromkeys(range(contig.start, contig.start + contig.length_bp), names.index(contig.genome))
    entries: list[dict[int, list[int]]] = []
    for kind, word in enumerate(form.words):
        known, written = 0, {}
        for at, token in enumerate(tape):
            known = 0 if token > 3 else known + 1
            if known < len(word):
                continue
            address = address_of(tape[at - len(word) + 1 : at + 1], kind, form)
            if address >= 0 and at - written.get(address, [-(10**9)])[-1] >= form.spacing_bases:
                written.setdefault(address, []).append(at)
        entries.append(written)

    def agrees(at: int, place: int, direction: int) -> bool:
        if not (0 <= at < len(ids) and ids[at] < 4 and place in owner and tape[place] < 4):
            return False
        return (tape[place] if direction > 0 else 3 - tape[place]) == ids[at]

    most = [
        max(
            rule.matches, 4 * sum(map(len, written.values())) * every // 4 ** min(word.count("1"), form.index_bits // 2)
        )
        for word, every, written in zip(form.words, form.sample_every, entries, strict=True)
    ]
    bases, hits = np.full((len(ids), len(names)), NONE), np.zeros((len(ids), len(names)), dtype=int)
    follows: dict[int, list] = {}  # by genome: place, direction, sum, outcomes with the newest last
    known = 0
    for at, token in enumerate(ids.tolist()):
        for genome, (place, direction, _, outcomes) in follows.items():
            bases[at, genome] = tape[place] if direction > 0 else 3 - tape[place]
            hits[at, genome] = sum(outcomes)
        if token > 3:
            known, follows = 0, {}
            continue
        known += 1
        for genome, (place, direction, score, outcomes) in list(follows.items()):
            hit = bases[at, genome] == token
            follows[genome] = [place + direction, direction, min(120, score + 10) if hit else score - 15,
                               [*outcomes[1:], hit]]  # fmt: skip
            if follows[genome][2] <= 0 or tape[place + direction] > 3:
                del follows[genome]
        for kind, word in enumerate(form.words):
            if known < len(word):
                continue
            recent = ids[at - len(word) + 1 : at + 1].tolist()
            for direction in (1, -1):
                read = recent if direction > 0 else [3 - base for base in reversed(recent)]
                found = entries[kind].get(address_of(read, kind, form), [])
                for end in reversed(found) if len(found) <= most[kind] else []:
                    here = end if direction > 0 else end - len(word) + 1
                    close = [agrees(at - back, here - direction * back, direction) for back in range(26)]
                    ahead = [agrees(at + on, here + direction * on, direction) for on in range(1, 9)]
                    place = here + direction
                    if sum(close) + sum(ahead) < rule.accepted_hits or place not in owner or tape[place] > 3:
                        continue
                    genome, held = owner[place], follows.get(owner[place])
                    outcomes = [back < known and agrees(at - back, here - direction * back, direction)
                                for back in reversed(range(64))]  # fmt: skip
                    if held and (held[:2] == [place, direction] or sum(outcomes) <= sum(held[3])):
                        continue
                    follows[genome] = [place, direction, 72, outcomes]
    return bases, hits


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_a_plain_reading_of_the_rule(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = patchwork(1500, seed)
    ids[700:705] = 4
    relatives = memory(
        {
            "near": [mutated(ids, 0.05, rng)],
            "far": [mutated(ids[:900], 0.2, rng), COMPLEMENT[mutated(ids[900:], 0.15, rng)[::-1]]],
            "other": [rng.integers(0, 4, 800)],
        }
    )
    rule = VoteRule(matches=8)
    found = one_side(relatives, np.minimum(ids, 4).astype(np.uint8), rule)
    bases, hits = plain_side(relatives, ids, rule)
    assert (bases < NONE).any(0)[:2].all()
    np.testing.assert_array_equal(found.base, bases)
    np.testing.assert_array_equal(np.where(bases < NONE, found.hits, 0), hits)


def test_relatives_of_every_distance_and_strand_vote_for_what_they_have() -> None:
    near, far = mutated(TARGET, 0.03, RNG), mutated(TARGET, 0.15, RNG)
    found = votes(memory({"near": [near], "far": [COMPLEMENT[far[::-1]]], "none": [RNG.integers(0, 4, 3000)]}), TARGET)
    said = found < NONE
    assert said[:, 0].mean() > 0.99
    assert said[:, 1].mean() > 0.8
    assert said[:, 2].mean() < 0.01
    assert (found[:, 0] == near)[said[:, 0]].mean() > 0.995
    assert (found[:, 1] == far)[said[:, 1]].mean() > 0.995


def test_the_first_and_last_bases_are_vouched_for_from_the_other_side() -> None:
    found = votes(memory({"a": [TARGET]}), TARGET)
    assert (found[40:-40, 0] == TARGET[40:-40]).all()
    assert (found[:18, 0] == TARGET[:18]).all()
    assert (found[-18:, 0] == TARGET[-18:]).all()


def test_a_genome_has_one_vote_however_many_copies_it_has() -> None:
    """A paralog that has diverged does not outvote the ortholog: the better place of a genome speaks."""
    ortholog, paralog = mutated(TARGET, 0.04, RNG), mutated(TARGET, 0.12, RNG)
    for order in ([ortholog, paralog], [paralog, ortholog]):
        found = votes(memory({"a": order}), TARGET)[100:-100, 0]
        assert found.shape == (2800,)
        assert (found == ortholog[100:-100]).mean() > 0.97
    assert votes(memory({"a": [ortholog], "b": [paralog]}), TARGET).shape == (3000, 2)


def test_what_is_not_there_has_no_vote() -> None:
    assert votes(memory({"a": [TARGET[:20]]}), TARGET).max() == NONE
    assert (votes(memory({"a": [TARGET]}), np.full(500, 4)) == NONE).all()
    assert votes(memory({"a": [TARGET]}), TARGET[:0]).shape == (0, 1)
    with_gap = TARGET.copy()
    with_gap[1500:1520] = 4
    found = votes(memory({"a": [with_gap]}), TARGET)[:, 0]
    assert (found[1500:1520] == NONE).all()
    assert (found[1600:1700] == TARGET[1600:1700]).all()


def test_contigs_lie_apart_and_names_are_told_once() -> None:
    found = memory({"a": [TARGET[:700], TARGET[700:1500]], "b": [TARGET]})
    assert found.genomes == ("a", "b")
    assert [contig.start % 64 for contig in found.contigs] == [1, 1, 1]
    for contig, ids in zip(found.contigs, (TARGET[:700], TARGET[700:1500], TARGET), strict=True):
        np.testing.assert_array_equal(found.memory.ids(contig.start, contig.start + contig.length_bp), ids)
        assert found.memory.ids(contig.start - 1, contig.start)[0] == 4
    with pytest.raises(ConfigError, match="in the memory already"):
        found.read("a0", "a", [TARGET], "")
    both = Relatives.empty(found.memory.form)
    both.join(found)
    np.testing.assert_array_equal(votes(both, TARGET), votes(found, TARGET))
    with pytest.raises(ConfigError, match="forgets"):
        Relatives.empty(RecallForm(horizon_bases=1000))


def test_a_relative_is_found_in_a_memory_in_which_every_word_lies_at_many_places() -> None:
    """Three megabases in which a word of 8 lies at 46 places by chance, more than the 32 of a small memory."""
    form = RecallForm(words=("1110100101011",), sample_every=(1,), index_bits=24, spacing_bases=0)
    assert form.words[0].count("1") == 8
    kin = mutated(TARGET, 0.12, np.random.default_rng(5))
    large = memory({"large": [RNG.integers(0, 4, 3_000_000)], "kin": [kin]}, form)
    small = memory({"kin": [kin]}, form)
    assert 150 < VoteRule().most_matches(large.memory)[0] < 250
    assert VoteRule().most_matches(small.memory)[0] == 32
    among_many, alone = votes(large, TARGET)[:, 1], votes(small, TARGET)[:, 0]
    assert (alone != NONE).mean() > 0.7
    assert (among_many == alone).mean() > 0.97
