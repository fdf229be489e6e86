"""On the demo data, with the model of the package, the face and the command line say the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import titans_dna as td

BASES = 24_000


@pytest.fixture(scope="module")
def default() -> td.Model:
    return td.load_model("default", device="cpu")


@pytest.fixture(scope="module")
def piece(project, tmp_path_factory) -> Path:
    """The start of the held-out contig."""
    path = tmp_path_factory.mktemp("demo") / "piece.fa"
    with td.open_fasta(project / "data" / "demo.fa") as genome:
        path.write_bytes(b">chrC\n" + genome.fetch("chrC", 0, BASES) + b"\n")
    return path


@pytest.fixture(scope="module")
def vcf(project, piece) -> Path:
    path = piece.with_name("piece.vcf")
    lines = (project / "data" / "demo.vcf").read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("##contig", "chrA", "chrB"))]
    last = next(n for n, line in enumerate(kept) if line.startswith("chrC") and int(line.split("\t")[1]) > BASES)
    path.write_text("\n".join([*kept[:last], *(line for line in kept if line.startswith("chrUn"))]) + "\n")
    return path


@pytest.fixture(scope="module")
def bed(project, piece) -> Path:
    path = piece.with_name("piece.bed")
    lines = (project / "data" / "demo.bed").read_text().splitlines()
    path.write_text("\n".join(x for x in lines if x.startswith("chrC") and int(x.split("\t")[2]) < BASES) + "\n")
    return path


def test_variants(default, piece, vcf, command, tmp_path, same):
    command("score-variants", "--model", "default", "--fasta", piece, "--vcf", vcf, "--output", tmp_path / "s.parquet")
    expected = td.open_scores(tmp_path / "s.parquet").to_pandas()
    assert len(expected) > 10
    same(default.score_variants(vcf, piece), expected)
    columns = ["chrom", "pos", "id", "ref", "alt", "qual", "filter", "info"]
    frame = pd.read_csv(vcf, sep="\t", comment="#", names=columns)
    same(default.score_variants(frame, piece), expected)
    found = default.score_variants(td.read_variants(vcf), piece)
    same(found, expected)
    assert set(found.outcome) >= {"scored", "contig_unknown"}


def test_regions_vectors_and_effects(default, piece, bed, command, tmp_path, same):
    common = ("--model", "default", "--fasta", piece)
    command("score-regions", *common, "--bed", bed, "--output", tmp_path / "r.h5")
    same(default.score_regions(bed, piece), td.open_scores(tmp_path / "r.h5").to_pandas())
    command("embed", *common, "--bed", bed, "--output", tmp_path / "e.h5")
    with td.open_embeddings(tmp_path / "e.h5") as embeddings:
        np.testing.assert_array_equal(default.embed(td.read_intervals(bed), piece), embeddings.vectors())
    effects = default.mutagenesis("chrC:4475-4480", piece)
    scores = default.score_variants(effects, piece)
    np.testing.assert_allclose(effects.llr, scores.llr, atol=1e-4)
