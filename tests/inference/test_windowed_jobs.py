"""Jobs in windows and of regions by themselves: workers, shards and stopped runs give the bytes of one quiet run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from inference.test_windows import HORIZON
from toy import RECALL

from titans_dna.errors import ConfigError
from titans_dna.genome.interval import Interval
from titans_dna.genome.shard import WHOLE, Shard
from titans_dna.inference.embed import EmbedOptions, Spans, embed_contig_regions, embed_windows
from titans_dna.inference.mutagenesis import mutate_region
from titans_dna.inference.placing import place_interval
from titans_dna.inference.pooling import Pooling
from titans_dna.inference.score_regions import score_contig_regions
from titans_dna.inference.windows import Context, WindowedStrand
from titans_dna.io.embeddings.merge import merge_embeddings
from titans_dna.io.embeddings.reader import open_embeddings
from titans_dna.io.scores import open_scores
from titans_dna.io.tables.track_set_reader import open_track_shard
from titans_dna.jobs import groups, windowed_alleles
from titans_dna.jobs.embeddings import Storage, embedding_attributes, plan_embeddings, write_embeddings
from titans_dna.jobs.merge_scores import merge_scores
from titans_dna.jobs.merge_tracks import merge_tracks
from titans_dna.jobs.mutagenesis import mutate_regions, write_all_snvs
from titans_dna.jobs.regions import RegionOutputs, RegionReading, score_region_file
from titans_dna.jobs.shards import read_ranges
from titans_dna.jobs.variant_scores import ScoringOptions
from titans_dna.jobs.variants import VariantInputs, score_variant_file
from titans_dna.recall import Relatives
from titans_dna.tokenizers import KmerTokenizer, base_ids

WINDOW = Context.parse("window:64")
REGION = Context.parse("region")
OPTIONS = ScoringOptions(context=WINDOW, horizon_bp=HORIZON)
PLACES = (("a", 0, 200), ("b", 99, 300), ("a", 190, 260), ("a", 3, 9), ("b", 0, 40), ("a", 390, 401), ("x", 0, 9))


@pytest.fixture(scope="module")
def behind(recalling, sequence):
    relatives = Relatives.empty(RECALL)
    relatives.read("r", "r", [base_ids(sequence[20:] + b"ACGGT")], "")
    return recalling.behind(relatives)


@pytest.fixture(scope="module")
def genome(make_fasta, sequence, random_bases):
    return make_fasta({"a": sequence, "b": random_bases(300, 5)})


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    """So small that a contig has several."""
    monkeypatch.setattr(groups, "RANGE_WINDOWS", 2)
    monkeypatch.setattr(groups, "PART_BP", 150)
    monkeypatch.setattr(windowed_alleles, "KEPT_UNITS", 3)


def placed(genome, places=PLACES) -> list:
    return [place_interval(genome.contigs, Interval(*place)) for place in places]


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


def told(path) -> str:
    return "\n".join(line for line in path.read_text().splitlines() if "command=" not in line)


def embedded(model, genome, output, options, **storage):
    plan = plan_embeddings(placed(genome), genome.contigs.lengths, options)
    kept = Storage(**storage)
    attributes = embedding_attributes(model, plan, kept.shard)
    write_embeddings(output, model, genome, plan, attributes, kept)
    with open_embeddings(output) as found:
        return found.vectors(), found.outcomes()


def regions_scored(model, genome, output, *, context=WINDOW, tracks=None, shard=WHOLE, **options):
    reading = RegionReading(context=context, **{k: options.pop(k) for k in ("workers", "without") if k in options})
    outputs = RegionOutputs(table=output, tracks=tracks)
    return score_region_file(model, genome, placed(genome), outputs, shard=shard, reading=reading, **options)


def test_workers_change_no_byte_of_variants(behind, genome, variants, tmp_path):
    for workers in (1, 2, 4):
        score_variant_file(behind, genome, variants, tmp_path / f"{workers}.vcf", options=OPTIONS, workers=workers)
    assert told(tmp_path / "1.vcf") == told(tmp_path / "2.vcf") == told(tmp_path / "4.vcf")
    assert "TD_TOLERANCE" in told(tmp_path / "1.vcf")
    assert "context=window:64" in told(tmp_path / "1.vcf")


@pytest.mark.parametrize("count", [3, 7])
def test_shards_of_ranges_merge_to_the_bytes_of_the_whole(behind, genome, variants, tmp_path, count):
    """A contig is divided: there are more shards with rows than contigs."""
    parts = {"vcf": [], "tsv": [], "h5": []}
    options = EmbedOptions(context=WINDOW, strand="both", pooling=Pooling.parse("bins:2"))
    for index in range(1, count + 1):
        shard = Shard(index, count)
        for ending, paths in parts.items():
            paths.append(tmp_path / f"{index}.{ending}")
        score_variant_file(behind, genome, variants, parts["vcf"][-1], options=OPTIONS, shard=shard)
        regions_scored(behind, genome, parts["tsv"][-1], shard=shard)
        embedded(behind, genome, parts["h5"][-1], options, shard=shard)
    score_variant_file(behind, genome, variants, tmp_path / "whole.vcf", options=OPTIONS)
    regions_scored(behind, genome, tmp_path / "whole.tsv")
    vectors, outcomes = embedded(behind, genome, tmp_path / "whole.h5", options)
    merge_scores(parts["vcf"], tmp_path / "merged.vcf")
    merge_scores(parts["tsv"], tmp_path / "merged.tsv")
    merge_embeddings(parts["h5"], tmp_path / "merged.h5")
    for ending in ("vcf", "tsv"):
        assert told(tmp_path / f"merged.{ending}") == told(tmp_path / f"whole.{ending}")
        assert sum(any(not line.startswith("#") for line in told(path).splitlines()[1:]) for path in parts[ending]) > 2
    with open_embeddings(tmp_path / "merged.h5") as merged:
        np.testing.assert_array_equal(merged.vectors(), vectors)
        assert merged.outcomes() == outcomes


def test_a_background_of_another_context_or_of_other_relatives_is_refused(
    behind, recalling, genome, variants, tmp_path
):
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
    for workers in (1, 3):
        tracks = tmp_path / f"{workers}-tracks.tsv"
        without = (Interval("a", 0, 150),)
        counts = regions_scored(
            behind, genome, tmp_path / f"{workers}.tsv", tracks=tracks, workers=workers, without=without
        )
        assert counts == {"scored": 6, "contig_unknown": 1}
    assert told(tmp_path / "1.tsv") == told(tmp_path / "3.tsv")
    assert told(tmp_path / "1-tracks.tsv") == told(tmp_path / "3-tracks.tsv")
    rows = list(open_scores(tmp_path / "1.tsv"))
    assert all(np.isfinite(row["bits_without_relatives"]) for row in rows[:6])
    assert "without=a:1-150" in told(tmp_path / "1.tsv")
    for row in rows[:6]:
        assert row["bits_from_stretch"] == pytest.approx(
            row["bits_without_stretch"] - row["bits_per_base"], abs=1e-5
        )  # fmt: skip
    assert rows[1]["bits_from_stretch"] == 0  # contig b has lost nothing


def test_tracks_do_not_depend_on_groups_and_shards(behind, genome, tmp_path, monkeypatch):
    regions_scored(behind, genome, tmp_path / "r.tsv", tracks=tmp_path / "whole.tsv")
    for index in (1, 2):
        regions_scored(
            behind, genome, tmp_path / f"r{index}.tsv", tracks=tmp_path / f"{index}.tsv", shard=Shard(index, 2)
        )
    merge_tracks([tmp_path / "1.tsv", tmp_path / "2.tsv"], tmp_path / "merged.tsv")
    monkeypatch.setattr(groups, "RANGE_WINDOWS", 64)
    regions_scored(behind, genome, tmp_path / "s.tsv", tracks=tmp_path / "other.tsv")
    assert told(tmp_path / "whole.tsv") == told(tmp_path / "other.tsv") == told(tmp_path / "merged.tsv")
    assert told(tmp_path / "r.tsv") == told(tmp_path / "s.tsv")
    bases = [row for row in open_scores(tmp_path / "whole.tsv") if row["contig"] == "a"]
    told_of = [row["start"] for row in bases if np.isfinite(row["log_likelihood"])]
    assert told_of == [at for at, base in enumerate(genome.sequence("a")) if base in b"ACGT"]


@pytest.mark.parametrize("window_bp", [64, 50])  # the second is no multiple of what a block is rounded up to
@pytest.mark.parametrize("ending", ["tsv", "h5", "bw"])
def test_tracks_are_divided_by_ranges_of_a_contig(behind, genome, tmp_path, ending, window_bp):
    context = Context.parse(f"window:{window_bp}")

    def scored(name: str, **how) -> None:
        track = tmp_path / f"{name}.{ending}"
        outputs = {"surprise": track} if ending == "bw" else {"tracks": track}
        score_region_file(
            behind, genome, placed(genome), RegionOutputs(table=tmp_path / f"{name}.out.tsv", **outputs),
            reading=RegionReading(context=context), **how,
        )  # fmt: skip

    scored("whole")
    for index in range(1, 6):
        scored(str(index), shard=Shard(index, 5))
    shards = [tmp_path / f"{index}.{ending}" for index in range(1, 6)]
    spans = [read_ranges(open_track_shard(path).metadata["rows"])[1] for path in shards]
    assert sum(map(bool, spans)) > len(genome.contigs.names)  # contigs are divided
    assert merge_tracks(shards[::-1], tmp_path / f"merged.{ending}") == 2
    if ending == "tsv":
        assert told(tmp_path / "merged.tsv") == told(tmp_path / "whole.tsv")
    one, other = (list(open_scores(tmp_path / f"{name}.{ending}")) for name in ("whole", "merged"))
    assert len(one) > 500
    assert [row["contig"] for row in one] == [row["contig"] for row in other]
    numbers = ([list(row.values())[1:] for row in rows] for rows in (one, other))  # a bigWig's column has its name
    np.testing.assert_array_equal(*numbers)


@pytest.mark.parametrize("window_bp", [64, 50])
@pytest.mark.parametrize("ending", ["tsv.gz", "tsv", "h5"])
def test_all_changes_are_divided_by_ranges_of_a_contig(recalling, genome, tmp_path, ending, window_bp):
    context = Context.parse(f"window:{window_bp}")
    write_all_snvs(recalling, genome, ["a", "b"], tmp_path / f"whole.{ending}", context=context)
    shards = [tmp_path / f"{index}.{ending}" for index in range(1, 6)]
    for index, path in enumerate(shards, start=1):
        write_all_snvs(recalling, genome, ["a", "b"], path, context=context, shard=Shard(index, 5))
    spans = [read_ranges(open_track_shard(path).metadata["rows"])[1] for path in shards]
    assert sum(map(bool, spans)) > 2  # contigs are divided
    assert merge_tracks(shards[::-1], tmp_path / f"merged.{ending}") == 2
    one, other = (list(open_scores(tmp_path / f"{name}.{ending}")) for name in ("whole", "merged"))
    assert len(one) > 500
    np.testing.assert_equal(one, other)


@pytest.mark.parametrize("pooling", ["mean", "max", "last", "center", "bins:3", "none"])
@pytest.mark.parametrize("strand", ["forward", "reverse"])
def test_vectors_of_one_long_window_are_those_of_the_contig(recalling, sequence, pooling, strand):
    regions = [Interval("a", 0, 40), Interval("a", 245, 401), Interval("a", 30, 33)]
    options = EmbedOptions(pooling=Pooling.parse(pooling), strand=strand, layers=("final", "1"))
    whole = embed_contig_regions(recalling, sequence, regions, options)
    windows = replace(options, context=Context.parse(f"window:{len(sequence)}"))
    np.testing.assert_allclose(embed_contig_regions(recalling, sequence, regions, windows), whole, atol=2e-5)
    small = embed_contig_regions(recalling, sequence, regions, replace(options, context=WINDOW))
    assert small.shape == whole.shape
    assert np.isfinite(small).sum() == np.isfinite(whole).sum()


def test_a_vector_does_not_depend_on_the_other_regions(recalling, sequence):
    regions = [Interval("a", 300, 340), Interval("a", 10, 230), Interval("a", 338, 350)]
    options = EmbedOptions(context=WINDOW, strand="both")
    together = embed_contig_regions(recalling, sequence, regions, options)
    for row, region in enumerate(regions):
        np.testing.assert_array_equal(embed_contig_regions(recalling, sequence, [region], options)[0], together[row])


def test_blocks_without_a_region_are_not_read(recalling, sequence):
    windowed = WindowedStrand(recalling, sequence, reverse=False, window_bp=64)
    windowed.remember_to(len(sequence))
    read = []
    spans = Spans(starts=np.array([390, 10]), ends=np.array([395, 20]), targets=np.arange(2))
    list(embed_windows(windowed, spans, EmbedOptions(context=WINDOW), each=lambda f, b: (read.append(b), map(f, b))[1]))
    assert read == [[0, 390 // windowed.block_tokens]]


def test_workers_change_no_vector(behind, genome, tmp_path):
    options = EmbedOptions(context=WINDOW, strand="both")
    one, outcomes = embedded(behind, genome, tmp_path / "1.h5", options)
    two, _ = embedded(behind, genome, tmp_path / "2.h5", options, workers=3)
    np.testing.assert_array_equal(one, two)
    assert outcomes == ["embedded"] * 6 + ["contig_unknown"]
    with pytest.raises(ConfigError, match="one token per base"):
        options.check(replace(behind, tokenizer=KmerTokenizer(3)))


@pytest.mark.parametrize("context", ["contig", "window:64", "region"])
def test_changes_of_many_regions_are_read_once(behind, genome, tmp_path, context):
    regions = [region.placed for region in placed(genome)[2:6]]
    how = {"horizon_bp": HORIZON, "context": Context.parse(context)}
    found = mutate_regions(behind, genome, regions, tmp_path / "1.h5", **how)
    again = mutate_regions(behind, genome, regions, tmp_path / "2.h5", workers=2, **how)
    for region, one, two in zip(regions, found, again, strict=True):
        assert one.region == two.region == region
        np.testing.assert_array_equal(one.strands, two.strands)
        sequence, place = genome.sequence(region.contig), region
        if context == "region":
            sequence, place = sequence[region.start : region.end], Interval("a", 0, region.end - region.start)
        alone = mutate_region(behind, sequence, place, horizon_bp=HORIZON)
        assert alone.reference == one.reference
        if context != "window:64":
            np.testing.assert_allclose(one.strands, alone.strands, atol=2e-5)
        else:
            assert np.isfinite(one.strands).all() == np.isfinite(alone.strands).all()


@pytest.mark.parametrize("ending", ["h5", "tsv.gz"])
def test_every_base_in_windows(recalling, genome, tmp_path, ending):
    one, two, whole, long = (tmp_path / f"{name}.{ending}" for name in ("one", "two", "whole", "long"))
    write_all_snvs(recalling, genome, ["a", "b"], one, context=WINDOW)
    write_all_snvs(recalling, genome, ["a", "b"], two, context=WINDOW, workers=3)
    write_all_snvs(recalling, genome, ["a", "b"], whole)
    write_all_snvs(recalling, genome, ["a", "b"], long, context=Context.parse("window:500"))
    tables = [list(open_scores(path)) for path in (one, two, whole, long)]
    assert tables[0] == tables[1] != tables[2]
    for row, other in zip(tables[2], tables[3], strict=True):
        numbers = [key for key, value in row.items() if isinstance(value, float)]
        assert [row[key] for key in numbers] == pytest.approx([other[key] for key in numbers], abs=1e-4, nan_ok=True)
    with pytest.raises(ConfigError, match="reads whole contigs"):
        write_all_snvs(recalling, genome, ["a"], tmp_path / f"r.{ending}", context=REGION)


def test_regions_by_themselves(recalling, genome, tmp_path):
    for workers in (1, 2):
        regions_scored(recalling, genome, tmp_path / f"{workers}.tsv", context=REGION, workers=workers)
    assert told(tmp_path / "1.tsv") == told(tmp_path / "2.tsv")
    rows = list(open_scores(tmp_path / "1.tsv"))
    alone = genome.fetch("a", 190, 260)
    expected = score_contig_regions(recalling, alone, [Interval("a", 0, 70)])[0]
    assert rows[2]["bits_per_base"] == pytest.approx(expected.bits_per_base, abs=1e-5)
    with pytest.raises(ConfigError, match="tracks run along whole contigs"):
        regions_scored(recalling, genome, tmp_path / "r.tsv", context=REGION, tracks=tmp_path / "t.tsv")
    with pytest.raises(ConfigError, match="--without needs windows"):
        regions_scored(recalling, genome, tmp_path / "r.tsv", context=REGION, without=(Interval("a", 0, 9),))


def test_a_contig_is_read_no_further_than_to_its_last_region(recalling, random_bases):
    sequence, read = random_bases(20_000, 8), []
    score = score_contig_regions(recalling, sequence, [Interval("a", 10, 90)], progress=read.append)
    assert sum(read) < 5_000
    far = score_contig_regions(recalling, sequence, [Interval("a", 10, 90), Interval("a", 19_000, 19_050)])
    assert score[0] == replace(
        far[0], **{name: getattr(score[0], name) for name in vars(score[0]) if "_without_" in name}
    )


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("what", ["variants", "regions", "embeddings", "snvs"])
def test_a_stopped_run_goes_on_to_the_same_bytes(behind, genome, variants, tmp_path, monkeypatch, what):
    options = EmbedOptions(context=WINDOW)
    plan = plan_embeddings(placed(genome), genome.contigs.lengths, options)

    def make(path, *, resume=False, stop=10**9):
        calls = 0

        def advance(done, total=0):
            nonlocal calls
            calls += 1
            if calls > stop:
                raise StoppedError

        if what == "variants":
            score_variant_file(behind, genome, variants, path, options=OPTIONS, resume=resume, advance=advance)
        elif what == "regions":
            tracks = path.with_name(f"tracks-{path.name}")
            regions_scored(behind, genome, path, tracks=tracks, resume=resume, advance=advance)
        elif what == "snvs":
            write_all_snvs(behind, genome, ["a"], path, resume=resume, context=WINDOW, advance=advance)
        else:
            attributes = embedding_attributes(behind, plan, WHOLE)
            write_embeddings(path, behind, genome, plan, attributes, Storage(resume=resume), progress=advance)

    ending = "h5" if what in ("embeddings", "snvs") else "tsv"
    whole, cut = tmp_path / f"whole.{ending}", tmp_path / f"cut.{ending}"
    read: list[int] = []
    real = WindowedStrand.begin
    monkeypatch.setattr(
        WindowedStrand, "begin", lambda self, block, **k: (read.append(block), real(self, block, **k))[1]
    )
    make(whole)
    every, read[:] = len(read), []
    with pytest.raises(StoppedError):
        make(cut, stop=4)
    first, read[:] = len(read), []
    make(cut, resume=True)
    assert 0 < len(read) < every < first + len(read) + 9  # what was kept is not read again
    if ending == "tsv":
        assert told(cut) == told(whole)
    else:
        same = list(open_scores(cut)) == list(open_scores(whole)) if what == "snvs" else None
        if same is None:
            with open_embeddings(cut) as one, open_embeddings(whole) as two:
                same = np.array_equal(one.vectors(), two.vectors(), equal_nan=True)
        assert same
    if what == "regions":
        assert told(tmp_path / "tracks-cut.tsv") == told(tmp_path / "tracks-whole.tsv")
