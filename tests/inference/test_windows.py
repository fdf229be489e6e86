"""Windows: blocks read by themselves give what one reading of the contig gives, as far as their windows reach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from inference.test_score_variants import plain

from titans_dna.errors import ConfigError
from titans_dna.genome.interval import Interval
from titans_dna.inference.score_regions import RELATIVES_KINDS, WindowedRegions, score_contig_regions, track_kinds
from titans_dna.inference.score_variants import WindowedAlleles, score_strands
from titans_dna.inference.windows import Context, WindowedStrand
from titans_dna.jobs import regions as region_job
from titans_dna.jobs import variant_scores
from titans_dna.jobs.regions import RegionOutputs, score_region_file
from titans_dna.jobs.variant_scores import ScoringOptions
from titans_dna.jobs.variants import score_variant_file
from titans_dna.recall import RecallForm, Relatives
from titans_dna.tokenizers import KmerTokenizer, base_ids

FORM = RecallForm(words=("1" * 8,), sample_every=(1,), index_bits=12, places=4, accepted_hits=12, spacing_bases=16)
KINDS = {
    "mag": {"recall": FORM}, "no copies": {}, "window": {"block": "window", "recall": FORM},
    "mac": {"block": "mac", "segment_tokens": 16, "recall": FORM}, "resets": {"recall": FORM, "reset_tokens": 32},
}  # fmt: skip
HORIZON = 20


@pytest.fixture(scope="module", params=KINDS)
def model(request, make_model):
    return make_model(**KINDS[request.param])


@pytest.fixture(scope="module")
def recalling(make_model):
    return make_model(recall=FORM)


@pytest.fixture(scope="module")
def sequence(random_bases) -> bytes:
    first = random_bases(150, 41)
    return first + random_bases(100, 42) + b"NN" + first + random_bases(60, 43) + first[:70]


@pytest.fixture(scope="module")
def relative(sequence) -> bytes:
    changed = bytearray(sequence)
    changed[60], changed[305] = b"ACGT"[b"ACGT".index(changed[60]) - 1], b"ACGT"[b"ACGT".index(changed[305]) - 1]
    return bytes(changed)


@pytest.fixture(scope="module")
def behind(recalling, relative):
    relatives = Relatives.empty(FORM)
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


REGIONS = [Interval("c", 0, 5), Interval("c", 60, 200), Interval("c", 240, 260), Interval("c", 470, 500)]


def regions_in_windows(model, sequence: bytes, window_bp: int, kinds=()) -> tuple[list, dict[str, np.ndarray]]:
    tracks = {kind: np.full(len(sequence), np.nan, np.float32) for kind in kinds}
    windowed = WindowedRegions(model, sequence, REGIONS, window_bp=window_bp, tracks=tracks)
    for number in range(len(windowed.blocks)):
        windowed.add(number, windowed.read(number))
    for block in windowed.vote_blocks:
        windowed.add_votes(block, windowed.vote(block))
    return windowed.scores(), tracks


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
    forgetting = make_model(recall=replace(FORM, horizon_bases=100))
    with pytest.raises(ConfigError, match="--context contig"):
        WindowedAlleles.of(forgetting, sequence, alleles(sequence), horizon_bp=9, window_bp=64)
    with pytest.raises(ConfigError, match="shuffles"):
        ScoringOptions(context=Context(window_bp=64), shuffles=9)
    for text in ("window", "window:", "window:0", "window:-3", "window:8k", "chromosome", "region"):
        with pytest.raises(ConfigError, match="write contig, or window:N"):
            Context.parse(text)
    assert str(Context.parse("window:8192")) == "window:8192"
    assert Context.parse("contig") == Context()


@pytest.fixture(scope="module")
def genome(make_fasta, sequence, random_bases):
    return make_fasta({"a": sequence, "b": random_bases(300, 5)})


@pytest.fixture(scope="module")
def variants(genome, tmp_path_factory):
    path = tmp_path_factory.mktemp("variants") / "v.vcf"
    rows = [
        (name, at + 1, base, "ACGT"["ACGT".index(base) - 1])
        for name in ("a", "b")
        for at in range(4, genome.contigs.lengths[name], 13)
        if (base := genome.fetch(name, at, at + 1).decode()) in "ACGT"
    ]
    path.write_text(
        "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        + "".join(f"{c}\t{p}\t.\t{r}\t{a}\t.\t.\t.\n" for c, p, r, a in rows)
    )
    return path


OPTIONS = ScoringOptions(context=Context(window_bp=64), horizon_bp=HORIZON)


def told(path) -> str:
    return "\n".join(line for line in path.read_text().splitlines() if "command=" not in line)


def test_workers_change_no_byte_of_variants(behind, genome, variants, tmp_path):
    for workers in (1, 2, 4):
        score_variant_file(behind, genome, variants, tmp_path / f"{workers}.vcf", options=OPTIONS, workers=workers)
    assert told(tmp_path / "1.vcf") == told(tmp_path / "2.vcf") == told(tmp_path / "4.vcf")
    assert "TD_TOLERANCE" in told(tmp_path / "1.vcf")
    assert "context=window:64" in told(tmp_path / "1.vcf")


def test_a_background_of_another_context_or_of_other_relatives_is_refused(
    behind, recalling, genome, variants, tmp_path
):
    from titans_dna.jobs.variants import VariantInputs

    score_variant_file(behind, genome, variants, tmp_path / "kin.vcf", options=OPTIONS)
    score_variant_file(recalling, genome, variants, tmp_path / "contig.vcf", options=ScoringOptions(horizon_bp=HORIZON))

    def with_background(model, name, options):
        inputs = VariantInputs(variants=variants, background=tmp_path / name)
        score_variant_file(model, genome, inputs, tmp_path / "q.vcf", options=options)

    with pytest.raises(ConfigError, match="was scored with --context contig"):
        with_background(recalling, "contig.vcf", OPTIONS)
    with pytest.raises(ConfigError, match="was scored with other relatives"):
        with_background(recalling, "kin.vcf", OPTIONS)
    with pytest.raises(ConfigError, match="was scored with other relatives"):
        with_background(behind, "contig.vcf", OPTIONS)
    with_background(behind, "kin.vcf", OPTIONS)
    assert "TD_QUANTILE" in (tmp_path / "q.vcf").read_text()


def test_workers_change_no_byte_of_regions(behind, genome, tmp_path):
    from titans_dna.cli.regions import place_regions

    placed = place_regions(genome, None, ("a:1-200", "b:100-300"))
    for workers in (1, 3):
        outputs = RegionOutputs(table=tmp_path / f"{workers}.tsv", tracks=tmp_path / f"{workers}-tracks.tsv")
        score_region_file(behind, genome, placed, outputs, context=OPTIONS.context, workers=workers)
    assert told(tmp_path / "1.tsv") == told(tmp_path / "3.tsv")
    assert told(tmp_path / "1-tracks.tsv") == told(tmp_path / "3-tracks.tsv")
    assert "bits_without_relatives" in told(tmp_path / "1.tsv")


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("what", ["variants", "regions"])
def test_a_stopped_run_goes_on_to_the_same_bytes(behind, genome, variants, tmp_path, monkeypatch, what):
    from titans_dna.cli.regions import place_regions

    monkeypatch.setattr(variant_scores, "KEPT_UNITS", 3)
    monkeypatch.setattr(region_job, "KEPT_BLOCKS", 3)
    placed = place_regions(genome, None, ("a:1-400", "b:100-300"))

    def make(path, *, resume=False, stop=10**9):
        calls = 0

        def advance(done, total):
            nonlocal calls
            calls += 1
            if calls > stop:
                raise StoppedError

        if what == "variants":
            score_variant_file(behind, genome, variants, path, options=OPTIONS, resume=resume, advance=advance)
        else:
            outputs = RegionOutputs(table=path, tracks=path.with_name(f"tracks-{path.name}"))
            score_region_file(
                behind, genome, placed, outputs, context=OPTIONS.context, resume=resume, advance=advance
            )  # fmt: skip
        return calls

    make(tmp_path / "whole.tsv")
    with pytest.raises(StoppedError):
        make(tmp_path / "cut.tsv", stop=1)
    read = []
    real = WindowedAlleles.score if what == "variants" else WindowedRegions.read
    home = WindowedAlleles if what == "variants" else WindowedRegions
    monkeypatch.setattr(home, real.__name__, lambda self, unit: (read.append(unit), real(self, unit))[1])
    make(tmp_path / "cut.tsv", resume=True)
    assert read[0] == 6  # two groups of three were finished and are not read again
    assert told(tmp_path / "cut.tsv") == told(tmp_path / "whole.tsv")
    if what == "regions":
        assert told(tmp_path / "tracks-cut.tsv") == told(tmp_path / "tracks-whole.tsv")
