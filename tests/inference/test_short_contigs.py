"""Short contigs are read side by side, and each has the scores that it has alone."""

from __future__ import annotations

import numpy as np
import pytest
from toy import RECALL

from titans_dna.genome.interval import Interval
from titans_dna.genome.shard import WHOLE, Shard
from titans_dna.inference.model import load_model
from titans_dna.inference.placing import place_interval
from titans_dna.inference.score_regions import reads_side_by_side, score_contig_regions, score_short_contigs
from titans_dna.io.scores import open_scores
from titans_dna.jobs.groups import bundles
from titans_dna.jobs.merge_scores import merge_scores
from titans_dna.jobs.regions import RegionOutputs, RegionReading, score_region_file
from titans_dna.model.backbone import Backbone
from titans_dna.tokenizers import KmerTokenizer, NucleotideTokenizer

KINDS = {
    "mag": (NucleotideTokenizer(), {"recall": RECALL}),
    "resets": (NucleotideTokenizer(), {"reset_tokens": 64, "memory_layers": (2,)}),
    "mal": (NucleotideTokenizer(), {"block": "mal"}),
    "lmm": (NucleotideTokenizer(), {"block": "lmm"}),
    "window": (NucleotideTokenizer(), {"block": "window"}),
    "words": (KmerTokenizer(k=3), {"context_orders": ()}),
    "words that overlap": (KmerTokenizer(k=3, overlapping=True), {"context_orders": ()}),
}
LENGTHS = (200, 1, 3, 64, 17, 300, 15, 128)


@pytest.fixture(scope="module")
def contigs(random_bases) -> list[tuple[bytes, list[Interval], bool]]:
    """Some in lower case, with N, of N alone; whole, in part, and in overlapping parts; on both strands."""
    made = []
    for number, length in enumerate(LENGTHS):
        text = random_bases(length, number)
        text = text.lower() if number == 3 else b"N" * length if number == 6 else text[:40] + b"NNN" + text[43:]
        regions = [Interval("c", 0, length), Interval("c", length // 2, max(length // 2 + 1, length - 3))]
        made.append((text[:length], regions, number % 3 == 1))
    return made


def values(scores) -> list[float]:
    return [v for s in scores for v in (s.bases, s.log_likelihood, s.bits_per_base, s.entropy_bits, s.memory_surprise)]


@pytest.mark.parametrize("kind", KINDS)
def test_side_by_side_is_one_by_one(make_model, contigs, kind):
    tokenizer, changes = KINDS[kind]
    model = make_model(tokenizer, **changes)
    assert reads_side_by_side(model, 1024)
    together = score_short_contigs(model, contigs)
    for contig, found in zip(contigs, together, strict=True):
        bases, regions, reverse = contig
        wanted = score_contig_regions(model, bases, regions, reverse=reverse)
        assert values(found) == pytest.approx(values(wanted), abs=1e-4, nan_ok=True)
        assert repr(score_short_contigs(model, [contig])) == repr([found])
    assert repr(score_short_contigs(model, contigs[::-1])[::-1]) == repr(together)


def test_the_default_model_says_the_same(contigs):
    model = load_model("default", "cpu")
    for contig, found in zip(contigs, score_short_contigs(model, contigs), strict=True):
        bases, regions, reverse = contig
        alone = score_contig_regions(model, bases, regions, reverse=reverse)
        assert values(found) == pytest.approx(values(alone), rel=1e-6, abs=1e-6, nan_ok=True)
        assert repr(score_short_contigs(model, [contig])) == repr([found])


@pytest.mark.parametrize("block", ["mac", "transformer"])
def test_where_attention_sees_all_contigs_are_read_alone(make_model, block):
    assert not reads_side_by_side(make_model(block=block), 10)


def test_bundles():
    short = [100] * 5 + [0, 64, 1, 1000, 1000, 1000, 1000, 90, 0, 0]
    assert list(bundles(range(15), short)) == [[0, 1, 2, 3, 4], [5], [6, 7, 8, 9], [10, 11, 12], [13], [14]]
    assert list(bundles([0, 5, 6], short)) == [[0], [5], [6]]
    assert list(map(len, bundles(range(200), [10] * 200))) == [64, 64, 64, 8]
    assert list(bundles([], short)) == []


@pytest.fixture(scope="module")
def fragments(make_fasta, random_bases):
    """Sixty contigs of 20 to 300 bases, and two of 2,000 among them."""
    sizes = [2000 if number in (20, 41) else 20 + 37 * number % 280 for number in range(60)]
    return make_fasta({f"c{number}": random_bases(size, number) for number, size in enumerate(sizes)})


def scored(model, genome, output, **how):
    placed = [place_interval(genome.contigs, Interval(c, 0, size)) for c, size in genome.contigs.lengths.items()]
    return score_region_file(model, genome, placed, RegionOutputs(table=output), **how)


def test_a_fragmented_assembly_takes_few_calls(model, fragments, tmp_path, monkeypatch):
    calls: list[int] = []

    def stream(self, ids, *rest, real=Backbone.stream, **named):
        calls.append(len(ids))
        return real(self, ids, *rest, **named)

    monkeypatch.setattr(Backbone, "stream", stream)
    told: list[int] = []
    outcomes = scored(model, fragments, tmp_path / "all.tsv", advance=lambda done, total: told.extend([done, -total]))
    assert outcomes == {"scored": 60}
    assert sum(told[::2]) == sum(fragments.contigs.lengths.values()) == -told[1]
    assert sum(calls) == 60
    assert len(calls) < 12
    table = open_scores(tmp_path / "all.tsv").to_pandas()
    for row, contig in enumerate(fragments.contigs.names):
        text = fragments.sequence(contig)
        (alone,) = score_contig_regions(model, text, [Interval(contig, 0, len(text))])
        assert table.log_likelihood[row] == pytest.approx(alone.log_likelihood, abs=1e-3)


def test_shards_and_a_run_that_stops_give_the_bytes_of_the_whole(model, fragments, tmp_path):
    scored(model, fragments, tmp_path / "whole.tsv")
    whole = open_scores(tmp_path / "whole.tsv").to_pandas()
    parts = [tmp_path / f"{number}.tsv" for number in (1, 2, 3)]
    for number, part in enumerate(parts, 1):
        scored(model, fragments, part, shard=Shard(number, 3))
    merge_scores(parts, tmp_path / "merged.tsv")
    assert open_scores(tmp_path / "merged.tsv").to_pandas().equals(whole)

    class StopError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        told.append(done)
        if len(told) == 3:
            raise StopError

    told: list[int] = []
    with pytest.raises(StopError):
        scored(model, fragments, tmp_path / "again.tsv", advance=stop)
    scored(model, fragments, tmp_path / "again.tsv", resume=True)
    assert (tmp_path / "again.tsv").read_bytes() == (tmp_path / "whole.tsv").read_bytes()


@pytest.mark.parametrize("strand", ["reverse", "region"])
def test_strands(model, fragments, tmp_path, strand):
    scored(model, fragments, tmp_path / "one.tsv", reading=RegionReading(strand=strand), shard=WHOLE)
    table = open_scores(tmp_path / "one.tsv").to_pandas()
    text = fragments.sequence("c3")
    (alone,) = score_contig_regions(model, text, [Interval("c3", 0, len(text))], reverse=strand == "reverse")
    assert np.float32(table.log_likelihood[3]) == pytest.approx(alone.log_likelihood, abs=1e-3)
