"""Regions in any form are embedded, scored and mutated as on the command line."""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

import titans_dna as td
from titans_dna.errors import ConfigError


@pytest.fixture(scope="session")
def bed(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("regions") / "toy.bed"
    rows = ["chrA\t100\t200\tone\t0\t-", "A\t0\t600\twhole", "chrB\t100\t150\tgap", "chrZ\t5\t9\tnowhere"]
    rows += ["chrB\t290\t900\tend", "chrB\t900\t950\tbeyond", "chrA\tx\t9\tbroken"]
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="session")
def regions(bed) -> list[td.Interval]:
    """The lines that can be read."""
    lines = [line.split("\t") for line in bed.read_text().splitlines()[:-1]]
    return [td.Interval(c, int(s), int(e), *((rest[1:] or ["."])[::-1]), name) for c, s, e, name, *rest in lines]


def of_command(command, verb, model_folder, fasta, bed, folder, *more) -> Path:
    output = folder / f"{verb}.h5"
    command(verb, "--model", model_folder, "--fasta", fasta, "--bed", bed, "--output", output, *more)
    return output


FORMS = {
    "list": list,
    "iterator": iter,
    "tuples": lambda regions: [(r.contig, r.start, r.end, r.strand, r.name) for r in regions],
    "frame": lambda regions: pd.DataFrame(
        [(r.contig, r.start, r.end, r.strand, r.name) for r in regions],
        columns=["chrom", "start", "end", "strand", "name"],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_scores_as_on_the_command_line(
    model, model_folder, fasta, bed, regions, command, tmp_path, same, form
):
    expected = td.open_scores(of_command(command, "score-regions", model_folder, fasta, bed, tmp_path)).to_pandas()
    same(model.score_regions(bed, fasta), expected)
    same(model.score_regions(str(bed), fasta), expected)
    found = model.score_regions(FORMS[form](regions), fasta)
    same(found, expected[:-1])
    assert found.outcome.tolist() == [
        "scored", "scored", "reference_n", "contig_unknown", "clipped", "beyond_contig"
    ]  # fmt: skip
    assert expected.outcome.tolist()[-1] == "malformed"


def test_regions_are_scored_on_their_own_strand(model, model_folder, fasta, bed, command, tmp_path, same, sequences):
    more = ["--strand", "region"]
    path = of_command(command, "score-regions", model_folder, fasta, bed, tmp_path, *more)
    found = model.score_regions(bed, fasta, strand="region")
    same(found, td.open_scores(path).to_pandas())
    plain = model.score_regions(bed, fasta)
    differs = found.log_likelihood.ne(plain.log_likelihood) & plain.bases.gt(0)
    assert found.name[differs].tolist() == ["one"]  # the only region of the - strand
    (one,) = found.log_likelihood[differs]
    np.testing.assert_allclose(one, model.log_likelihood(sequences["chrA"], strand="reverse")[100:200].sum(), rtol=1e-5)


def test_a_strand_that_cannot_be_is_refused(model, fasta):
    with pytest.raises(ConfigError, match="strand is 'both'; choose forward, reverse or region"):
        model.score_regions("chrA:1-50", fasta, strand="both")
    with pytest.raises(ConfigError, match="sequences have no strand of their own"):
        model.embed("ACGT", strand="region")


def test_a_score_is_the_sum_of_its_bases(model, fasta, sequences):
    whole = model.log_likelihood(sequences["chrA"])
    found = model.score_regions(["chrA:101-200", td.Interval("chrA", 100, 200)], fasta)
    np.testing.assert_allclose(found.log_likelihood, whole[100:200].sum(), rtol=1e-5)
    assert (found.start[0], found.end[0], found.bases[0]) == (100, 200, 100)


def test_no_regions_are_whole_contigs(model, fasta):
    found = model.score_regions(None, fasta)
    assert list(zip(found.contig, found.start, found.end, strict=True)) == [("chrA", 0, 600), ("chrB", 0, 300)]
    assert len(model.score_regions([], fasta)) == 0


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({}, []),
        ({"pooling": "max", "strand": "both"}, ["--pool", "max", "--strand", "both"]),
        ({"context": "region", "layers": [0, "final"]}, ["--context", "region", "--layer", "0", "--layer", "final"]),
        ({"pooling": "bins:4"}, ["--pool", "bins:4"]),
        ({"pooling": "bins:2", "strand": "region"}, ["--pool", "bins:2", "--strand", "region"]),
        ({"window_bp": 40, "stride_bp": 30}, ["--window-bp", 40, "--stride-bp", 30]),
    ],
)
def test_vectors_are_those_of_the_command_line(
    model, model_folder, fasta, bed, command, tmp_path, options, more
):  # fmt: skip
    with td.open_embeddings(of_command(command, "embed", model_folder, fasta, bed, tmp_path, *more)) as expected:
        np.testing.assert_array_equal(model.embed(bed, fasta, **options), expected.vectors())


def test_a_vector_for_every_base_of_regions(model, model_folder, fasta, bed, command, tmp_path):
    output = of_command(command, "embed", model_folder, fasta, bed, tmp_path, "--pool", "none")
    found = model.embed(bed, fasta, pooling="none")
    with td.open_embeddings(output) as expected:
        assert len(found) == len(expected)
        for row, vectors in enumerate(found):
            np.testing.assert_array_equal(vectors, expected[row])
        assert expected.to_pandas().embedding[0].shape == (100, 16)
        with pytest.raises(td.errors.ConfigError, match="AnnData cannot hold"):
            expected.to_anndata()


def test_one_region_is_one_vector(model, fasta):
    one = model.embed("chrA:101-200", fasta)
    assert one.shape == (16,)
    np.testing.assert_array_equal(model.embed([("chrA", 100, 200)], fasta), one[None])
    np.testing.assert_array_equal(model.embed(td.Interval("A", 100, 200), fasta), one)
    assert model.embed("chrA:101-200", fasta, window_bp=50).shape == (2, 16)
    assert model.embed([], fasta).shape == (0, 16)


def test_context_region_is_the_sequence_by_itself(model, fasta, sequences):
    found = model.embed("chrA:101-200", fasta, context="region")
    np.testing.assert_allclose(found, model.embed(sequences["chrA"][100:200]), atol=1e-5)
    assert not np.allclose(found, model.embed("chrA:101-200", fasta), atol=1e-5)


def test_regions_without_a_vector_are_named(model, fasta, bed, caplog):
    with caplog.at_level(logging.WARNING):
        found = model.embed(bed, fasta)
    assert np.isnan(found).all(1).tolist() == [False, False, True, True, False, True, True]
    assert "4 of 7 inputs have no vector: 1 reference_n, 1 contig_unknown, 1 beyond_contig, 1 malformed" in caplog.text


def test_what_became_of_regions_is_returned_where_it_is_asked_for(model, fasta, bed):
    vectors, outcomes = model.embed(bed, fasta, return_outcomes=True)
    assert outcomes.tolist() == [
        "embedded", "embedded", "reference_n", "contig_unknown", "clipped", "beyond_contig", "malformed"
    ]  # fmt: skip
    assert np.isfinite(vectors).all(1).tolist() == np.isin(outcomes, ["embedded", "clipped"]).tolist()
    vector, outcome = model.embed("chrA:101-200", fasta, return_outcomes=True)
    assert (vector.shape, outcome) == ((16,), "embedded")


def test_effects_are_those_of_the_command_line(model, model_folder, fasta, command, tmp_path):
    output = tmp_path / "effects.h5"
    command("mutagenesis", "--model", model_folder, "--fasta", fasta, "--region", "chrB:96-105", "--output", output)
    found = model.mutagenesis("chrB:96-105", fasta)
    with h5py.File(output) as file:
        group = file["chrB:96-105"]
        for column, name in {
            "llr": "effects",
            "llr_forward": "effects_forward",
            "llr_reverse": "effects_reverse",
        }.items():
            expected = group[name][()]
            values = [
                expected[position - 96, "ACGT".index(alt)]
                for position, alt in zip(found.position, found.alt, strict=True)
            ]
            np.testing.assert_array_equal(found[column].to_numpy(np.float32), values)
    assert found.outcome.value_counts().to_dict() == {"reference_n": 20, "scored": 15}


def test_effects_are_scores_of_variants(model, fasta):
    effects = model.mutagenesis([("chrA", 99, 101)], fasta)
    scores = model.score_variants(effects[["contig", "position", "ref", "alt"]], fasta)
    np.testing.assert_allclose(effects.llr, scores.llr, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ("chrQ:1-5", "ContigUnknown", "chrQ"),
        ([td.Interval("chrQ", 0, 5)], "ContigUnknown", "no contig of toy.fa has the name or alias 'chrQ'"),
        ([("chrA", 700, 800)], "FormatError", "chrA:701-800 is beyond_contig"),
        ([("chrA", 9, 5)], "FormatError", "row 0 is malformed"),
    ],
)
def test_effects_need_regions_that_are_there(model, fasta, given, kind, message):
    with pytest.raises(getattr(td.errors, kind), match=message):
        model.mutagenesis(given, fasta)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("chrA:9-5", "ends at 5"),
        ("chrQ:1-9", "no contig"),
        (5, "5 is no region"),
        ([5], "region 0 is 5"),
        ("no_such.bed", "no_such.bed"),
        (pd.DataFrame({"chrom": ["chrA"], "start": [1]}), "no column end"),
    ],
)
def test_what_is_no_region_is_one_clear_line(model, fasta, given, message):
    for call in (model.embed, model.score_regions, model.mutagenesis):
        with pytest.raises(td.TitansDNAError, match=message) as caught:
            call(given, fasta)
        assert "\n" not in str(caught.value)


def test_rows_of_a_frame_that_cannot_be_read_are_data(model, fasta):
    frame = pd.DataFrame({"contig": ["chrA", None, "chrA"], "start": [0, 1, 5], "end": [50, 9, 2.5]})
    found = model.score_regions(frame, fasta)
    assert found.outcome.tolist() == ["scored", "malformed", "malformed"]
    assert found.name.str.contains("row 1 is malformed")[1]


def test_a_window_of_nothing(model, fasta):
    with pytest.raises(td.errors.ConfigError, match="window_bp is 0; choose 1 or more"):
        model.embed(None, fasta, window_bp=0)


def test_regions_of_a_file(bed, tmp_path, regions):
    path = tmp_path / "good.bed"
    path.write_text("\n".join(bed.read_text().splitlines()[:-1]) + "\n")
    assert td.read_intervals(path) == regions


def test_generated_sequences_are_those_of_the_command(model, model_folder, fasta, command, tmp_path):
    found = model.generate(["chrA:1-200", "B:11-90"], fasta, bases=25, number=2, seed=3)
    assert found.columns[-1] == "sequence"
    assert found.kind.tolist() == ["prompt", "generated", "generated"] * 2
    command(
        "generate", "--model", model_folder, "--fasta", fasta, "--region", "chrA:1-200", "--region", "chrB:11-90",
        "--bases", 25, "--number", 2, "--seed", 3, "--output", tmp_path / "x.fa", "--device", "cpu",
    )  # fmt: skip
    lines = [line for line in (tmp_path / "x.fa").read_text().splitlines() if line[0] != ">"]
    assert found[found.kind == "generated"].sequence.tolist() == lines
    alone = model.generate("", bases=10)
    assert alone.bases.tolist() == [0, 10]
    with pytest.raises(ConfigError, match="top_k is 7"):
        model.generate("", top_k=7)
    with pytest.raises(ConfigError, match="strand is"):
        model.generate("chrA:1-200", fasta, strand="-")
    with pytest.raises(ConfigError, match="there is no prompt"):
        model.generate([])
