"""What ``info`` says of every kind of file that a verb writes, and of the files beside them."""

from __future__ import annotations

import re

import pytest

from titans_dna.io.scores import open_scores

COPIES = """##version=0
#chrom1	start1	end1	chrom2	start2	end2	name	score	strand1	strand2	identity	genome2
c1	100	200	c1	0	100	copy1	980	+	-	0.98	NA
"""


@pytest.fixture
def told(run):
    """The rows that ``info`` prints, by what stands before them."""

    def call(path) -> dict[str, str]:
        said = run("info", path)
        assert said.exit_code == 0, said.output
        return {key.strip(): value for key, _, value in (line.partition("  ") for line in said.stdout.splitlines())}

    return call


def test_outcomes_and_classes_are_counted(told, tmp_path):
    (tmp_path / "c.tsv").write_text(
        "##version=0\nname\tlabel\toutcome\tpredicted\tp_a\n"
        "x\tNA\tused\ta\t0.9\ny\tNA\tused\ta\t0.8\nz\tNA\tno bases\tNA\tNA\n"
    )
    found = {key: value.strip() for key, value in told(tmp_path / "c.tsv").items()}
    assert found["rows"] == "3"
    assert found["outcome"] == "used 2, no bases 1"
    assert found["predicted"] == "a 2, NA 1"


def test_a_shard_says_its_own_rows_and_those_of_the_job(told, run, model, genome, bed, tmp_path):
    said = run("score-regions", "--model", model, "--fasta", genome, "--bed", bed, "--shard", "1/2",
               "-o", tmp_path / "r.tsv")  # fmt: skip
    assert said.exit_code == 0, said.output
    found = {key: value.strip() for key, value in told(tmp_path / "r.tsv").items()}
    rows = sum(1 for _ in open_scores(tmp_path / "r.tsv"))
    assert found["rows"] == str(rows)
    assert found["rows of the job"].startswith("5:")
    assert "scored" in found["outcome"]


def test_figures_are_printed(told, tmp_path):
    (tmp_path / "e.json").write_text('{"bases": 12, "bits_per_base": 1.5, "baselines": [{"name": "order-2"}]}')
    found = {key: value.strip() for key, value in told(tmp_path / "e.json").items()}
    assert found == {"bases": "12", "bits_per_base": "1.5", "baselines.1.name": "order-2"}


def test_tokenizers_pages_pictures_and_what_lies_beside(told, run, model, genome, tmp_path):
    words = run("train-tokenizer", "--fasta", genome, "--vocabulary-size", 40, "-o", tmp_path / "w.json")
    assert words.exit_code == 0, words.output
    assert told(tmp_path / "w.json")["tokenizer"].strip() == "bpe"
    assert told(model / "tokenizer.json")["tokens"].strip() == "7"
    said = run("mutagenesis", "--model", model, "--fasta", genome, "--region", "chrA:1-4", "-o", tmp_path / "m.h5",
               "--picture", tmp_path / "m.svg")  # fmt: skip
    assert said.exit_code == 0, said.output
    assert told(tmp_path / "m.svg")["holds"].strip() == "a picture"
    (tmp_path / "x.html").write_text("<!DOCTYPE html>")
    assert told(tmp_path / "x.html")["holds"].strip() == "a page to be looked at"
    (tmp_path / "x.bw.json").write_text('{"version": "0.1"}')
    assert told(tmp_path / "x.bw.json") == {"version": "          0.1"}


def test_copies_have_numbers_whatever_the_file_is_called(told, tmp_path):
    for name in ("copies.bedpe", "copies.txt"):
        (tmp_path / name).write_text(COPIES)
        assert told(tmp_path / name)["rows"].strip() == "1"
        (row,) = open_scores(tmp_path / name)
        assert (row["chrom1"], row["start1"], row["end2"], row["identity"]) == ("c1", 100, 100, 0.98)


def test_a_sequence_beside_a_model_is_read(told, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "x.fa").write_text(">c\nACGT\n")
    assert "c\t4\tf1f8f4bf413b16ad135722aa4591043e" in told(tmp_path / "x.fa")


@pytest.mark.parametrize(
    ("name", "said"),
    [("x.vcf.gz.tbi", "is an index.*Give the file x.vcf.gz"), ("log.csv", "is no sequence but a part of a model")],
)
def test_what_belongs_to_another_file_names_it(run, model, tmp_path, name, said):
    path = model / name if name == "log.csv" else tmp_path / name
    if not path.exists():
        path.write_bytes(b"TBI\1")
    result = run("info", path)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert re.search(said, result.stderr)
