"""Relatives through the command line and the public face: read once, used by every verb, refused where they fail."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import titans_dna as td
from titans_dna.genome.alphabet import reverse_complement

RNG = np.random.default_rng(8)


def bases(count: int) -> str:
    return "".join(RNG.choice(list("ACGT"), count))


def mutated(text: str, share: float) -> str:
    return "".join(b if RNG.random() > share else RNG.choice(list("ACGT".replace(b, ""))) for b in text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A target; two relatives of it, one in two contigs; a stretch of the target that no relative has."""
    folder = tmp_path_factory.mktemp("kin")
    own, shared = bases(300), bases(900)
    (folder / "target.fa").write_text(f">t1\n{shared[:500]}{own}{shared[500:]}\n>t2\n{bases(200)}\n")
    near, far = mutated(shared, 0.03), mutated(shared, 0.12)
    (folder / "near.fa").write_text(f">n#1\n{near[:450]}\n>n#2\n{near[450:]}\n")
    (folder / "far.fa").write_text(f">f#1\n{far}\n")
    (folder / "both.fa").write_text((folder / "near.fa").read_text() + (folder / "far.fa").read_text())
    rows = [(at + 1, shared[at], "ACGT"["ACGT".index(shared[at]) - 1]) for at in range(100, 400, 37)]
    (folder / "v.vcf").write_text(
        "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        + "".join(f"t1\t{p}\t.\t{r}\t{a}\t.\t.\t.\n" for p, r, a in rows)
        + f"t1\t200\t.\t{shared[199:202]}\t{shared[199]}\t.\t.\t.\n"
    )
    return folder


@pytest.fixture(scope="module")
def memory(folder, run) -> Path:
    output = folder / "kin.tdm"
    result = run("remember", "--fasta", folder / "near.fa", "--fasta", folder / "far.fa", "--output", output)
    assert result.exit_code == 0, result.output
    assert "3 contigs of 2 genomes, 1,800 bases" in result.output
    return output


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader((line for line in file if not line.startswith("##")), delimiter="\t"))


def plain(path: Path) -> str:
    return "\n".join(line for line in path.read_text().splitlines() if "command=" not in line)


def test_info_says_what_is_in_a_memory(memory, run):
    told = run("info", memory).output
    assert "2 genomes, 3 contigs, 1,800 bases" in told
    assert "near.fa, 900 bases" in told
    assert "all arrays are whole" in told


def test_a_memory_file_gives_what_its_genomes_give(folder, memory, run, tmp_path):
    common = ("score-variants", "--model", "default", "--fasta", folder / "target.fa", "--vcf", folder / "v.vcf")
    kin = ("--relatives", folder / "near.fa", "--relatives", folder / "far.fa")
    for context in ("contig", "window:256"):
        files = [tmp_path / f"{name}-{context[:6]}.vcf" for name in ("memory", "read")]
        for file, given in zip(files, (("--memory", memory), kin), strict=True):
            result = run(*common, *given, "--context", context, "--workers", 2, "--output", file)
            assert result.exit_code == 0, result.output
        assert plain(files[0]) == plain(files[1])
        assert "##titans_dna_relatives=near.fa,far.fa bases=1800 checksum=" in files[0].read_text()
    table = tmp_path / "v.tsv"
    assert run(*common, "--memory", memory, "--output", table).exit_code == 0
    rows = rows_of(table)
    single, deletion = rows[:-1], rows[-1]
    votes = np.array([[float(row[f"relatives_{name}"]) for name in ("ref", "alt", "other")] for row in single])
    assert votes.sum() > 1.7 * len(single)
    assert votes[:, 0].mean() > 1.5
    assert all(float(row["vote"]) < 0 for row in single)
    assert deletion["vote"] == "NA"
    assert deletion["outcome"] == "scored"


def test_contigs_of_a_named_group_are_one_genome(folder, run, tmp_path):
    common = ("score-variants", "--model", "default", "--fasta", folder / "target.fa", "--vcf", folder / "v.vcf")
    most = {}
    for per in ("file", "prefix", "contig"):
        output = tmp_path / f"{per}.tsv"
        result = run(*common, "--relatives", folder / "both.fa", "--one-vote-per", per, "--output", output)
        assert result.exit_code == 0, result.output
        most[per] = max(float(row["relatives_ref"]) for row in rows_of(output)[:-1])
    assert most == {"file": 1, "prefix": 2, "contig": 2}


def test_every_verb_that_reads_takes_relatives(folder, memory, run, tmp_path):
    target, given = folder / "target.fa", ("--memory", memory)
    scored = tmp_path / "r.tsv"
    result = run(
        "score-regions", "--model", "default", "--fasta", target, "--region", "t1:1-500", "--region", "t1:501-800",
        *given, "--context", "window:512", "--output", scored,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    known, own = rows_of(scored)
    assert float(known["bits_per_base"]) < float(known["bits_without_relatives"]) - 0.5
    assert float(own["bits_per_base"]) > float(own["bits_without_relatives"]) - 0.1
    arcs = tmp_path / "c.bedpe"
    result = run(
        "score-regions", "--model", "default", "--fasta", target, *given, "--copies", arcs, "--output", scored
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    lines = [line.split("\t") for line in arcs.read_text().splitlines() if not line.startswith("#")]
    assert f"copies: {len(lines)}" in result.output
    assert {line[11] for line in lines} <= {"near.fa", "far.fa"}
    covered = np.zeros(1200, dtype=bool)
    for line in lines:
        start, end, there = int(line[1]), int(line[2]), int(line[4])
        covered[start:end] = True
        place = start if start < 500 else start - 300  # in the relatives, which lack a stretch
        place -= 450 if line[3] == "n#2" else 0
        assert (line[0], line[8], line[9]) == ("t1", "+", "+")
        assert abs(there - place) < 40
        assert 0.7 < float(line[10]) <= 1
    assert covered[60:480].mean() > 0.8
    assert covered[560:760].mean() < 0.2
    bits = {}
    for name, kin in (("with", given), ("without", ())):
        output = tmp_path / f"{name}.json"
        result = run("evaluate", "--model", "default", "--fasta", target, "--contig", "t1", *kin, "--output", output)
        assert result.exit_code == 0, result.output
        bits[name] = json.loads(output.read_text())
    assert bits["with"]["bits_per_base"] < bits["without"]["bits_per_base"] - 0.5
    assert "checksum" in bits["with"]["relatives"]
    vectors = {}
    for name, kin in (("with", given), ("without", ())):
        output = tmp_path / f"{name}.h5"
        result = run("embed", "--model", "default", "--fasta", target, "--region", "t1:1-400", *kin, "-o", output)
        assert result.exit_code == 0, result.output
        with td.open_embeddings(output) as file:
            vectors[name] = np.asarray(file[0])
    assert not np.allclose(vectors["with"], vectors["without"])
    result = run(
        "mutagenesis", "--model", "default", "--fasta", target, "--region", "t1:101-104", *given,
        "--output", tmp_path / "m.h5",
    )  # fmt: skip
    assert result.exit_code == 0, result.output


def test_the_public_face_remembers(folder, memory):
    model = td.load_model("default", device="cpu")
    kin = model.remember([folder / "near.fa", folder / "far.fa"], target=folder / "target.fa")
    frame = kin.score_variants(folder / "v.vcf", folder / "target.fa")
    assert {"vote", "tolerance", "relatives_ref", "relatives_alt", "relatives_other"} <= set(frame.columns)
    again = model.remember(memory).score_variants(folder / "v.vcf", folder / "target.fa")
    np.testing.assert_array_equal(frame["llr"], again["llr"])
    wide = kin.score_variants(folder / "v.vcf", folder / "target.fa", context="window:4096", workers=2)
    np.testing.assert_allclose(wide["llr"], frame["llr"], atol=1e-4)
    regions = kin.score_regions(["t1:1-400"], folder / "target.fa", context="window:4096")
    assert regions["bits_without_relatives"][0] > regions["bits_per_base"][0] + 0.5
    plain = model.score_variants(folder / "v.vcf", folder / "target.fa")
    assert "vote" not in plain.columns
    with pytest.raises(td.errors.ConfigError, match="is the target itself"):
        model.remember(folder / "target.fa", target=folder / "target.fa")


def test_what_cannot_be_remembered_is_refused_in_one_line(folder, memory, model, run, tmp_path):
    protein, empty, twice = (tmp_path / f"{name}.fa" for name in ("protein", "empty", "twice"))
    protein.write_text(">p\nMKVLAAGIVGLLLAQPEFEF\n")
    empty.write_text("")
    twice.write_text(">a\nACGTACGT\n>a\nACGTACGT\n")
    common = ("score-variants", "--fasta", folder / "target.fa", "--vcf", folder / "v.vcf", "-o", tmp_path / "x.tsv")
    cut = tmp_path / "cut.tdm"
    cut.write_bytes(memory.read_bytes()[:5000])
    cases = {
        ("remember", "--fasta", protein, "-o", tmp_path / "x.tdm"): "nucleotide",
        ("remember", "--fasta", empty, "-o", tmp_path / "x.tdm"): "is empty",
        ("remember", "--fasta", twice, "-o", tmp_path / "x.tdm"): "twice|more than once|names",
        ("remember", "-o", tmp_path / "x.tdm"): "no relative",
        ("remember", "--fasta", folder / "far.fa", "-o", tmp_path / "x.h5"): "tdm",
        (*common, "--model", "default", "--memory", cut): "damaged",
        (*common, "--model", "default", "--relatives", folder / "target.fa"): "t1 is the target itself",
        (*common, "--model", "default", "--relatives", folder / "target.fa", "--allow-self"): "no relative is left",
        (*common, "--model", model, "--relatives", folder / "far.fa"): "no copy memory",
        (*common, "--model", "default", "--memory", folder / "far.fa"): "no memory file",
        (*common, "--model", "default", "--one-vote-per", "contig"): "are about --relatives",
        (*common, "--model", "default", "--context", "window:9x"): "window:N",
    }  # fmt: skip
    import re

    for arguments, words in cases.items():
        result = run(*arguments)
        assert result.exit_code != 0, arguments
        assert re.search(words, result.output), (words, result.output)
        assert len(result.output.strip().splitlines()) <= 2, result.output
    assert not list(tmp_path.glob("x.*"))


def test_copies_are_traced_without_a_network(tmp_path, run):
    """A contig with a stretch of a stranger, then its own start once more, then a stretch of it reversed."""
    stranger, own = bases(2_000), bases(1_000)
    (tmp_path / "relative.fa").write_text(f">r\n{stranger}\n")
    text = own + stranger[500:900] + own[:300] + reverse_complement(own[400:700].encode()).decode()
    (tmp_path / "target.fa").write_text(f">t\n{text}\n>u\n{bases(500)}\n")
    target, relative, out = tmp_path / "target.fa", tmp_path / "relative.fa", tmp_path / "origin.bedpe.gz"
    result = run("copies", "--fasta", target, "--relatives", relative, "--output", out, "--least-bp", "100")
    assert result.exit_code == 0, result.output
    assert "3 copies" in result.output
    found = td.load_model("default").remember(relative).copies(target, least_bp=100)
    assert found["genome2"].fillna("").tolist() == ["relative.fa", "", ""]
    assert found["strand2"].tolist() == ["+", "+", "-"]
    for column, places in (("start1", [1000, 1400, 1700]), ("start2", [500, 0, 400])):
        assert all(0 <= at - place < 45 for at, place in zip(found[column], places, strict=True)), found[column]
    assert (found["identity"] == 1).all()
    assert found["bits_saved"].tolist() == (2.0 * (found["end1"] - found["start1"])).tolist()
    assert td.load_model("default").copies(target, contigs=["u"]).empty


def test_contigs_of_a_fragmented_relative_are_not_thousands_of_genomes(folder, run, tmp_path, monkeypatch):
    from titans_dna.loading import relatives

    monkeypatch.setattr(relatives, "MOST_GENOMES", 2)
    common = ("remember", "--fasta", folder / "both.fa", "--output", tmp_path / "x.tdm")
    result = run(*common, "--one-vote-per", "contig")
    assert result.exit_code == 1
    assert "3 genomes would each have a vote, and 2 is the limit" in result.output
    assert not (tmp_path / "x.tdm").exists()
    assert run(*common, "--one-vote-per", "prefix").exit_code == 0


def test_a_target_that_was_read_ahead_gives_the_same_files(folder, memory, run, tmp_path):
    ahead = tmp_path / "t.tdm"
    result = run("remember", "--target", "--fasta", folder / "target.fa", "--contig", "t1", "--output", ahead)
    assert result.exit_code == 0, result.output
    assert "both strands of 1 contig, 1,200 bases" in result.output
    told = run("info", ahead).output
    assert "both strands of 1 contig, 1,200 bases" in told
    assert "t1, 1,200 bases, MD5" in told
    window, genome = ("--context", "window:256"), ("--model", "default", "--fasta", folder / "target.fa")
    jobs = {
        "v.vcf": ("score-variants", *genome, "--vcf", folder / "v.vcf"),
        "r.tsv": ("score-regions", *genome, "--region", "t1:301-900", "--region", "t2:1-100"),
        "m.tsv": ("mutagenesis", *genome, "--all-snvs"),
        "e.h5": ("embed", *genome, "--region", "t1:301-900"),
    }
    for kin in ((), ("--memory", memory)):
        for name, job in jobs.items():
            files = [tmp_path / f"{len(kin)}{which}-{name}" for which in ("plain", "ahead")]
            for file, more in zip(files, ((), ("--memory", ahead)), strict=True):
                result = run(*job, *window, *kin, *more, "--output", file)
                assert result.exit_code == 0, result.output
            if name == "e.h5":
                one, other = (td.open_embeddings(file).to_pandas() for file in files)
                assert one.equals(other)
            else:
                assert plain(files[0]) == plain(files[1])
    model = td.load_model("default").remember(ahead)
    found = model.score_regions("t1:301-900", folder / "target.fa", context="window:256")
    row = rows_of(tmp_path / "0plain-r.tsv")[0]
    assert float(row["bits_per_base"]) == pytest.approx(found["bits_per_base"][0], rel=1e-4)


def test_a_target_that_was_read_ahead_is_refused_where_it_is_of_no_use(folder, memory, run, tmp_path):
    ahead = tmp_path / "t.tdm"
    make = ("remember", "--target", "--fasta", folder / "target.fa", "--output", ahead)
    assert run(*make).exit_code == 0
    score = (
        "score-variants",
        "--model",
        "default",
        "--vcf",
        folder / "v.vcf",
        "--memory",
        ahead,
        "-o",
        tmp_path / "o.tsv",
    )
    genome = ("--fasta", folder / "target.fa")
    for command, words in (
        ((*score, *genome), "only a context of window:N has a use for it"),
        ((*score, "--fasta", folder / "near.fa", "--context", "window:256"), "no contig is as long"),
        ((*make, "--contig", "t9"), "t9 is in no FASTA"),
        ((*make, "--one-vote-per", "contig"), "--one-vote-per changes nothing with --target"),
        (("remember", "--target", "--output", ahead), "--fasta is missing"),
        (("remember", *genome, "--contig", "t1", "--output", ahead), "--contig changes nothing without --target"),
        (("remember", "--memory", ahead, "--fasta", folder / "near.fa", "--output", ahead), "not relatives"),
    ):
        result = run(*command)
        assert result.exit_code != 0
        assert words in " ".join(result.output.split()), result.output
        assert not (tmp_path / "o.tsv").exists()
