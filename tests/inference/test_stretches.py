"""Where only some bases are asked for, the network reads around them alone, and says what it says after all of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from toy import CONFIG, RECALL

from titans_dna.genome.interval import Interval
from titans_dna.inference import branches, lanes, streaming, stretches
from titans_dna.inference.alleles import Allele
from titans_dna.inference.embed import EmbedOptions, Spans, embed_strand
from titans_dna.inference.explain import explain_alleles
from titans_dna.inference.generate import Sampling, generate, read_prompt
from titans_dna.inference.model import load_model
from titans_dna.inference.pooling import Pooling
from titans_dna.inference.score_regions import score_contig_regions
from titans_dna.inference.score_variants import score_strands
from titans_dna.inference.streaming import stream_bases
from titans_dna.inference.stretches import Stretches
from titans_dna.model.backbone import Backbone
from titans_dna.model.config import MemoryLayout
from titans_dna.tokenizers import KmerTokenizer

BASES = 3000
KINDS = {  # and the tokens before a border from which they can be read
    "memory in the last layer": ({"memory_layers": (2,)}, 32),
    "memory in the first layer": ({"memory_layers": (1,)}, 80),
    "mag": ({}, 80),
    "mag, three layers": ({"layers": 3}, 144),
    "mal": ({"block": "mal"}, 144),
    "lmm": ({"block": "lmm"}, 80),
    "window": ({"block": "window"}, 32),
    "two memories": ({"further_memories": (MemoryLayout(heads=2, chunk_tokens=16, reset_tokens=48),)}, 208),
}


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch):
    monkeypatch.setattr(stretches, "PIECE_TOKENS", 64)


@pytest.fixture(scope="module", params=KINDS)
def kind(request, make_model):
    return make_model(recall=RECALL, reset_tokens=64, **KINDS[request.param][0])


@pytest.fixture(scope="module")
def sparse(make_model):
    return make_model(recall=RECALL, reset_tokens=64, memory_layers=(2,))


@pytest.fixture(scope="module")
def contig(random_bases) -> bytes:
    """With a copy of 300 bases, and a gap."""
    copied = random_bases(300, 5)
    return copied + random_bases(1000, 6) + b"N" * 50 + copied + random_bases(BASES - 1650, 7)


@pytest.fixture
def everywhere(monkeypatch):
    """Let the network read everything again."""
    return lambda: monkeypatch.setattr(Stretches, "around", lambda *_: None)


@pytest.fixture
def read(monkeypatch) -> list[int]:
    """Tokens that the network has read, by call."""
    tokens: list[int] = []

    def stream(self, ids, *rest, real=Backbone.stream, **named):
        tokens.append(ids.numel())
        return real(self, ids, *rest, **named)

    monkeypatch.setattr(Backbone, "stream", stream)
    return tokens


@pytest.mark.parametrize("name", KINDS)
def test_the_lead(name):
    changes, lead = KINDS[name]
    assert replace(CONFIG, reset_tokens=64, **changes).lead_tokens == lead


@pytest.mark.parametrize(
    "changes",
    [{}, {"block": "mac", "segment_tokens": 16, "reset_tokens": 64}, {"block": "transformer"},
     {"reset_tokens": 64, "further_memories": (MemoryLayout(heads=2),)}],
)  # fmt: skip
def test_without_forgetting_everything_is_read(changes):
    config = replace(CONFIG, **changes)
    assert config.lead_tokens is None
    assert Stretches.around(config, (np.array([900]), np.array([901]))) is None


@torch.inference_mode()
def test_from_the_border_on_a_restart_is_the_whole_stream(kind):
    backbone = kind.backbone
    ids = torch.from_numpy(np.random.default_rng(3).integers(0, 4, (2, 900)))
    border = backbone.config.period_tokens * -(-400 // backbone.config.period_tokens)
    begin = border - backbone.config.lead_tokens
    assert begin > 0
    whole = backbone.stream(ids)
    state = backbone.restart(backbone.skim(ids[:, :begin], backbone.initial_state(2)))
    found = backbone.stream(ids[:, begin:], state)
    assert torch.allclose(found.logits[:, border - begin :], whole.logits[:, border:], atol=1e-5)
    assert torch.allclose(found.surprise[:, border - begin :], whole.surprise[:, border:], atol=1e-5)
    assert found.state.position_tokens == whole.state.position_tokens
    following = [backbone.stream(ids[:, :200], after).logits for after in (found.state, whole.state)]
    assert torch.allclose(*following, atol=1e-5)


@torch.inference_mode()
def test_a_shorter_lead_would_not_do(sparse):
    backbone = sparse.backbone
    ids = torch.from_numpy(np.random.default_rng(3).integers(0, 4, (1, 700)))
    begin = 640 - backbone.config.lead_tokens + backbone.config.align_tokens
    state = backbone.restart(backbone.skim(ids[:, :begin], backbone.initial_state(1)))
    found = backbone.stream(ids[:, begin:], state).logits[:, 640 - begin :]
    assert not torch.allclose(found, backbone.stream(ids).logits[:, 640:], atol=1e-3)


def test_stretches_begin_before_a_border_and_end_with_a_chunk():
    config = replace(CONFIG, reset_tokens=64, memory_layers=(2,))
    low, high = np.array([700, 10, 500, 330, 640]), np.array([700, 12, 520, 331, 640])
    found = Stretches.around(config, (low, high))
    assert list(zip(found.starts, found.ends, strict=True)) == [(0, 16), (288, 336), (416, 528), (608, 704)]
    places = range(-1, 800)
    assert [at for at in places if found.reads(at)] == [
        *range(16),
        *range(288, 336),
        *range(416, 528),
        *range(608, 704),
    ]
    assert [at for at in places if found.begins(at)] == [288, 416, 608]
    none = np.zeros(0, int)
    assert Stretches.around(config, (none, none)).borders == []


REGIONS = [(1600, 1700), (0, 5), (1599, 1600), (2900, 3000), (1310, 1340), (640, 704), (639, 640)]


@pytest.mark.parametrize("reverse", [False, True])
def test_regions(kind, contig, everywhere, read, reverse):
    regions = [Interval("c", *place) for place in REGIONS]
    found = score_contig_regions(kind, contig, regions, reverse=reverse)
    some, _ = sum(read), read.clear()
    everywhere()
    wanted = score_contig_regions(kind, contig, regions, reverse=reverse)
    assert some < 0.7 * sum(read)
    for one, two in zip(found, wanted, strict=True):
        assert one.bases == two.bases
        assert [one.log_likelihood, one.entropy_bits, one.memory_surprise] == pytest.approx(
            [two.log_likelihood, two.entropy_bits, two.memory_surprise], abs=1e-4, nan_ok=True
        )


def test_progress_counts_all_bases(sparse, contig):
    told: list[int] = []
    score_contig_regions(sparse, contig, [Interval("c", 2950, 3000)], progress=told.append)
    assert sum(told) == BASES
    told.clear()
    score_strands(sparse, contig, alleles(contig), horizon_bp=30, progress=told.append)
    assert sum(told) == 2 * BASES


def test_words_of_several_bases(make_model, contig, everywhere, read):
    model = make_model(KmerTokenizer(k=3), reset_tokens=64, context_orders=())
    regions = [Interval("c", *place) for place in REGIONS]
    found = score_contig_regions(model, contig, regions)
    some, _ = sum(read), read.clear()
    everywhere()
    wanted = score_contig_regions(model, contig, regions)
    assert some < sum(read)
    assert [one.log_likelihood for one in found] == pytest.approx(
        [two.log_likelihood for two in wanted], abs=1e-3, nan_ok=True
    )


def alleles(contig: bytes) -> list[Allele]:
    def changed(row: int, start: int, end: int, alt: bytes) -> Allele:
        return Allele(row=row, start=start, end=end, alt=alt, first=start, last=end)

    places = [(1655, 1656, b"G"), (4, 5, b"C"), (1660, 1660, b"GATTACA"), (2710, 2721, b""), (640, 641, b"T"),
              (639, 640, b"A"), (2999, 3000, b"A"), (2304, 2305, b"TT")]  # fmt: skip
    return [changed(row, *place) for row, place in enumerate(places)]


def test_variants_on_both_strands(kind, contig, everywhere, read):
    found = score_strands(kind, contig, alleles(contig), horizon_bp=30)
    some, _ = sum(read), read.clear()
    everywhere()
    wanted = score_strands(kind, contig, alleles(contig), horizon_bp=30)
    assert some < 0.9 * sum(read)
    assert found == pytest.approx(wanted, abs=1e-4)


class Kept:
    """Every state that a stream could be taken up from."""

    def __init__(self) -> None:
        self.saved: list = []

    def load(self):
        return self.saved[-1] if self.saved else None

    def due(self) -> bool:
        return True

    def save(self, position, state, arrays) -> None:
        self.saved.append((position, state, {name: np.array(array) for name, array in arrays.items()}))


def test_a_run_is_taken_up_anywhere_also_where_the_network_does_not_read(sparse, contig, monkeypatch):
    monkeypatch.setattr(branches, "SETTLE_INPUTS", 128)
    monkeypatch.setattr(lanes, "PIECE_TOKENS", 128)
    regions, changes = [Interval("c", *place) for place in REGIONS], alleles(contig)
    all_of_it, kept = Kept(), Kept()
    wanted = score_strands(sparse, contig, changes, horizon_bp=30, checkpoint=all_of_it)
    assert len(all_of_it.saved) > 15
    for saved in all_of_it.saved:
        kept.saved = [saved]
        assert np.array_equal(score_strands(sparse, contig, changes, horizon_bp=30, checkpoint=kept), wanted)
    all_of_it.saved.clear()
    scores = score_contig_regions(sparse, contig, regions, checkpoint=all_of_it)
    assert len(all_of_it.saved) > 8
    for saved in all_of_it.saved:
        kept.saved = [saved]
        assert repr(score_contig_regions(sparse, contig, regions, checkpoint=kept)) == repr(scores)


@pytest.mark.parametrize("pool", ["mean", "max", "center", "none"])
@pytest.mark.parametrize("reverse", [False, True])
def test_embeddings(sparse, contig, everywhere, read, pool, reverse):
    options = EmbedOptions(pooling=Pooling.parse(pool), layers=("final", "1"))
    low, high = np.array(REGIONS).T
    spans = Spans(starts=low, ends=high, targets=np.arange(len(low)) * 200)

    def vectors() -> tuple[dict[int, np.ndarray], int]:
        read.clear()
        told: list[int] = []
        parts = embed_strand(sparse, contig, spans, options, reverse=reverse, progress=told.append)
        made = {int(target): vector for part in parts for target, vector in zip(*part, strict=True)}
        return made, sum(told)

    (found, told), some = vectors(), sum(read)
    everywhere()
    wanted, counted = vectors()
    assert told == counted
    assert some < 0.7 * sum(read)
    assert found.keys() == wanted.keys()
    for target, vector in found.items():
        assert vector == pytest.approx(wanted[target], abs=1e-4, nan_ok=True)


def test_explanations(sparse, contig, everywhere, read):
    chosen = alleles(contig)[:3]
    found = explain_alleles(sparse, contig, chosen, flank_bp=20, horizon_bp=30)
    some, _ = sum(read), read.clear()
    everywhere()
    wanted = explain_alleles(sparse, contig, chosen, flank_bp=20, horizon_bp=30)
    assert some < 0.5 * sum(read)
    for one, two in zip(found, wanted, strict=True):
        assert [one.forward.score, one.reverse.score] == pytest.approx([two.forward.score, two.reverse.score], abs=1e-4)
        assert [base.followed for base in one.bases] == [base.followed for base in two.bases]


@pytest.mark.parametrize("place", [(1600, 1700), (1640, 1640), (0, 10), (2990, 3000)])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_prompt_far_along_a_contig(sparse, contig, everywhere, read, place, reverse):
    def made():
        prompt = read_prompt(sparse, "p", contig, *place, reverse=reverse)
        return prompt, generate(sparse, prompt, 50, Sampling(seed=3))

    prompt, sequence = made()
    some, _ = sum(read), read.clear()
    everywhere()
    again, wanted = made()
    assert some <= sum(read)
    assert prompt.log_likelihood == pytest.approx(again.log_likelihood, abs=1e-4)
    assert sequence.sequence == wanted.sequence
    assert sequence.log_likelihood == pytest.approx(wanted.log_likelihood, abs=1e-4)


def test_a_stream_of_one_strand_has_nothing_where_nothing_is_asked_for(sparse, contig):
    ids = sparse.tokenizer.encode(contig)
    wanted = Stretches.around(sparse.backbone.config, (np.array([2000]), np.array([2010])))
    pieces = list(stream_bases(sparse.backbone, ids, sparse.bos, hidden=True, stretches=wanted))
    assert sum(piece.bases for piece in pieces) == BASES
    assert [(piece.start, piece.next_input) for piece in pieces if not piece.skimmed] == [(1952, 2016)]
    assert pieces[-1].next_input == BASES + 1


def test_with_the_default_model_no_bit_changes(random_bases, everywhere, read, monkeypatch):
    monkeypatch.setattr(stretches, "PIECE_TOKENS", streaming.PIECE_TOKENS)
    model, text = load_model("default", "cpu"), random_bases(30_000, 8)
    text = text[:20_000] + text[1000:11_000]
    regions = [Interval("c", start, start + 70) for start in (25_000, 200, 12_280)]
    changes = [Allele(row=0, start=at, end=at + 1, alt=b"A", first=at, last=at + 1) for at in (13_000, 12_287, 29_000)]

    def made():
        by_strand = [score_contig_regions(model, text, regions, reverse=reverse) for reverse in (False, True)]
        return repr(by_strand), score_strands(model, text, changes, horizon_bp=64).tobytes()

    found = made()
    some, _ = sum(read), read.clear()
    everywhere()
    assert found == made()
    assert some < 0.7 * sum(read)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_run_of_n_is_skimmed_in_one_step(sparse, random_bases, everywhere, monkeypatch, reverse):
    text = random_bases(150, 1) + b"N" * 30_000 + random_bases(500, 2)
    text = text[::-1] if reverse else text
    steps: list[int] = []

    def skim(self, ids, state, real=Backbone.skim):
        steps.append(ids.numel())
        return real(self, ids, state)

    monkeypatch.setattr(Backbone, "skim", skim)
    regions = [Interval("c", *((100, 200) if reverse else (30_450, 30_550)))]
    change = Allele(row=0, start=regions[0].start, end=regions[0].start + 1, alt=b"A", first=regions[0].start,
                    last=regions[0].start + 1)  # fmt: skip

    def made() -> tuple[float, np.ndarray]:
        (score,) = score_contig_regions(sparse, text, regions, reverse=reverse)
        return score.log_likelihood, score_strands(sparse, text, [change], horizon_bp=40)

    (score, variant), told = made(), sum(steps)
    assert 0 < told < 3 * 4096 + 2000
    everywhere()
    wanted, of_variant = made()
    assert score == pytest.approx(wanted, abs=1e-4)
    assert variant == pytest.approx(of_variant, abs=1e-4)
