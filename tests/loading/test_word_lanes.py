"""Windows of tokens of several bases follow each other, on either strand, with the weights of their bases."""

from __future__ import annotations

import numpy as np
import pytest

from titans_dna.errors import ConfigError
from titans_dna.genome.alphabet import reverse_complement
from titans_dna.loading.word_lanes import WordContig, WordLanes
from titans_dna.tokenizers import BpeTokenizer, KmerTokenizer

TOKENIZERS = [KmerTokenizer(3), KmerTokenizer(4, overlapping=True), BpeTokenizer([("A", "C"), ("AC", "G"), ("T", "T")])]


def make_sequence(seed: int = 1, bases: int = 3000) -> bytes:
    text = bytearray(np.random.default_rng(seed).choice(list(b"ACGT"), bases).astype(np.uint8).tobytes())
    text[500:520] = b"N" * 20
    text[1000:2000] = bytes(text[1000:2000]).lower()
    return bytes(text)


def make_lanes(tokenizer, **changes) -> WordLanes:
    settings = {"lanes": 3, "window_tokens": 32, "bos": tokenizer.targets + 1, "targets": tokenizer.targets, "seed": 4}
    return WordLanes([WordContig.of(make_sequence(), tokenizer)], **{**settings, **changes})


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=repr)
def test_windows_follow_each_other_and_are_those_of_the_strand(tokenizer):
    sequence = make_sequence()
    strands = [tokenizer.encode(s).astype(np.int64) for s in (sequence, reverse_complement(sequence))]
    sampler, last, joined = make_lanes(tokenizer), [0] * 3, 0
    for _ in range(60):
        batch = sampler.draw()
        for lane in range(3):
            row = batch.targets[lane]
            if batch.fresh[lane]:
                assert batch.inputs[lane, 0] == tokenizer.targets + 1
            else:
                assert batch.inputs[lane, 0] == last[lane]
                joined += 1
            assert (batch.inputs[lane, 1:] == row[:-1]).all()
            size = int((row != tokenizer.targets + 1).sum())
            found = [np.lib.stride_tricks.sliding_window_view(s, size) for s in strands]
            assert any((windows == row[:size]).all(1).any() for windows in found)
            last[lane] = int(row[-1])
    assert joined > 50


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=repr)
def test_weights_and_bases_are_those_of_the_tokens(tokenizer):
    contig = WordContig.of(make_sequence(), tokenizer)
    for strand in contig.strands:
        assert strand.bases.sum() == 3000
        assert (strand.masked * strand.bases).sum() == pytest.approx(1000, abs=2)
    for batch in (make_lanes(tokenizer, soft_mask_weight=0.5).draw() for _ in range(3)):
        assert (batch.weights[batch.targets >= tokenizer.targets] == 0).all()
        assert (batch.weights[batch.bases == 0] == 0).all()
        assert set(np.unique(batch.weights * 100).astype(int).tolist()) <= {0, *range(50, 101)}


def test_a_sampler_goes_on_where_its_state_was_taken():
    one, two = make_lanes(TOKENIZERS[0]), make_lanes(TOKENIZERS[0], seed=9)
    one.draw()
    two.restore(one.state())
    for _ in range(5):
        assert (one.draw().targets == two.draw().targets).all()


def test_too_little_sequence_is_refused():
    with pytest.raises(ConfigError, match="fewer than 5000 tokens"):
        make_lanes(TOKENIZERS[0], window_tokens=5000)
    with pytest.raises(ConfigError):
        WordLanes(
            [WordContig.of(b"ANN" * 300, TOKENIZERS[1])],
            lanes=1, window_tokens=9, bos=5, targets=TOKENIZERS[1].targets,
        ).draw()  # fmt: skip
