"""Bad input ends with one line that says where, what and the remedy, and leaves no output."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from titans_dna.io import open_embeddings, read_tsv

ONE, TWO = 1, 2  # exit codes: bad input, bad usage


@pytest.fixture
def places(tmp_path, model, genome, variants, bed) -> dict[str, Path]:
    """Good and bad inputs by name."""
    bare = tmp_path / "bare"
    shutil.copytree(model, bare)
    (bare / "model.safetensors").unlink()
    damaged = tmp_path / "damaged"
    shutil.copytree(model, damaged)
    (damaged / "model.safetensors").write_bytes(b"\x00" * 40)
    (tmp_path / "empty.fa").write_text("")
    (tmp_path / "text.fa").write_text("hello\n")
    (tmp_path / "twice.fa").write_text(">a\nACGT\n>a\nACGT\n")
    rows = "".join(f"chrA\t{i}\t.\t{r}\t{a}\t.\t.\t.\n" for i in range(100, 160) for r, a in [("A", "C")])
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (tmp_path / "build.vcf").write_text(head + rows)
    (tmp_path / "contigs.vcf").write_text(head + rows.replace("chrA", "chr7"))
    (tmp_path / "text.vcf").write_text("hello\n")
    (tmp_path / "x.bw").touch()
    (tmp_path / "bad.bed").write_text("chrA\tfive\t9\nchrA\t7\n")
    table = "contig\tstart\tend\nchrA\t0\t9\nchrA\tx\t9\n"
    (tmp_path / "bad.tsv").write_text("##shard=1/1\n##rows=2:0-2\n" + table)
    return {
        "model": model, "fa": genome, "vcf": variants, "bed": bed, "bare": bare, "damaged": damaged, "tmp": tmp_path,
    }  # fmt: skip


SCORE = "score-variants --model {model} --fasta {fa} --vcf {vcf} "
REGIONS = "score-regions --model {model} --fasta {fa} "
SITES = "mutagenesis --model {model} --fasta {fa} -o {out}/x.h5 "
READS = "--reads {tmp}/x.bam --reads-as sequences "
NANO = "pretrain --fasta {fa} --window-tokens 64 --lanes 1 --config nano --steps 1 "
EMBED = "embed --model {model} --fasta {fa} "
CASES = {
    "missing fasta": (SCORE.replace("{fa}", "{tmp}/no.fa") + "-o {out}/x.vcf", ONE, "no.fa"),
    "empty fasta": (SCORE.replace("{fa}", "{tmp}/empty.fa") + "-o {out}/x.vcf", ONE, "empty"),
    "no fasta at all": (SCORE.replace("{fa}", "{tmp}/text.fa") + "-o {out}/x.vcf", ONE, "text.fa"),
    "a contig twice": (SCORE.replace("{fa}", "{tmp}/twice.fa") + "-o {out}/x.vcf", ONE, "twice.fa"),
    "missing vcf": (SCORE.replace("{vcf}", "{tmp}/no.vcf") + "-o {out}/x.vcf.gz", ONE, "no.vcf"),
    "no vcf at all": (SCORE.replace("{vcf}", "{tmp}/text.vcf") + "-o {out}/x.vcf.gz", ONE, "text.vcf"),
    "wrong build": (SCORE.replace("{vcf}", "{tmp}/build.vcf") + "-o {out}/x.vcf.gz", ONE, "FASTA of the build"),
    "no contig in common": (SCORE.replace("{vcf}", "{tmp}/contigs.vcf") + "-o {out}/x.tsv", ONE, "chrA, chrB, chr2"),
    "a mismatch, asked to stop": (SCORE + "--on-mismatch error -o {out}/x.tsv", ONE, "chrA:50"),
    "standard input twice": (
        SCORE.replace("{vcf}", "-").replace("{model}", "{tmp}/no") + "--background - -o {out}/x.vcf", ONE,
        "variants and background both come from standard input",
    ),
    "unknown suffix": (SCORE + "-o {out}/x.txt", ONE, "Choose .vcf.gz"),
    "missing folder of the output": (SCORE + "-o {out}/none/x.vcf.gz", ONE, "none"),
    "the output comes first": (
        SCORE.replace("{model}", "{tmp}/no") + "-o {out}/none/x.tsv", ONE, "does not exist. Make it first",
    ),
    "missing model": (SCORE.replace("{model}", "{tmp}/no") + "-o {out}/x.vcf", ONE, "titans-dna pretrain"),
    "model without weights": (SCORE.replace("{model}", "{bare}") + "-o {out}/x.vcf", ONE, "model.safetensors"),
    "damaged weights": (SCORE.replace("{model}", "{damaged}") + "-o {out}/x.vcf", ONE, "damaged"),
    "model is a file": (SCORE.replace("{model}", "{fa}") + "-o {out}/x.vcf", ONE, "no such model folder"),
    "unknown contig of a region": (REGIONS + "--region chr7:1-50 -o {out}/x.tsv", ONE, "chr7"),
    "a region that is none": (REGIONS + "--region chrA:50-1 -o {out}/x.tsv", ONE, "chrA:50-1"),
    "a region beyond 64 bits": (EMBED + "--region chrA:1-9223372036854775808 -o {out}/x.h5", ONE, "beyond 2^63"),
    "a shard with a broken number": ("merge {tmp}/bad.tsv -o {out}/x.tsv", ONE, "bad.tsv:5: start is 'x'"),
    "a strand of regions": (SITES + "--region A:1-9 --strand forward", ONE, "--strand changes nothing without --all"),
    "a contig of regions": (SITES + "--region chrA:1-9 --contig chrA", ONE, "--contig changes nothing without --all"),
    "a picture of all": (SITES + "--all-snvs --picture {out}/x.svg", ONE, "--picture changes nothing with --all-snvs"),
    "a horizon of all": (SITES + "--all-snvs --horizon 128", ONE, "--horizon changes nothing with --all-snvs"),
    "--column with --variant": (
        SCORE.replace("--vcf {vcf}", "--variant chrA:5:A:C --column ref=R") + "-o {out}/x.tsv", ONE,
        "--column changes nothing with --variant",
    ),
    "--fill of reads": (REGIONS + READS + "--fill n -o {out}/x.tsv", ONE, "--fill is about a consensus"),
    "--min-depth of reads": (EMBED + READS + "--min-depth 3 -o {out}/x.h5", ONE, "it or --reads-as sequences out"),
    "a tokenizer beside a model": (
        "tokenize --model {model} --tokenizer kmer:3 --fasta {fa} -o {out}/x.tsv", ONE,
        "--tokenizer changes nothing beside --model",
    ),
    "virtual tracks": ("merge --virtual {tmp}/x.bw -o {out}/x.bw", ONE, "--virtual changes nothing for tracks"),
    "resumed without a file": (SCORE + "--resume -o -", ONE, "--resume needs a file to go on with, and --output is -"),
    "a tokenizer to standard output": ("train-tokenizer --fasta {fa} -o -", ONE, "train-tokenizer cannot write to"),
    "an evaluation to standard output": ("evaluate --model {model} --fasta {fa} -o -", ONE, "Name a file"),
    "a merged table to standard output": ("merge {tmp}/bad.tsv -o -", ONE, "is for VCF only. Name a file"),
    "merged onto a shard": ("merge --virtual {tmp}/a.h5 {tmp}/b.h5 -o {out}/../b.h5", ONE, "b.h5 is one of the"),
    "tracks as the table": (REGIONS + "--tracks {out}/x.tsv -o {out}/x.tsv", ONE, "two of --output, --track and"),
    "a track among tracks": (
        REGIONS + "--tracks {out}/x.bw --track {out}/x.surprise.bw -o {out}/x.tsv", ONE, "x.surprise.bw: two of",
    ),
    "missing bed": (REGIONS + "--bed {tmp}/no.bed -o {out}/x.tsv", ONE, "no.bed"),
    "a bed without a good line": (REGIONS + "--bed {tmp}/bad.bed -o {out}/x.tsv --track {out}/x.bw", ONE, "bad.bed:1"),
    "track in a missing folder": (REGIONS + "--track {out}/none/x.bw -o {out}/x.tsv", ONE, "none"),
    "table in a missing folder": (REGIONS + "--track {out}/x.bw -o {out}/none/x.tsv", ONE, "none"),
    "embeddings in a missing folder": (EMBED + "--bed {bed} -o {out}/none/x.h5", ONE, "none"),
    "embed with a missing bed": (EMBED + "--bed {tmp}/no.bed -o {out}/x.h5", ONE, "no.bed"),
    "unknown contig to evaluate": ("evaluate --model {model} --fasta {fa} --contig chr7 -o {out}/x.json", ONE, "chr7"),
    "unknown contig to hold out": ("pretrain --fasta {fa} --holdout chr7 --steps 1 -o {out}/m", ONE, "chr7"),
    "unknown size": ("pretrain --fasta {fa} --config huge -o {out}/m", ONE, "huge"),
    "all held out": ("pretrain --fasta {fa} --holdout A --holdout B --holdout 2 --steps 1 -o {out}/m", ONE, "held out"),
    "windows beyond the genome": ("pretrain --fasta {fa} --window-tokens 64000 --steps 1 -o {out}/m", ONE, "64000"),
    "windows within a chunk": ("pretrain --fasta {fa} --window-tokens 100 --steps 1 -o {out}/m", ONE, "multiple"),
    "a rate below 0": ("pretrain --fasta {fa} --learning-rate -1 --steps 1 -o {out}/m", ONE, "learning_rate"),
    "a file as a folder": (NANO + "-o {fa}/m", ONE, "toy.fa"),
    "info of nothing": ("info {tmp}/nothing", ONE, "nothing"),
    "no classifier": ("predict --data {bed} -o {out}/x.tsv", TWO, "Missing option '--model'"),
    "no threads": (SCORE + "--threads 0 -o {out}/x.vcf", TWO, "--threads"),
    "unknown option": (SCORE + "--fast -o {out}/x.vcf", TWO, "No such option"),
    "negative horizon": (SCORE + "--horizon -5 -o {out}/x.vcf", TWO, "--horizon"),
    "unknown device": (SCORE + "--device tpu -o {out}/x.vcf", TWO, "tpu"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(CASES))
def test_one_line_and_no_output(run, places, case):
    command, code, message = CASES[case]
    out = places["tmp"] / "out"
    out.mkdir()
    result = run(*command.format(**places, out=out).split())
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    text = result.stderr.strip()
    assert message in text
    assert "Traceback" not in text
    if code == ONE:
        assert text.startswith("error: ")
        assert "\n" not in text
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("verb", ["score-regions", "embed", "tokenize"])
def test_a_broken_line_among_good_ones_has_an_outcome_and_the_run_goes_on(run, model, genome, tmp_path, verb):
    """Trap 5: one bad row ends no run."""
    lines = ["chrA\t5\t29\tone", "chrA\tfive\t9\tbad", "chrB\t5", "chr2\t0\t40\ttwo"]
    (tmp_path / "some.bed").write_text("".join(f"{line}\n" for line in lines))
    output = tmp_path / ("o.h5" if verb == "embed" else "o.tsv")
    shared = () if verb == "tokenize" else ("--model", model)
    result = run(verb, *shared, "--fasta", genome, "--bed", tmp_path / "some.bed", "-o", output)
    assert result.exit_code == 0, result.output
    if verb != "embed":
        assert "2 of 4 regions are malformed, the first: line 2 is malformed: start is 'five'" in result.output
    if verb == "embed":
        with open_embeddings(output) as found:
            outcomes, names = found.outcomes(), [interval.name for interval in found.intervals()]
    elif verb == "score-regions":
        table = list(read_tsv(output))
        outcomes, names = [row["outcome"] for row in table], [row["name"] for row in table]
    else:
        return
    assert outcomes == ["embedded" if verb == "embed" else "scored", "malformed", "malformed", outcomes[0]]
    assert names[1].startswith("line 2 is malformed: start is 'five'")


def test_what_is_not_installed_is_named(run, tmp_path, monkeypatch):
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for package, suffix in {"pyarrow": "parquet", "anndata": "h5ad"}.items():
        (tmp_path / f"x.{suffix}").touch()
        result = run("info", tmp_path / f"x.{suffix}")
        assert result.exit_code == ONE, result.output
        assert f"x.{suffix}: needs the package {package}. Install it with: pip install" in result.stderr
        assert "no table" not in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output_is_one_line(genome):
    command = [sys.executable, "-m", "titans_dna"]
    for arguments in (["tokenize", "--fasta", genome, "-o", "-"], ["info", genome]):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run([*command, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == ONE
        assert "the disk is full. Make room" in done.stderr
        assert "output: " not in done.stderr.replace("standard output: ", "")
        assert done.stderr.count("\n") == 1


def test_a_run_that_can_do_nothing_ends_with_one_line(run, model, genome, scored_table, tmp_path, caplog):
    broken = tmp_path / "broken.vcf"
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    broken.write_text(head + "chrA\tten\t.\tA\tC\t.\t.\t.\nchrA\t5\t.\tA\n")
    score = ("score-variants", "--model", model, "--fasta", genome, "-o", tmp_path / "x.tsv")
    other = tmp_path / "other.vcf"
    other.write_text(head + "7\t10\t.\tA\tC\t.\t.\t.\n8\t10\t.\tA\tC\t.\t.\t.\n")
    for arguments, said in [
        ((*score, "--vcf", broken), "none of the 2 records can be read; the first, line 3, is malformed: POS is 'ten'"),
        ((*score, "--vcf", other), "they name 7, 8, and it has chrA, chrB, chr2."),
        ((*score, "--vcf", other), "or name the contigs with --aliases."),
        ((*score, "--variant", "chrA:10:A"), "is malformed: variant 'chrA:10:A' is not contig:position:ref:alt."),
        (
            (
                "statistics",
                "--sample",
                "s",
                "--variants",
                scored_table,
                "--truth-field",
                "NONE",
                "-o",
                tmp_path / "x.json",
            ),
            "no scored allele has the truth field 'NONE'.",
        ),
    ]:
        result = run(*arguments)
        assert result.exit_code == 1, result.output
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert not list(tmp_path.glob("x.*"))
    result = run(*arguments, "--truth-optional")  # the last of them
    assert result.exit_code == 0, result.output
    assert "no scored allele has the truth field 'NONE'" in caplog.text


@pytest.fixture
def scored_table(tmp_path):
    path = tmp_path / "scored.tsv"
    path.write_text("contig\tposition\tid\tref\talt\tllr\toutcome\nchrA\t5\t.\tA\tC\t-1.5\tscored\n")
    return path


def test_what_evaluate_reads_and_leaves_out_is_said(run, model, sequences, tmp_path):
    path = tmp_path / "one.fa"
    path.write_text(f">other\n{sequences['chr2'][:200]}\n")
    result = run("evaluate", "--model", model, "--fasta", path, "-o", tmp_path / "e.json")
    assert result.exit_code == 0, result.output
    assert "one.fa has no contig that the training of toy held out, so all 1 are evaluated" in result.stderr
    assert "note: no Markov models, which would learn from other contigs" in result.stderr
    assert "bits per base over 200 bases of other" in result.stdout
