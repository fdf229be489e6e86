from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_dna.errors import ConfigError
from titans_dna.tokenizers import KmerTokenizer, Tokenizer, load_tokenizer

SEQUENCES = st.text("ACGTNacgtnRU", max_size=60).map(str.encode)
KINDS = [KmerTokenizer(k, overlapping=o) for k in (3, 4, 6, 8) for o in (False, True)]


def plain(sequence: bytes) -> bytes:
    return sequence.upper().replace(b"U", b"T").replace(b"R", b"N")


@pytest.mark.parametrize("tokenizer", KINDS, ids=repr)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(sequence=SEQUENCES)
def test_tokens_say_what_stands_under_them(tokenizer, sequence):
    ids = tokenizer.encode(sequence)
    bases, words = plain(sequence), tokenizer.vocabulary
    offsets = tokenizer.offsets(ids)
    assert [words[i] for i in ids] == [bases[a:b].decode() for a, b in offsets.tolist()]
    assert tokenizer.decode(ids) == bases
    if tokenizer.overlapping:
        assert offsets[:, 0].tolist() == list(range(len(bases)))
    else:
        assert offsets[:, 0].tolist() == [0, *offsets[:-1, 1].tolist()][: len(ids)]


@pytest.mark.parametrize("tokenizer", KINDS, ids=repr)
def test_an_n_changes_no_token_but_those_that_cover_it(tokenizer):
    """Trap 10: one N re-phased every later 6-mer, so a variant's index was wrong (BEND #49)."""
    sequence = np.random.default_rng(3).choice(list(b"ACGT"), 200).astype(np.uint8).tobytes()
    words = tokenizer.vocabulary

    def covering(text):
        ids = tokenizer.encode(text)
        return {(a, b): words[i] for (a, b), i in zip(tokenizer.offsets(ids).tolist(), ids.tolist(), strict=True)}

    whole = covering(sequence)
    for place in (0, 7, 100, 199):
        broken = covering(sequence[:place] + b"N" + sequence[place + 1 :])
        assert all(broken[span] == word for span, word in whole.items() if not span[0] <= place < span[1])


def test_long_sequence_is_encoded_as_short_ones_are():
    """Pieces encoded at a time leave no trace."""
    sequence = (
        np.random.default_rng(4).choice(list(b"ACGTN"), 140_000, p=[0.249] * 4 + [0.004]).astype(np.uint8).tobytes()
    )
    for tokenizer in KINDS[:4]:
        words, ids = tokenizer.vocabulary, tokenizer.encode(sequence)
        offsets = tokenizer.offsets(ids)
        assert tokenizer.decode(ids) == sequence
        for at in np.random.default_rng(5).integers(0, len(ids), 300):
            a, b = offsets[at]
            assert words[ids[at]].encode() == sequence[a:b]
        wide = [i for i in range(0, len(sequence) - 8, 997) if b"N" not in sequence[i : i + tokenizer.k]]
        if tokenizer.overlapping:
            assert all(offsets[i, 1] - offsets[i, 0] == tokenizer.k for i in wide)


def test_types_are_small_and_specials_cover_no_base():
    assert KmerTokenizer(3).encode(b"ACGT").dtype == np.uint8
    assert KmerTokenizer(4).encode(b"ACGT").dtype == np.uint16
    assert KmerTokenizer(8).encode(b"ACGT").dtype == np.uint32
    tokenizer = KmerTokenizer(3)
    assert len(tokenizer.vocabulary) == 7 + 64
    assert tokenizer.targets == 68
    assert tokenizer.vocabulary[68:] == ("N", "<bos>", "<pad>")
    ids = np.array([69, 4, 0, 70, 67, 68], np.uint8)
    assert tokenizer.offsets(ids).tolist() == [[0, 0], [0, 3], [3, 4], [4, 4], [4, 7], [7, 8]]
    assert tokenizer.decode(ids) == b"AAAATTTN"
    assert tokenizer.encode(b"").shape == (0,)


def test_settings_and_wrong_ones():
    for tokenizer in KINDS:
        again = load_tokenizer(json.loads(json.dumps(tokenizer.to_json())))
        assert again == tokenizer
        assert hash(again) == hash(tokenizer)
        assert isinstance(again, Tokenizer)
    assert KmerTokenizer(3) != KmerTokenizer(3, overlapping=True)
    for bad in (2, 9, 3.0, "3"):
        with pytest.raises(ConfigError, match="3 to 8"):
            KmerTokenizer(bad)
    with pytest.raises(ConfigError):
        load_tokenizer({"kind": "kmer"})
    with pytest.raises(ConfigError, match="71"):
        KmerTokenizer(3).decode(np.array([71]))
