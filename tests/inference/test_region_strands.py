"""Regions that are read on their own strand are those of the reverse complement, to the bit."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest

from titans_dna.errors import ConfigError
from titans_dna.genome.alphabet import reverse_complement
from titans_dna.genome.interval import Interval
from titans_dna.genome.shard import WHOLE, Shard
from titans_dna.inference import score_regions
from titans_dna.inference.embed import EmbedOptions, embed_contig_regions
from titans_dna.inference.placing import place_interval
from titans_dna.inference.pooling import Pooling
from titans_dna.inference.streaming import stream_bases
from titans_dna.inference.windowed_regions import WindowedRegions
from titans_dna.inference.windows import Context
from titans_dna.io.embeddings.merge import merge_embeddings
from titans_dna.io.embeddings.reader import open_embeddings
from titans_dna.io.scores import open_scores
from titans_dna.jobs import groups, work_folder
from titans_dna.jobs.embeddings import Storage, embedding_attributes, plan_embeddings, write_embeddings
from titans_dna.jobs.merge_scores import merge_scores
from titans_dna.jobs.regions import RegionOutputs, RegionReading, score_region_file
from titans_dna.tokenizers import KmerTokenizer

LENGTHS = {"a": 700, "b": 300}
CONTEXTS = pytest.mark.parametrize("context", ["contig", "window:64", "region"])
NUMBERS = ["bases", "log_likelihood", "bits_per_base", "memory_surprise", "entropy_bits"]


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    """So small that a contig has several."""
    monkeypatch.setattr(groups, "RANGE_WINDOWS", 2)


@pytest.fixture(scope="module")
def sequences(random_bases) -> dict[str, bytes]:
    found = {name: random_bases(bases, bases) for name, bases in LENGTHS.items()}
    return found | {"a": found["a"][:200] + b"NNNNNNN" + found["a"][207:]}


@pytest.fixture(scope="module")
def two_genomes(make_fasta, sequences):
    """A genome, and the same with every contig on the other strand."""
    return make_fasta(sequences), make_fasta({name: reverse_complement(text) for name, text in sequences.items()})


@pytest.fixture(scope="module")
def asked() -> list[Interval]:
    places = [("a", 0, 40), ("a", 650, 700), ("a", 120, 333), ("a", 130, 331), ("b", 0, 300), ("a", 190, 230)]
    places += [("a", 201, 205), ("b", 5, 6), ("b", 250, 299), ("a", 600, 677)]
    return [Interval(*place, "-+-.-+----"[row], f"r{row}") for row, place in enumerate(places)]


def mirrored(regions: list[Interval], strand: str | None = None) -> list[Interval]:
    """The same stretches of DNA, on the genome whose contigs are turned; or all of them on one strand."""
    turn = {"-": "+", "+": "-", ".": "-"}
    return [
        replace(r, start=LENGTHS[r.contig] - r.end, end=LENGTHS[r.contig] - r.start, strand=strand or turn[r.strand])
        for r in regions
    ]


def scored(model, genome, regions, output, context, strand="region", *, shard=WHOLE, resume=False):
    placed = [place_interval(genome.contigs, region) for region in regions]
    reading = RegionReading(context=Context.parse(context), strand=strand)
    score_region_file(model, genome, placed, RegionOutputs(table=output), shard=shard, resume=resume, reading=reading)
    return open_scores(output).to_pandas()


def embedded(model, genome, regions, output, options, *, shard=WHOLE, resume=False):
    placed = (place_interval(genome.contigs, region) for region in regions)
    plan = plan_embeddings(placed, genome.contigs.lengths, options)
    attributes = embedding_attributes(model, plan, shard)
    write_embeddings(output, model, genome, plan, attributes, Storage(shard=shard, resume=resume))
    with open_embeddings(output) as found:
        return found.vectors()


@CONTEXTS
def test_scores_are_those_of_the_reverse_complement(recalling, two_genomes, asked, tmp_path, context):
    genome, other = two_genomes
    one = scored(recalling, genome, asked, tmp_path / "one.h5", context)
    two = scored(recalling, other, mirrored(asked), tmp_path / "two.h5", context)
    assert one[NUMBERS].to_numpy().tobytes() == two[NUMBERS].to_numpy().tobytes()
    assert one.strand.tolist() == [region.strand for region in asked]
    forward = scored(recalling, genome, asked, tmp_path / "forward.h5", context, "forward")
    reverse = scored(recalling, genome, asked, tmp_path / "reverse.h5", context, "reverse")
    for row, region in enumerate(asked):
        plain = (reverse if region.strand == "-" else forward)[NUMBERS].loc[row].to_numpy(float)
        assert one[NUMBERS].loc[row].to_numpy(float).tobytes() == plain.tobytes()
    known = one.bases > 0
    assert (reverse.log_likelihood != forward.log_likelihood)[known].all()


@CONTEXTS
@pytest.mark.parametrize("pool", ["mean", "last", "center", "bins:3", "none"])
def test_vectors_are_those_of_the_reverse_complement(recalling, two_genomes, asked, tmp_path, context, pool):
    genome, other = two_genomes
    options = EmbedOptions(pooling=Pooling.parse(pool), strand="region", context=Context.parse(context))
    one = embedded(recalling, genome, asked, tmp_path / "one.h5", options)
    two = embedded(recalling, other, mirrored(asked), tmp_path / "two.h5", options)
    assert one.tobytes() == two.tobytes()
    assert np.isfinite(one).any(1).mean() > 0.8


@CONTEXTS
def test_a_minus_region_is_a_plus_region_that_is_read_forward(recalling, two_genomes, asked, tmp_path, context):
    """Bins too are counted along the region."""
    genome, other = two_genomes
    minus = [replace(region, strand="-") for region in asked]
    options = EmbedOptions(pooling=Pooling.parse("bins:3"), strand="region", context=Context.parse(context))
    one = embedded(recalling, genome, minus, tmp_path / "one.h5", options)
    plain = replace(options, strand="forward")
    two = embedded(recalling, other, mirrored(asked, "+"), tmp_path / "two.h5", plain)
    assert one.tobytes() == two.tobytes()
    table = scored(recalling, genome, minus, tmp_path / "one.tsv", context)
    expected = scored(recalling, other, mirrored(asked, "+"), tmp_path / "two.tsv", context, "forward")
    assert table[NUMBERS].to_numpy().tobytes() == expected[NUMBERS].to_numpy().tobytes()


@CONTEXTS
def test_in_memory_as_in_a_job(recalling, two_genomes, sequences, asked, tmp_path, context):
    regions = [region for region in asked if region.contig == "a"]
    options = EmbedOptions(pooling=Pooling.parse("bins:2"), strand="region", context=Context.parse(context))
    expected = embedded(recalling, two_genomes[0], regions, tmp_path / "e.h5", options)
    np.testing.assert_allclose(embed_contig_regions(recalling, sequences["a"], regions, options), expected, atol=1e-6)


@pytest.mark.parametrize("make", [lambda: KmerTokenizer(3), lambda: KmerTokenizer(4, overlapping=True)])
def test_tokens_of_several_bases(make_model, sequences, asked, make):
    model, sequence = make_model(make()), sequences["a"]
    regions = [region for region in asked if region.contig == "a"]
    one = score_regions.score_contig_regions(model, sequence, regions, reverse=True)
    two = score_regions.score_contig_regions(model, reverse_complement(sequence), mirrored(regions))
    assert [astuple(score) for score in one if score.bases] == [astuple(score) for score in two if score.bases]
    assert any(score.bases for score in one)


@pytest.mark.parametrize("context", ["contig", "window:64"])
def test_shards_merge_to_the_whole(recalling, two_genomes, asked, tmp_path, context):
    genome, tables, files = two_genomes[0], [], []
    options = EmbedOptions(strand="region", context=Context.parse(context))
    for index in (1, 2, 3):
        tables.append(tmp_path / f"{index}.tsv")
        files.append(tmp_path / f"{index}.h5")
        scored(recalling, genome, asked, tables[-1], context, shard=Shard(index, 3))
        embedded(recalling, genome, asked, files[-1], options, shard=Shard(index, 3))
    merge_scores(tables, tmp_path / "merged.tsv")
    merge_embeddings(files, tmp_path / "merged.h5")
    whole = scored(recalling, genome, asked, tmp_path / "whole.tsv", context)
    assert open_scores(tmp_path / "merged.tsv").to_pandas().equals(whole)
    with open_embeddings(tmp_path / "merged.h5") as merged:
        expected = embedded(recalling, genome, asked, tmp_path / "whole.h5", options)
        assert merged.vectors().tobytes() == expected.tobytes()


def test_a_stopped_stream_of_the_reverse_strand_goes_on(recalling, two_genomes, asked, tmp_path, monkeypatch):
    genome, positions = two_genomes[0], []

    def counted(*arguments, **settings):
        positions.append(settings["position"])
        return stream_bases(*arguments, **settings, piece_tokens=64)

    monkeypatch.setattr(score_regions, "SHORT_BP", 0)  # short contigs are not stopped on their way
    monkeypatch.setattr(score_regions, "stream_bases", counted)
    monkeypatch.setattr(work_folder, "SAVE_SECONDS", 0.0)
    minus = [replace(region, strand="-") for region in asked]
    whole = scored(recalling, genome, minus, tmp_path / "whole.tsv", "contig")
    save, saves = work_folder.StreamCheckpoint.save, []

    def stopping(self, *arguments):
        save(self, *arguments)
        saves.append(arguments[0])
        if len(saves) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(work_folder.StreamCheckpoint, "save", stopping)
        with pytest.raises(KeyboardInterrupt):
            scored(recalling, genome, minus, tmp_path / "r.tsv", "contig")
    with pytest.raises(ConfigError, match="options"):
        scored(recalling, genome, minus, tmp_path / "r.tsv", "contig", "forward", resume=True)
    positions.clear()
    assert scored(recalling, genome, minus, tmp_path / "r.tsv", "contig", resume=True).equals(whole)
    assert positions[0] == saves[-1] > 0


def test_stretches_left_out_are_those_of_the_contig(recalling, random_bases):
    """On the reverse strand a copy at the contig's left is foretold by the one at its right, if that is held."""
    copied, spacer = random_bases(150, 1), random_bases(200, 2)
    sequence = copied + spacer + copied + random_bases(30, 3)
    regions, without = [Interval("c", 0, 150)], [(350, 500)]
    turned = [(len(sequence) - 500, len(sequence) - 350)]
    one = WindowedRegions(
        recalling, "c", sequence, window_bp=64, reach_bp=len(sequence), tracks={}, reverse=True, without=without
    ).score(regions, (0, 0), map, lambda _: None)
    two = WindowedRegions(
        recalling, "c", reverse_complement(sequence), window_bp=64, reach_bp=len(sequence), tracks={}, without=turned
    ).score([Interval("c", len(sequence) - 150, len(sequence))], (0, 0), map, lambda _: None)
    assert repr(one) == repr(two)
    assert one[0].bits_without_stretch != one[0].bits_per_base


def test_what_cannot_be_is_refused(recalling, two_genomes, asked, tmp_path):
    with pytest.raises(ConfigError, match="strand is 'both'; choose forward, reverse or region"):
        RegionReading(strand="both")
    placed = [place_interval(two_genomes[0].contigs, region) for region in asked]
    outputs = RegionOutputs(table=tmp_path / "t.tsv", tracks=tmp_path / "t.bw")
    with pytest.raises(ConfigError, match="tracks run along the forward strand"):
        score_region_file(recalling, two_genomes[0], placed, outputs, reading=RegionReading(strand="region"))
