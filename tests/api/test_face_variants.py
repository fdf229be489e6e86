"""Variants in any form score as they do on the command line; bad ones say why, and have no number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import titans_dna as td


def other(base: str) -> str:
    return "ACGT"["ACGT".index(base.upper()) - 1]


@pytest.fixture(scope="session")
def rows(sequences) -> list[tuple[str, int, str, str]]:
    """One of each outcome that single ALTs can have."""
    a, b = sequences["chrA"], sequences["chrB"]
    return [
        ("chrA", 10, a[9], other(a[9])),
        ("chrA", 20, a[19], a[19] + "ACG"),
        ("chrA", 30, a[29:33], a[29]),
        ("A", 40, a[39].lower(), other(a[39])),
        ("chrA", 50, other(a[49]), a[49]),
        ("chrA", 601, "A", "C"),
        ("chrB", 110, "N", "C"),
        ("chrB", 160, b[159], other(b[159])),
        ("chrZ", 5, "A", "C"),
        ("chrA", 60, a[59], "<DEL>"),
        ("chrA", 70, a[69], "*"),
        ("chrA", 80, a[79], "."),
    ]


OUTCOMES = [
    "scored", "scored", "scored", "scored", "ref_mismatch", "beyond_contig", "reference_n", "scored", "contig_unknown",
    "unclear_length", "spanning_deletion", "no_alt",
]  # fmt: skip


@pytest.fixture(scope="session")
def vcf(tmp_path_factory, rows) -> Path:
    path = tmp_path_factory.mktemp("variants") / "toy.vcf"
    lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    lines += [f"{chrom}\t{pos}\tv{n}\t{ref}\t{alt}\t.\t.\t." for n, (chrom, pos, ref, alt) in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def scored(model_folder, fasta, vcf, command, tmp_path_factory) -> pd.DataFrame:
    output = tmp_path_factory.mktemp("scored") / "toy.parquet"
    command("score-variants", "--model", model_folder, "--fasta", fasta, "--vcf", vcf, "--output", output)
    return td.open_scores(output).to_pandas()


def test_a_vcf_scores_as_on_the_command_line(model, fasta, vcf, scored, same):
    found = model.score_variants(vcf, fasta)
    same(found, scored)
    assert found.outcome.tolist() == OUTCOMES
    assert found.outcome.value_counts().sum() == len(OUTCOMES)
    same(model.score_variants(str(vcf), fasta), scored)


FORMS = {
    "strings": lambda rows: [f"{c}:{p}:{r}:{a}" for c, p, r, a in rows],
    "arrows": lambda rows: [f"{c}:{p}{r}>{a}" for c, p, r, a in rows],
    "tuples": lambda rows: rows,
    "lists": lambda rows: [list(row) for row in rows],
    "iterator": iter,
    "Variant": lambda rows: [td.Variant(*row) for row in rows],
    "frame": lambda rows: pd.DataFrame(rows, columns=["contig", "position", "ref", "alt"]),
    "vcf names": lambda rows: pd.DataFrame(rows, columns=["#CHROM", "POS", "REF", "ALT"]),
    "floats": lambda rows: pd.DataFrame(rows, columns=["chrom", "pos", "ref", "alt"]).astype({"pos": float}),
    "columns turned": lambda rows: pd.DataFrame(rows, columns=["chr", "pos", "ref", "alt"]).iloc[:, ::-1],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_scores_the_same(model, fasta, rows, scored, same, form):
    found = model.score_variants(FORMS[form](rows), fasta)
    same(found.drop(columns="id"), scored.drop(columns="id"))


def test_no_number_without_a_score(model, fasta, rows):
    found = model.score_variants(rows, fasta)
    bad = found.outcome != "scored"
    for column in ("llr", "llr_forward", "llr_reverse"):
        assert found.loc[bad, column].isna().all()
        assert found.loc[~bad, column].notna().all()


def test_a_wrong_ref_alone_has_an_outcome_and_no_number(model, fasta, sequences):
    base = sequences["chrA"][99]
    found = model.score_variants(f"chrA:100:{other(base)}:{base}", fasta)
    assert found.outcome.tolist() == ["ref_mismatch"]
    assert np.isnan(found.llr[0])


def test_many_wrong_refs_are_another_genome(model, fasta, sequences):
    wrong = [("chrA", n + 1, other(sequences["chrA"][n]), "A") for n in range(30)]
    with pytest.raises(td.errors.ReferenceMismatch, match="do not fit the sequence"):
        model.score_variants(wrong, fasta)


def test_mismatches_are_treated_as_asked(model, fasta, sequences):
    base = sequences["chrA"][99]
    wrong, right = f"chrA:100:{other(base)}:{base}", f"chrA:100:{base}:{other(base)}"
    swapped = model.score_variants(wrong, fasta, on_mismatch="swap")
    assert swapped.outcome.tolist() == ["swapped"]
    assert swapped.llr[0] == -model.score_variants(right, fasta).llr[0]
    with pytest.raises(td.errors.ReferenceMismatch, match="REF is"):
        model.score_variants(wrong, fasta, on_mismatch="error")
    with pytest.raises(td.errors.ConfigError, match="on_mismatch is 'ignore'"):
        model.score_variants(wrong, fasta, on_mismatch="ignore")


def test_an_unknown_contig_is_data_among_others_and_an_error_alone(model, fasta, rows):
    found = model.score_variants([rows[0], ("chrQ", 1, "A", "C")], fasta)
    assert found.outcome.tolist() == ["scored", "contig_unknown"]
    with pytest.raises(td.errors.ReferenceMismatch, match="none of the 1 records lies on a contig"):
        model.score_variants("chrQ:1:A:C", fasta)


def test_an_indel_has_one_score_however_it_is_written(model, tmp_path):
    path = tmp_path / "repeat.fa"
    path.write_text(">c\nACGTGACCTTTTTTGACGATCGATTTACG\n")
    found = model.score_variants(["c:8:CT:C", "c:10:TT:T", "c:12:TTT:TT"], path)
    assert found.outcome.tolist() == ["scored"] * 3
    assert found.llr.nunique() == 1


def test_a_long_allele_is_no_file_name(model, fasta, sequences):
    base = sequences["chrA"][99]
    found = model.score_variants(f"chrA:100:{base}:{base}{'ACGT' * 100}", fasta)
    assert found.outcome.tolist() == ["scored"]
    assert model.score_variants(f"chrA:100:{base}:{base * 5000}", fasta).outcome.tolist() == ["too_long"]


def test_several_alts_are_rows_of_their_own(model, fasta, sequences):
    base = sequences["chrA"][99]
    one, two, three = (alt for alt in "ACGT" if alt != base)
    apart = model.score_variants([f"chrA:100:{base}:{alt}" for alt in (one, two, three)], fasta)
    together = model.score_variants(f"chrA:100:{base}:{one},{two},{three}", fasta)
    assert together.alt.tolist() == [one, two, three]
    assert together.llr.tolist() == apart.llr.tolist()
    frame = pd.DataFrame({"chrom": ["chrA"], "pos": [100], "ref": [base], "alt": [f"{one}/{two}"]}, index=["here"])
    assert model.score_variants(frame, fasta).index.tolist() == ["here", "here"]


def test_a_frame_keeps_its_index_and_identifiers(model, fasta, rows):
    frame = pd.DataFrame(rows[:3], columns=["chrom", "pos", "ref", "alt"], index=[7, 3, 7])
    frame["rsID"] = ["rs1", None, "rs3"]
    found = model.score_variants(frame, fasta)
    assert found.index.tolist() == [7, 3, 7]
    assert found.id.tolist() == ["rs1", ".", "rs3"]
    named = model.score_variants([td.Variant(*rows[0], id="x")], fasta)
    assert named.id.tolist() == ["x"]


def test_what_cannot_be_read_is_a_row(model, fasta, rows):
    frame = pd.DataFrame(rows[:2], columns=["chrom", "pos", "ref", "alt"]).astype(object)
    frame.loc[2] = ["chrA", None, "A", "C"]
    frame.loc[3] = ["chrA", 5.5, "A", "C"]
    frame.loc[4] = ["chrA", 5, "A", float("nan")]
    assert model.score_variants(frame, fasta).outcome.tolist() == ["scored"] * 2 + ["malformed"] * 3
    found = model.score_variants(["chrA:10", "a,b,c", f"chrA:10:{rows[0][2]}:{rows[0][3]}", ""], fasta)
    assert found.outcome.tolist() == ["malformed", "malformed", "scored", "malformed"]


def test_order_neighbours_and_earlier_calls_change_nothing(model, fasta, rows, same):
    whole = model.score_variants(rows, fasta)
    turned = model.score_variants(rows[::-1], fasta).iloc[::-1]
    pd.testing.assert_series_equal(
        turned.llr.reset_index(drop=True), whole.llr, check_exact=False, atol=1e-5, rtol=1e-5
    )  # fmt: skip
    alone = [model.score_variants([row], fasta).llr[0] for row in rows[:3]]
    np.testing.assert_allclose(alone, whole.llr[:3], atol=1e-5)
    same(model.score_variants(rows, fasta), whole)


def test_nothing_given_is_a_frame_without_rows(model, fasta):
    for nothing in ([], pd.DataFrame({"contig": [], "position": [], "ref": [], "alt": []})):
        found = model.score_variants(nothing, fasta)
        assert len(found) == 0
        assert {"contig", "position", "ref", "alt", "llr", "outcome"} <= set(found.columns)


def test_options_change_the_scores_as_on_the_command_line(model, model_folder, fasta, vcf, command, tmp_path, same):
    output = tmp_path / "o.h5"
    command(
        "score-variants", "--model", model_folder, "--fasta", fasta, "--vcf", vcf, "--output", output, "--horizon", 8,
        "--longest", 3, "--shuffles", 3, "--background", vcf,
    )  # fmt: skip
    found = model.score_variants(vcf, fasta, horizon_bp=8, longest_bp=3, shuffles=3, background=vcf)
    same(found, td.open_scores(output).to_pandas())
    assert {"quantile", "p_value"} <= set(found.columns)
    assert "too_long" in found.outcome.tolist()


def test_an_open_genome_stays_open(model, fasta, rows, same):
    with td.open_fasta(fasta, aliases=[("chrA", "first")]) as genome:
        found = model.score_variants([("first", *rows[0][1:])], genome)
        assert genome.fetch("chrA", 0, 1)
    assert found.llr[0] == model.score_variants(rows[:1], fasta).llr[0]


def test_a_frame_says_what_made_it(model, fasta, rows):
    said = model.score_variants(rows, fasta).attrs
    assert said["model"].startswith("toy sha256=")
    assert "horizon_bp=128" in said["options"]
    assert "command" not in said


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (5, "5 is no variant"),
        ([5], "variant 0 is 5"),
        ([("chrA", 5, "A")], "variant 0 is"),
        ("no_such.vcf", "no_such.vcf: there is no such file"),
        (pd.DataFrame({"pos": [1]}), "no column contig or chrom"),
    ],
)
def test_what_is_no_variant_is_one_clear_line(model, fasta, given, message):
    with pytest.raises(td.TitansDNAError, match=message) as caught:
        model.score_variants(given, fasta)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"horizon_bp": -1}, "horizon_bp"), ({"longest_bp": 0}, "longest_bp is 0; choose 1 or more")],
)
def test_numbers_out_of_range(model, fasta, options, message):
    with pytest.raises(td.errors.ConfigError, match=message):
        model.score_variants("chrA:5:A:C", fasta, **options)


def test_a_genome_that_is_none(model):
    with pytest.raises(td.errors.ConfigError, match="fasta is int; give a path"):
        model.score_variants("chrA:5:A:C", 5)
    with pytest.raises(td.errors.InputMissing, match="no such file"):
        model.score_variants("chrA:5:A:C", "none.fa")


def test_variants_of_a_file(vcf, rows, tmp_path, caplog):
    found = td.read_variants(vcf)
    assert [str(v) for v in found] == [f"{c}:{p}:{r}:{a}" for c, p, r, a in rows if a != "."]
    assert found[0].id == "v0"
    path = tmp_path / "bad.vcf"
    path.write_text(vcf.read_text() + "chrA\tten\tx\tA\tC\t.\t.\t.\n")
    assert td.read_variants(str(path)) == found
    assert "1 lines give no variant; line 15 is malformed: POS is 'ten'" in caplog.text


def test_an_explanation_adds_up_to_the_score(model, fasta, sequences, tmp_path):
    base = sequences["chrA"][299]
    asked = [f"chrA:300:{base}:{'ACGT'['ACGT'.index(base) - 1]}", f"chrA:300:{base}:{base}GG"]
    scores = model.score_variants(asked, fasta)
    found = model.explain(asked, fasta, picture=tmp_path / "why.svg")
    for strand in ("forward", "reverse"):
        rows = found[found.counted.isin(["both", strand])]
        added = rows[f"{strand}_alt"].fillna(0).groupby(rows.variant).sum()
        taken = rows[f"{strand}_ref"].fillna(0).groupby(rows.variant).sum()
        assert (added - taken)[asked].tolist() == pytest.approx(scores[f"llr_{strand}"].tolist(), abs=1e-3)
    assert (tmp_path / "why.svg").is_file()
    with pytest.raises(td.errors.ConfigError, match="give variants, not a file"):
        model.explain("x.vcf", fasta)
    with pytest.raises(td.errors.ConfigError, match="no variant can be explained: no_change 1"):
        model.explain(f"chrA:300:{base}:{base}", fasta)
