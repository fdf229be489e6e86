"""Runs of N are not read again and again, and every number stays what it was to the last bit."""

from __future__ import annotations

import resource
from dataclasses import fields

import numpy as np
import pytest
import torch
from toy import RECALL

from titans_dna.genome.interval import Interval
from titans_dna.inference import repeats, streaming
from titans_dna.inference.embed import EmbedOptions, Spans, embed_windows
from titans_dna.inference.mutagenesis import predict_block
from titans_dna.inference.pooling import Pooling
from titans_dna.inference.repeats import same
from titans_dna.inference.score_regions import score_contig_regions, track_kinds
from titans_dna.inference.streaming import stream_bases, stream_lanes
from titans_dna.inference.windowed_regions import WindowedRegions
from titans_dna.inference.windows import Context, WindowedStrand
from titans_dna.model.config import MemoryLayout
from titans_dna.recall import CopyMemory, RecallForm
from titans_dna.tokenizers import KmerTokenizer

PIECE = 64
EVERY_BASE = EmbedOptions(pooling=Pooling.parse("none"), context=Context.parse("window:16"))
MODELS = {
    "usual": {},
    "copy memory": {"recall": RECALL},
    "resets": {"reset_tokens": 24},
    "resets over several pieces": {"reset_tokens": 192},
    "two memories": {"further_memories": (MemoryLayout(heads=2, chunk_tokens=32),)},
    "mac": {"block": "mac", "segment_tokens": 48},
    "mal": {"block": "mal"},
    "lmm": {"block": "lmm"},
    "window": {"block": "window"},
    "transformer": {"block": "transformer"},
}


@pytest.fixture
def gapped(random_bases) -> bytes:
    first = random_bases(150, 61)
    return first + b"N" * 1500 + first[:90] + b"N" * 3 + random_bases(40, 62) + b"N" * 700


def never(monkeypatch) -> None:
    monkeypatch.setattr(repeats, "MOST_PIECES", 0)


def pieces_of(model, sequence: bytes, **options) -> list:
    ids = model.tokenizer.encode(sequence)
    return list(
        stream_bases(
            model.backbone, ids, model.bos, piece_tokens=PIECE, hidden=True, distributions=True, inner=(1,), **options
        )
    )


def equal(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    return np.array_equal(a, b, equal_nan=True) if isinstance(a, np.ndarray) else bool(a == b)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("cuts", [(), (70, 300, 301, 777, 1600)])
def test_a_stream_over_a_run_of_n_is_the_same_to_the_bit(make_model, gapped, monkeypatch, name, cuts):
    model = make_model(**MODELS[name])
    found = pieces_of(model, gapped, cuts=cuts)
    never(monkeypatch)
    wanted = pieces_of(model, gapped, cuts=cuts)
    assert not any(piece.repeated for piece in wanted)
    assert any(piece.repeated for piece in found) == (name != "transformer")
    for one, other in zip(found, wanted, strict=True):
        for field in fields(one):
            a, b = getattr(one, field.name), getattr(other, field.name)
            if field.name == "state":
                assert same(a, b)
                assert a.position_tokens == b.position_tokens
                if a.recall is not None:
                    assert a.recall.to_plain() == b.recall.to_plain()
            elif field.name == "inner":
                assert all(map(equal, a, b))
            elif field.name != "repeated":
                assert equal(a, b), field.name


def test_most_of_a_long_run_is_not_read(model, gapped, monkeypatch):
    calls = []
    real = type(model.backbone).stream
    monkeypatch.setattr(type(model.backbone), "stream", lambda *a, **k: calls.append(1) or real(*a, **k))
    pieces_of(model, gapped)
    few = len(calls)
    pieces_of(model, gapped.replace(b"N" * 1500, b"N" * (1500 + 100 * PIECE)))
    assert len(calls) - few == few


def test_tokens_of_several_bases_are_the_same_too(make_model, gapped, monkeypatch):
    model = make_model(KmerTokenizer(k=3, overlapping=False))
    found = pieces_of(model, gapped)
    never(monkeypatch)
    for one, other in zip(found, pieces_of(model, gapped), strict=True):
        assert equal(one.log_probabilities, other.log_probabilities)
        assert equal(one.hidden, other.hidden)
    assert any(piece.repeated for piece in found)


def test_a_last_piece_without_a_following_token_is_not_mistaken(model):
    """It has as many tokens as a piece that is one input shorter and has one."""
    for count in range(300, 300 + PIECE):
        found = pieces_of(model, b"N" * count, cuts=(128, 160))
        assert sum(len(piece.log_probabilities) for piece in found) == count


def test_strands_side_by_side_are_the_same_to_the_bit(make_model, gapped, monkeypatch):
    model = make_model(recall=RECALL)
    monkeypatch.setattr(streaming, "PIECE_TOKENS", PIECE)
    ids = model.tokenizer.encode(gapped)
    # A run of N in both at once, and one lane that ends in it.
    strands, ends = [ids, ids[:400].copy(), ids[::-1].copy()], [len(ids) + 1, 401, len(ids)]

    def read() -> list:
        return list(stream_lanes(model.backbone, strands, model.bos, ends=ends, cuts=(100, 900)))

    found, ran = read(), []
    real = type(model.backbone).stream
    monkeypatch.setattr(type(model.backbone), "stream", lambda *a, **k: ran.append(1) or real(*a, **k))
    read()
    assert len(ran) < len(found)
    never(monkeypatch)
    for one, other in zip(found, read(), strict=True):
        assert (one.start, one.lanes, one.next_input) == (other.start, other.lanes, other.next_input)
        assert all(map(equal, one.log_probabilities, other.log_probabilities))
        after, wanted = one.state(one.lanes), other.state(other.lanes)
        assert same(after, wanted)
        assert after.recall.to_plain() == wanted.recall.to_plain()


def test_all_tracks_are_the_same_to_the_bit(model, random_bases, monkeypatch):
    sequence = random_bases(5000, 63) + b"N" * 30_000 + random_bases(500, 64)
    regions = [Interval("c", 100, 400), Interval("c", 4000, 35_200), Interval("c", 10_000, 20_000)]

    def read() -> tuple:
        tracks = {kind: np.full(len(sequence), np.nan, np.float32) for kind in track_kinds(model.backbone)}
        return score_contig_regions(model, sequence, regions, tracks=tracks), tracks

    scores, tracks = read()
    never(monkeypatch)
    others, wanted = read()
    assert repr(scores) == repr(others)
    assert all(equal(tracks[kind], wanted[kind]) for kind in wanted)


@pytest.fixture
def wide_gap(random_bases) -> bytes:
    return random_bases(70, 65) + b"N" * 300 + random_bases(90, 66)


def in_windows(model, sequence: bytes) -> list[np.ndarray]:
    tracks = {kind: np.full(len(sequence), np.nan, np.float32) for kind in track_kinds(model.backbone)}
    windowed = WindowedRegions(model, "c", sequence, window_bp=16, reach_bp=len(sequence), tracks=tracks)
    scores = windowed.score([Interval("c", 20, 400)], (0, len(sequence)), map, lambda bases: None)
    strand = WindowedStrand(model, sequence, reverse=True, window_bp=16)
    strand.remember_to(len(sequence))
    spans = Spans(starts=np.array([0, 200]), ends=np.array([len(sequence), 260]), targets=np.array([0, 460]))
    vectors = [part for emitted in embed_windows(strand, spans, EVERY_BASE) for part in emitted]
    snvs = [predict_block(strand, block)[1] for block in range(len(sequence) // strand.block_tokens)]
    return [np.array([[*vars(score).values()] for score in scores], float), *tracks.values(), *vectors, *snvs]


def test_windows_without_a_base_are_not_read_and_stay_the_same(make_model, wide_gap, monkeypatch):
    model = make_model(recall=RECALL)
    found = in_windows(model, wide_gap)
    monkeypatch.setattr(WindowedStrand, "has_bases", lambda *_: True)
    assert all(map(equal, found, in_windows(model, wide_gap)))


def test_a_window_shorter_than_the_words_that_reach_back_into_it(make_model, random_bases):
    model = make_model(context_orders=(12,), chunk_tokens=4)
    strand = WindowedStrand(model, random_bases(60, 67), reverse=False, window_bp=4)
    position, state = strand.begin(2)
    read = [model.bos, *strand.strand.ids[: position - 1].tolist()]
    assert state.recent.tolist() == [[4] * (11 - len(read)) + read]


def test_a_run_of_n_takes_no_memory_in_the_index_of_copies():
    memory = CopyMemory(RecallForm())
    memory.append(np.zeros(100, np.uint8))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory.append(np.full(60_000_000, 4, np.uint8))  # as bases they would take 240 MB and more
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 120_000
