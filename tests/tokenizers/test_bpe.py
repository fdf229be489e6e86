from __future__ import annotations

import json
import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_dna.errors import ConfigError
from titans_dna.tokenizers import BpeTokenizer, Tokenizer, load_tokenizer
from titans_dna.tokenizers.bpe import PIECE_BP


def genome(seed: int, length: int) -> bytes:
    """Random bases with a word that is far too frequent to be chance."""
    generator = np.random.default_rng(seed)
    parts = [
        b"GATTACA" if generator.random() < 0.3 else generator.choice(list(b"ACGT"), 7).astype(np.uint8).tobytes()
        for _ in range(length // 7)
    ]
    return b"".join(parts)


@pytest.fixture(scope="module")
def tokenizer() -> BpeTokenizer:
    return BpeTokenizer.train([genome(1, 60_000), b"NNN" + genome(2, 5000).lower() + b"RN"], 80)


def test_learned_tokens_hold_the_frequent_word_and_ids_are_in_order(tokenizer):
    words = tokenizer.vocabulary
    assert words[:4] == ("A", "C", "G", "T")
    assert words[tokenizer.targets :] == ("N", "<bos>", "<pad>")
    assert len(words) == len(set(words)) == 80
    assert any("GATTACA" in word for word in words)
    assert not any("N" in word for word in words[: tokenizer.targets])
    assert len(tokenizer.encode(b"GATTACA" * 20)) < 40


@settings(max_examples=60, deadline=None, derandomize=True)
@given(sequence=st.text("ACGTNacgtnRU", max_size=80).map(str.encode), repeats=st.sampled_from([1, 1, 200]))
def test_tokens_say_what_stands_under_them(tokenizer, sequence, repeats):
    sequence = sequence * repeats
    ids = tokenizer.encode(sequence)
    bases = sequence.upper().replace(b"U", b"T").replace(b"R", b"N")
    offsets = tokenizer.offsets(ids)
    assert tokenizer.decode(ids) == bases
    assert [tokenizer.vocabulary[i] for i in ids] == [bases[a:b].decode() for a, b in offsets.tolist()]
    assert offsets[:, 0].tolist() == [0, *offsets[:-1, 1].tolist()][: len(ids)]


def test_merges_are_applied_in_order_as_a_plain_implementation_does(tokenizer):
    def slow(text: str) -> list[str]:
        parts = list(text)
        ranks = {pair: rank for rank, pair in enumerate(tokenizer.merges)}
        while True:
            found = [(ranks[pair], at) for at, pair in enumerate(pairwise(parts)) if pair in ranks]
            if not found:
                return parts
            _, at = min(found)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]

    sequence = genome(9, 700)
    assert [tokenizer.vocabulary[i] for i in tokenizer.encode(sequence)] == slow(sequence.decode())


def test_an_n_stands_alone_and_pieces_do_not_touch(tokenizer):
    ids = tokenizer.encode(b"GATTACANGATTACA")
    gap = tokenizer.targets
    assert tokenizer.offsets(ids)[ids == gap].tolist() == [[7, 8]]
    left = tokenizer.encode(b"GATTACA")
    assert ids.tolist() == [*left, gap, *left]
    long = genome(5, 2 * PIECE_BP)
    assert (
        tokenizer.encode(long[:PIECE_BP]).tolist()
        == tokenizer.encode(long)[: len(tokenizer.encode(long[:PIECE_BP]))].tolist()
    )


def test_training_is_reproducible_and_settings_make_the_same_tokenizer(tokenizer):
    again = BpeTokenizer.train([genome(1, 60_000), b"NNN" + genome(2, 5000).lower() + b"RN"], 80)
    assert again.merges == tokenizer.merges
    loaded = load_tokenizer(json.loads(json.dumps(tokenizer.to_json())))
    assert loaded == tokenizer
    assert isinstance(loaded, Tokenizer)
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.encode(b"GATTACA").tolist() == tokenizer.encode(b"GATTACA").tolist()
    sampled = BpeTokenizer.train([genome(1, 60_000)], 40, sample_bp=20_000, seed=3)
    assert sampled.merges == BpeTokenizer.train([genome(1, 60_000)], 40, sample_bp=20_000, seed=3).merges


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigError, match="no room"):
        BpeTokenizer.train([b"ACGT"], 7)
    with pytest.raises(ConfigError, match="no plain bases"):
        BpeTokenizer.train([b"NNNN"], 20)
    with pytest.raises(ConfigError, match="no token"):
        BpeTokenizer([("AC", "G")])
    with pytest.raises(ConfigError, match="no token"):
        BpeTokenizer([("A", "N")])
    with pytest.raises(ConfigError, match="too long"):
        BpeTokenizer([("A" * 2**n, "A" * 2**n) for n in range(8)])
    with pytest.raises(ConfigError, match="2 to 255"):
        BpeTokenizer.train([b"ACGT"], 20, longest_bp=256)
    for bad in ({"kind": "bpe"}, {"kind": "bpe", "merges": [["A"]]}, {"kind": "bpe", "merges": "AC"}):
        with pytest.raises(ConfigError):
            load_tokenizer(bad)
    with pytest.raises(ConfigError, match="token id 8 is not among the 8 of the vocabulary"):
        BpeTokenizer([("A", "C")]).decode(np.array([8]))
    with pytest.raises(ConfigError, match="token id -2 is not among the 8"):
        BpeTokenizer([("A", "C")]).decode(np.array([3, -2]))
