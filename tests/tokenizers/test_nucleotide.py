from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_dna.errors import ConfigError
from titans_dna.tokenizers import NucleotideTokenizer, Tokenizer, load_tokenizer, soft_mask


def test_ids_are_fixed_and_case_is_ignored():
    """Trap 2: lower-case bases are bases, not unknown tokens."""
    tokenizer = NucleotideTokenizer()
    assert tokenizer.vocabulary == ("A", "C", "G", "T", "N", "<bos>", "<pad>")
    assert tokenizer.encode(b"ACGTN").tolist() == [0, 1, 2, 3, 4]
    assert tokenizer.encode(b"acgtn").tolist() == [0, 1, 2, 3, 4]
    assert tokenizer.encode(b"Uu").tolist() == [3, 3]
    assert set(tokenizer.encode(b"RYSWKMBDHVryswkmbdhv-*.EX@\x00\xff\xc1\xe1").tolist()) == {4}


def test_every_byte_has_an_id_and_ids_are_writable_and_small():
    ids = NucleotideTokenizer().encode(bytes(range(256)))
    assert ids.dtype == np.uint8
    assert ids.flags.writeable
    assert ids.flags.c_contiguous
    known = {i for i in range(256) if ids[i] < 4}
    assert known == set(b"ACGTUacgtu")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.text("ACGTNacgtn", max_size=50), st.sampled_from([0, 1, 5000]))
def test_decode_undoes_encode_across_chunks(text, repeats):
    sequence = text.encode() * (1 + repeats)
    tokenizer = NucleotideTokenizer()
    assert tokenizer.decode(tokenizer.encode(sequence)) == sequence.upper()


def test_specials_cover_no_base():
    tokenizer = NucleotideTokenizer()
    ids = np.array([5, 0, 1, 6, 4, 6], np.uint8)
    assert tokenizer.decode(ids) == b"ACN"
    assert tokenizer.offsets(ids).tolist() == [[0, 0], [0, 1], [1, 2], [2, 2], [2, 3], [3, 3]]
    assert tokenizer.offsets(tokenizer.encode(b"ACGT")).tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]
    assert tokenizer.offsets(tokenizer.encode(b"")).shape == (0, 2)
    with pytest.raises(ConfigError, match="7"):
        tokenizer.decode(np.array([7], np.uint8))


def test_soft_mask_travels_beside_the_ids():
    assert soft_mask(b"AcgTnN-*").tolist() == [False, True, True, False, True, False, False, False]
    assert soft_mask(b"").shape == (0,)


def test_settings_make_the_same_tokenizer():
    tokenizer = NucleotideTokenizer()
    again = load_tokenizer(json.loads(json.dumps(tokenizer.to_json())))
    assert again == tokenizer
    assert isinstance(again, Tokenizer)
    for bad in ({}, {"kind": "words"}, None):
        with pytest.raises(ConfigError):
            load_tokenizer(bad)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.binary(max_size=70), st.integers(0, 3))
def test_looking_up_pairs_is_looking_up_bases(data, skip):
    """Odd lengths, odd places in memory and every byte."""
    table = {65: 0, 67: 1, 71: 2, 84: 3, 85: 3}
    expected = [table.get(byte & 0xDF, 4) if byte & 0xDF in table and byte < 128 and byte >= 64 else 4 for byte in data]
    encode = NucleotideTokenizer().encode
    assert encode(data).tolist() == expected
    assert encode(memoryview(b"x" * skip + data)[skip:]).tolist() == expected
    assert encode(np.frombuffer(b"x" * skip + data, np.uint8)[skip:]).tolist() == expected
    assert encode(bytearray(data)).tolist() == expected
