"""What every verb writes, in every format, is read by open_scores, info, report, statistics and merge."""

from __future__ import annotations

import csv
import gzip
import json
import math
import shutil
import subprocess

import numpy as np
import pytest

from titans_dna.errors import ConfigError, FormatError
from titans_dna.io.formats import endings_of, sniff
from titans_dna.io.scores import open_scores

pytest.importorskip("anndata", reason="the extra [convert] is not installed")
pytest.importorskip("pyarrow", reason="the extra [convert] is not installed")

TABLES = (".tsv", ".tsv.gz", ".parquet", ".h5", ".hdf5", ".h5ad")
VARIANTS = (".vcf.gz", ".vcf", ".vcf.bgz", *TABLES)
TRACKS = (".bw", ".tsv", ".tsv.gz", ".parquet", ".h5", ".hdf5")


@pytest.fixture(scope="module")
def make(run, model, genome, variants, bed, tmp_path_factory):
    """Run a verb once and return what it wrote; ``{}`` in the arguments stands for it."""
    made: dict[tuple[str, ...], object] = {}
    inputs = {"score-variants": ("--vcf", variants), "score-regions": ("--bed", bed), "embed": ("--bed", bed)}

    def call(verb: str, name: str, *more: str):
        key = (verb, name, *more)
        if key not in made:
            path = tmp_path_factory.mktemp("made") / name
            asked = inputs.get(verb, ())
            output = () if "{}" in more else ("-o", path)
            if "{}" in more:
                more = (*(str(path) if word == "{}" else word for word in more), "-o", str(path.with_name("r.tsv")))
            said = run(verb, "--model", model, "--fasta", genome, *asked, *more, *output)
            assert said.exit_code == 0, said.output
            made[key] = path
        return made[key]

    return call


@pytest.fixture
def read(run, tmp_path):
    """Have info, report and statistics read a file, and return what statistics say."""

    def call(path, part: str):
        said = run("info", path)
        assert said.exit_code == 0, said.output
        said = run("report", path, "-o", tmp_path / "page.html")
        assert said.exit_code == 0, said.output
        said = run("statistics", "--sample", "s", f"--{part}", path, "-o", tmp_path / "s.json")
        assert said.exit_code == 0, said.output
        return json.loads((tmp_path / "s.json").read_text())

    return call


def known(values) -> list[float]:
    return [value for value in values if math.isfinite(value)]


@pytest.mark.parametrize("ending", VARIANTS)
def test_scored_variants(make, read, run, tmp_path, ending):
    assert endings_of(verb="score-variants") == VARIANTS
    path = make("score-variants", f"v{ending}")
    scores, wanted = open_scores(path), open_scores(make("score-variants", "v.tsv"))
    assert scores.columns == wanted.columns
    assert scores.metadata["model"] == wanted.metadata["model"]
    assert scores.metadata["command"].startswith("titans-dna")
    rows = [row for row in scores if row["outcome"] != "malformed"]
    others = [row for row in wanted if row["outcome"] != "malformed"]
    for row, other in zip(rows, others, strict=True):
        for key in ("contig", "position", "id", "ref", "alt", "outcome"):
            assert row[key] == other[key], key
        assert row["llr"] == pytest.approx(other["llr"], abs=1e-4, nan_ok=True)
    frame = scores.to_pandas()
    assert len(frame) == len(list(scores))
    assert frame["llr"].notna().sum() == len(known(row["llr"] for row in rows)) == 6
    assert frame.attrs["version"] == scores.metadata["version"]
    found = read(path, "variants")["variants"]
    assert (found["alleles"], found["records"], found["outcomes"]["malformed"]) == (15, 11, 1)
    assert found["llr"]["0.5"] == pytest.approx(float(np.median(known(row["llr"] for row in others))), abs=1e-4)
    parts = [make("score-variants", f"v{n}{ending}", "--shard", f"{n}/2") for n in (1, 2)]
    merged = run("merge", *parts, "-o", tmp_path / f"all{ending}")
    assert merged.exit_code == 0, merged.output
    assert [row["id"] for row in open_scores(tmp_path / f"all{ending}")] == [row["id"] for row in scores]


@pytest.mark.parametrize("ending", TABLES)
def test_scored_regions(make, read, run, tmp_path, ending):
    assert endings_of(verb="score-regions") == TABLES
    path = make("score-regions", f"r{ending}")
    scores = open_scores(path)
    assert {"version", "model", "reference", "options", "command"} <= scores.metadata.keys()
    rows = list(scores)
    assert [row["start"] for row in rows] == [100, 0, 100, 5, 390]
    found = read(path, "regions")["regions"]
    assert found["regions"] == 5
    parts = [make("score-regions", f"r{n}{ending}", "--shard", f"{n}/2") for n in (1, 2)]
    merged = run("merge", *parts, "-o", tmp_path / f"all{ending}")
    assert merged.exit_code == 0, merged.output
    assert [*map(repr, open_scores(tmp_path / f"all{ending}"))] == [*map(repr, rows)]
    if ending in (".tsv", ".tsv.gz"):  # the command is that of this test in both
        assert path.read_bytes() == (tmp_path / f"all{ending}").read_bytes()


@pytest.mark.parametrize("ending", TRACKS)
@pytest.mark.parametrize("verb", ["score-regions --tracks", "mutagenesis --all-snvs"])
def test_tracks(make, read, run, tmp_path, verb, ending):
    kind = "surprise" if verb.startswith("score") else "C"
    end = f".{kind}{ending}" if ending == ".bw" else ending

    def one(name: str, *more: str):
        word, option = verb.split()
        path = make(word, f"{name}{ending}", option, *(["{}"] if word == "score-regions" else []), *more)
        return path.with_name(f"{name}{end}")

    path, wanted = one("t"), None
    assert set(endings_of(verb=verb)) == set(TRACKS)
    scores = open_scores(path)
    assert {"version", "model", "options", "command"} <= scores.metadata.keys()
    rows = list(scores)
    assert kind in rows[0]
    parts = [one(f"p{n}", "--shard", f"{n}/2") for n in (1, 2)]
    merged = run("merge", *parts, "-o", tmp_path / f"all{end}")
    assert merged.exit_code == 0, merged.output
    wanted = open_scores(tmp_path / f"all{end}")
    assert [*map(repr, wanted)] == [*map(repr, rows)]
    assert {**wanted.metadata, "command": ""} == {**scores.metadata, "command": ""}
    found = read(path, "track")["tracks"][kind]
    assert found["contig"] == "chrA"
    assert found["covered_bp"] == len(known(row[kind] for row in rows))


def test_single_base_changes(make, read, run):
    for ending in endings_of(verb="mutagenesis"):
        path = make("mutagenesis", f"m{ending}", "--region", "chrA:101-110")
        scores = open_scores(path)
        rows = list(scores)
        assert len(rows) == 30
        assert {row["position"] for row in rows} == set(range(101, 111))
        assert all(row["ref"] != row["alt"] and math.isfinite(row["llr"]) for row in rows)
        assert "kind=mutagenesis" in scores.metadata["options"]
        assert read(path, "variants")["variants"]["outcomes"] == {"scored": 30}
        said = run("merge", path, "-o", path.with_name("x.h5"))
        assert said.exit_code == 1
        assert "holds single-base changes of regions" in said.stderr


@pytest.mark.parametrize("ending", [".h5", ".hdf5", ".h5ad", ".parquet", ".npy"])
def test_embeddings(make, read, run, tmp_path, ending):
    path = make("embed", "e.h5") if ending not in (".h5", ".hdf5") else make("embed", f"e{ending}")
    if ending not in (".h5", ".hdf5"):
        path = shutil.copy(path, tmp_path / "e.h5")
        said = run("convert", path, tmp_path / f"e{ending}")
        assert said.exit_code == 0, said.output
        path = tmp_path / f"e{ending}"
    told = run("info", path)
    assert "regions            5" in told.stdout
    assert "weights_sha256" in told.stdout
    with pytest.raises(FormatError, match="holds embeddings of regions, no scores"):
        open_scores(path)
    if ending == ".npy":
        said = run("report", path, "-o", tmp_path / "x.html")
        assert "without their regions" in said.stderr
    else:
        assert read(path, "embeddings")["embeddings"]["regions"] == 5


def test_figures_and_tokens(make, read, run, genome, tmp_path):
    path = make("evaluate", "e.json", "--contig", "2")
    scores = open_scores(path)
    assert scores.metadata["command"].startswith("titans-dna")
    assert {row["figure"]: row["value"] for row in scores}["bits_per_base"] > 1
    read(make("score-regions", "r.tsv"), "regions")
    for name, part in ((path, "evaluation"), (tmp_path / "s.json", "samples")):
        assert run("info", name).exit_code == 0
        assert run("report", name, "-o", tmp_path / "f.html").exit_code == 0, part
    assert open_scores(tmp_path / "s.json").metadata["sample"] == "s"
    said = run("tokenize", "--fasta", genome, "--region", "chrA:1-9", "-o", tmp_path / "t.tsv")
    assert said.exit_code == 0, said.output
    assert sniff(tmp_path / "t.tsv").holds == "tokens"
    assert [row["start"] for row in open_scores(tmp_path / "t.tsv")] == list(range(9))
    assert "tokenizer" in run("info", tmp_path / "t.tsv").stdout
    said = run("report", tmp_path / "t.tsv", "-o", tmp_path / "x.html")
    assert "holds tokens of sequence, which a report does not show" in said.stderr
    assert not (tmp_path / "x.html").exists()


def test_other_programs_read_a_tsv_as_it_is(make):
    import pandas as pd

    path = make("score-variants", "v.tsv.gz")
    with gzip.open(path, "rt") as stream:
        lines = stream.read().splitlines()
    names = next(line for line in lines if not line.startswith("##")).split("\t")
    assert names[:2] == ["contig", "position"]
    assert [*pd.read_csv(path, sep="\t", comment="#").columns] == names
    rows = list(csv.DictReader((line for line in lines if line[0] != "#"), delimiter="\t"))
    assert len(rows) == len(list(open_scores(path)))
    if shutil.which("Rscript"):
        code = f'cat(colnames(read.table("{path}", header=TRUE, sep="\\t")))'
        assert subprocess.run(["Rscript", "-e", code], capture_output=True, text=True).stdout.split() == names


def test_pandas_that_is_not_there_is_named(make, monkeypatch):
    scores = open_scores(make("score-variants", "v.tsv"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'titans-dna\[pandas\]'"):
        scores.to_pandas()


REFUSED = [
    ("score-variants --variant chrA:5:A:C -o {}", "x.bcf", "writes no .bcf. Choose .vcf.gz"),
    ("score-variants --variant chrA:5:A:C -o {}", "x.csv", "no ending that score-variants writes"),
    ("score-regions -o {}", "x.vcf", "score-regions writes no .vcf. Choose .tsv"),
    ("score-regions -o {} --track {}.bedgraph", "x.tsv", "no ending that score-regions --track writes. Choose .bw."),
    ("score-regions -o {} --tracks {}.wig", "x.tsv", "no ending that score-regions --tracks writes. Choose .bw"),
    ("mutagenesis --region chrA:1-9 -o {}", "x.tsv", "mutagenesis writes no .tsv. Choose .h5 or .hdf5"),
    ("mutagenesis --region chrA:1-9 -o {} --picture {}.gif", "x.h5", "Choose .png, .svg or .pdf"),
    ("mutagenesis --all-snvs -o {}", "x.vcf.gz", "mutagenesis --all-snvs writes no .vcf.gz. Choose .tsv.gz"),
    ("embed -o {}", "x.npy", "Choose .h5 or .hdf5, and make .npy of it with `titans-dna convert`"),
    ("embed -o {}", "x.h5ad", "Choose .h5 or .hdf5, and make .h5ad of it with `titans-dna convert`"),
    ("evaluate -o {}", "x.tsv", "evaluate writes no .tsv. Choose .json."),
    ("tokenize -o {}", "x.parquet", "tokenize writes no .parquet. Choose .tsv or .tsv.gz."),
]


@pytest.mark.parametrize(("words", "name", "said"), REFUSED, ids=lambda value: value.split(" -o")[0])
def test_an_ending_that_a_verb_does_not_write_is_refused(run, model, genome, tmp_path, words, name, said):
    verb, *more = words.format(*[tmp_path / name] * 2).split()
    where = ("--fasta", genome) if verb == "tokenize" else ("--model", model, "--fasta", genome)
    result = run(verb, *where, *more)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("verb", "name", "said"),
    [
        ("merge", "x.txt", "no ending that merge writes"),
        ("merge", "x.vcf", "merge writes no .vcf for a table of scores. Choose .tsv"),
        ("convert", "x.tsv", "convert writes no .tsv. Choose .h5, .hdf5, .h5ad, .parquet or .npy"),
        ("report", "x.json", "report writes no .json. Choose .html or .htm."),
        ("predict", "x.h5", "predict writes no .h5. Choose .tsv or .tsv.gz."),
        ("statistics", "x.html", "statistics writes no .html. Choose .json."),
    ],
)
def test_so_it_is_by_verbs_that_read_results(make, run, model, tmp_path, verb, name, said):
    given = {
        "merge": (make("score-regions", "r1.tsv", "--shard", "1/2"),), "convert": (make("embed", "e.h5"),),
        "report": (make("score-regions", "r.tsv"),), "predict": ("--model", model, "--data", model),
        "statistics": ("--sample", "s", "--regions", make("score-regions", "r.tsv")),
    }[verb]  # fmt: skip
    output = (tmp_path / name,) if verb == "convert" else ("-o", tmp_path / name)
    result = run(verb, *given, *output)
    assert result.exit_code == 1, result.output
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []
