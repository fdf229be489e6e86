"""Runs of N are not read again and again, and every number stays what it was to the last bit."""

from __future__ import annotations

import itertools
import resource
from dataclasses import fields

import numpy as np
import pytest
import torch
from toy import RECALL

from titans_dna.genome.bases import PIECE_BP, ContigBases
from titans_dna.genome.interval import Interval
from titans_dna.inference import branches, lanes, repeats
from titans_dna.inference.alleles import Allele
from titans_dna.inference.embed import EmbedOptions, Spans, embed_strand, embed_windows
from titans_dna.inference.lanes import stream_lanes
from titans_dna.inference.mutagenesis import predict_block
from titans_dna.inference.pooling import Pooling
from titans_dna.inference.region_sums import IntervalSums
from titans_dna.inference.repeats import Repeats, same
from titans_dna.inference.score_regions import score_contig_regions, track_kinds
from titans_dna.inference.score_variants import score_strands
from titans_dna.inference.streaming import stream_bases
from titans_dna.inference.windowed_regions import WindowedRegions
from titans_dna.inference.windows import Context, WindowedStrand
from titans_dna.model.config import MemoryLayout
from titans_dna.recall import CopyMemory, RecallForm, RecallLanes
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


def same_to_the_bit(a, b) -> None:
    assert same(a, b)
    assert a.position_tokens == b.position_tokens
    if a.recall is not None:
        assert a.recall.to_plain() == b.recall.to_plain()
        for one, other in zip(a.recall.streams, b.recall.streams, strict=True):
            ours, theirs = RecallLanes(streams=(one,)), RecallLanes(streams=(other,))
            after = np.array([[0, 1, 2, 3] * 20])
            assert np.array_equal(ours.leave().read(after)[0], theirs.leave().read(after)[0])


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
                same_to_the_bit(a, b)
            elif field.name == "inner":
                assert all(map(equal, a, b))
            elif field.name != "repeated":
                assert equal(a, b), field.name


@pytest.mark.parametrize("name", MODELS)
def test_pieces_of_a_run_of_n_are_skipped_and_the_rest_stays_the_same_to_the_bit(make_model, gapped, name):
    model, cuts = make_model(**MODELS[name]), (70, 300, 301, 777, 1600)
    every = {piece.start: piece for piece in pieces_of(model, gapped, cuts=cuts)}
    by_end = {piece.next_input: piece for piece in every.values()}
    found = pieces_of(model, gapped, cuts=cuts, skips=True)
    assert any(piece.skipped for piece in found) == (name != "transformer")
    assert sum(len(piece.surprise) + piece.skipped for piece in found) == len(gapped)
    for one in found:
        other = every.pop(one.start)
        assert one.next_input - one.skipped == other.next_input
        assert equal(one.log_probabilities, other.log_probabilities)
        assert equal(one.surprise, other.surprise)
        same_to_the_bit(one.state, by_end[one.next_input].state)
    assert all(np.isnan(piece.log_probabilities).all() and np.isnan(piece.surprise).all() for piece in every.values())
    assert set(cuts) <= {piece.next_input for piece in found}


@pytest.fixture
def steps(monkeypatch) -> list[int]:
    """One entry for each call that costs time in a run of N: of the stream, the copy memory, and the sums."""
    made: list[int] = []
    for owner, name in ((Repeats, "again"), (CopyMemory, "follow"), (IntervalSums, "add")):
        real = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *a, real=real, **k: made.append(1) or real(*a, **k))
    return made


@pytest.mark.parametrize("reverse", [False, True])
def test_a_longer_run_of_n_takes_no_more_steps(make_model, random_bases, steps, reverse):
    model, known = make_model(recall=RECALL), random_bases(500, 68)

    def steps_over(run: int) -> int:
        bases = ContigBases([*[b"N" * PIECE_BP] * run, known])
        steps.clear()
        first, last = Interval("c", 0, 100), Interval("c", len(bases) - 100, len(bases))
        scores = score_contig_regions(model, bases, [first, last], reverse=reverse)
        assert [score.bases for score in scores] == [0, 100]
        return len(steps)

    assert steps_over(4) == steps_over(80)


def test_a_variant_beside_a_longer_run_of_n_takes_no_more_steps(make_model, random_bases, steps, monkeypatch):
    model, known = make_model(recall=RECALL), random_bases(500, 69)
    monkeypatch.setattr(branches, "SETTLE_INPUTS", 1 << 40)

    def steps_over(run: int) -> int:
        bases = ContigBases([*[b"N" * PIECE_BP] * run, known])
        steps.clear()
        at = len(bases) - 100
        assert np.isfinite(score_strands(model, bases, [Allele(0, at, at + 1, b"A", at, at + 1)])).all()
        return len(steps)

    assert steps_over(4) == steps_over(80)


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


@pytest.mark.parametrize("tokenizer", [KmerTokenizer(k=3), KmerTokenizer(k=3, overlapping=True)])
def test_runs_of_n_are_skipped_with_tokens_of_several_bases_too(make_model, gapped, monkeypatch, tokenizer):
    model = make_model(tokenizer)
    gapped = gapped.replace(b"N" * 1500, b"N" * 40_000)
    regions = [Interval("c", 100, 400), Interval("c", len(gapped) - 740, len(gapped))]
    spans = Spans(starts=np.array([100, 20_000]), ends=np.array([400, 20_200]), targets=np.arange(2))
    calls: list[int] = []
    real = Repeats.skip
    monkeypatch.setattr(Repeats, "skip", lambda *a: calls.append(1) or real(*a))

    def read() -> tuple[str, int, list[np.ndarray]]:
        told: list[int] = []
        scores = score_contig_regions(model, gapped, regions, progress=told.append)
        parts = embed_strand(model, gapped, spans, EmbedOptions(), reverse=False, progress=told.append)
        return repr(scores), sum(told), [array for part in parts for array in part]

    found, counted, vectors = read()
    assert calls
    never(monkeypatch)
    wanted, every, others = read()
    assert (found, counted) == (wanted, every)
    assert all(map(equal, vectors, others))


def test_a_last_piece_without_a_following_token_is_not_mistaken(model):
    """It has as many tokens as a piece that is one input shorter and has one."""
    for count in range(300, 300 + PIECE):
        found = pieces_of(model, b"N" * count, cuts=(128, 160))
        assert sum(len(piece.log_probabilities) for piece in found) == count


def test_strands_side_by_side_are_the_same_to_the_bit(make_model, gapped, monkeypatch):
    model = make_model(recall=RECALL)
    monkeypatch.setattr(lanes, "PIECE_TOKENS", PIECE)
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
    every = read()
    assert len(found) < len(every)
    by_end = {other.next_input: other for other in every}
    by_start = {other.start: other for other in every}
    for one, following in itertools.pairwise([*found, None]):
        assert one.next_input == (following.start if following else by_end[one.next_input].next_input)
        assert one.lanes == by_start[one.start].lanes == by_end[one.next_input].lanes
        assert all(map(equal, one.log_probabilities, by_start[one.start].log_probabilities))
        same_to_the_bit(one.state(one.lanes), by_end[one.next_input].state(one.lanes))
    unsaid = set(by_start) - {one.start for one in found}
    assert all(np.isnan(row).all() for start in unsaid for row in by_start[start].log_probabilities)


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


@pytest.mark.parametrize("pooling", ["mean", "max", "none", "last"])
def test_vectors_are_the_same_to_the_bit(model, random_bases, monkeypatch, pooling):
    sequence = random_bases(300, 63) + b"N" * 40_000 + random_bases(200, 64)
    spans = Spans(
        starts=np.array([100, 250, 20_000, 200]), ends=np.array([200, 40_400, 30_000, 20_000]),
        targets=np.array([0, 100, 50_000, 70_000]),
    )  # fmt: skip
    options = EmbedOptions(pooling=Pooling.parse(pooling))

    def read() -> tuple:
        done: list[int] = []
        emitted = embed_strand(
            model, sequence, spans, options, reverse=False, progress=done.append
        )  # fmt: skip
        return [part for each in emitted for part in each], sum(done)

    found, done = read()
    never(monkeypatch)
    wanted, all_done = read()
    assert all(map(equal, found, wanted))
    assert (len(found), done) == (len(wanted), all_done)


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
    memory.append_gap(200_000_000)  # a bit for each, 25 MB; as bases they would take 850 MB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000


def test_a_contig_of_n_takes_no_memory(make_model, random_bases, make_fasta, monkeypatch):
    """Neither when it is read nor as a strand; the text alone has 80 MB."""
    model, line = make_model(recall=RECALL), b"N" * 80 + b"\n"
    genome = make_fasta({"c": random_bases(80, 70) + b"\n" + line * 1_000_000 + random_bases(80, 71)})
    score_contig_regions(model, random_bases(5000, 72), [Interval("c", 0, 100)])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    genome.md5("c")
    for reverse in (False, True):
        score_contig_regions(model, genome.bases("c"), [Interval("c", 0, len(genome.bases("c")))], reverse=reverse)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000
