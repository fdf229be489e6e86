"""Splits: by contig, BED or share, written down; genomes mapped from the cache."""

from __future__ import annotations

import numpy as np
import pytest

from titans_dna.errors import ConfigError
from titans_dna.loading.genomes import open_genome
from titans_dna.loading.lanes import MASKED
from titans_dna.training.data import Source, Split, read_data


@pytest.fixture
def genomes(tmp_path):
    random = np.random.default_rng(0)

    def write(name: str, lengths: dict[str, int]):
        path = tmp_path / name
        text = {contig: "".join(random.choice(list("ACGT"), size)) for contig, size in lengths.items()}
        path.write_text("".join(f">{contig}\n{sequence}\n" for contig, sequence in text.items()))
        return path

    return write("a.fa", {f"chr{i}": 100 + i for i in range(1, 8)}), write("b.fa", {"chr1": 400, "solo": 300})


def sources(genomes, *weights: float) -> list[Source]:
    return [Source(path=path, weight=weight) for path, weight in zip(genomes, weights or (1.0, 1.0), strict=True)]


def rows(data) -> list[list[str]]:
    return [line.split("\t") for line in data.bed.splitlines()]


def test_codes_are_mapped_and_hold_mask_and_n(tmp_path):
    path = tmp_path / "m.fa"
    path.write_text(">x\nACgtN\n>y\nTT\n")
    first, second = open_genome(path), open_genome(path)
    assert isinstance(second.codes, np.memmap)
    assert first.codes_of("x").tolist() == [0, 1, 2 | MASKED, 3 | MASKED, 4]
    assert second.ids_of("x").tolist() == [0, 1, 2, 3, 4]
    assert second.codes_of("y", 1, 9).tolist() == [3]
    assert first.md5 == second.md5
    path.write_text(">x\nACgtA\n>y\nTT\n")
    assert open_genome(path).ids_of("x").tolist() == [0, 1, 2, 3, 0]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TITANS_DNA_CACHE", str(tmp_path / "file" / "cache"))
    (tmp_path / "m.fa").write_text(">x\nACGT\n")
    assert open_genome(tmp_path / "m.fa").ids_of("x").tolist() == [0, 1, 2, 3]


def test_contigs_are_held_out_or_excluded_by_any_name_and_by_file(genomes):
    data = read_data(sources(genomes), Split(holdout=("2",), exclude=("b.fa:1", "chr7")))
    parts = {(row[4].rpartition("/")[2], row[0]): row[3] for row in rows(data)}
    assert parts["a.fa", "chr2"] == "holdout"
    assert parts["b.fa", "chr1"] == parts["a.fa", "chr7"] == "excluded"
    assert parts["a.fa", "chr1"] == parts["b.fa", "solo"] == "train"
    assert [len(x) for x in data.held_out] == [102]
    learned = sum(len(c.codes) for c in data.contigs)
    assert learned == 101 + 103 + 104 + 105 + 106 + 300
    assert data.record["holdout_contigs"] == ["chr2"]


def test_regions_are_held_out_and_what_is_around_them_is_learned(genomes, tmp_path):
    (tmp_path / "r.bed").write_text("solo\t100\t150\nsolo\t140\t180\nsolo\t290\t999\n")
    data = read_data(sources(genomes), Split(holdout_bed=tmp_path / "r.bed"))
    assert [row[1:4] for row in rows(data) if row[0] == "solo"] == [
        ["0", "100", "train"], ["100", "150", "holdout"], ["150", "180", "holdout"], ["180", "290", "train"],
        ["290", "300", "holdout"],
    ]  # fmt: skip
    assert sum(len(x) for x in data.held_out) == 90


def test_a_share_is_drawn_by_the_seed(genomes):
    draws = [read_data(sources(genomes), Split(holdout_share=0.34, seed=s)).bed for s in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert draws[0].count("holdout") == 3


def test_every_contig_has_a_version_that_has_not_seen_it(genomes):
    data = read_data(sources(genomes, 1.0, 2.5), Split())
    assert {contig.weight for contig in data.contigs} == {1.0, 2.5}
    for contig, group in zip(data.contigs, data.groups, strict=True):
        assert contig.versions
        assert all(group in data.left_out[version] for version in contig.versions)
    assert all(len(out) < len({*data.groups}) for out in data.left_out)


def test_sources_are_written_with_weights():
    assert Source.parse("x/y.fa=0.5") == Source(path=Source.parse("x/y.fa").path, weight=0.5)
    assert Source.parse("a=b.fa").weight == 1.0
    assert str(Source.parse("a=b.fa").path) == "a=b.fa"
    with pytest.raises(ConfigError, match="sampling weight"):
        Source.parse("x.fa=-1")


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"holdout": ("chr99",)}, "--holdout chr99: no FASTA has this contig"),
        ({"exclude": ("chr99",)}, "--exclude chr99: no FASTA has this contig"),
        ({"holdout_share": 1.0}, "holdout_share is 1.0"),
        ({"exclude": (*(f"chr{i}" for i in range(1, 8)), "solo")}, "every contig is held out"),
    ],
)
def test_impossible_splits_are_refused(genomes, split, message):
    with pytest.raises(ConfigError, match=message):
        read_data(sources(genomes), Split(**split))
