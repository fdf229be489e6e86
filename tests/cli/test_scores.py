"""The scoring verbs from the command line: shards and merge, strings, tracks, mutagenesis, and what is refused."""

from __future__ import annotations

import shutil
import subprocess

import h5py
import pysam
import pytest

from titans_dna.io.tables.tsv import read_tsv


def test_shards_and_merge(run, model, genome, variants, tmp_path):
    paths = []
    for index in (1, 2):
        paths.append(tmp_path / f"part{index}.vcf.gz")
        result = run("score-variants", "--model", model, "--fasta", genome, "--vcf", variants, "--shard", f"{index}/2",
                     "--output", paths[-1])  # fmt: skip
        assert result.exit_code == 0, result.output
    result = run("merge", *paths, "--output", tmp_path / "all.vcf.gz")
    assert result.exit_code == 0, result.output
    assert "11 rows of 2 shards" in result.stderr
    with pysam.VariantFile(str(tmp_path / "all.vcf.gz")) as vcf:
        assert [record.id for record in vcf] == [f"v{i}" for i in range(11)]
    alone = run("merge", paths[0], "--output", tmp_path / "x.vcf.gz")
    assert alone.exit_code == 1
    assert "is missing" in alone.stderr
    assert not (tmp_path / "x.vcf.gz").exists()
    if shutil.which("bcftools"):
        done = subprocess.run(["bcftools", "view", "-H", str(tmp_path / "all.vcf.gz")], capture_output=True, text=True)
        assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 11)


def test_shards_of_tracks_and_merge(run, model, genome, tmp_path):
    for index in (1, 2):
        result = run("score-regions", "--model", model, "--fasta", genome, "--shard", f"{index}/2",
                     "--track", tmp_path / f"part{index}.surprise.bw", "-o", tmp_path / f"part{index}.tsv")  # fmt: skip
        assert result.exit_code == 0, result.output
    result = run("merge", *(tmp_path / f"part{index}.surprise.bw" for index in (2, 1)), "-o", tmp_path / "all.bw")
    assert result.exit_code == 0, result.output
    run("score-regions", "--model", model, "--fasta", genome, "--track", tmp_path / "one.bw", "-o", tmp_path / "r.tsv")
    assert (tmp_path / "all.bw").read_bytes() == (tmp_path / "one.bw").read_bytes()
    result = run("merge", tmp_path / "one.bw", "-o", tmp_path / "x.bw")
    assert (result.exit_code, "one.bw.json must lie beside it" in result.stderr) == (1, True)
    result = run("mutagenesis", "--model", model, "--fasta", genome, "--region", "chr2:101-112", "--shard", "1/2",
                 "-o", tmp_path / "e.h5")  # fmt: skip
    assert (result.exit_code, "--shard divides the contigs" in result.stderr) == (1, True)


def test_variants_as_strings(run, model, genome, sequences, tmp_path):
    ref = sequences["chrA"][9]
    alt = "ACGT"["ACGT".index(ref) - 1]
    result = run("score-variants", "--model", model, "--fasta", genome, "--variant", f"A:10:{ref}:{alt}",
                 "--variant", "chrA:oops", "--output", tmp_path / "out.tsv")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert [row["outcome"] for row in read_tsv(tmp_path / "out.tsv")] == ["scored", "malformed"]
    both = run("score-variants", "--model", model, "--fasta", genome, "--output", tmp_path / "x.tsv")
    assert (both.exit_code, both.stderr) == (1, "error: give either --vcf or --variant\n")


def test_a_contig_of_another_length_is_told_of(run, model, genome, sequences, tmp_path):
    """``2`` of the VCF would be chr2 by its name; ``chrB`` has the name and may be a part."""
    rows = [f"{name}\t1\t.\t{sequences[contig][0]}\tN\t.\t.\t.\n" for name, contig in (("2", "chr2"), ("chrB", "chrB"))]
    head = "##fileformat=VCFv4.2\n##contig=<ID=2,length=402>\n##contig=<ID=chrB,length=502>\n"
    (tmp_path / "in.vcf").write_text(head + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "".join(rows))
    result = run("score-variants", "--model", model, "--fasta", genome, "--vcf", tmp_path / "in.vcf",
                 "-o", tmp_path / "out.tsv")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert [row["outcome"] for row in read_tsv(tmp_path / "out.tsv")] == ["contig_unknown", "reference_n"]
    assert f"warning: 2 is not chr2: 402 bases there, 400 in {genome}\n" in result.stderr
    assert f"warning: chrB has 500 bases in {genome}, 502 elsewhere\n" in result.stderr
    assert "2 = chr2" not in result.stderr


def test_a_vcf_without_records_has_shards(run, model, genome, variants, tmp_path):
    empty = tmp_path / "empty.vcf"
    empty.write_text("##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
    outputs = [tmp_path / f"s{index}.vcf" for index in (1, 2)]
    for index, output in enumerate(outputs, start=1):
        result = run("score-variants", "--model", model, "--fasta", genome, "--vcf", empty, "--shard", f"{index}/2",
                     "--output", output)  # fmt: skip
        assert result.exit_code == 0, result.output
    result = run("merge", *outputs, "-o", tmp_path / "whole.vcf")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("shard", ["0/2", "3/2", "x", "1/0"])
def test_a_shard_that_is_none(run, model, genome, variants, tmp_path, shard):
    result = run("score-variants", "--model", model, "--fasta", genome, "--vcf", variants, "--shard", shard,
                 "--output", tmp_path / "x.tsv")  # fmt: skip
    assert result.exit_code == 2
    assert "--shard" in result.stderr


def test_other_fasta_is_named_in_the_diagnosis(run, model, genome, sequences, tmp_path):
    moved = {name: text[7:] + text[:7] for name, text in sequences.items()}
    (tmp_path / "other.fa").write_text("".join(f">{name}\n{text}\n" for name, text in moved.items()))
    lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    lines += [f"chrA\t{at + 1}\t.\t{moved['chrA'][at : at + 4]}\tN\t.\t.\t." for at in range(0, 200, 5)]
    (tmp_path / "in.vcf").write_text("\n".join(lines) + "\n")
    result = run("score-variants", "--model", model, "--fasta", genome, "--vcf", tmp_path / "in.vcf",
                 "--other-fasta", tmp_path / "other.fa", "--output", tmp_path / "x.vcf")  # fmt: skip
    assert result.exit_code == 1
    assert "100% of them match other.fa, not toy.fa" in result.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("x.")] == []


def test_haplotype_without_samples(run, model, genome, variants, tmp_path):
    result = run("score-variants", "--model", model, "--fasta", genome, "--vcf", variants, "--haplotype", "me",
                 "--output", tmp_path / "x.tsv")  # fmt: skip
    assert (result.exit_code, "no sample 'me'" in result.stderr) == (1, True)


def test_mutagenesis_with_a_picture(run, model, genome, tmp_path):
    result = run("mutagenesis", "--model", model, "--fasta", genome, "--region", "chr2:101-112", "--horizon", 16,
                 "--region", "2:101-112", "--picture", tmp_path / "logo.svg",
                 "--output", tmp_path / "effects.h5")  # fmt: skip
    assert result.exit_code == 0, result.output
    with h5py.File(tmp_path / "effects.h5") as file:
        assert file["chr2:101-112/effects"].shape == (12, 4)
        assert list(file) == ["chr2:101-112"]  # given twice, by two names
    assert (tmp_path / "logo.svg").read_text().startswith("<?xml")
    neither = run("mutagenesis", "--model", model, "--fasta", genome, "--output", tmp_path / "x.h5")
    assert neither.exit_code == 1
    assert "give regions" in neither.stderr


def test_all_snvs_of_a_contig(run, model, genome, sequences, tmp_path):
    result = run("mutagenesis", "--model", model, "--fasta", genome, "--all-snvs", "--contig", "2",
                 "--output", tmp_path / "snvs.tsv.gz")  # fmt: skip
    assert result.exit_code == 0, result.output
    with pysam.TabixFile(str(tmp_path / "snvs.tsv.gz")) as table:
        assert len(list(table.fetch("chr2"))) == len(sequences["chr2"])


def test_tracks_in_every_kind(run, model, genome, bed, tmp_path):
    result = run("score-regions", "--model", model, "--fasta", genome, "--bed", bed, "--tracks", tmp_path / "t.bw",
                 "--output", tmp_path / "r.parquet")  # fmt: skip
    assert result.exit_code == 0, result.output
    names = {path.name for path in tmp_path.glob("t.*.bw")}
    said = run("info", tmp_path / "r.parquet")
    assert said.exit_code == 0, said.output
    assert "rows               5" in said.output
    assert {"t.log_likelihood.bw", "t.entropy_bits.bw", "t.surprise.bw", "t.forgetting_layer1.bw"} <= names


@pytest.mark.parametrize("asked", ["all N", "no usable region"])
def test_tracks_without_a_value_are_named_and_the_table_is_written(run, model, tmp_path, asked, caplog):
    (tmp_path / "n.fa").write_text(">c\n" + "N" * 70 + "\n>d\n" + "ACGT" * 9 + "\n")
    (tmp_path / "r.bed").write_text("c\t0\t60\n" if asked == "all N" else "c\t90\t99\n")
    for option in ("--track", "--tracks"):
        table, track = tmp_path / f"{option}.tsv", tmp_path / f"{option}.bw"
        result = run("score-regions", "--model", model, "--fasta", tmp_path / "n.fa", "--bed", tmp_path / "r.bed",
                     option, track, "-o", table)  # fmt: skip
        assert result.exit_code == 0, result.output
        (row,) = read_tsv(table)
        assert row["outcome"] == ("reference_n" if asked == "all N" else "beyond_contig")
        assert caplog.messages.count(f"{track} is not written: no base of the regions' contigs has a value") == 1
        assert not list(tmp_path.glob("*.bw"))
        assert not list(tmp_path.glob(".partial*"))
