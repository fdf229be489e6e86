"""Heads at base resolution: targets are read as written, learned where there is something to learn, told as tracks."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyBigWig
import pytest
import torch
from click.testing import CliRunner
from toy import CONFIG, RECALL, cache  # noqa: F401 - the cache is a fixture

from titans_dna.cli import main
from titans_dna.errors import ConfigError, FormatError
from titans_dna.genome.interval import Interval
from titans_dna.inference.base_features import BothStrands, mirrored
from titans_dna.inference.model import SequenceModel
from titans_dna.io.scores import open_scores
from titans_dna.io.sequence.fasta import open_fasta
from titans_dna.model.backbone import Backbone
from titans_dna.model.checkpoint import save_checkpoint
from titans_dna.tokenizers import NucleotideTokenizer
from titans_dna.training.base_heads import BaseHeadConfig, load_base_head, train_base_head
from titans_dna.training.base_targets import read_targets

LENGTHS = {"c1": 3000, "c2": 2000, "c3": 700}
SMALL = BaseHeadConfig(window_bp=256, bases=4000, test_bases=2000, epochs=30, learning_rate=1e-2)
GTF = """c1\ts\texon\t11\t40\t.\t+\t.\tgene_id "g"; transcript_id "t";
c1\ts\tCDS\t21\t40\t.\t+\t0\tgene_id "g"; transcript_id "t";
c1\ts\texon\t61\t90\t.\t+\t.\tgene_id "g"; transcript_id "t";
c2\ts\texon\t11\t20\t.\t-\t.\tgene_id "h"; transcript_id "u";
c2\ts\texon\t31\t40\t.\t-\t.\tgene_id "h"; transcript_id "u";
cZ\ts\texon\t31\t40\t.\t-\t.\tgene_id "z"; transcript_id "z";
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model, and contigs in which TATAAT is a class."""
    folder = tmp_path_factory.mktemp("heads")
    with torch.random.fork_rng():
        torch.manual_seed(11)
        backbone = Backbone(replace(CONFIG, recall=RECALL)).eval().requires_grad_(False)
    save_checkpoint(folder / "model", backbone, NucleotideTokenizer().to_json())
    random = np.random.default_rng(3)
    lines, bed = [], []
    for name, size in LENGTHS.items():
        letters = random.choice(list("ACGT"), size)
        for at in range(40, size - 40, 60):
            letters[at : at + 6] = list("TATAAT")
            bed.append(f"{name}\t{at}\t{at + 6}\tbox\n")
        lines.append(f">{name}\n{''.join(letters)}\n")
    (folder / "x.fa").write_text("".join(lines))
    (folder / "x.bed").write_text("".join(bed))
    (folder / "x.gtf").write_text(GTF)
    with pyBigWig.open(str(folder / "gc.bw"), "w") as track:
        track.addHeader([("chrc1", 3000), ("c2", 2000)])
        text = {line.split("\n")[0][1:]: line.split("\n")[1] for line in lines}
        for name, contig in (("chrc1", "c1"), ("c2", "c2")):
            gc = np.convolve([base in "GC" for base in text[contig]], np.ones(9), "same")
            track.addEntries(name, 0, values=gc.astype(float).tolist(), span=1, step=1)
    return folder


@pytest.fixture(scope="module")
def model(folder) -> SequenceModel:
    from titans_dna.inference.model import load_model

    return load_model(folder / "model", "cpu")


@pytest.fixture(scope="module")
def genome(folder):
    with open_fasta(folder / "x.fa") as genome:
        yield genome


def call(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output


def test_types_of_an_annotation_are_classes(folder, genome):
    found = read_targets([folder / "x.gtf"], genome.contigs, ["exon", "CDS", "splice_donor", "splice_acceptor"])
    values = found.values("c1", 0, 100)
    spans = [np.flatnonzero(values[:, number]).tolist() for number in range(4)]
    assert spans[0] == [*range(10, 40), *range(60, 90)]
    assert spans[1] == list(range(20, 40))
    assert spans[2:] == [[40, 41], [58, 59]]  # GT and AG of the intron
    turned = found.values("c2", 5, 35)  # on the other strand the donor is the last two bases
    assert np.flatnonzero(turned[:, 2]).tolist() == [23, 24]
    assert np.flatnonzero(turned[:, 3]).tolist() == [15, 16]


def test_names_of_bed_are_classes_or_one(folder, genome, tmp_path):
    path = tmp_path / "x.bed"
    path.write_text("c1\t5\t9\tb\nc1\t7\t12\ta\nc9\t1\t2\tc\nc3\t690\t900\tb\n")
    found = read_targets([path], genome.contigs)
    assert found.names == ("a", "b")
    assert found.values("c1", 0, 12).T.tolist() == [[0] * 7 + [1] * 5, [0] * 5 + [1] * 4 + [0] * 3]
    assert found.values("c3", 680, 700)[:, 1].sum() == 10
    assert read_targets([path], genome.contigs, one_class=True).values("c1", 0, 20).sum() == 7
    path.write_text("".join(f"c1\t{n}\t{n + 1}\tn{n}\n" for n in range(40)))
    with pytest.raises(ConfigError, match="more than 32 names; take all as one with --one-class"):
        read_targets([path], genome.contigs)


def test_values_of_a_bigwig_are_those_of_its_contig_by_any_name(folder, genome):
    found = read_targets([folder / "gc.bw"], genome.contigs)
    assert (found.names, found.regression) == (("gc",), True)
    assert np.isfinite(found.values("c1", 0, 3000)).all()
    assert np.isnan(found.values("c3", 0, 10)).all()


def test_features_of_a_stretch_do_not_depend_on_what_else_is_read(model, genome):
    sequence = genome.sequence("c1")
    both = BothStrands(model, sequence, ("final", "1"), 256)
    whole = both.read(0, 3000)
    assert whole.shape == (3000, 4 * 16)
    assert np.array_equal(both.read(700, 1300), whole[700:1300])
    assert np.array_equal(mirrored(mirrored(whole)), whole)


def test_the_other_strand_has_the_mirrored_features(model, genome):
    from titans_dna.genome.alphabet import reverse_complement

    sequence = genome.sequence("c1")[:2048]  # whole blocks, so both strands begin theirs at the same places
    forward, turned = (BothStrands(model, s, ("final",), 256) for s in (sequence, reverse_complement(sequence)))
    np.testing.assert_array_equal(turned.read(0, 2048), mirrored(forward.read(0, 2048)))


def test_a_head_learns_what_there_is_and_is_told_as_tracks(folder, model, genome, tmp_path):
    targets = read_targets([folder / "x.bed"], genome.contigs)
    result = train_base_head(model, genome, targets, [Interval("c2", 0, 2000)], tmp_path / "head", SMALL)
    assert result["bases_alone"]["box"]["auprc"] > 0.5  # six bases of DNA, which convolutions see
    assert result["model"]["box"]["auprc"] > 0.3 > 2 * result["model"]["box"]["share"]
    assert result["bases_tested"] == 2000
    again = train_base_head(model, genome, targets, [Interval("c2", 0, 2000)], tmp_path / "again", SMALL)
    same = ("model", "bases_alone")
    assert [again[key] for key in same] == [result[key] for key in same]
    for name, workers in (("one", 1), ("two", 2)):
        call(
            "predict", "--model", tmp_path / "head", "--fasta", folder / "x.fa", "--workers", workers,
            "--bed-output", tmp_path / f"{name}.bed", "--threshold", 0.2, "--output", tmp_path / f"{name}.tsv",
        )  # fmt: skip
    lines = [[line for line in (tmp_path / f"{name}.tsv").read_text().splitlines() if "##" not in line]
             for name in ("one", "two")]  # fmt: skip
    assert lines[0] == lines[1]
    assert (tmp_path / "one.bed").read_text() == (tmp_path / "two.bed").read_text()
    rows = list(open_scores(tmp_path / "one.tsv"))
    assert len(rows) == sum(LENGTHS.values())
    trained = load_base_head(tmp_path / "head", "cpu")
    block = trained.predict(BothStrands(model, genome.sequence("c3"), ("final",), 256), 256, 512)
    told = [row["box"] for row in rows if row["contig"] == "c3"][256:512]
    assert told == pytest.approx(block[:, 0].tolist(), abs=1e-6)
    likely = np.array([row["box"] >= 0.2 for row in rows])
    bed = [line.split("\t") for line in (tmp_path / "one.bed").read_text().splitlines()]
    assert sum(int(end) - int(start) for _, start, end, *_ in bed) == likely.sum()
    assert {row[3] for row in bed} == {"box"}


def test_a_regression_follows_a_track(folder, model, genome, tmp_path):
    targets = read_targets([folder / "gc.bw"], genome.contigs)
    result = train_base_head(model, genome, targets, [Interval("c2", 0, 2000)], tmp_path / "head", SMALL)
    assert result["bases_alone"]["gc"]["correlation"] > 0.9
    assert result["model"]["gc"]["correlation"] > 0.3
    told = call(
        "predict", "--model", tmp_path / "head", "--fasta", folder / "x.fa", "--bed-output", tmp_path / "x.bed",
        "--output", tmp_path / "x.bw", code=1,
    )  # fmt: skip
    assert "a regression has values and no classes" in told
    call(
        "predict",
        "--model",
        tmp_path / "head",
        "--fasta",
        folder / "x.fa",
        "--contig",
        "c3",
        "--output",
        tmp_path / "x.bw",
    )
    with pyBigWig.open(str(tmp_path / "x.gc.bw")) as track:
        assert track.chroms() == {"c3": 700}
        assert len(track.values("c3", 0, 700)) == 700


def test_regions_can_be_held_out(folder, tmp_path):
    told = call(
        "finetune", "--model", folder / "model", "--device", "cpu", "--targets", folder / "x.gtf", "--feature", "exon",
        "--fasta", folder / "x.fa", "--holdout", "c1:1-512", "--window-bp", 256, "--bases", 1000, "--epochs", 1,
        "--output", tmp_path / "head",
    )  # fmt: skip
    assert "512 bases tested, 1,024 learned" in told
    said = json.loads((tmp_path / "head" / "base_head.json").read_text())
    assert said["holdout"] == ["c1:1-512"]
    assert said["names"] == ["exon"]


BAD = {
    "neither": ((), "give labelled sequences by --data, or what to tell of every base by --targets"),
    "both": (("--data", "x.csv", "--targets", "{gtf}"), "give labelled sequences by --data"),
    "no genome": (("--targets", "{gtf}"), "give it by --fasta"),
    "nothing aside": (("--targets", "{gtf}", "--fasta", "{fa}"), "name contigs or regions to test on with --holdout"),
    "a type that is not there": (
        ("--targets", "{gtf}", "--fasta", "{fa}", "--holdout", "c2", "--feature", "tRNA"), "no line of type tRNA"),
    "an option of the other": (
        ("--targets", "{gtf}", "--fasta", "{fa}", "--holdout", "c2", "--batch", 4),
        "--batch changes nothing with --targets"),
    "no bigWig": (("--targets", "{bw}", "--fasta", "{fa}", "--holdout", "c2"), "is no bigWig"),
    "an unknown contig": (("--targets", "{gtf}", "--fasta", "{fa}", "--holdout", "cQ"), "cQ"),
    "a layer": (("--targets", "{gtf}", "--fasta", "{fa}", "--holdout", "c2", "--layers", "9"), "layer is '9'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(folder, tmp_path, case):
    arguments, message = BAD[case]
    (tmp_path / "bad.bw").write_bytes(b"nothing")
    names = {"gtf": folder / "x.gtf", "fa": folder / "x.fa", "bw": tmp_path / "bad.bw"}
    given = [str(word).format(**names) for word in arguments]
    told = call("finetune", "--model", folder / "model", *given, "--output", tmp_path / "head", code=1)
    assert message in told
    assert not (tmp_path / "head").exists()


def test_a_damaged_head_is_refused(folder, model, genome, tmp_path):
    targets = read_targets([folder / "x.bed"], genome.contigs)
    train_base_head(model, genome, targets, [Interval("c2", 0, 2000)], tmp_path / "h", replace(SMALL, epochs=1))
    (tmp_path / "h" / "base_head.safetensors").write_bytes(b"x")
    told = call(
        "predict", "--model", tmp_path / "h", "--fasta", folder / "x.fa", "--output", tmp_path / "x.tsv", code=1
    )
    assert "is not the head that base_head.json tells of" in told
    (tmp_path / "h" / "base_head.json").write_text("[]")
    told = call(
        "predict", "--model", tmp_path / "h", "--fasta", folder / "x.fa", "--output", tmp_path / "x.tsv", code=1
    )
    assert "is damaged" in told


def test_a_broken_line_is_told_by_its_number(genome, tmp_path):
    path = tmp_path / "x.bed"
    path.write_text("c1\t1\t5\nc1\tx\t5\n")
    with pytest.raises(FormatError, match=r"x\.bed:2"):
        read_targets([path], genome.contigs)


def test_the_same_in_a_notebook(folder, tmp_path):
    import titans_dna as td

    model, fasta = td.load_model(folder / "model", "cpu"), folder / "x.fa"
    settings = {"window_bp": 256, "bases": 1000, "test_bases": 500, "epochs": 1, "layers": ["final", 1]}
    found = model.finetune_bases(folder / "x.bed", fasta, "c2", folder=tmp_path / "h", **settings)
    assert found.names == ("box",)
    table = found.predict(["c3:101-150", ("c1", 0, 20)], fasta)
    assert table.contig.tolist() == ["c3"] * 50 + ["c1"] * 20
    assert table.start.tolist() == [*range(100, 150), *range(20)]
    again = td.load_base_predictor(tmp_path / "h", "cpu")
    assert {**again.result, "layers": 0} == {**found.result, "layers": 0}  # JSON has a list of them
    assert np.array_equal(again.predict(["c3:101-150", ("c1", 0, 20)], fasta).box, table.box)
    call("predict", "--model", tmp_path / "h", "--fasta", fasta, "--contig", "c3", "--output", tmp_path / "x.tsv")
    rows = list(open_scores(tmp_path / "x.tsv"))[100:150]
    assert [row["box"] for row in rows] == pytest.approx(table.box[:50].tolist(), abs=1e-6)
    with pytest.raises(ConfigError, match="finetune_bases has no setting 'batch'"):
        model.finetune_bases(folder / "x.bed", fasta, "c2", batch=3)
