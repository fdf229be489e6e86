"""Scores and embeddings with every tokenizer, in base coordinates, against one plain reading of all tokens."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from inference.test_score_variants import score_alleles

from titans_dna.genome.alphabet import reverse_complement
from titans_dna.genome.interval import Interval
from titans_dna.inference import branches, embed, lanes, score_regions, score_variants
from titans_dna.inference.alleles import Allele, read_alleles
from titans_dna.inference.embed import embed_contig_regions
from titans_dna.inference.score_regions import score_contig_regions
from titans_dna.inference.score_variants import score_strands
from titans_dna.inference.strand import Strand
from titans_dna.inference.streaming import stream_bases
from titans_dna.tokenizers import BpeTokenizer, KmerTokenizer, bpe

WORDS = [("A", "C"), ("G", "T"), ("AC", "GT"), ("T", "T"), ("C", "A"), ("GT", "A"), ("TT", "TT")]
TOKENIZERS = [
    KmerTokenizer(3),
    KmerTokenizer(6),
    KmerTokenizer(3, overlapping=True),
    KmerTokenizer(4, overlapping=True),
    BpeTokenizer(WORDS),
]
BASES = 230
REPEATS = b"AAAAACACACACAGTTTTTTGATCATCATCATCATGCGCGCGCTTAGGGGGGGCCCATATATATAGAGAGAGTTT"
CASES = {
    "snv": (100, 101, b"A"), "first base": (0, 1, b"G"), "last base": (BASES - 1, BASES, b"G"),
    "insertion": (97, 97, b"GATTACA"), "whole cell in": (96, 96, b"ACGTAC"), "before all": (0, 0, b"ACG"),
    "after all": (BASES, BASES, b"ACG"), "deletion": (60, 71, b""), "start lost": (0, 5, b""),
    "end lost": (BASES - 5, BASES, b""), "mnv": (127, 131, b"TGCA"), "delins": (95, 99, b"TTTTTTTTT"),
    "long": (40, 140, b"A"), "beside N": (149, 150, b"C"), "across soft mask": (10, 14, b""),
}  # fmt: skip


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch):
    """Pieces of byte pairs end every 64 bases, pieces of a stream every 37 tokens."""
    monkeypatch.setattr(bpe, "PIECE_BP", 64)
    cut = functools.partial(stream_bases, piece_tokens=37)
    for module in (embed, score_regions):
        monkeypatch.setattr(module, "stream_bases", cut)
    monkeypatch.setattr(lanes, "PIECE_TOKENS", 37)


@pytest.fixture(scope="module", params=TOKENIZERS, ids=repr)
def words(request, make_model):
    return make_model(request.param, context_orders=())


@pytest.fixture(scope="module")
def sequence(random_bases):
    text = bytearray(random_bases(BASES, 3))
    text[150:154] = b"NRNN"
    text[8:30] = bytes(text[8:30]).lower()
    return bytes(text)


def by_base(model, sequence: bytes):
    """ln P, surprise and features of every base, all tokens read in one call; nan where a base is not known."""
    ids = model.tokenizer.encode(sequence).astype(np.int64)
    with torch.inference_mode():
        out = model.backbone.stream(torch.from_numpy(np.concatenate([[model.bos], ids]))[None])
    log_p = out.logits[0, :-1].log_softmax(-1).double().numpy()
    shares, surprise = np.zeros(len(sequence)), np.zeros(len(sequence))
    hidden, seen = np.zeros((len(sequence), out.hidden.shape[-1])), 0
    for index, (token, (_, end)) in enumerate(zip(ids, model.tokenizer.offsets(ids).tolist(), strict=True)):
        new = range(seen, end)
        known = token < model.tokenizer.targets
        for base in new:
            shares[base] = log_p[index, token] / len(new) if known else np.nan
            surprise[base] = out.surprise[0, index + 1] if known else np.nan
            hidden[base] = out.hidden[0, index + 1].double().numpy()
        seen = max(seen, end)
    assert seen == len(sequence)
    return shares, surprise, hidden


def brute_force(model, sequence: bytes, allele: Allele, horizon_bp: int, reverse: bool) -> float:
    """Read both contigs whole and compare all bases up to the horizon; what comes before the allele is the same."""
    changed = sequence[: allele.start] + allele.alt + sequence[allele.end :]
    last, grown = allele.last, len(changed) - len(sequence)
    if reverse:
        last = len(sequence) - allele.first
        sequence, changed = reverse_complement(sequence), reverse_complement(changed)
    stop = min(len(sequence), last + horizon_bp)
    ref = np.nansum(by_base(model, sequence)[0][:stop])
    return float(np.nansum(by_base(model, changed)[0][: stop + grown]) - ref)


def plain(start: int, end: int, alt: bytes) -> Allele:
    return Allele(row=0, start=start, end=end, alt=alt, first=start, last=end)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_every_kind_of_allele_equals_a_reading_of_the_whole_contig(words, sequence, reverse):
    alleles = [plain(*case) for case in CASES.values()]
    for horizon_bp in (0, 1, 50, 1000):
        scores = score_alleles(words, sequence, alleles, horizon_bp=horizon_bp, reverse=reverse)
        wanted = [brute_force(words, sequence, allele, horizon_bp, reverse) for allele in alleles]
        for name, score, value in zip(CASES, scores, wanted, strict=True):
            assert score == pytest.approx(value, abs=2e-4), (name, horizon_bp)
        assert len({round(value, 3) for value in wanted}) > len(wanted) // 2


def test_the_reference_against_itself_scores_nothing(words, sequence):
    alleles = [plain(at, at + 1, sequence[at : at + 1].upper()) for at in (0, 31, 64, 149, BASES - 1)]
    for reverse in (False, True):
        assert np.abs(score_alleles(words, sequence, alleles, horizon_bp=64, reverse=reverse)).max() < 1e-4


def test_scores_depend_neither_on_batch_mates_nor_on_where_branches_leave(words, sequence, monkeypatch):
    alleles = [plain(*case) for case in CASES.values()]
    one = score_alleles(words, sequence, alleles, horizon_bp=40, reverse=False)
    monkeypatch.setattr(score_variants, "BRANCH_CHUNKS", 3)
    monkeypatch.setattr(branches, "BATCH_BRANCHES", {"cpu": 2})
    two = score_alleles(words, sequence, alleles[::-1], horizon_bp=40, reverse=False)
    assert two[::-1] == pytest.approx(one, abs=1e-4)


def writings(start: int, end: int, alt: bytes) -> list[tuple[int, str, str]]:
    """Several (POS, REF, ALT) that give the same haplotype of the repeats."""
    wanted = REPEATS[:start] + alt + REPEATS[end:]
    grown, found = len(wanted) - len(REPEATS), []
    for first in range(max(0, start - 12), start + 12):
        for size in range(1, end - start + 4):
            last = first + size
            if last > len(REPEATS) or size + grown < 1:
                continue
            text = wanted[first : last + grown]
            if REPEATS[:first] + text + REPEATS[last:] == wanted and text != REPEATS[first:last]:
                found.append((first + 1, REPEATS[first:last].decode(), text.decode()))
    return found


@pytest.mark.parametrize(
    "case", [(1, 3, b""), (7, 7, b"CA"), (15, 16, b""), (22, 25, b""), (48, 48, b"G"), (60, 62, b"T")]
)
def test_one_haplotype_has_one_score_however_it_is_written(words, make_fasta, make_record, case):
    with make_fasta({"chrA": REPEATS}) as fasta:
        ways = writings(*case)
        assert len(ways) > 3
        alleles = read_alleles([make_record(*way) for way in ways], fasta, longest_bp=100).alleles["chrA"]
    for reverse in (False, True):
        scores = score_alleles(words, REPEATS, alleles, horizon_bp=20, reverse=reverse)
        assert np.ptp(scores) < 1e-4
        assert scores[0] == pytest.approx(brute_force(words, REPEATS, alleles[0], 20, reverse), abs=1e-4)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_the_part_behind_a_variant_is_what_the_horizon_adds(words, sequence, reverse):
    alleles = [Allele(0, start, end, alt, start, end) for start, end, alt in CASES.values()]
    both = score_strands(words, sequence, alleles, horizon_bp=25, strands=(reverse,), junctions=True)[:, 0]
    nothing = score_strands(words, sequence, alleles, horizon_bp=0, strands=(reverse,), junctions=True)[:, 0]
    np.testing.assert_allclose(both[:, 1], both[:, 0] - nothing[:, 0], atol=1e-4)
    np.testing.assert_allclose(nothing[:, 1], 0, atol=1e-6)
    plainly = score_strands(words, sequence, alleles, horizon_bp=25, strands=(reverse,))[:, 0]
    assert both[:, 0].tolist() == plainly.tolist()


SPANS = [(50, 120), (0, 1), (0, BASES), (90, 95), (BASES - 1, BASES), (148, 156), (150, 154), (63, 66)]


def test_regions_and_track_are_sums_over_their_bases(words, sequence):
    shares, surprise, _ = by_base(words, sequence)
    regions = [Interval("c", *span) for span in SPANS]
    tracks = {kind: np.full(len(sequence), np.inf) for kind in score_regions.track_kinds(words.backbone)}
    scores = score_contig_regions(words, sequence, regions, tracks=tracks)
    for (start, end), score in zip(SPANS, scores, strict=True):
        known = np.isfinite(shares[start:end])
        assert score.bases == known.sum()
        if known.any():
            assert score.log_likelihood == pytest.approx(np.nansum(shares[start:end]), abs=1e-3)
            assert score.bits_per_base == pytest.approx(-np.nanmean(shares[start:end]) / np.log(2), abs=1e-4)
            assert score.memory_surprise == pytest.approx(np.nanmean(surprise[start:end]), abs=1e-4)
            assert score.entropy_bits == pytest.approx(np.nanmean(tracks["entropy_bits"][start:end]), abs=1e-4)
    assert tracks["surprise"] == pytest.approx(surprise, abs=1e-4, nan_ok=True)
    assert tracks["log_likelihood"] == pytest.approx(shares, abs=1e-4, nan_ok=True)
    assert (np.nan_to_num(tracks["entropy_bits"], nan=1.0) > 0).all()
    layers = [values for kind, values in tracks.items() if kind.startswith("surprise_layer")]
    assert np.mean(layers, 0) == pytest.approx(surprise, abs=1e-4, nan_ok=True)


def test_a_base_has_the_features_of_the_token_it_belongs_to(words, sequence):
    _, surprise, hidden = by_base(words, sequence)
    vectors = embed_contig_regions(words, sequence, [Interval("c", *span) for span in SPANS])
    for (start, end), vector in zip(SPANS, vectors, strict=True):
        used = np.flatnonzero(np.isfinite(surprise[start:end])) + start
        expected = hidden[used].mean(0) if len(used) else np.full(hidden.shape[1], np.nan)
        assert vector == pytest.approx(expected, abs=1e-5, nan_ok=True)


def test_strands_count_bases_and_tokens_alike(words, sequence, monkeypatch):
    from titans_dna.inference import strand as module

    monkeypatch.setattr(module, "MARK_TOKENS", 8)
    for text in (sequence, b"", b"A", b"ACGTACGT" * 8):
        strand = Strand.of(text, words.tokenizer, reverse=False)
        ends = np.cumsum(strand.new_bases, dtype=int)
        for token in range(len(strand.ids)):
            assert strand.bases_before(token) == ends[token] - strand.new_bases[token]
        for base in range(len(text)):
            owner = int(np.flatnonzero(ends > base)[0])
            assert strand.tokens_to(base + 1) == owner + 1
        for token, (start, _) in enumerate(words.tokenizer.offsets(strand.ids).tolist()):
            assert strand.token_at(start) == token
