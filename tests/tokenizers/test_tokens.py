from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_dna.tokenizers import BpeTokenizer, KmerTokenizer, NucleotideTokenizer, tokenize

KINDS = [
    NucleotideTokenizer(),
    KmerTokenizer(3),
    KmerTokenizer(4, overlapping=True),
    BpeTokenizer([("A", "C"), ("AC", "G")]),
]


@pytest.mark.parametrize("tokenizer", KINDS, ids=repr)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(sequence=st.text("ACGTNacgtnRy-", max_size=40).map(str.encode), start=st.integers(0, 1000))
def test_mask_offsets_and_counts_agree_with_looking_at_every_base(tokenizer, sequence, start):
    tokens = tokenize(tokenizer, sequence, start)
    assert len(tokens) == len(tokens.masked) == len(tokens.offsets)
    for (first, last), share in zip((tokens.offsets - start).tolist(), tokens.masked.tolist(), strict=True):
        part = sequence[first:last].decode()
        assert share == pytest.approx(sum(letter.islower() for letter in part) / len(part))
    assert sum(tokens.ambiguous.values()) == sum(letter in b"Ry-" for letter in sequence)
    for base in range(start, start + len(sequence)):
        first, last = tokens.offsets[tokens.token_of(base)]
        assert first <= base < last


def test_a_base_without_token_is_an_error():
    with pytest.raises(IndexError):
        tokenize(NucleotideTokenizer(), b"ACGT", 10).token_of(14)
    with pytest.raises(IndexError):
        tokenize(NucleotideTokenizer(), b"ACGT", 10).token_of(9)
    assert len(tokenize(NucleotideTokenizer(), b"")) == 0
