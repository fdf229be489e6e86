from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_dna.errors import ConfigError, FormatError, InputMissing
from titans_dna.tokenizers import (
    BpeTokenizer,
    KmerTokenizer,
    NucleotideTokenizer,
    named_tokenizer,
    new_bases,
    read_tokenizer,
    tokenize,
    tokens,
)

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
        assert ((tokens.offsets[:, 0] <= base) & (base < tokens.offsets[:, 1])).any()


def test_no_bases_are_no_tokens():
    assert len(tokenize(NucleotideTokenizer(), b"")) == 0


SEQUENCES = st.text("ACGTNacgtnRU", max_size=60).map(str.encode)


@pytest.mark.parametrize("tokenizer", KINDS, ids=repr)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(sequence=SEQUENCES, at=st.integers(0, 60))
def test_every_base_is_new_in_one_token(tokenizer, sequence, at):
    ids = tokenizer.encode(sequence)
    counts, seen = new_bases(tokenizer, ids), 0
    for count, (start, end) in zip(counts.tolist(), tokenizer.offsets(ids).tolist(), strict=True):
        assert count == max(0, end - seen)
        assert not count or start <= seen  # what is new is covered
        seen = max(seen, end)
    assert seen == len(sequence)
    assert counts.sum() == len(sequence)
    offsets = tokenizer.offsets(ids)
    if at < len(ids):
        covered = max([0, *offsets[:at, 1].tolist()]) - int(offsets[at, 0])
        assert new_bases(tokenizer, ids[at:], covered).tolist() == counts[at:].tolist()


def test_new_bases_are_counted_alike_in_chunks(monkeypatch):
    sequence = np.random.default_rng(2).choice(list(b"ACGTN"), 900, p=[0.23] * 4 + [0.08]).astype(np.uint8).tobytes()
    for tokenizer in (*KINDS, KmerTokenizer(8, overlapping=True)):
        ids = tokenizer.encode(sequence)
        whole = new_bases(tokenizer, ids)
        for chunk in (9, 10, 100):
            monkeypatch.setattr(tokens, "_CHUNK", chunk)
            assert new_bases(tokenizer, ids).tolist() == whole.tolist()
        monkeypatch.undo()


@pytest.mark.parametrize("tokenizer", KINDS, ids=repr)
def test_a_widened_span_has_the_tokens_of_the_whole(tokenizer):
    sequence = np.random.default_rng(2).choice(list(b"ACGTN"), 9000, p=[0.245] * 4 + [0.02]).astype(np.uint8).tobytes()
    ids = tokenizer.encode(sequence)
    offsets = tokenizer.offsets(ids)
    whole = {tuple(span): token for span, token in zip(offsets.tolist(), ids.tolist(), strict=True)}
    for start, end in [(0, 1), (5, 9), (4095, 4097), (4096, 4096), (8000, 8990), (8999, 9000)]:
        first, last = tokenizer.widen(start, end)
        assert first <= start <= end <= last
        part = tokenizer.encode(sequence[first:last])
        for (a, b), token in zip((tokenizer.offsets(part) + first).tolist(), part.tolist(), strict=True):
            if b > start and a < end and new_bases(tokenizer, part)[0]:
                assert whole.get((a, b)) == token or b - a == 1  # a single base at the cut end of overlapping tokens
        assert all(b <= start for (a, b) in whole if a < first)


def test_tokenizers_have_names_and_files(tmp_path):
    assert named_tokenizer("nucleotide") == NucleotideTokenizer()
    assert named_tokenizer("kmer:5") == KmerTokenizer(5)
    assert named_tokenizer("kmer:5:overlapping") == KmerTokenizer(5, overlapping=True)
    for tokenizer in KINDS:
        (tmp_path / "t.json").write_text(json.dumps(tokenizer.to_json()))
        assert named_tokenizer(str(tmp_path / "t.json")) == tokenizer
    for bad in ("kmer", "kmer:", "kmer:x", "kmer:99", "kmer:6:side", "words", ""):
        with pytest.raises(ConfigError):
            named_tokenizer(bad)
    for text in ("", "{", "[1]", '{"kind": "bpe"}', '{"kind": "kmer", "k": "6"}', "null"):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(FormatError, match="bad"):
            read_tokenizer(tmp_path / "bad.json")
    with pytest.raises(InputMissing):
        read_tokenizer(tmp_path / "none.json")
