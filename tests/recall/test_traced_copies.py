"""Copies: where a stretch comes from, on either strand, over cuts of the stream."""

from __future__ import annotations

import math

import numpy as np
import pytest
from recall.sequences import COMPLEMENT, mutated

from titans_dna.recall import CopyMemory, RecallForm, RecallState
from titans_dna.recall import copies as module
from titans_dna.recall.copies import Copy, find_copies

RNG = np.random.default_rng(4)


def begin() -> RecallState:
    return RecallState(memory=CopyMemory(RecallForm()))


@pytest.mark.parametrize("piece", [1 << 16, 777])
@pytest.mark.parametrize("inverted", [False, True])
def test_a_copy_is_traced_to_its_place(piece: int, inverted: bool, monkeypatch) -> None:
    monkeypatch.setattr(module, "PIECE", piece)
    ids = RNG.integers(0, 4, 6000)
    copied = mutated(ids[1000:2000], 0.05, np.random.default_rng(1))
    part = COMPLEMENT[copied[::-1]] if inverted else copied
    stream = np.concatenate([ids[:4000], part, ids[4000:]])
    (found,) = find_copies(begin(), stream)
    assert found.inverted == inverted
    assert 4000 < found.start < 4060
    assert 4980 < found.end <= 5012
    offset = found.source - 1000
    if inverted:
        assert found.source + (found.end - found.start) - 1 == 1999 - (found.start - 4000)
    else:
        assert offset == found.start - 4000
    wrong = (part != (COMPLEMENT[ids[1000:2000][::-1]] if inverted else ids[1000:2000]))[found.start - 4000 :]
    right = found.end - found.start - int(wrong[: found.end - found.start].sum())
    assert right - 12 <= found.hits <= right  # but for what stands behind the copy
    assert 0.9 < found.identity < 1


def test_nothing_is_found_where_nothing_was_copied_and_short_ones_are_left_out() -> None:
    ids = RNG.integers(0, 4, 5000)
    assert not list(find_copies(begin(), ids))
    short = np.concatenate([ids, ids[300:360]])
    assert not list(find_copies(begin(), short, least=61))
    assert len(list(find_copies(begin(), short, least=16))) == 1
    assert not list(find_copies(begin(), ids[:0]))


def test_two_copies_in_a_row_are_two_stretches() -> None:
    ids = RNG.integers(0, 4, 5000)
    first, second = find_copies(begin(), np.concatenate([ids, ids[3000:3400], ids[1000:1500]]))
    assert abs(first.source - 3000) < 40
    assert abs(second.source - 1000) < 40
    assert first.end <= second.start


def test_bits_that_a_copy_saves_are_those_of_a_code_of_its_identity() -> None:
    assert Copy(start=0, end=100, source=0, inverted=False, hits=100).bits_saved == 200
    assert Copy(start=0, end=100, source=0, inverted=False, hits=25).bits_saved == pytest.approx(0)
    entropy = -0.9 * math.log2(0.9) - 0.1 * math.log2(0.1 / 3)
    assert Copy(start=0, end=50, source=0, inverted=False, hits=45).bits_saved == pytest.approx(50 * (2 - entropy))
