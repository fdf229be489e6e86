"""From a file to a file: formats, resume, shards and merge all say the same."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pysam
import pytest
from pysam import bcftools

from titans_dna.errors import ConfigError, FormatError, OutputError
from titans_dna.genome.shard import Shard
from titans_dna.inference import branches
from titans_dna.io.scores import open_scores
from titans_dna.io.sequence.fasta import open_fasta
from titans_dna.io.variants.vcf import read_variants
from titans_dna.jobs import work_folder
from titans_dna.jobs.merge_scores import merge_scores
from titans_dna.jobs.variant_scores import ScoringOptions
from titans_dna.jobs.variants import VariantInputs, score_variant_file
from titans_dna.model.checkpoint import save_checkpoint

FAST = ScoringOptions(horizon_bp=12)
TABLES = (".tsv", ".tsv.gz", ".parquet", ".h5", ".h5ad")


HEADER = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.fixture(scope="module")
def genome(make_fasta, random_bases):
    contigs = {f"chr{number}": random_bases(260 + 40 * number, number) for number in range(1, 5)}
    with make_fasta(contigs) as fasta:
        yield fasta


@pytest.fixture(scope="module")
def variants(genome, tmp_path_factory) -> Path:
    """Sixty records, all kinds and outcomes, in no order of contigs."""
    random = np.random.default_rng(3)
    lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    for number in range(40):
        contig = f"chr{int(random.integers(1, 5))}"
        at, size = int(random.integers(0, 250)), int(random.integers(1, 4))
        ref = genome.fetch(contig, at, at + size).decode()
        alts = [ref[:1] + "".join(random.choice(list("ACGT"), int(random.integers(0, 4)))) for _ in range(2)]
        alts = [alt for alt in dict.fromkeys(alts) if alt != ref] or ["*"]
        alts += ["<DEL>"] if number % 9 == 0 else []
        lines.append(f"{contig}\t{at + 1}\tv{number}\t{ref}\t{','.join(alts)}\t.\t.\tX={number}")
    lines += ["chrZ\t5\tz\tA\tC\t.\t.\t.", "chr1\tten\tbad\tA\tC\t.\t.\t."]
    path = tmp_path_factory.mktemp("variants") / "in.vcf"
    path.write_text("\n".join(lines) + "\n")
    return path


def body(path: Path) -> list[str]:
    with gzip.open(path, "rt") as stream:
        return [line for line in stream.read().splitlines() if not line.startswith("##titans_dna_")]


def scored(row: str) -> list[float]:
    values = dict(part.split("=") for part in row.split("\t")[7].split(";"))
    return [float(text) for key in ("TD_LLR_FWD", "TD_LLR_REV") for text in values[key].split(",") if text != "."]


@pytest.fixture(scope="module")
def whole(model, genome, variants, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("whole") / "out.vcf.gz"
    counts = score_variant_file(model, genome, variants, output, options=FAST)
    assert sum(counts.values()) == sum(len(record.alts) or 1 for record in read_variants(variants)) - 1 + 1
    assert [path.name for path in output.parent.iterdir() if "work" in path.name] == []
    return output


@pytest.mark.parametrize("suffix", TABLES)
def test_every_table_says_what_the_vcf_says(model, genome, variants, whole, tmp_path, suffix):
    output = tmp_path / f"out{suffix}"
    counts = score_variant_file(model, genome, variants, output, options=FAST)
    table = open_scores(output)
    rows = list(table.rows())
    assert len(rows) == sum(counts.values())
    with pysam.VariantFile(str(whole)) as vcf:
        wanted = [
            (record.chrom, record.pos, record.id, alt, outcome, score)
            for record in vcf
            for alt, outcome, score in zip(
                record.alts, record.info["TD_OUTCOME"], record.info["TD_LLR"], strict=True
            )
        ]  # fmt: skip
    for row, (contig, position, name, alt, outcome, score) in zip(rows, wanted, strict=False):
        assert (row["contig"], int(row["position"]), row["id"], row["alt"]) == (contig, position, name, alt)
        assert row["outcome"] == outcome
        value = float(row["llr"]) if row["llr"] != "NA" else float("nan")
        assert value == pytest.approx(float("nan") if score is None else score, abs=1e-5, nan_ok=True)
    assert rows[-1]["outcome"] == "malformed"
    if not suffix.startswith(".tsv"):
        assert model.weights_sha256 in table.metadata["model"]
    assert score_variant_file(model, genome, variants, tmp_path / f"again{suffix}", options=FAST) == counts
    if suffix != ".h5ad":  # its writer stamps nothing but orders attributes as it likes
        assert (tmp_path / f"again{suffix}").read_bytes() == output.read_bytes()


def test_an_anndata_is_one_to_other_programs(model, genome, variants, tmp_path):
    anndata = pytest.importorskip("anndata")
    score_variant_file(model, genome, variants, tmp_path / "x.h5ad", options=FAST)
    data = anndata.read_h5ad(tmp_path / "x.h5ad")
    assert data.var_names.tolist() == ["llr", "llr_forward", "llr_reverse"]
    assert data.X.dtype == np.float32
    assert {"contig", "position", "ref", "alt", "outcome"} <= set(data.obs.columns)


def test_other_inputs_give_the_same_scores(model, genome, variants, whole, tmp_path):
    """BCF, a table, and strings; what VCF has beyond alleles they need not have."""
    good = [line for line in variants.read_text().splitlines() if not line.startswith("chr1\tten")]
    head = [f"##contig=<ID=chr{n},length=9999>" for n in range(1, 5)] + ["##contig=<ID=chrZ>"]
    head += ['##INFO=<ID=X,Number=1,Type=Integer,Description="x">']
    (tmp_path / "in.vcf").write_text("\n".join([good[0], *head, *good[1:]]) + "\n")
    bcftools.view("-Ob", "-o", str(tmp_path / "in.bcf"), str(tmp_path / "in.vcf"), catch_stdout=False)
    cells = [line.split("\t") for line in good if not line.startswith("#")]
    table = ["chrom\tpos\tref\talt", *("\t".join([c[0], c[1], c[3], c[4]]) for c in cells)]
    (tmp_path / "in.tsv").write_text("\n".join(table) + "\n")
    wanted = [scored(row) for row in body(whole) if row.startswith("chr")]
    for source in (tmp_path / "in.bcf", tmp_path / "in.tsv"):
        output = tmp_path / f"{source.suffix[1:]}.vcf.gz"
        score_variant_file(model, genome, source, output, options=FAST)
        assert [scored(row) for row in body(output) if row.startswith("chr")] == wanted
    strings = [f"{c[0]}:{c[1]}:{c[3]}:{alt}" for c in cells for alt in c[4].split(",") if alt.isalpha()]
    score_variant_file(model, genome, strings, tmp_path / "strings.tsv", options=FAST)
    rows = list(open_scores(tmp_path / "strings.tsv").rows())
    half = [x for values in wanted for x in values[: len(values) // 2]]
    assert [float(row["llr_forward"]) for row in rows if np.isfinite(row["llr"])] == pytest.approx(half, abs=1e-4)


@pytest.mark.parametrize(
    ("suffix", "count"),
    [(".vcf.gz", 3), (".vcf.gz", 7), (".vcf.gz", 1), (".tsv", 2), (".parquet", 2), (".h5", 2), (".h5ad", 2)],
)
def test_merged_shards_are_the_whole(model, genome, variants, whole, tmp_path, suffix, count):
    paths = [tmp_path / f"part{index}{suffix}" for index in range(1, count + 1)]
    counts: dict[str, int] = {}
    for index, path in enumerate(paths, start=1):
        found = score_variant_file(model, genome, variants, path, options=FAST, shard=Shard(index, count))
        counts = {key: counts.get(key, 0) + found.get(key, 0) for key in {*counts, *found}}
    merged = tmp_path / f"merged{suffix}"
    merge_scores(paths[::-1], merged)
    if suffix == ".vcf.gz":
        assert Path(f"{merged}.tbi").exists() == Path(f"{whole}.tbi").exists()
        mine, wanted = body(merged), body(whole)
        assert [r.split("\t")[:7] for r in mine if r[0] != "#"] == [r.split("\t")[:7] for r in wanted if r[0] != "#"]
        for one, other in zip(mine, wanted, strict=True):
            if one[0] != "#":
                assert scored(one) == pytest.approx(scored(other), abs=1e-5)
        with gzip.open(merged, "rt") as stream:
            text = stream.read()
        assert text.count("##titans_dna_malformed_records=1\n") == 1
        assert "titans_dna_shard" not in text
    else:
        rows = list(open_scores(merged).rows())
        score_variant_file(model, genome, variants, tmp_path / f"one{suffix}", options=FAST)
        wanted_rows = list(open_scores(tmp_path / f"one{suffix}").rows())
        assert [(r["id"], r["alt"], r["outcome"]) for r in rows] == [
            (r["id"], r["alt"], r["outcome"]) for r in wanted_rows
        ]
        one, other = ([float(str(r["llr"]).replace("NA", "nan")) for r in part] for part in (rows, wanted_rows))
        assert one == pytest.approx(other, abs=1e-5, nan_ok=True)
        assert sum(counts.values()) == len(rows)


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_the_header_of_merged_shards_is_that_of_one_run(model, genome, tmp_path, count):
    """Contigs and fields that the source does not declare, malformed records and lost values in their order."""
    rows = [
        "chr3\t9\tB=1",
        "chr1\t5\tA=1;B",
        "chrZ\t1\tC",
        "chr1\tten\tC",
        "chr4\t7\t=5",
        "chr2\t3\tD;A=2",
        "chr1\t4\t?=1",
    ]
    rows += [f"chr{contig}\tten\tC" for contig in (4, 2, 3)] + [
        f"chr{contig}\t{contig}\tE{contig}" for contig in (4, 2, 3)
    ]
    lines = ["##fileformat=VCFv4.3", "##contig=<ID=chr2,length=340>", HEADER.rstrip()]
    for contig, position, info in (row.split("\t") for row in rows):
        base = (
            genome.fetch(contig, int(position) - 1, int(position)).decode()
            if position != "ten" and contig != "chrZ"
            else "A"
        )
        lines.append(f"{contig}\t{position}\t.\t{base}\tN\t.\tf{len(lines) % 3}\t{info}")
    (tmp_path / "in.vcf").write_text("\n".join(lines) + "\n")
    score_variant_file(model, genome, tmp_path / "in.vcf", tmp_path / "one.vcf", options=FAST)
    paths = [tmp_path / f"{index}.vcf" for index in range(1, count + 1)]
    for index, path in enumerate(paths, start=1):
        score_variant_file(model, genome, tmp_path / "in.vcf", path, options=FAST, shard=Shard(index, count))
    merge_scores(paths[::-1], tmp_path / "all.vcf")
    assert (tmp_path / "all.vcf").read_bytes() == (tmp_path / "one.vcf").read_bytes()


def test_edited_lines_about_malformed_records_do_not_stop_a_merge(model, genome, tmp_path):
    (tmp_path / "in.vcf").write_text(
        f"##fileformat=VCFv4.3\n{HEADER}chr1\tten\t.\tA\tC\t.\t.\t.\nchr1\t9\t.\tA\tC\t.\t.\t.\n"
    )
    paths = [tmp_path / f"{index}.vcf" for index in (1, 2)]
    for index, path in enumerate(paths, start=1):
        score_variant_file(model, genome, tmp_path / "in.vcf", path, options=FAST, shard=Shard(index, 2))
        text = path.read_text()
        path.write_text(text.replace("malformed_records=1", "malformed_records=one").replace("=line 3:", "=a line:"))
    merge_scores(paths, tmp_path / "all.vcf")
    assert "##titans_dna_malformed=a line: " in (tmp_path / "all.vcf").read_text()


def test_mixtures_are_refused(model, genome, variants, tmp_path, make_fasta, random_bases):
    def make(name, used=model, fasta=genome, options=FAST, index=1):
        path = tmp_path / name
        score_variant_file(used, fasta, variants, path, options=options, shard=Shard(index, 2))
        return path

    first, second = make("1.tsv"), make("2.tsv", index=2)
    other_model = make("m.tsv", used=replace(model, weights_sha256="1" * 64), index=2)
    other_options = make("o.tsv", options=ScoringOptions(horizon_bp=13), index=2)
    changed = {name: bytearray(genome.sequence(name)) for name in genome.contigs.names}
    changed["chr4"][-1:] = b"N"
    with make_fasta({name: bytes(text) for name, text in changed.items()}) as fasta:
        other_sequence = make("s.tsv", fasta=fasta, index=2)
    for path, key in ((other_model, "model"), (other_options, "options"), (other_sequence, "sequences_sha256")):
        with pytest.raises(FormatError, match=f"{key} is .*different runs cannot be merged"):
            merge_scores([first, path], tmp_path / "x.tsv")
    with pytest.raises(FormatError, match="shard 2/2 is missing"):
        merge_scores([first], tmp_path / "x.tsv")
    score_variant_file(model, genome, variants, tmp_path / "all.tsv", options=FAST)
    with pytest.raises(FormatError, match="is no shard"):
        merge_scores([tmp_path / "all.tsv", second], tmp_path / "x.tsv")
    assert not (tmp_path / "x.tsv").exists()


def test_shards_of_other_variants_are_refused(model, genome, variants, tmp_path):
    """As many records, on the same contigs, or another background: the rows would add up."""
    lines = variants.read_text().splitlines(keepends=True)
    (tmp_path / "other.vcf").write_text("".join([*lines[:2], lines[3], lines[2], *lines[4:]]))
    common = tmp_path / "common.vcf"

    def make(index, source, background):
        common.write_text("".join(lines[: 2 + background]))
        path = tmp_path / f"{index}.vcf"
        inputs = VariantInputs(variants=source, background=common)
        score_variant_file(model, genome, inputs, path, options=FAST, shard=Shard(index, 2))
        return path

    for source, background, key in ((tmp_path / "other.vcf", 20, "input"), (variants, 30, "background")):
        paths = [make(1, variants, 20), make(2, source, background)]
        with pytest.raises(FormatError, match=f"{key}_sha256 is .*different runs cannot be merged"):
            merge_scores(paths, tmp_path / "x.vcf")
    merge_scores([make(1, variants, 20), make(2, variants, 20)], tmp_path / "x.vcf")
    assert "_sha256=" not in (tmp_path / "x.vcf").read_text().replace(" lengths_sha256=", "")


class _StopError(Exception):
    pass


@pytest.mark.parametrize("stop", [1, 6, 15])
def test_a_run_that_stops_anywhere_goes_on_to_the_same_bytes(
    model, genome, variants, tmp_path, monkeypatch, stop
):  # fmt: skip
    """Stopped after so many settled places, contigs half read; states are saved at each of them."""
    monkeypatch.setattr(branches, "SETTLE_INPUTS", 48)
    monkeypatch.setattr(work_folder, "SAVE_SECONDS", 0.0)
    output = tmp_path / "out.vcf.gz"
    score_variant_file(model, genome, variants, output, options=FAST)
    wanted = output.read_bytes()
    output.unlink()
    calls = 0

    def save(self, position, state, arrays, real=work_folder.StreamCheckpoint.save):
        nonlocal calls
        real(self, position, state, arrays)
        calls += 1
        if calls == stop:
            raise _StopError

    with monkeypatch.context() as patch:
        patch.setattr(work_folder.StreamCheckpoint, "save", save)
        with pytest.raises(_StopError):
            score_variant_file(model, genome, variants, output, options=FAST)
    assert not output.exists()
    folder = tmp_path / "out.vcf.gz.work"
    assert list(folder.glob("*.at-*.safetensors"))
    before = calls
    score_variant_file(model, genome, variants, output, options=FAST, resume=True)
    assert output.read_bytes() == wanted
    assert not folder.exists()
    assert calls == before


KILLED = """
import sys, time
from pathlib import Path
from titans_dna.inference import branches
from titans_dna.jobs import work_folder
branches.SETTLE_INPUTS, work_folder.SAVE_SECONDS = 48, 0.0
real = branches._Reading._read_batch
def slow(self, waiting):
    time.sleep(0.01)
    real(self, waiting)
branches._Reading._read_batch = slow
from titans_dna.cli import main
main()
"""


def test_kill_9_and_resume_give_the_same_bytes(model, genome, variants, tmp_path):
    save_checkpoint(tmp_path / "toy", model.backbone, model.tokenizer.to_json())
    output = tmp_path / "out.vcf.gz"
    arguments = ["score-variants", "--model", tmp_path / "toy", "--fasta", genome.path, "--vcf", variants]
    arguments += ["--horizon", 12, "--output", output]
    command = [sys.executable, "-c", KILLED, *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment, capture_output=True, timeout=300)
    wanted = output.read_bytes()
    output.unlink()
    folder = tmp_path / "out.vcf.gz.work"
    running = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list(folder.glob("*.npz")) and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not output.exists()
    assert list(folder.glob("*.npz"))
    subprocess.run([*command, "--resume"], check=True, env=environment, capture_output=True, timeout=300)
    assert output.read_bytes() == wanted
    assert sorted(p.name for p in tmp_path.iterdir() if "out" in p.name) == ["out.vcf.gz"]


def test_an_unfinished_run_of_another_kind_is_not_gone_on_with(model, genome, variants, tmp_path, monkeypatch):
    output = tmp_path / "out.tsv"
    with monkeypatch.context() as patch:
        patch.setattr("titans_dna.jobs.variants._write_table", lambda *_: (_ for _ in ()).throw(_StopError))
        with pytest.raises(_StopError):
            score_variant_file(model, genome, variants, output, options=FAST)
    folder = tmp_path / "out.tsv.work"
    assert json.loads((folder / "job.json").read_text())["job"]["options"].startswith("horizon_bp=12")
    with pytest.raises(ConfigError, match="the unfinished run has another options"):
        score_variant_file(model, genome, variants, output, options=ScoringOptions(horizon_bp=9), resume=True)
    assert list(folder.glob("*.npz"))  # nothing of it is lost
    score_variant_file(model, genome, variants, output, options=ScoringOptions(horizon_bp=9))
    assert not folder.exists()


@pytest.mark.parametrize(
    ("base", "aliases", "changed"),
    [("T", [], "sequence"), ("A", [("one", "chr1")], "alias file"), ("A", [], None)],
)
def test_an_unfinished_run_over_other_input_is_not_gone_on_with(
    model, random_bases, tmp_path, monkeypatch, base, aliases, changed
):
    """A FASTA that was replaced has the names and lengths of the old one."""
    rest, fasta, output = random_bases(200, 8).decode(), tmp_path / "g.fa", tmp_path / "out.tsv"
    variants = tmp_path / "v.vcf"
    variants.write_text(f"##fileformat=VCFv4.3\n{HEADER}chr1\t100\t.\t{rest[98]}\t{other(rest[98])}\t.\t.\t.\n")
    fasta.write_text(f">chr1\nA{rest}\n")
    with monkeypatch.context() as patch, open_fasta(fasta) as genome:
        patch.setattr("titans_dna.jobs.variants._write_table", lambda *_: (_ for _ in ()).throw(_StopError))
        with pytest.raises(_StopError):
            score_variant_file(model, genome, variants, output, options=FAST)
    fasta.write_text(f">chr1\n{base}{rest}\n")
    with open_fasta(fasta, aliases=aliases) as genome:
        if changed is None:
            score_variant_file(model, genome, variants, output, options=FAST, resume=True)
            return
        with pytest.raises(ConfigError, match=f"the unfinished run has another {changed}"):
            score_variant_file(model, genome, variants, output, options=FAST, resume=True)


def other(base: str) -> str:
    return "ACGT"["ACGT".index(base) - 1]


def test_calibration_columns(model, genome, variants, tmp_path):
    common = tmp_path / "common.vcf"
    lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    for at in range(20, 120, 4):
        base = genome.fetch("chr2", at, at + 1).decode()
        lines.append(f"chr2\t{at + 1}\t.\t{base}\t{'ACGT'['ACGT'.index(base) - 1]}\t.\t.\t.")
    common.write_text("\n".join(lines) + "\n")
    options = ScoringOptions(horizon_bp=12, shuffles=3)
    output = tmp_path / "out.vcf.gz"
    score_variant_file(model, genome, VariantInputs(variants=variants, background=common), output, options=options)
    score_variant_file(model, genome, common, tmp_path / "scored.vcf.gz", options=FAST)
    again = VariantInputs(variants=variants, background=tmp_path / "scored.vcf.gz")
    score_variant_file(model, genome, again, tmp_path / "two.vcf.gz", options=options)
    background = [x for row in body(tmp_path / "scored.vcf.gz") if row[0] != "#" for x in [np.mean(scored(row))]]
    assert len(background) == 25
    with pysam.VariantFile(str(output)) as one, pysam.VariantFile(str(tmp_path / "two.vcf.gz")) as two:
        seen = 0
        for record, other in zip(one, two, strict=True):
            quantiles, p_values = record.info["TD_QUANTILE"], record.info["TD_P"]
            for place, alt in enumerate(record.alts):
                score = record.info["TD_LLR"][place]
                if score is None or len(alt) != len(record.ref):
                    assert quantiles[place] is None
                    continue
                seen += 1
                assert quantiles[place] == pytest.approx(np.mean(np.array(background) < score), abs=1e-6)
                assert p_values[place] in (0.25, 0.5, 0.75, 1.0)
                assert other.info["TD_QUANTILE"][place] == pytest.approx(quantiles[place], abs=0.05)
    assert seen > 5
    with pytest.raises(ConfigError, match="was scored with --horizon 12"):
        score_variant_file(model, genome, again, tmp_path / "x.tsv", options=ScoringOptions(horizon_bp=9))
    other = replace(model, weights_sha256="2" * 64)
    with pytest.raises(ConfigError, match="was scored by another model"):
        score_variant_file(other, genome, again, tmp_path / "x.tsv", options=FAST)


def test_scores_of_an_earlier_run_are_not_left_beside_new_ones(model, genome, variants, whole, tmp_path):
    """Its quantiles and p-values go too, though this run makes none, and so do their declarations."""
    options = ScoringOptions(horizon_bp=12, shuffles=3)
    once = tmp_path / "once.vcf.gz"
    score_variant_file(model, genome, VariantInputs(variants=variants, background=variants), once, options=options)
    assert any("TD_QUANTILE=" in row and "TD_P=" in row for row in body(once))
    score_variant_file(model, genome, once, tmp_path / "twice.vcf.gz", options=FAST)
    assert body(tmp_path / "twice.vcf.gz") == body(whole)


@pytest.fixture
def pipe(tmp_path):
    """A named pipe that gives a file's bytes once, as ``<(cat FILE)`` does."""
    writers = []

    def make(name: str, source: Path) -> Path:
        path = tmp_path / name
        os.mkfifo(path)
        writers.append(subprocess.Popen(["sh", "-c", f"cat '{source}' > '{path}'"]))
        return path

    yield make
    for writer in writers:
        assert writer.wait(timeout=60) == 0


def test_pipes_are_read_like_files(model, genome, variants, tmp_path, pipe, monkeypatch):
    wanted = tmp_path / "wanted.tsv"
    score_variant_file(model, genome, VariantInputs(variants=variants, background=variants), wanted, options=FAST)
    piped = VariantInputs(variants=pipe("63", variants), background=pipe("62", variants))
    score_variant_file(model, genome, piped, tmp_path / "piped.tsv", options=FAST)
    with variants.open() as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", stream)
        given = VariantInputs(variants=variants, background=Path("-"))
        score_variant_file(model, genome, given, tmp_path / "given.tsv", options=FAST)
    texts = [path.read_text().splitlines() for path in (wanted, tmp_path / "piped.tsv", tmp_path / "given.tsv")]
    rows = [[line for line in text if not line.startswith("##options=")] for text in texts]  # these name the background
    assert rows[0] == rows[1] == rows[2]
    assert "quantile" in wanted.read_text()


@pytest.mark.parametrize("suffix", TABLES)
def test_text_that_is_no_utf8_is_latin_1_in_tables(model, genome, tmp_path, suffix):
    """And a zero byte, which HDF5 cannot hold, is no traceback after hours of scoring."""
    rows = [b"chr1\t5\tcaf\xe9\tA\t<X>", "chr1\t6\tcaf\u00e9\tA\t<X>".encode(), b"chr1\t7\tx\tA\0\t<X>"]
    lines = b"".join(row + b"\t.\t.\t.\n" for row in rows)
    (tmp_path / "in.vcf").write_bytes(b"##fileformat=VCFv4.3\n" + HEADER.encode() + lines)
    paths = [tmp_path / f"p{index}{suffix}" for index in (1, 2)]
    for index, path in enumerate(paths, start=1):
        score_variant_file(model, genome, tmp_path / "in.vcf", path, options=FAST, shard=Shard(index, 2))
    assert merge_scores(paths, tmp_path / f"all{suffix}") == 3
    found = list(open_scores(tmp_path / f"all{suffix}").rows())
    assert [row["id"] for row in found] == ["caf\u00e9", "caf\u00e9", "x"]
    assert found[2]["outcome"] == "malformed"


def test_a_suffix_without_a_format_is_refused_before_any_work(model, genome, variants, tmp_path):
    with pytest.raises(OutputError, match=r"Choose \.vcf\.gz, \.vcf, \.vcf\.bgz, \.tsv"):
        score_variant_file(model, genome, variants, tmp_path / "out.csv")
    with pytest.raises(OutputError, match="no ending that merge writes for scored variants"):
        merge_scores([variants], tmp_path / "out.csv")
