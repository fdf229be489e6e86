"""Reads side by side have the scores that each has alone."""

from __future__ import annotations

import numpy as np
import pytest

from titans_dna.genome.interval import Interval
from titans_dna.inference import reads
from titans_dna.inference.reads import score_sequences
from titans_dna.inference.score_regions import score_contig_regions
from titans_dna.tokenizers import BpeTokenizer, KmerTokenizer, NucleotideTokenizer

KINDS = [NucleotideTokenizer(), KmerTokenizer(3), KmerTokenizer(3, overlapping=True), BpeTokenizer([("A", "C")])]


@pytest.mark.parametrize("tokenizer", KINDS, ids=repr)
def test_a_read_in_a_batch_is_a_read_alone(make_model, random_bases, monkeypatch, tokenizer):
    model = make_model(tokenizer, context_orders=())
    monkeypatch.setattr(reads, "BATCH_TOKENS", 600)
    monkeypatch.setattr(reads, "BLOCK_SEQUENCES", 9)
    monkeypatch.setattr(reads, "PIECE_TOKENS", 150)  # the longest of these are streamed by themselves
    made = [random_bases(size, seed) for seed, size in enumerate([100, 3, 76, 1, 100, 400, 90, 33, 8, 151, 60, 160])]
    made += [b"NNNN", b"ACGTNNNNACGTTGCA", b"acgtacgtRacgt"]
    found = list(score_sequences(model, iter(made)))
    assert len(found) == len(made)
    for sequence, reading in zip(made, found, strict=True):
        whole = [Interval("r", 0, len(sequence))]
        (score,) = score_contig_regions(model, sequence, whole)
        assert reading.bases == score.bases == sum(base in b"ACGTacgt" for base in sequence)
        for name in ("log_likelihood", "bits_per_base", "memory_surprise"):
            assert getattr(reading, name) == pytest.approx(getattr(score, name), abs=1e-3, nan_ok=True)
    assert np.isnan(found[12].bits_per_base)
    assert list(score_sequences(model, [])) == []
