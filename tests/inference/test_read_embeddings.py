"""Every pooling, layer and strand of a read in a block is that of the read alone."""

from __future__ import annotations

import numpy as np
import pytest

from titans_dna.genome.interval import Interval
from titans_dna.inference import reads
from titans_dna.inference.embed import EmbedOptions, embed_contig_regions
from titans_dna.inference.pooling import Pooling
from titans_dna.inference.reads import embed_reads
from titans_dna.inference.windows import Context
from titans_dna.io.sequence.bam import Read
from titans_dna.tokenizers import KmerTokenizer, NucleotideTokenizer


def make_read(sequence: bytes, number: int) -> Read:
    return Read(f"r{number}", "chr1", number, number + len(sequence), "+", sequence, 60)


@pytest.mark.parametrize("tokenizer", [NucleotideTokenizer(), KmerTokenizer(3)], ids=repr)
@pytest.mark.parametrize("pool", ["mean", "max", "last", "center", "none", "bins:3"])
@pytest.mark.parametrize(("layers", "strand"), [(("final",), "forward"), (("0", "2", "final"), "both")])
def test_a_read_in_a_block_is_a_read_alone(make_model, random_bases, monkeypatch, tokenizer, pool, layers, strand):
    model = make_model(tokenizer, context_orders=())
    monkeypatch.setattr(reads, "BLOCK_BP", 300)
    made = [random_bases(size, seed) for seed, size in enumerate([100, 3, 76, 1, 400, 90, 33])]
    made = [*made[:2], b"", b"NNNN", *made[2:], b"ACGTNNNNACGTTGCA", b"acgtacgtRacgt"]
    options = EmbedOptions(pooling=Pooling.parse(pool), layers=layers, strand=strand, context=Context.parse("region"))
    blocks = list(embed_reads(model, (make_read(text, n) for n, text in enumerate(made)), options))
    assert len(blocks) > 2
    assert [read.name for block in blocks for read in block.reads] == [f"r{n}" for n in range(len(made))]
    found: list[np.ndarray] = []
    for block in blocks:
        ends = None if block.counts is None else np.cumsum(block.counts)[:-1]
        found += list(block.vectors) if ends is None else np.split(block.vectors, ends)
    outcomes = [outcome for block in blocks for outcome in block.outcomes]
    for sequence, vector, outcome in zip(made, found, outcomes, strict=True):
        if not sequence:
            assert (outcome, np.isfinite(vector).any()) == ("empty", False)
            continue
        alone = embed_contig_regions(model, sequence, [Interval("r", 0, len(sequence))], options)
        assert vector == pytest.approx(alone if pool == "none" else alone[0], abs=1e-5, nan_ok=True)
        assert outcome == ("embedded" if np.isfinite(alone).any() else "reference_n")
    assert "reference_n" in outcomes
