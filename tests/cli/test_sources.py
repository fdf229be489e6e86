"""Every kind of sequence goes in: aliases, GenBank, a sample's reads; every tokenizer from end to end."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pysam
import pytest

from titans_dna.io import open_embeddings, read_tsv, read_variants
from titans_dna.tokenizers import read_tokenizer

SNP, GAP = 149, (200, 220)  # a base that the sample has otherwise, and one that no read covers


@pytest.fixture(scope="session")
def sample(tmp_path_factory, sequences) -> Path:
    """Reads of 50 bases over chrA, every 10 bases, with one substitution; some duplicates, some on the other strand."""
    path = tmp_path_factory.mktemp("sample") / "reads.bam"
    header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": "A", "LN": 900}, {"SN": "B", "LN": 500}]}
    genome = list(sequences["chrA"])
    genome[SNP] = other(genome[SNP])
    with pysam.AlignmentFile(str(path), "wb", header=header) as out:
        for number, start in enumerate(range(0, 850, 10)):
            if start < GAP[1] and start + 50 > GAP[0]:
                continue
            read = pysam.AlignedSegment(out.header)
            read.query_name, read.reference_id, read.reference_start = f"r{number}", 0, start
            read.query_sequence, read.cigarstring = "GG" + "".join(genome[start : start + 50]), "2S50M"
            read.query_qualities = pysam.qualitystring_to_array("I" * 52)
            read.mapping_quality, read.flag = 60 if number % 4 else 10, (number % 2) * 16 + (number % 10 == 7) * 1024
            out.write(read)
    pysam.index(str(path))
    return path


@pytest.fixture
def split_sample(sample, tmp_path) -> Path:
    """The sample with its first read marked secondary and its third supplementary."""
    path = tmp_path / "split.bam"
    with pysam.AlignmentFile(str(sample)) as source, pysam.AlignmentFile(str(path), "wb", template=source) as out:
        for read in source:
            read.flag |= {"r0": 256, "r2": 2048}.get(read.query_name, 0)
            out.write(read)
    pysam.index(str(path))
    return path


def other(base: str) -> str:
    return "ACGT"["ACGT".index(base) - 1]


def rows(path: Path) -> list[dict[str, str]]:
    return list(read_tsv(path))


def test_a_samples_genome_takes_the_place_of_the_reference(run, model, genome, sequences, sample, tmp_path):
    own = list(sequences["chrA"])
    own[SNP] = other(own[SNP])
    (tmp_path / "own.fa").write_text(f">chrA\n{''.join(own)}\n")
    options = ("score-regions", "--model", model, "--region", "chrA:101-300", "--output")
    for name, extra in [
        ("own", ("--fasta", tmp_path / "own.fa")),
        ("reads", ("--fasta", genome, "--reads", sample)),
        ("reference", ("--fasta", genome)),
        ("gap", ("--fasta", genome, "--reads", sample, "--fill", "n")),
    ]:
        result = run(*options, tmp_path / f"{name}.tsv", *extra)
        assert result.exit_code == 0, result.output
        stands = {"reads": "the reference's base stands", "gap": "N stands"}.get(name)
        assert ("consensus: " in result.output) == bool(stands)
        if stands:
            told = re.search(
                r"consensus: ([\d,]+) bases called, ([\d,]+) not called \((.*)\), 0 deleted", result.output
            )
            counts = [int(told[i].replace(",", "")) for i in (1, 2)]
            assert (told[3], sum(counts)) == (stands, 900)
            assert counts[1] > 20
    own_row, read_row, reference_row, gap_row = (
        rows(tmp_path / f"{name}.tsv")[0] for name in ("own", "reads", "reference", "gap")
    )
    assert read_row == own_row
    assert read_row["log_likelihood"] != reference_row["log_likelihood"]
    assert (read_row["start"], read_row["end"], read_row["bases"]) == ("100", "300", "200")
    assert int(gap_row["bases"]) < 190
    result = run("embed", "--model", model, "--fasta", genome, "--reads", sample, "--output", tmp_path / "e.h5")
    assert result.exit_code == 0, result.output
    with open_embeddings(tmp_path / "e.h5") as found:
        assert found.attributes["reads_as"] == "consensus"
        assert len(found) == 3


def test_reads_are_sequences_of_their_own(run, model, genome, sample, sequences, tmp_path):
    options = ("--model", model, "--reads", sample, "--reads-as", "sequences")
    for name, extra in [
        ("all", ("--duplicates",)),
        ("plain", ()),
        ("clipped", ("--clipped",)),
        ("sequenced", ("--as-sequenced",)),
        ("good", ("--min-mapping-quality", 30)),
        ("some", ("--region", "A:1-50", "--region", "chrA:31-60", "--region", "B:1-9", "--fasta", genome)),
    ]:
        result = run("score-regions", *options, *extra, "--output", tmp_path / f"{name}.tsv")
        assert result.exit_code == 0, result.output
        assert ("contigs matched by spelling: chrA = A" in result.output) == (name == "some")
    found = {path.stem: rows(path) for path in tmp_path.glob("*.tsv")}
    everything = [record for record in pysam.AlignmentFile(str(sample))]  # noqa: C416
    assert [row["name"] for row in found["all"]] == [record.query_name for record in everything]
    assert [row["name"] for row in found["plain"]] == [r.query_name for r in everything if not r.is_duplicate]
    assert {row["outcome"] for row in found["plain"]} == {"scored"}
    assert all((row["bases"], int(row["end"]) - int(row["start"])) == ("50", 50) for row in found["plain"])
    assert [row["strand"] for row in found["plain"][:3]] == ["+", "-", "+"]
    assert {row["bases"] for row in found["clipped"]} == {"52"}
    changed = [a["strand"] for a, b in zip(found["plain"], found["sequenced"], strict=True) if a != b]
    assert set(changed) == {"-"}
    assert len(found["good"]) < len(found["plain"])
    assert [row["name"] for row in found["some"]] == [f"r{n}" for n in range(6)]
    (tmp_path / "read.fa").write_text(f">r\n{sequences['chrA'][30:80]}\n")
    run("score-regions", "--model", model, "--fasta", tmp_path / "read.fa", "--output", tmp_path / "one.tsv")
    one, same = rows(tmp_path / "one.tsv")[0], found["plain"][3]
    assert float(same["log_likelihood"]) == pytest.approx(float(one["log_likelihood"]), abs=1e-3)
    result = run("embed", *options, "--region", "chrA:1-100", "--output", tmp_path / "reads.h5")
    assert result.exit_code == 0, result.output
    with open_embeddings(tmp_path / "reads.h5") as embedded:
        assert len(embedded) == 9
        assert np.isfinite(embedded.vectors()).all()
        assert embedded.intervals()[3].name == "r3"
        assert embedded.attributes["context"] == "read"


@pytest.mark.parametrize(
    ("extra", "left_out"),
    [
        ((), "secondary 1"),
        (("--secondary",), ""),
        (("--no-supplementary",), "secondary 1, supplementary 1"),
    ],
)
def test_further_alignments_of_a_read_are_taken_as_asked(run, model, split_sample, tmp_path, extra, left_out):
    options = ("--model", model, "--reads", split_sample, "--reads-as", "sequences", "--region", "A:1-50", *extra)
    result = run("score-regions", *options, "--output", tmp_path / "reads.tsv")
    assert result.exit_code == 0, result.output
    told = [line for line in result.output.splitlines() if line.startswith("reads left out: ")]
    assert told == ([f"reads left out: {left_out}"] if left_out else [])
    taken = {row["name"] for row in rows(tmp_path / "reads.tsv")}
    assert ("r0" in taken, "r2" in taken) == ("secondary" not in left_out, "supplementary" not in left_out)


@pytest.mark.parametrize(
    ("extra", "width"),
    [
        (("--pool", "none"), None),
        (("--pool", "bins:4", "--layer", "0", "--layer", "final"), 8),
        (("--pool", "max", "--strand", "both", "--compression", "gzip", "--dtype", "float16"), 1),
    ],
)
def test_reads_have_every_kind_of_vector(run, model, sample, tmp_path, extra, width):
    options = ("embed", "--model", model, "--reads", sample, "--reads-as", "sequences", "--region", "A:1-100")
    result = run(*options, *extra, "--output", tmp_path / "r.h5")
    assert result.exit_code == 0, result.output
    assert "reads left out: duplicate 1\n" in result.output
    run(*options, "--output", tmp_path / "plain.h5")
    with open_embeddings(tmp_path / "r.h5") as found, open_embeddings(tmp_path / "plain.h5") as plain:
        assert (len(found), found.ragged) == (9, width is None)
        assert found.outcomes() == ["embedded"] * 9
        assert found.intervals() == plain.intervals()
        assert np.isfinite(found.vectors()).all()
        if width is None:
            assert found.counts().tolist() == [50] * 9
            assert found[4].mean(0) == pytest.approx(plain[4], abs=1e-5)
        else:
            assert found.width == width * plain.width
        assert (found.attributes["context"], found.attributes["pooling"]) == ("read", extra[1])


@pytest.mark.parametrize(
    "extra", [("--context", "contig"), ("--window-bp", 10), ("--shard", "1/2"), ("--resume",)], ids=lambda x: x[0]
)
def test_what_reads_cannot_have_is_refused(run, model, sample, tmp_path, extra):
    options = ("embed", "--model", model, "--reads", sample, "--reads-as", "sequences", *extra)
    result = run(*options, "--output", tmp_path / "r.h5")
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "reads by themselves" in result.output or "a read has no contig before it" in result.output


def test_every_read_is_a_row_once_and_one_without_sequence_says_so(run, model, tmp_path):
    lines = ["r1\t0\tc\t1\t60\t40M\t*\t0\t0\t" + "ACGT" * 10 + "\t*", "r2\t0\tc\t5\t60\t20M\t*\t0\t0\t*\t*"]
    lines += ["r3\t0\tc\t7\t60\t4M\t*\t0\t0\tNNNN\t*", "r4\t512\tc\t8\t60\t4M\t*\t0\t0\tACGT\t*"]
    (tmp_path / "a.sam").write_text("@SQ\tSN:c\tLN:90\n" + "".join(f"{line}\n" for line in lines))
    shared = ("--model", model, "--reads", tmp_path / "a.sam", "--reads-as", "sequences")
    shared = (*shared, "--region", "c:1-10", "--region", "c:20-30")
    result = run("embed", *shared, "--output", tmp_path / "r.h5")
    assert result.exit_code == 0, result.output
    assert "reads left out: quality failed 1\n" in result.output
    with open_embeddings(tmp_path / "r.h5") as found:
        names = [interval.name for interval in found.intervals()]
        assert dict(zip(names, found.outcomes(), strict=True)) == {
            "r1": "embedded", "r2": "empty", "r3": "reference_n"
        }  # fmt: skip
        assert len(names) == 3
    assert run("score-regions", *shared, "--output", tmp_path / "r.tsv").exit_code == 0
    outcomes = [(row["name"], row["outcome"]) for row in rows(tmp_path / "r.tsv")]
    assert outcomes == [("r1", "scored"), ("r2", "empty"), ("r3", "reference_n")]


def test_cram_needs_its_reference(run, model, genome, sample, tmp_path):
    (tmp_path / "a.fa").write_text(Path(genome).read_text().replace(">chr", ">"))
    pysam.view("-C", "-T", str(tmp_path / "a.fa"), "-o", str(tmp_path / "a.cram"), str(sample), catch_stdout=False)
    shared = ("score-regions", "--model", model, "--reads", tmp_path / "a.cram", "--reads-as", "sequences")
    result = run(*shared, "--output", tmp_path / "none.tsv")
    assert result.exit_code == 1
    assert "Give --fasta" in result.output
    assert run(*shared, "--fasta", tmp_path / "a.fa", "--output", tmp_path / "cram.tsv").exit_code == 0
    run(*shared[:3], "--reads", sample, "--reads-as", "sequences", "--output", tmp_path / "bam.tsv")
    assert list(read_tsv(tmp_path / "cram.tsv")) == list(read_tsv(tmp_path / "bam.tsv"))
    assert run("embed", "--model", model, "--output", tmp_path / "e.h5").exit_code == 1


def test_options_about_reads_need_reads(run, model, genome, sample, tmp_path):
    for extra in (("--fill", "n"), ("--clipped",), ("--reads", sample, "--as-sequenced")):
        result = run("embed", "--model", model, "--fasta", genome, *extra, "--output", tmp_path / "e.h5")
        assert result.exit_code == 1
        assert result.output.startswith("error: --")
    result = run("embed", "--model", model, "--fasta", genome, "--reads", genome, "--output", tmp_path / "e.h5")
    assert result.exit_code == 1
    assert "toy.fa" in result.output
    assert not list(tmp_path.iterdir())


def test_an_alias_file_is_used_everywhere_and_told(run, model, genome, sequences, tmp_path):
    (tmp_path / "names.txt").write_text("chrA\tcontig_one\tscaffold-7\nchr2\ttwo\n")
    (tmp_path / "r.bed").write_text("contig_one\t10\t60\n")
    (tmp_path / "l.bed").write_text("".join(f"two\t{i}\t{i + 9}\t{'xy'[i % 2]}\n" for i in range(20)))
    reference = sequences["chrA"][29]
    (tmp_path / "v.vcf").write_text(
        "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        f"scaffold-7\t30\t.\t{reference}\t{other(reference)}\t.\t.\t.\n"
    )
    shared = ("--fasta", genome, "--aliases", tmp_path / "names.txt")
    for verb, extra, told in [
        (
            "score-regions",
            ("--model", model, "--bed", tmp_path / "r.bed", "-o", tmp_path / "o.tsv"),
            "contig_one = chrA",
        ),
        ("embed", ("--model", model, "--bed", tmp_path / "r.bed", "-o", tmp_path / "o.h5"), "contig_one = chrA"),
        (
            "score-variants",
            ("--model", model, "--vcf", tmp_path / "v.vcf", "-o", tmp_path / "o.vcf"),
            "scaffold-7 = chrA",
        ),
        ("evaluate", ("--model", model, "--contig", "two", "-o", tmp_path / "o.json"), "two = chr2"),
        ("tokenize", ("--region", "contig_one:1-9", "-o", tmp_path / "t.tsv"), "contig_one = chrA"),
        ("mutagenesis", ("--model", model, "--region", "contig_one:1-4", "-o", tmp_path / "m.h5"), "contig_one = chrA"),
        (
            "mutagenesis",
            ("--model", model, "--all-snvs", "--contig", "two", "-o", tmp_path / "s.h5"),
            "two = chr2",
        ),
        (
            "finetune",
            ("--model", model, "--data", tmp_path / "l.bed", "--epochs", 1, "-o", tmp_path / "f"),
            "two = chr2",
        ),
    ]:
        result = run(verb, *shared, *extra)
        assert result.exit_code == 0, result.output
        assert f"contigs matched by alias file: {told}" in result.output
    assert rows(tmp_path / "o.tsv")[0]["outcome"] == "scored"
    assert len(list(read_variants(tmp_path / "o.vcf"))) == 1
    result = run(
        "pretrain", *shared, "--holdout", "two", "--exclude", "scaffold-7", "--config", "nano", "--steps", 1,
        "--lanes", 1, "--window-tokens", 64, "--device", "cpu", "-o", tmp_path / "m",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "m" / "training.json").read_text())
    assert (record["holdout_contigs"], record["excluded_contigs"]) == (["chr2"], ["chrA"])
    assert record["matched_contigs"]["two"] == {"contig": "chr2", "by": "alias file"}
    (tmp_path / "names.txt").rename(tmp_path / "kept.txt")
    assert "names.txt" in run("pretrain", "--resume", tmp_path / "m").output  # its own settings name the file


def test_genbank_goes_in_as_fasta_does(run, model, tmp_path, sequences):
    from Bio import SeqIO
    from Bio.Seq import Seq
    from Bio.SeqRecord import SeqRecord

    record = SeqRecord(Seq(sequences["chrA"]), id="AB000001.1", name="AB000001")
    record.annotations |= {"molecule_type": "DNA", "topology": "circular"}
    SeqIO.write(record, tmp_path / "a.gb", "genbank")
    (tmp_path / "a.fa").write_text(f">AB000001.1\n{sequences['chrA']}\n")
    for name in ("a.gb", "a.fa"):
        result = run("score-regions", "--model", model, "--fasta", tmp_path / name, "-o", tmp_path / f"{name}.tsv")
        assert result.exit_code == 0, result.output
    assert list(read_tsv(tmp_path / "a.gb.tsv")) == list(read_tsv(tmp_path / "a.fa.tsv"))


@pytest.fixture(scope="session")
def byte_pairs(tmp_path_factory, run, genome) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "bpe.json"
    result = run("train-tokenizer", "--fasta", genome, "--vocabulary-size", 40, "--output", path)
    assert result.exit_code == 0, result.output
    assert "40 tokens, the longest of" in result.output
    return path


def test_learned_byte_pairs_are_the_same_again(run, genome, byte_pairs, tmp_path):
    run("train-tokenizer", "--fasta", genome, "--vocabulary-size", 40, "--output", tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == byte_pairs.read_bytes()
    assert len(read_tokenizer(byte_pairs).vocabulary) == 40
    (tmp_path / "n.fa").write_text(">a\nNNNN\n")
    result = run("train-tokenizer", "--fasta", tmp_path / "n.fa", "--output", tmp_path / "n.json")
    assert result.exit_code == 1
    assert "no plain bases" in result.output
    assert not (tmp_path / "n.json").exists()


@pytest.mark.parametrize("kind", ["nucleotide", "kmer:3", "kmer:5:overlapping", "bpe"])
def test_tokenize_says_which_bases_every_token_has(run, byte_pairs, genome, sequences, tmp_path, kind):
    chosen = byte_pairs if kind == "bpe" else kind
    result = run(
        "tokenize", "--tokenizer", chosen, "--fasta", genome, "--region", "B:91-210", "-o", tmp_path / "t.tsv.gz"
    )
    assert result.exit_code == 0, result.output
    found = rows(tmp_path / "t.tsv.gz")
    assert f"{len(found):,} tokens" in result.output
    text, covered = sequences["chrB"], set()
    for row in found:
        start, end = int(row["start"]), int(row["end"])
        assert row["contig"] == "chrB"
        assert row["token"] == text[start:end].upper()
        assert float(row["masked"]) == pytest.approx(sum(map(str.islower, text[start:end])) / (end - start))
        covered |= set(range(start, end))
    assert covered == set(range(90, 210))
    (tmp_path / "i.fa").write_text(">a\nACGRYRRN-\n".replace("-", "W"))
    result = run("tokenize", "--fasta", tmp_path / "i.fa", "-o", "-")
    assert "read as N: R 3, W 1, Y 1" in result.output


@pytest.mark.parametrize("kind", ["kmer:3", "kmer:4:overlapping", "bpe"])
def test_every_verb_works_with_every_tokenizer(run, byte_pairs, genome, variants, bed, tmp_path, kind):
    model = tmp_path / "model"
    chosen = byte_pairs if kind == "bpe" else kind
    result = run(
        "pretrain", "--fasta", genome, "--holdout", "2", "--config", "nano", "--steps", 4, "--lanes", 2,
        "--window-tokens", 64, "--evaluate-every", 2, "--tokenizer", chosen, "--device", "cpu", "--output", model,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    settings, config = (json.loads((model / name).read_text()) for name in ("tokenizer.json", "config.json"))
    assert settings["kind"] == kind.partition(":")[0]
    text = json.dumps(config)
    assert f'"vocabulary": {settings["vocabulary_size"]}' in text
    shared = ("--model", model, "--fasta", genome)
    for verb, extra in [
        ("evaluate", ("--contig", "2", "-o", tmp_path / "e.json")),
        ("score-variants", ("--vcf", variants, "-o", tmp_path / "v.tsv")),
        ("score-regions", ("--bed", bed, "--track", tmp_path / "t.bw", "-o", tmp_path / "r.tsv")),
        ("embed", ("--bed", bed, "--strand", "both", "-o", tmp_path / "e.h5")),
        ("tokenize", ("--bed", bed, "-o", tmp_path / "t.tsv")),
    ]:
        done = run(verb, *shared, *extra)
        assert done.exit_code == 0, done.output
    assert run("info", model).exit_code == 0
    evaluation = json.loads((tmp_path / "e.json").read_text())
    assert evaluation["bases"] == 400
    assert evaluation["bits_per_base"] > 1.5
    assert len(evaluation["baselines"]) == 3
    scored = [row for row in rows(tmp_path / "v.tsv") if row["outcome"] == "scored"]
    assert len(scored) >= 5
    assert all(row["llr"] != "NA" for row in scored)
    regions = rows(tmp_path / "r.tsv")
    assert [row["bases"] for row in regions] == ["100", "900", "0", "0", "10"]
    assert [row["outcome"] for row in regions] == ["scored", "scored", "reference_n", "contig_unknown", "clipped"]


def test_a_model_with_the_tokenizer_of_another_is_refused(run, model, genome, tmp_path):
    import shutil

    changed = tmp_path / "model"
    shutil.copytree(model, changed)
    (changed / "tokenizer.json").write_text('{"kind": "kmer", "k": 3}')
    result = run("score-regions", "--model", changed, "--fasta", genome, "-o", tmp_path / "o.tsv")
    assert result.exit_code == 1
    assert "tokenizer" in result.output


def test_tables_and_strings_go_wherever_a_vcf_goes(run, model, genome, sequences, tmp_path):
    ref = sequences["chrA"][29]
    alt = other(ref)
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (tmp_path / "v.vcf").write_text(f"{head}chrA\t30\tv1\t{ref}\t{alt}\t.\t.\tclass=LOF\n")
    (tmp_path / "v.csv").write_text(f"id,CHROM,pos,Ref,Alt,class\nv1,chrA,30,{ref},{alt},LOF\nbad,chrA,x,A,C,\n")
    (tmp_path / "v.tsv").write_text(f"seq\tat\told\tnew\tclass\nA\t29\t{ref}\t{alt}\tLOF\n")
    (tmp_path / "mave.csv").write_text(f"hgvs_nt,score\nchrA:g.30{ref}>{alt},-1.5\n")
    named = [("contig", "seq"), ("position", "at"), ("ref", "old"), ("alt", "new"), ("offset", "1")]
    column = [word for what, name in named for word in ("--column", f"{what}={name}")]
    scores = {}
    for source, extra in [
        (tmp_path / "v.vcf", ()), (tmp_path / "v.csv", ()), (tmp_path / "v.tsv", column), (tmp_path / "mave.csv", ()),
        (f"chrA:30:{ref}:{alt}", ()),
    ]:  # fmt: skip
        for suffix in ("tsv", "vcf"):
            output = tmp_path / f"out.{suffix}"
            done = run("score-variants", "--model", model, "--fasta", genome, "--vcf", source, *extra, "-o", output)
            assert done.exit_code == 0, done.output
        assert ("malformed" in done.output) == (str(source).endswith("v.csv"))
        scores[str(source)] = rows(tmp_path / "out.tsv")[0]["llr"]
        (record,) = list(read_variants(tmp_path / "out.vcf"))
        assert (record.position, record.alts) == (30, (alt,))
        assert float(record.info()["TD_LLR"]) == pytest.approx(float(scores[str(source)]), rel=1e-5)
    assert len(set(scores.values())) == 1
    done = run("score-variants", "--model", model, "--fasta", genome, "--vcf", tmp_path / "v.tsv", "-o", output)
    assert done.exit_code == 1
    assert "Name the columns" in done.output
