"""Which regions of a file are read, and what is said of the others."""

from __future__ import annotations

import pytest

from titans_dna.io.embeddings.reader import open_embeddings
from titans_dna.io.tables.tsv import read_tsv

GTF = "".join(
    f'chrA\tx\t{kind}\t{start}\t{end}\t.\t+\t.\tgene_id "{name}"\n'
    for kind, start, end, name in [
        ("gene", 11, 90, "G"),
        ("exon", 11, 40, "E1"),
        ("exon", 60, 90, "E2"),
        ("CDS", 21, 40, "C"),
    ]
)


@pytest.fixture
def gtf(tmp_path):
    path = tmp_path / "genes.gtf"
    path.write_text(GTF)
    return path


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ((), ["E1", "E2"]),
        (("--feature", "gene,CDS"), ["G", "C"]),
        (("--feature", "gene", "--feature", "exon"), ["G", "E1", "E2"]),
    ],
)
def test_the_features_of_an_annotation_are_chosen(run, model, genome, gtf, tmp_path, options, names):
    table, vectors, tokens = tmp_path / "r.tsv", tmp_path / "e.h5", tmp_path / "t.tsv"
    given = ("--model", model, "--fasta", genome, "--bed", gtf, *options)
    for verb, output in (("score-regions", table), ("embed", vectors), ("tokenize", tokens)):
        result = run(verb, *given, "-o", output)
        assert result.exit_code == 0, result.output
    assert [row["name"] for row in read_tsv(table)] == names
    with open_embeddings(vectors) as embeddings:
        assert [interval.name for interval in embeddings.intervals()] == names


def test_a_feature_without_use_or_without_lines_is_refused(run, model, genome, gtf, bed, tmp_path):
    given = ("score-regions", "--model", model, "--fasta", genome, "-o", tmp_path / "r.tsv")
    for options, said in [
        (("--feature", "gene"), "--feature chooses lines of --bed, which is missing"),
        (("--bed", bed, "--feature", "gene"), "toy.bed: is BED, whose lines have no feature types"),
        (("--bed", gtf, "--feature", "mRNA"), "holds no line of type mRNA, but exon 2, gene 1, CDS 1."),
    ]:
        result = run(*given, *options)
        assert result.exit_code == 1
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_regions_of_both_strands_are_read_forward_and_that_is_said(run, model, genome, tmp_path):
    strands, table = tmp_path / "s.bed", tmp_path / "r.tsv"
    strands.write_text("".join(f"chrA\t100\t200\tx\t0\t{strand}\n" for strand in "+-*"))
    result = run("score-regions", "--model", model, "--fasta", genome, "--bed", strands, "-o", table)
    assert "note: 1 regions lie on the - strand; like all others they were read on the forward strand" in result.stderr
    rows = list(read_tsv(table))
    assert [row["strand"] for row in rows] == ["+", "-", "."]
    assert len({row["log_likelihood"] for row in rows}) == 1


def test_a_region_that_ends_beyond_its_contig_is_clipped(run, model, genome, tmp_path):
    regions, table, vectors, cut = tmp_path / "c.bed", tmp_path / "r.tsv", tmp_path / "e.h5", tmp_path / "cut.h5"
    regions.write_text("chr2\t390\t900\tend\nchr2\t390\t400\twhole\nchrB\t400\t401\tone\n")
    given = ("--model", model, "--fasta", genome, "--bed", regions)
    result = run("score-regions", *given, "-o", table)
    said = result.stderr.splitlines()
    assert said[0] == "warning: 1 of 3 regions are clipped, the first: chr2:391-900"
    assert [line.split() for line in said[1:]] == [["scored", "2"], ["clipped", "1"], ["total", "3"]]
    clipped, whole, _ = read_tsv(table)
    assert (clipped["end"], clipped["bases"], clipped["outcome"]) == ("900", "10", "clipped")
    assert clipped["log_likelihood"] == whole["log_likelihood"]
    for output, more in ((vectors, ()), (cut, ("--window-bp", 5))):
        result = run("embed", *given, "-o", output, *more)
        assert result.exit_code == 0, result.output
    assert "clipped" not in result.stderr
    with open_embeddings(vectors) as embeddings:
        assert embeddings.outcomes() == ["clipped", "embedded", "embedded"]
        assert (embeddings.vectors()[0] == embeddings.vectors()[1]).all()
        assert (embeddings.intervals()[0].start, embeddings.intervals()[0].end) == (390, 900)
    with open_embeddings(cut) as embeddings:  # windows lie on the contig
        assert [i.end for i in embeddings.intervals()] == [395, 400, 395, 400, 401]
    result = run(
        "mutagenesis", "--model", model, "--fasta", genome, "--region", "chr2:391-900", "-o", tmp_path / "m.h5"
    )
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[-1] == "1 region mutated"
    result = run("statistics", "--sample", "x", "--regions", table, "-o", tmp_path / "s.json")
    assert result.exit_code == 0, result.output
    said = [line.split() for line in result.stderr.splitlines()]
    assert said == [["regions", "of", "x"], ["scored", "2"], ["clipped", "1"], ["total", "3"]]


@pytest.mark.parametrize("verb", ["score-regions", "embed", "tokenize"])
def test_regions_of_another_genome_end_the_run_with_one_line(run, model, genome, tmp_path, verb):
    regions, output = tmp_path / "yeast.bed", tmp_path / "out.h5"
    regions.write_text("XIV\t0\t9\nchrXV\t3\t9\n")
    output = tmp_path / ("out.h5" if verb == "embed" else "out.tsv")
    result = run(verb, "--model", model, "--fasta", genome, "--bed", regions, "-o", output)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        f"error: {regions}: none of its regions lies on a contig of the sequence: they name XIV, chrXV, and the "
        "sequence has chrA, chrB, chr2. Give the sequence that they belong to, or name the contigs with --aliases."
    )
    assert not output.exists()


@pytest.mark.parametrize(
    ("bases", "named", "told"), [(16571, "MT", True), (16569, "MT", False), (16571, "chrM", False)]
)
def test_the_mitochondrion_of_hg19_under_another_spelling_is_warned_of(run, model, tmp_path, bases, named, told):
    (tmp_path / "m.fa").write_text(">chrM\n" + "A" * bases + "\n")
    (tmp_path / "m.bed").write_text(f"{named}\t0\t9\n")
    result = run("tokenize", "--fasta", tmp_path / "m.fa", "--bed", tmp_path / "m.bed", "-o", tmp_path / "t.tsv")
    assert result.exit_code == 0, result.output
    said = "warning: MT was taken for chrM of 16,571 bases, the one of UCSC's hg19 (NC_001807)"
    assert (said in result.stderr) == told
