"""Regions and embeddings against what one plain reading of the contig gives."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch

from titans_dna.genome.alphabet import reverse_complement
from titans_dna.genome.interval import Interval
from titans_dna.inference import embed, score_regions
from titans_dna.inference.embed import EmbedOptions, embed_contig_regions
from titans_dna.inference.score_regions import score_contig_regions
from titans_dna.inference.streaming import stream_bases

BASES = 180
SPANS = [(50, 120), (0, 1), (0, BASES), (90, 95), (60, 60 + 40), (BASES - 1, BASES), (130, 140), (128, 131)]


@pytest.fixture(autouse=True, params=[4096, 37], ids=["one piece", "many pieces"])
def pieces(request, monkeypatch):
    """Read the contig in one piece and in many: regions lie across their borders."""
    cut = functools.partial(stream_bases, piece_tokens=request.param)
    for module in (embed, score_regions):
        monkeypatch.setattr(module, "stream_bases", cut)


@pytest.fixture(scope="module")
def sequence(random_bases):
    text = bytearray(random_bases(BASES, 31))
    text[130:140] = b"N" * 10
    text[10:30] = bytes(text[10:30]).lower()
    return bytes(text)


@pytest.fixture(scope="module")
def regions():
    return [Interval("chrA", start, end) for start, end in SPANS]


def read(model, sequence: bytes):
    """ln P, surprise and features of every base by a single call, and which bases are known."""
    ids = model.tokenizer.encode(sequence)
    inputs = torch.from_numpy(np.concatenate([[model.bos], ids]).astype(np.int64))[None]
    with torch.inference_mode():
        out = model.backbone.stream(inputs)
    log_p = out.logits[0, :-1].log_softmax(-1).double().numpy()
    known = ids < 4
    picked = log_p[np.arange(len(ids)), np.where(known, ids, 0)]
    return picked, out.surprise[0, 1:].double().numpy(), out.hidden[0, 1:].double().numpy(), known


def test_region_scores_equal_sums_over_a_plain_reading(model, sequence, regions):
    log_p, surprise, _, known = read(model, sequence)
    track: list[tuple[int, np.ndarray]] = []
    steps: list[int] = []
    scores = score_contig_regions(
        model, sequence, regions, track=lambda at, values: track.append((at, values)), progress=steps.append
    )
    for (start, end), score in zip(SPANS, scores, strict=True):
        used = np.flatnonzero(known[start:end]) + start
        assert score.bases == len(used)
        if not len(used):
            assert math.isnan(score.log_likelihood)
            assert math.isnan(score.bits_per_base)
            assert math.isnan(score.memory_surprise)
            continue
        assert score.log_likelihood == pytest.approx(log_p[used].sum(), abs=1e-3)
        assert score.bits_per_base == pytest.approx(-log_p[used].mean() / math.log(2), abs=1e-4)
        assert score.memory_surprise == pytest.approx(surprise[used].mean(), abs=1e-4)
    values = np.concatenate([part for _, part in track])
    assert [at for at, _ in track] == np.cumsum([0, *(len(part) for _, part in track)])[:-1].tolist()
    assert np.array_equal(np.isfinite(values), known)
    assert values[known] == pytest.approx(surprise[known], abs=1e-4)
    assert sum(steps) == BASES


def test_embeddings_equal_a_plain_mean(model, sequence, regions):
    _, _, hidden, known = read(model, sequence)
    vectors = embed_contig_regions(model, sequence, regions)
    assert vectors.shape == (len(regions), 16)
    assert vectors.dtype == np.float32
    for (start, end), vector in zip(SPANS, vectors, strict=True):
        used = np.flatnonzero(known[start:end]) + start
        if len(used):
            assert vector == pytest.approx(hidden[used].mean(0), abs=1e-5)
        else:
            assert np.isnan(vector).all()


def test_the_reverse_strand_is_the_reverse_complement(model, sequence, regions):
    mirrored = [Interval("chrA", BASES - end, BASES - start) for start, end in SPANS]
    one = embed_contig_regions(model, sequence, regions, EmbedOptions(strand="reverse"))
    two = embed_contig_regions(model, reverse_complement(sequence), mirrored)
    assert one == pytest.approx(two, abs=1e-5, nan_ok=True)
    assert not np.allclose(one[0], embed_contig_regions(model, sequence, regions)[0], atol=1e-3)


def test_both_strands_do_not_tell_the_strands_apart(model, sequence, regions):
    mirrored = [Interval("chrA", BASES - end, BASES - start) for start, end in SPANS]
    one = embed_contig_regions(model, sequence, regions, EmbedOptions(strand="both"))
    two = embed_contig_regions(model, reverse_complement(sequence), mirrored, EmbedOptions(strand="both"))
    assert one == pytest.approx(two, abs=1e-5, nan_ok=True)


def test_a_contig_of_unknown_bases_has_no_scores(model):
    region = [Interval("chrA", 0, 50)]
    (score,) = score_contig_regions(model, b"N" * 50, region)
    assert score.bases == 0
    assert math.isnan(score.log_likelihood)
    assert np.isnan(embed_contig_regions(model, b"N" * 50, region, EmbedOptions(strand="both"))).all()


def test_the_order_of_regions_is_kept_and_others_do_not_matter(model, sequence, regions):
    every = embed_contig_regions(model, sequence, regions)
    assert embed_contig_regions(model, sequence, regions[::-1])[::-1] == pytest.approx(every, abs=1e-6, nan_ok=True)
    assert embed_contig_regions(model, sequence, regions[3:4])[0] == pytest.approx(every[3], abs=1e-6)
