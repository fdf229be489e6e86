"""Bases of a contig in pieces are those that were given, forward and reverse."""

from __future__ import annotations

import numpy as np
import pytest

from titans_dna.genome.alphabet import letters_md5, reverse_complement
from titans_dna.genome.bases import PIECE_BP, ContigBases, OtherStrand, pieces_of


@pytest.fixture(scope="module")
def letters() -> bytes:
    text = bytes(np.random.default_rng(5).choice(list(b"ACGTacgtNRY"), 5 * PIECE_BP + 77).astype(np.uint8))
    return text[:PIECE_BP] + b"N" * (2 * PIECE_BP) + text[3 * PIECE_BP :]


SPANS = [
    slice(None), slice(0, 0), slice(5, 3), slice(0, 10), slice(PIECE_BP - 3, PIECE_BP + 3),
    slice(PIECE_BP, 2 * PIECE_BP), slice(7, 4 * PIECE_BP + 1), slice(5 * PIECE_BP, None),
    slice(5 * PIECE_BP + 70, 1 << 40), slice(None, PIECE_BP), slice(-5, None), slice(1 << 40, None),
]  # fmt: skip


@pytest.mark.parametrize("span", SPANS)
def test_stretches_are_those_of_the_whole(letters, span):
    held = ContigBases([letters[: 2 * PIECE_BP], letters[2 * PIECE_BP :]])
    assert len(held) == len(letters)
    assert held[span] == letters[span]
    assert OtherStrand(held)[span] == reverse_complement(letters)[span]
    assert held.whole() == letters
    assert held[span] == letters[span]


def test_a_run_of_n_is_held_once(letters):
    pieces = ContigBases([letters]).pieces
    assert len(pieces) == 6
    assert pieces[1] is pieces[2]
    longer = ContigBases([letters[:PIECE_BP], *[b"n" * PIECE_BP] * 1000])
    assert len(set(map(id, longer.pieces))) == 2


@pytest.mark.parametrize("text", [b"", b"A", b"ACGT" * 3])
def test_short_ones(text):
    held = ContigBases([text] if text else [])
    assert (len(held), held[:], held[1:3], held.whole()) == (len(text), text, text[1:3], text)


def test_the_checksum_is_that_of_the_whole(letters):
    assert letters_md5(*ContigBases([letters]).pieces) == letters_md5(letters) == letters_md5(*pieces_of(letters))
