"""Bits per base, whatever the tokens: log-probabilities of tokens over bases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from titans_dna.loading.word_lanes import WordContig
from titans_dna.model.backbone import Backbone
from titans_dna.model.config import BackboneConfig
from titans_dna.tokenizers import BpeTokenizer, KmerTokenizer, NucleotideTokenizer
from titans_dna.training.config import TrainingConfig
from titans_dna.training.evaluation import carried_bits, reset_bits
from titans_dna.training.loop import LogRow, Trainer, train
from titans_dna.training.words import fit_config

TOKENIZERS = [
    NucleotideTokenizer(),
    KmerTokenizer(3),
    KmerTokenizer(3, overlapping=True),
    BpeTokenizer([("A", "C"), ("AC", "G"), ("T", "T")]),
]
SMALL = BackboneConfig(width=16, layers=1, attention_heads=2, memory_heads=1, window_tokens=16, chunk_tokens=8)


def bases(count: int, seed: int = 1) -> bytes:
    text = bytearray(np.random.default_rng(seed).choice(list(b"ACGT"), count).astype(np.uint8).tobytes())
    text[100:107] = b"N" * 7
    return bytes(text)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=repr)
def test_bits_per_base_are_those_of_all_tokens_over_all_bases(tokenizer):
    """A fresh model finds all targets alike, so every token that counts costs log2(targets)."""
    sequence = bases(500)
    model = Backbone(fit_config(SMALL, tokenizer)).eval()
    ids = tokenizer.encode(sequence)
    new, seen = [], 0
    for _, end in tokenizer.offsets(ids).tolist():
        new.append(max(0, end - seen))
        seen = max(seen, end)
    counted = sum(1 for token, count in zip(ids, new, strict=True) if token < tokenizer.targets and count)
    found = carried_bits(model, [ids], tokenizer.targets + 1, tokenizer=tokenizer)
    assert found.bases == 493
    assert found.bits == pytest.approx(counted * np.log2(tokenizer.targets) / 493, rel=1e-5)
    seen_bases: list[int] = []
    reset = reset_bits(model, [ids], tokenizer.targets + 1, 4000, seen_bases.append, tokenizer)
    assert (reset.bits, reset.bases) == (pytest.approx(found.bits, rel=1e-5), 493)
    assert sum(seen_bases) == 500
    assert reset_bits(model, [ids], tokenizer.targets + 1, 16, tokenizer=tokenizer).bits > 1.5


@pytest.mark.parametrize("tokenizer", TOKENIZERS[1:], ids=repr)
def test_a_loop_learns_words_and_logs_bits_per_base(tokenizer):
    """A repeat of 25 bases is learned; what is logged is per base, so a fresh model stands near log2(targets) / k."""
    sequence = b"ACGTTGCAAGCTTACGGATCCATGA" * 40
    torch.manual_seed(0)
    model = Backbone(fit_config(SMALL, tokenizer))
    config = TrainingConfig(
        steps=40, lanes=4, window_tokens=32, evaluate_every=40, learning_rate=0.02, evaluation_bases=200
    )
    rows: list[LogRow] = []
    contigs = [WordContig.of(sequence, tokenizer)]
    held_out = [tokenizer.encode(sequence[5:400])]
    train(Trainer(model, contigs, config, tokenizer=tokenizer), held_out, report=rows.append)
    first, last = rows[0], rows[-1]
    per_base = WordContig.of(sequence, tokenizer).strands[0].bases.mean()
    assert first.bits_per_base == pytest.approx(np.log2(tokenizer.targets) / per_base, rel=0.25)
    assert last.split == "validation"
    assert last.bits_per_base < 0.5 * first.bits_per_base
    assert rows[-2].bases == pytest.approx(40 * 4 * 32 * per_base, rel=0.15)


def test_the_model_is_sized_by_its_tokenizer():
    words = replace(SMALL, context_orders=(3,))
    assert fit_config(words, NucleotideTokenizer()) == words
    fitted = fit_config(words, KmerTokenizer(8))
    assert (fitted.vocabulary, fitted.targets, fitted.context_orders) == (4**8 + 7, 4**8 + 4, ())
