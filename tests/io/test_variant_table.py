from __future__ import annotations

import io
import sys

import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from titans_dna.errors import ConfigError, FormatError, InputMissing, TitansDNAError
from titans_dna.genome import ContigTable
from titans_dna.io import (
    InfoField,
    ScoredVcfWriter,
    VariantColumns,
    open_variants,
    read_aliases,
    read_variant_strings,
    read_variant_table,
)

SCORE = InfoField(id="TD_LLR", number="A", type="Float", description="x")


def alleles(reader):
    with reader:
        return [(r.contig, r.position, r.ref, r.alts, r.problem) for r in reader]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", "chrom\tpos\tref\talt\tclass\nchr1\t10\tA\tG,T\tLOF\nchr2\t5\tACG\tA\tNA\n"),
        ("a.csv", '"CHROM","POS","REF","ALT","class"\n"chr1","10","A","G/T","LOF"\nchr2,5,ACG,A,\n'),
        (
            "a.txt.gz",
            "## note\n#chrom\tposition\treference\talternate\tclass\nchr1\t10\tA\tG,T\tLOF\nchr2\t5\tACG\tA\t.\n",
        ),
    ],
)
def test_tables_are_read_by_the_names_of_their_columns(write, name, text):
    with open_variants(write(name, text)) as reader:
        found = list(reader)
    assert [(r.contig, r.position, r.ref, r.alts, r.problem) for r in found] == [
        ("chr1", 10, "A", ("G", "T"), ""),
        ("chr2", 5, "ACG", ("A",), ""),
    ]
    assert [r.info() for r in found] == [{"class": "LOF"}, {}]


def test_columns_can_be_named_and_count_from_zero(write, monkeypatch):
    text = "where\tat\tfrom\tto\tmy id\tchrom\nchr1\t9\tA\tG\tv 1\tother\n"
    columns = VariantColumns(contig="where", position="at", ref="from", alt="to", id="my id", offset=1)
    path = write("a.data", text)
    assert alleles(open_variants(path, columns)) == [("chr1", 10, "A", ("G",), "")]
    (record,) = list(read_variant_table(path, columns))
    assert record.id == "v%201"
    assert record.info() == {"chrom": "other"}
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert alleles(open_variants("-", columns)) == [("chr1", 10, "A", ("G",), "")]
    with pytest.raises(FormatError, match=r"no column 'nope'; the table has where, at"):
        read_variant_table(path, VariantColumns(contig="nope"))


def test_mave_tables_and_strings(write):
    path = write(
        "m.csv",
        "accession,hgvs_nt,score\nurn:1,NC_000017.11:g.43045682C>T,-1.5\nurn:2,c.5A>G,0.1\nurn:3,chr1:7:A:AT,2\n",
    )
    found = list(open_variants(path))
    assert [(r.contig, r.position, r.ref, r.alts) for r in found if not r.problem] == [
        ("NC_000017.11", 43045682, "C", ("T",)),
        ("chr1", 7, "A", ("AT",)),
    ]
    assert found[1].problem.startswith("malformed: variant 'c.5A>G'")
    assert found[0].info() == {"score": "-1.5"}
    assert alleles(open_variants("chr1:1,000:A:G")) == [("chr1", 1000, "A", ("G",), "")]
    reader = read_variant_strings(["chr1:5:A:G", "nonsense", "chr1:5:A:<DEL>"])
    assert [bool(r.problem) for r in reader] == [False, True, False]
    assert reader.malformed == 1


def test_a_vcf_that_is_called_a_table_is_a_vcf(write):
    """Trap 13: the name does not decide."""
    text = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n1\t5\t.\tA\tG\t.\t.\t.\n"
    for name in ("a.txt", "b.txt.gz", "c.vcf.txt", "d.tsv.vcf"):
        assert alleles(open_variants(write(name, text))) == [("1", 5, "A", ("G",), "")]


def test_bad_rows_have_a_reason_and_the_others_go_on(write):
    text = "chrom\tpos\tref\talt\n1\tx\tA\tG\n1\t5\tA\n1\t5\t\tG\n1\t6\tA\tG\n"
    problems = [r.problem for r in open_variants(write("a.tsv", text))]
    assert [bool(p) for p in problems] == [True, True, True, False]
    assert problems[1] == "malformed: 3 columns where the header has 4"


def test_a_table_becomes_a_valid_scored_vcf(write, tmp_path):
    text = "chrom\tpos\tref\talt\tmy col\t1st\nchr1\t10\tA\tG\ta;b=c d\t5\nchr1\tx\tA\tG\t\t\nchr1\t20\tA\tAT\té\t\n"
    with (
        open_variants(write("a.tsv", text)) as reader,
        ScoredVcfWriter(tmp_path / "o.vcf.gz", reader.header, [SCORE]) as writer,
    ):
        for record in reader:
            writer.write(record, {"TD_LLR": [1.0]})
    with pysam.VariantFile(str(tmp_path / "o.vcf.gz")) as back:
        found = list(back)
    assert [(r.pos, r.alts, r.info["TD_LLR"]) for r in found] == [(10, ("G",), (1.0,)), (20, ("AT",), (1.0,))]
    assert found[0].info["my_col"] == ("a%3Bb%3Dc%20d",)
    assert found[0].info["_1st"] == ("5",)
    assert (writer.records, writer.malformed) == (2, 1)


def test_tables_without_the_columns_are_refused(write, tmp_path):
    with pytest.raises(FormatError, match="no column for alt, position, ref"):
        open_variants(write("a.tsv", "chrom\tx\n1\t2\n"))
    with pytest.raises(FormatError, match="is empty"):
        open_variants(write("b.tsv", ""))
    with pytest.raises(FormatError, match="twice"):
        open_variants(write("c.tsv", "chrom\tpos\tref\talt\tref\n"))
    for missing in ("none.vcf", "none.tsv", "a:b:c:d.vcf"):
        with pytest.raises(InputMissing):
            open_variants(tmp_path / missing)


CELL = st.sampled_from(
    ["chrom", "pos", "ref", "alt", "1", "5", "A", "G", "", '"', "x y", "é", "1:5:A:G", "variant", "\r"]
)


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(CELL, max_size=6), max_size=5), st.sampled_from(["\t", ","]), st.booleans())
def test_any_table_is_all_accounted_for_or_refused(tmp_path, rows, separator, headed):
    path = tmp_path / "fuzz.tsv"
    lines = (["chrom,pos,ref,alt,more".replace(",", separator)] if headed else []) + [
        separator.join(row) for row in rows
    ]
    path.write_bytes("\n".join(lines).encode())
    try:
        reader = open_variants(path)
    except TitansDNAError:
        return
    found = list(reader)
    assert len(found) == sum(1 for line in lines if line.strip("\r")) - 1


def test_columns_are_named_by_options(write):
    path = write("t.tsv", "seq\tat\told\tnew\n1\t9\tA\tG\n")
    texts = ["contig=seq", "position=at", "ref=old", "alt=new", "offset=1"]
    with open_variants(path, VariantColumns.parse(texts)) as reader:
        (record,) = reader
    assert (record.contig, record.position, record.ref, record.alts) == ("1", 10, "A", ("G",))
    assert VariantColumns.parse([]) is None
    for bad in ("contig", "contig=", "place=x", "offset=2", "offset=x", ""):
        with pytest.raises(ConfigError, match="column is"):
            VariantColumns.parse([bad])


def test_alias_files_name_groups(write):
    groups = read_aliases(write("a.txt", "# ucsc\tensembl\nchr1\t1\tNC_1\nchrM\t\tMT\nalone\t\n"))
    assert groups == [("chr1", "1", "NC_1"), ("chrM", "MT"), ("alone",)]
    assert read_aliases(write("b.txt", "scaffold_1 chrX\n")) == [("scaffold_1", "chrX")]
    assert (
        ContigTable({"scaffold_1": 5}, read_aliases(write("b.txt", "scaffold_1 chrX\n"))).resolve("chrX")
        == "scaffold_1"
    )
    with pytest.raises(FormatError, match=":1: 'single' is a single name"):
        read_aliases(write("c.txt", "single\n"))
    with pytest.raises(FormatError, match="no names"):
        read_aliases(write("d.txt", "#\n"))


def test_columns_that_are_the_same_as_info_are_kept_apart(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("chrom\tpos\tref\talt\ta b\ta-b\ta_b\ta_b_2\nx\t1\tA\tC\t1\t2\t3\t4\n")
    with read_variant_table(path) as reader:
        assert sorted(reader.header.declared["INFO"]) == ["a_b", "a_b_2", "a_b_3", "a_b_4"]
        assert next(reader).info() == {"a_b": "3", "a_b_2": "4", "a_b_3": "1", "a_b_4": "2"}
