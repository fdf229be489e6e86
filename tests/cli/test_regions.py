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
