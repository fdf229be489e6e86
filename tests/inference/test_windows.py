"""Windows: blocks read by themselves give what one reading of the contig gives, as far as their windows reach."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from inference.test_score_variants import plain
from toy import RECALL

from titans_dna.errors import ConfigError
from titans_dna.genome.alphabet import reverse_complement
from titans_dna.genome.interval import Interval
from titans_dna.inference.score_regions import score_contig_regions, track_kinds
from titans_dna.inference.score_variants import WindowedAlleles, score_strands
from titans_dna.inference.windowed_regions import RELATIVES_KINDS, WindowedRegions
from titans_dna.inference.windows import Context, WindowedStrand
from titans_dna.jobs.variant_scores import ScoringOptions
from titans_dna.loading.memory_file import open_memory, save_target
from titans_dna.recall import Relatives, Target, TargetContig
from titans_dna.recall.target import read_strand
from titans_dna.tokenizers import KmerTokenizer, base_ids

KINDS = {
    "mag": {"recall": RECALL}, "no copies": {}, "window": {"block": "window", "recall": RECALL},
    "mac": {"block": "mac", "segment_tokens": 16, "recall": RECALL}, "resets": {"recall": RECALL, "reset_tokens": 32},
}  # fmt: skip
HORIZON = 20


@pytest.fixture(scope="module", params=KINDS)
def model(request, make_model):
    return make_model(**KINDS[request.param])


@pytest.fixture(scope="module")
def relative(sequence) -> bytes:
    changed = bytearray(sequence)
    changed[60], changed[305] = b"ACGT"[b"ACGT".index(changed[60]) - 1], b"ACGT"[b"ACGT".index(changed[305]) - 1]
    return bytes(changed)


@pytest.fixture(scope="module")
def behind(recalling, relative):
    relatives = Relatives.empty(RECALL)
    relatives.read("r", "r", [base_ids(relative)], "")
    return recalling.behind(relatives)


def alleles(sequence: bytes) -> list:
    found = [plain(at, at + 1, b"ACGT"[b"ACGT".index(sequence[at]) - 1 :][:1]) for at in range(3, len(sequence), 29)
             if sequence[at] in b"ACGT"]  # fmt: skip
    found += [plain(100, 107, b""), plain(200, 200, b"GATTACA"), plain(0, 1, b""), plain(64, 66, b"TT")]
    return [replace(allele, row=row) for row, allele in enumerate(found)]


def in_windows(model, sequence: bytes, window_bp: int, chosen=None) -> np.ndarray:
    asked = alleles(sequence) if chosen is None else chosen
    windowed = WindowedAlleles.of(model, sequence, asked, horizon_bp=HORIZON, window_bp=window_bp)
    found = np.full((len(asked), 2), np.nan)
    for number, (strand, _) in enumerate(windowed.units):
        found[list(windowed.rows[number]), strand] = windowed.score(number)
    assert np.isfinite(found).all()
    return found


def test_a_window_as_long_as_the_contig_gives_what_the_contig_gives(model, sequence):
    whole = score_strands(model, sequence, alleles(sequence), horizon_bp=HORIZON)
    np.testing.assert_allclose(in_windows(model, sequence, len(sequence)), whole, atol=2e-5)


@pytest.mark.parametrize("window_bp", [64, 100])
def test_what_lies_before_a_window_is_in_the_copy_memory_alone(model, sequence, window_bp):
    """The network sees from one block before; the copy memory sees everything, and nothing behind."""
    far = [plain(330, 331, b"ACGT"[b"ACGT".index(sequence[330]) - 1 :][:1])]
    found = in_windows(model, sequence, window_bp, far)[:, 0]
    other = bytearray(sequence)
    other[60:90] = bytes(reversed(other[60:90]))  # a copy of what is read at 312 to 342, seen by the copy memory alone
    changed = in_windows(model, bytes(other), window_bp, far)[:, 0]
    assert (found == changed).all() == (model.backbone.config.recall is None)
    other = bytearray(sequence)
    other[-20:] = bytes(reversed(other[-20:]))
    np.testing.assert_array_equal(found, in_windows(model, bytes(other), window_bp, far)[:, 0])


def test_a_score_does_not_depend_on_the_variants_of_other_blocks(model, sequence):
    every = alleles(sequence)
    together = in_windows(model, sequence, 64)
    block = WindowedStrand(model, sequence, reverse=False, window_bp=64).block_tokens
    few = [a for a in every if a.first // block == 2]
    assert 0 < len(few) < len(every)
    alone = in_windows(model, sequence, 64, few)[:, 0]
    np.testing.assert_array_equal(alone, together[[a.row for a in few], 0])


def test_blocks_start_where_chunks_segments_and_resets_do(make_model, sequence):
    for changes, stride in (({}, 8), ({"block": "mac", "segment_tokens": 48}, 48), ({"reset_tokens": 24}, 24)):
        strand = WindowedStrand(make_model(**changes), sequence, reverse=False, window_bp=50)
        assert strand.block_tokens % stride == 0
        assert 50 <= strand.block_tokens < 50 + stride
    size = strand.block_tokens
    assert strand.blocks(np.array([0, size - 1, 5]), np.array([1, size + 1, 5])) == [0, 1]
    assert strand.blocks(np.array([], int), np.array([], int)) == []


def read_ahead(sequence: bytes, tmp_path) -> Target:
    """Both strands of the contig, as a file holds them, beside another contig of the same length."""
    contigs = []
    for name, bases in (("other", sequence[::-1]), ("c", sequence)):
        strands = [read_strand(RECALL, base_ids(read)) for read in (bases, reverse_complement(bases))]
        md5 = hashlib.md5(bases.upper()).hexdigest()
        contigs.append(TargetContig(name=name, length_bp=len(bases), md5=md5, strands=(strands[0], strands[1])))
    save_target(tmp_path / "t.tdm", Target(form=RECALL, contigs=contigs))
    opened = open_memory(tmp_path / "t.tdm", whole=True)
    assert isinstance(opened, Target)
    return opened


@pytest.mark.parametrize("kin", ["alone", "relatives", "a relative that ends as the contig begins"])
def test_strands_that_were_read_ahead_give_the_same_scores_to_the_bit(recalling, sequence, relative, kin, tmp_path):
    model = recalling
    if kin != "alone":
        relatives = Relatives.empty(RECALL)
        ends = relative + sequence[:8]  # with one gap behind it the contig's first word follows too soon to be written
        read = relative if kin == "relatives" else ends[(len(ends) + 2) % 64 :]
        relatives.read("r", "r", [base_ids(read)], "")
        model = recalling.behind(relatives)
    ahead = model.scoring(read_ahead(sequence, tmp_path))
    forward = WindowedStrand(ahead, sequence, reverse=False, window_bp=64)
    forward.remember_to(10)
    ready = forward._memory[0].end - forward._memory[1] > len(sequence)
    assert ready == (kin != "a relative that ends as the contig begins")
    for window_bp in (64, 200):
        np.testing.assert_array_equal(in_windows(ahead, sequence, window_bp), in_windows(model, sequence, window_bp))
        for one, other in zip(
            regions_in_windows(ahead, sequence, window_bp, without=[(50, 90)]),
            regions_in_windows(model, sequence, window_bp, without=[(50, 90)]), strict=True,
        ):  # fmt: skip
            assert one == other
    changed = sequence[:-1] + b"A" if sequence[-1:] != b"A" else sequence[:-1] + b"C"
    strand = WindowedStrand(ahead, changed, reverse=False, window_bp=64)
    strand.remember_to(len(sequence))
    assert strand._memory[0].writes  # another sequence of the same length was read anew


REGIONS = [Interval("c", 0, 5), Interval("c", 60, 200), Interval("c", 240, 260), Interval("c", 470, 500)]


def regions_in_windows(
    model, sequence: bytes, window_bp: int, kinds=(), without=None
) -> tuple[list, dict[str, np.ndarray]]:
    tracks = {kind: np.full(len(sequence), np.nan, np.float32) for kind in kinds}
    windowed = WindowedRegions(
        model, "c", sequence, window_bp=window_bp, reach_bp=REGIONS[-1].end, tracks=tracks, without=without
    )
    return windowed.score(REGIONS, (0, len(sequence)), map, lambda _: None), tracks


def test_regions_and_tracks_in_one_long_window_are_those_of_the_contig(model, sequence):
    kinds = track_kinds(model.backbone)
    found, tracks = regions_in_windows(model, sequence, len(sequence), kinds)
    whole = {kind: np.full(len(sequence), np.nan, np.float32) for kind in kinds}
    expected = score_contig_regions(model, sequence, REGIONS, tracks=whole)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            [*vars(one).values()], [*vars(other).values()], rtol=2e-5, atol=2e-5, equal_nan=True
        )  # fmt: skip
    for kind in kinds:
        np.testing.assert_allclose(tracks[kind], whole[kind], rtol=1e-4, atol=2e-5, equal_nan=True, err_msg=kind)


@pytest.mark.parametrize("window_bp", [64, 200])
def test_tracks_have_every_base_once_and_regions_sum_them(model, sequence, window_bp):
    kinds = track_kinds(model.backbone)
    found, tracks = regions_in_windows(model, sequence, window_bp, kinds)
    alone, _ = regions_in_windows(model, sequence, window_bp)
    np.testing.assert_equal([vars(x) for x in alone], [vars(x) for x in found])
    known = base_ids(sequence) < 4
    for kind in ("log_likelihood", "entropy_bits", "surprise"):
        np.testing.assert_array_equal(np.isfinite(tracks[kind]), known, err_msg=kind)
    for region, score in zip(REGIONS, found, strict=True):
        span = slice(region.start, region.end)
        assert score.bases == known[span].sum()
        np.testing.assert_allclose(score.log_likelihood, np.nansum(tracks["log_likelihood"][span]), rtol=1e-5)


def test_relatives_in_windows_and_what_they_save(behind, recalling, sequence, relative):
    kinds = (*track_kinds(behind.backbone), *RELATIVES_KINDS)
    found, tracks = regions_in_windows(behind, sequence, 64, kinds)
    without, plain_tracks = regions_in_windows(recalling, sequence, 64, track_kinds(recalling.backbone))
    for one, other in zip(found, without, strict=True):
        assert abs(one.bits_without_relatives - other.bits_per_base) < 1e-5 or other.bases == 0
        assert np.isnan(other.bits_without_relatives)
    saved = (tracks["log_likelihood"] - plain_tracks["log_likelihood"]) / np.log(2)
    np.testing.assert_allclose(tracks["bits_saved"], saved, atol=1e-5, equal_nan=True)
    assert np.abs(saved[np.isfinite(saved)]).max() > 1e-3
    same = (base_ids(sequence) < 4) & (base_ids(sequence) == base_ids(relative))
    assert tracks["relatives"].max() == 1
    assert (tracks["relatives_with_base"] <= tracks["relatives"]).all()
    followed = tracks["relatives"] == 1
    agreed = (tracks["relatives_with_base"] == 1) == same
    assert agreed[followed].mean() > 0.98  # but for copies, one of which differs
    assert tracks["relatives_with_base"][base_ids(sequence) > 3].max() == 0
    assert followed[100:200].mean() > 0.9


def test_what_windows_cannot_do_is_refused(make_model, sequence, recalling):
    with pytest.raises(ConfigError, match="one token per base"):
        WindowedAlleles.of(make_model(KmerTokenizer(3)), sequence, alleles(sequence), horizon_bp=9, window_bp=64)
    forgetting = make_model(recall=replace(RECALL, horizon_bases=100))
    with pytest.raises(ConfigError, match="--context contig"):
        WindowedAlleles.of(forgetting, sequence, alleles(sequence), horizon_bp=9, window_bp=64)
    with pytest.raises(ConfigError, match="shuffles"):
        ScoringOptions(context=Context.parse("window:64"), shuffles=9)
    with pytest.raises(ConfigError, match="behind what stands before it"):
        ScoringOptions(context=Context.parse("region"))
    for text in ("window", "window:", "window:0", "window:-3", "window:8k", "chromosome", "region:4", "contig:1"):
        with pytest.raises(ConfigError, match="write contig, region, or window:N"):
            Context.parse(text)
    for kind, window_bp in (("window", 0), ("contig", 8), ("region", 8), ("genome", 0)):
        with pytest.raises(ConfigError, match="write contig, region, or window:N"):
            Context(kind=kind, window_bp=window_bp)
    assert [str(Context.parse(text)) for text in ("window:8192", "contig", "region")] == [
        "window:8192", "contig", "region"
    ]  # fmt: skip


def test_a_stretch_that_is_not_in_memory_is_not_recalled(recalling, sequence):
    """The last 70 bases are a copy of the first 70 and of those at 252; the network sees from 384 on alone."""
    both, last = [(0, 150), (252, 370)], REGIONS[-1]  # words of the network reach back a few bases more
    found = regions_in_windows(recalling, sequence, 64, without=both)[0]
    assert np.isfinite([score.bits_without_stretch for score in found]).all()
    assert found[-1].bits_without_stretch != found[-1].bits_per_base
    assert found[0].bits_without_stretch == found[0].bits_per_base  # nothing is recalled so early
    other = bytearray(sequence)
    for start, end in both:
        other[start:end] = b"N" * (end - start)
    masked = WindowedRegions(recalling, "c", bytes(other), window_bp=64, reach_bp=last.end, tracks={})
    hidden = masked.score([last], (0, 0), map, lambda _: None)[0]
    assert found[-1].bits_without_stretch == pytest.approx(hidden.bits_per_base, abs=1e-6)
    one = regions_in_windows(recalling, sequence, 64, without=both[:1])[0][-1]
    assert one.bits_without_stretch != found[-1].bits_without_stretch
