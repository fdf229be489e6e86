"""Structural variants from files of every kind, with haplotypes, a background, shards, and through Python."""

from __future__ import annotations

import gzip
from pathlib import Path

import pysam
import pytest

import titans_dna as td
from titans_dna.genome.alphabet import reverse_complement
from titans_dna.io.tables.tsv import read_tsv

HEADER = """##fileformat=VCFv4.4
##contig=<ID=chrA,length=900>
##contig=<ID=chrB,length=500>
##INFO=<ID=END,Number=1,Type=Integer,Description="End">
##INFO=<ID=SVLEN,Number=A,Type=Integer,Description="Length">
##INFO=<ID=CIPOS,Number=.,Type=Integer,Description="Interval">
##INFO=<ID=IMPRECISE,Number=0,Type=Flag,Description="Imprecise">
##INFO=<ID=SEQ,Number=A,Type=String,Description="Bases">
##INFO=<ID=EVENT,Number=A,Type=String,Description="Event">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tME
"""
COUNTS = {
    "scored": 12, "symbolic": 1, "imprecise": 1, "unclear_length": 1, "no_sequence": 1, "breakend": 1,
    "beyond_contig": 1, "too_long": 1, "total": 19,
}  # fmt: skip
TWINS = [("del", "del2"), ("dup", "dup2"), ("inv", "inv2"), ("ins", "ins2"), ("del", "bnd"), ("inv", "w"), ("inv", "v")]


@pytest.fixture(scope="module")
def rows(sequences) -> list[tuple[int, str, str, str, str]]:
    """POS, ID, REF, ALT, INFO on chrA."""
    s = sequences["chrA"].upper()
    p, e = 300, 340
    b, mid = s[p - 1], s[p:e]
    turned = reverse_complement(mid.encode()).decode()
    return [
        (p, "del", b, "<DEL>", f"END={e}"), (p, "del2", b + mid, b, "."),
        (p, "dup", "N", "<DUP>", "SVLEN=40"), (p, "dup2", b, b + mid, "."),
        (p, "inv", b, "<INV>", "SVLEN=40"), (p, "inv2", b + mid, b + turned, "."),
        (p, "ins", b, "<INS>", "SEQ=GATTACA;SVLEN=7"), (p, "ins2", b, b + "GATTACA", "."),
        (p, "bnd", b, f"{b}[chrA:{e + 1}[", "."), (p, "w", b, f"{b}]chrA:{e}]", "EVENT=I"),
        (p, "snv", b, "ACGT"["ACGT".index(b) - 1], "."),
        (p, "symbolic", b, "<NON_REF>", f"END={e}"), (p, "imprecise", b, "<DEL>", f"END={e};IMPRECISE;CIPOS=-9,9"),
        (p, "length", b, "<DEL>", "."), (p, "bases", b, "<INS>", "SVLEN=9"), (p, "other", b, f"{b}[chrB:7[", "."),
        (p, "beyond", b, "<DEL>", "SVLEN=700"), (p, "long", b, "<DEL>", "SVLEN=500"),
        (p + 1, "v", s[p], f"[chrA:{e + 1}[{s[p]}", "EVENT=I"),
    ]  # fmt: skip


def text_of(rows, genotype="0|1") -> str:
    return HEADER + "".join(
        f"chrA\t{p}\t{name}\t{ref}\t{alt}\t.\t.\t{info}\tGT\t{genotype}\n" for p, name, ref, alt, info in rows
    )


@pytest.fixture(scope="module")
def vcf(tmp_path_factory, rows) -> Path:
    path = tmp_path_factory.mktemp("structural") / "sv.vcf"
    path.write_text(text_of(rows))
    return path


@pytest.fixture
def scored(run, model, genome, vcf, tmp_path):
    """Score into a table with these options; the rows by ID, and the counts that were printed."""

    def call(*options, source=vcf, output="out.tsv"):
        result = run("score-variants", "--model", model, "--fasta", genome, "--vcf", source, "--longest", 400,
                     "--horizon", 30, *options, "-o", tmp_path / output)  # fmt: skip
        assert result.exit_code == 0, result.output
        counts = {line.split()[0]: int(line.split()[1]) for line in result.stderr.splitlines() if line[0] != "2"}
        return (tmp_path / output if output != "out.tsv" else {r["id"]: r for r in read_tsv(tmp_path / output)}), counts

    return call


def numbers(row) -> tuple[str, ...]:
    return tuple(row[name] for name in ("llr", "llr_forward", "llr_reverse", "junction") if name in row)


@pytest.mark.parametrize("context", ["contig", "window:64"])
def test_twins_are_equal_and_counts_add_up(scored, context):
    found, counts = scored("--context", context, "--junctions")
    assert counts == COUNTS
    for one, other in TWINS:
        assert numbers(found[one]) == numbers(found[other])
    assert len({numbers(found[name]) for name in ("del", "dup", "inv", "ins")}) == 4
    assert found["imprecise"]["llr"] == found["symbolic"]["junction"] == "NA"


@pytest.mark.parametrize("ending", ["vcf.gz", "bcf"])
def test_packed_files_give_the_same(scored, vcf, tmp_path, ending):
    path = tmp_path / f"in.{ending}"
    if ending == "bcf":
        with pysam.VariantFile(str(vcf)) as source, pysam.VariantFile(str(path), "wb", header=source.header) as target:
            for record in source:
                target.write(record)
    else:
        path.write_bytes(gzip.compress(vcf.read_bytes()))
    found, counts = scored(source=path)
    plain, _ = scored()
    assert counts == COUNTS
    assert {name: numbers(row) for name, row in found.items()} == {name: numbers(row) for name, row in plain.items()}


def test_a_table_brings_info_in_its_columns(scored, rows, tmp_path):
    path = tmp_path / "in.tsv"
    path.write_text(f"chrom\tpos\tid\tref\talt\tEND\nchrA\t300\tdel\t{rows[0][2]}\t<DEL>\t340\n")
    found, counts = scored(source=path)
    assert counts == {"scored": 1, "total": 1}
    wanted = [float(number) for number in numbers(scored()[0]["del"])]
    assert [float(number) for number in numbers(found["del"])] == pytest.approx(wanted, abs=1e-3)


def test_records_keep_their_text(scored, vcf, rows):
    path, _ = scored("--junctions", output="out.vcf.gz")
    with pysam.VariantFile(str(path)) as found:
        records = list(found)
    assert [(r.pos, r.id, r.ref, r.alts[0]) for r in records] == [row[:4] for row in rows]
    assert [r.info["TD_OUTCOME"][0] for r in records].count("scored") == 12
    assert [r.info["TD_JUNCTION"][0] is not None for r in records].count(True) == 12


def test_imprecise_alleles_are_scored_where_asked_for(scored):
    found, counts = scored("--imprecise")
    assert counts["scored"] == 13
    assert numbers(found["imprecise"]) == numbers(found["del"])


def test_haplotypes_carry_structural_variants(scored, rows, sequences, tmp_path):
    """An SNV behind a carried deletion, and one within it, are read alike whether the deletion is in bases or not."""
    s, found = sequences["chrA"].upper(), []
    snvs = [(at, f"snv{at}", s[at - 1], "ACGT"["ACGT".index(s[at - 1]) - 1], ".") for at in (320, 360)]
    for name in ("del", "del2"):
        path = tmp_path / f"{name}.vcf"
        carried = next(row for row in rows if row[1] == name)
        path.write_text(text_of([carried, *snvs]))
        table, counts = scored("--haplotype", "ME", source=path)
        assert counts == {"scored": 2, "haplotype_conflict": 1, "total": 3}
        found.append([(numbers(row), row["outcome"]) for row in table.values()])
    assert found[0] == found[1]
    assert found[0][2][0] != numbers(scored(source=snv_file(tmp_path, snvs))[0]["snv360"])


def snv_file(folder: Path, snvs) -> Path:
    (folder / "snvs.vcf").write_text(text_of(snvs))
    return folder / "snvs.vcf"


def test_a_background_of_structural_variants_gives_the_quantile_of_its_class(run, model, genome, vcf, rows, tmp_path):
    many = tmp_path / "many.vcf"
    many.write_text(text_of([(20 + 9 * n, f"d{n}", "N", "<DEL>", "SVLEN=5") for n in range(25)]))
    scored_before = tmp_path / "many.scored.vcf.gz"
    for source, background, output in (
        (many, None, scored_before),
        (vcf, many, "a.tsv"),
        (vcf, scored_before, "b.tsv"),
    ):
        more = ("--background", background) if background else ()
        result = run("score-variants", "--model", model, "--fasta", genome, "--vcf", source, *more, "--horizon", 20,
                     "-o", tmp_path / output)  # fmt: skip
        assert result.exit_code == 0, result.output
    for name in "ab":
        found = {row["id"]: row["quantile"] for row in read_tsv(tmp_path / f"{name}.tsv")}
        assert found["del"] == found["del2"] != "NA"
        assert found["inv"] == "NA"  # it is a substitution, of which the background has none


def test_shards_make_the_whole(run, model, genome, vcf, tmp_path):
    how = ("score-variants", "--model", model, "--fasta", genome, "--vcf", vcf, "--context", "window:64", "--junctions")
    for index in (1, 2):
        assert run(*how, "--shard", f"{index}/2", "-o", tmp_path / f"{index}.vcf.gz").exit_code == 0
    assert run("merge", tmp_path / "1.vcf.gz", tmp_path / "2.vcf.gz", "-o", tmp_path / "m.vcf.gz").exit_code == 0
    assert run(*how, "-o", tmp_path / "whole.vcf.gz").exit_code == 0
    parts, whole = (
        [line for line in gzip.decompress((tmp_path / name).read_bytes()).decode().splitlines() if line[:2] != "##"]
        for name in ("m.vcf.gz", "whole.vcf.gz")
    )
    assert parts == whole


def test_from_python(model, genome, vcf, rows, scored):
    found = td.load_model(model).score_variants(
        vcf, genome, horizon_bp=30, longest_bp=400, imprecise=True, junctions=True
    )
    plain, _ = scored("--imprecise", "--junctions")
    assert found.outcome.tolist() == [row["outcome"] for row in plain.values()]
    assert found.junction.notna().sum() == 13
    breakends = td.load_model(model).score_variants([f"chrA:300:{rows[8][2]}:{rows[8][3]}", "chrA:300:N:<DEL>"], genome)
    assert breakends.outcome.tolist() == ["scored", "unclear_length"]


def test_the_report_says_what_the_outcomes_mean(run, scored, tmp_path):
    path, _ = scored("--junctions", output="out.vcf.gz")
    page = tmp_path / "page.html"
    result = run("report", path, "-o", page)
    assert result.exit_code == 0, result.output
    for words in ("junctions are not known", "contradict each other", "bases of the insertion", "half an inversion"):
        assert words in page.read_text()
