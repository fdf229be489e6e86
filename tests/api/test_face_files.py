"""Files of results read back, and classifiers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import titans_dna as td


@pytest.fixture(scope="session")
def embeddings(model_folder, fasta, command, tmp_path_factory):
    output = tmp_path_factory.mktemp("embeddings") / "e.h5"
    command("embed", "--model", model_folder, "--fasta", fasta, "--window-bp", 100, "--output", output)
    return output


def test_embeddings_say_what_they_are(embeddings):
    with td.open_embeddings(embeddings) as found:
        assert len(found) == 9
        assert repr(found) == f"Embeddings({str(embeddings)!r}, 9 regions, one vector each of 16 numbers)"


def test_embeddings_as_a_frame(embeddings):
    with td.open_embeddings(embeddings) as found:
        table = found.to_pandas()
        vectors = found.vectors()
    assert table.columns.tolist() == [
        "contig", "start", "end", "strand", "name", "outcome", *(f"e{n}" for n in range(16))
    ]  # fmt: skip
    np.testing.assert_array_equal(table.filter(regex=r"^e\d+$").to_numpy(), vectors)
    assert table.start.tolist() == [0, 100, 200, 300, 400, 500, 0, 100, 200]
    assert table.attrs["pooling"] == "mean"


def test_embeddings_as_anndata_are_what_convert_writes(embeddings, command, tmp_path):
    anndata = pytest.importorskip("anndata")
    command("convert", embeddings, tmp_path / "e.h5ad")
    expected = anndata.read_h5ad(tmp_path / "e.h5ad")
    with td.open_embeddings(embeddings) as file:
        found = file.to_anndata()
    np.testing.assert_array_equal(found.X, expected.X)
    for name in ("obs", "var"):
        pd.testing.assert_frame_equal(
            getattr(found, name).astype(str), getattr(expected, name).astype(str), check_names=False
        )
    assert found.uns["titans_dna"]["model"] == expected.uns["titans_dna"]["model"]
    found.write_h5ad(tmp_path / "again.h5ad")


@pytest.mark.parametrize("suffix", [".tsv", ".tsv.gz", ".parquet", ".h5", ".h5ad", ".vcf", ".vcf.gz"])
def test_scores_of_variants_in_every_format(model, model_folder, fasta, sequences, command, tmp_path, suffix):
    base = sequences["chrA"][9]
    texts = [f"chrA:10:{base}:{alt}" for alt in "ACGT" if alt != base] + ["chrZ:5:A:C"]
    output = tmp_path / f"s{suffix}"
    asked = [word for text in texts for word in ("--variant", text)]
    command("score-variants", "--model", model_folder, "--fasta", fasta, "--output", output, *asked)
    scores = td.open_scores(output)
    assert len(scores) == 4
    assert repr(scores).startswith(f"Scores({str(output)!r}, 4 rows: contig, position, id, ref, alt, llr,")
    found, expected = scores.to_pandas(), model.score_variants(texts, fasta)
    pd.testing.assert_frame_equal(
        found[expected.columns], expected, check_exact=False, rtol=1e-6, check_dtype=False
    )  # fmt: skip
    assert [row["outcome"] for row in scores] == ["scored"] * 3 + ["contig_unknown"]


def test_scores_of_regions(model, model_folder, fasta, command, tmp_path, same):
    output = tmp_path / "r.tsv"
    command("score-regions", "--model", model_folder, "--fasta", fasta, "--output", output)
    table = td.open_scores(output).to_pandas()
    assert table.start.tolist() == [0, 0]
    np.testing.assert_allclose(table.bits_per_base, model.score_regions(None, fasta).bits_per_base, rtol=1e-6)


def test_files_without_scores_are_refused(fasta, tmp_path):
    vcf, table = tmp_path / "x.vcf", tmp_path / "x.tsv"
    vcf.write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
    table.write_text("a\tb\n1\t2\n")
    for path, message in [(vcf, "Score it with"), (table, "holds no scores"), (fasta, "holds sequence, no scores")]:
        with pytest.raises(td.errors.FormatError, match=message):
            td.open_scores(path)
    with pytest.raises(td.errors.InputMissing):
        td.open_scores(tmp_path / "none.tsv")


@pytest.fixture(scope="session")
def labelled() -> pd.DataFrame:
    """AT-rich and GC-rich sequences."""
    random = np.random.default_rng(1)
    rows = []
    for number in range(48):
        weights = [0.4, 0.1, 0.1, 0.4] if number % 2 else [0.1, 0.4, 0.4, 0.1]
        rows.append(("".join(random.choice(list("ACGT"), 40, p=weights)), "at" if number % 2 else "gc"))
    return pd.DataFrame(rows, columns=["sequence", "label"])


@pytest.fixture(scope="session")
def classifier(model, labelled, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier") / "gc"
    return folder, model.finetune(labelled, folder=folder, mode="frozen", epochs=30, learning_rate=0.05, batch=16)


def test_a_classifier_learns_and_says_how_well(classifier, labelled):
    _, found = classifier
    assert found.classes == ("at", "gc")
    assert found.result["model"]["auroc"] > 0.8
    assert found.result["rows"] == {"used": 48}
    assert repr(found).startswith("Classifier(at, gc; AUROC ")
    table = found.predict([*labelled.sequence[:4], "", "NNNN"])
    assert table.columns.tolist() == ["outcome", "predicted", "p_at", "p_gc"]
    assert table.outcome.tolist() == ["used"] * 4 + ["empty", "reference_n"]
    np.testing.assert_allclose(table.p_at[:4] + table.p_gc[:4], 1)
    assert table.loc[4, ["p_at", "p_gc"]].isna().all()
    assert len(found.predict([])) == 0


def test_a_classifier_on_disk_is_the_command_lines_too(classifier, labelled, command, tmp_path):
    folder, found = classifier
    again = td.load_classifier(folder, device="cpu")
    expected = found.predict(labelled)
    pd.testing.assert_frame_equal(again.predict(labelled), expected)
    labelled.to_csv(tmp_path / "x.csv", index=False)
    command("predict", "--model", folder, "--data", tmp_path / "x.csv", "--output", tmp_path / "p.tsv")
    table = pd.read_csv(tmp_path / "p.tsv", sep="\t", comment="#")
    assert table.predicted.tolist() == expected.predicted.tolist()
    np.testing.assert_allclose(table.p_at, expected.p_at, atol=1e-6)


def test_finetuning_equals_that_of_the_command_line(model, model_folder, labelled, command, tmp_path):
    labelled.to_csv(tmp_path / "x.csv", index=False)
    command(
        "finetune", "--model", model_folder, "--data", tmp_path / "x.csv", "--output", tmp_path / "c", "--epochs", 2,
        "--device", "cpu",
    )  # fmt: skip
    before = model.log_likelihood("ACGTACGT")
    found = model.finetune(list(labelled.sequence), labelled.label, epochs=2)
    assert found.result["model"] == td.load_classifier(tmp_path / "c", "cpu").result["model"]
    np.testing.assert_array_equal(model.log_likelihood("ACGTACGT"), before)


def test_regions_are_learned_by_their_names(model, fasta):
    regions = [td.Interval("chrA", 20 * n, 20 * n + 20, "+", "ab"[n % 2]) for n in range(20)]
    found = model.finetune([*regions, td.Interval("chrQ", 0, 9, "+", "a")], fasta=fasta, epochs=1)
    assert found.result["rows"] == {"used": 20, "contig_unknown": 1}
    table = found.predict(["chrA:1-20", "chrB:1-20"], fasta)
    assert table.outcome.tolist() == ["used", "used"]


def test_a_split_is_kept(model, labelled):
    split = ["test" if number < 8 else "train" for number in range(48)]
    found = model.finetune(labelled.sequence, labelled.label, split=split, epochs=1)
    assert (found.result["training_examples"], found.result["tested_examples"]) == (40, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ["a"] * 48}, "the usable rows have 1 labels; give at least two"),
        ({"labels": ["a", "b"]}, "there are 2 labels for 48 sequences; give one for each"),
        ({"test_share": 1.5}, "test_share is 1.5"),
        ({"epoch": 5}, "finetune has no setting 'epoch'"),
        ({"mode": "half"}, "mode is 'half'"),
        ({"split": ["dev"] * 48}, "split 0 is 'dev'"),
    ],
)
def test_settings_that_cannot_be(model, labelled, options, message):
    with pytest.raises(td.errors.ConfigError, match=message):
        model.finetune(labelled.sequence, **{"labels": labelled.label, **options})
