"""Genes and their parts: where a place lies, by GTF and GFF3, under any name of its contig."""

from __future__ import annotations

import math

import pytest

from titans_dna.errors import FormatError
from titans_dna.genome.contigs import ContigTable
from titans_dna.io.intervals.annotation import Place, read_annotation
from titans_dna.io.intervals.bed import read_intervals

GTF = """#!x
chr1\ts\ttranscript\t101\t400\t.\t+\t.\tgene_id "G1"; transcript_id "T1"; gene_name "ABC";
chr1\ts\texon\t101\t200\t.\t+\t.\tgene_id "G1"; transcript_id "T1"; gene_name "ABC";
chr1\ts\tCDS\t151\t200\t.\t+\t0\tgene_id "G1"; transcript_id "T1"; gene_name "ABC";
chr1\ts\texon\t301\t400\t.\t+\t.\tgene_id "G1"; transcript_id "T1"; gene_name "ABC";
chr1\ts\texon\t381\t450\t.\t-\t.\tgene_id "G2"; transcript_id "T2";
chrZ\ts\texon\t1\t9\t.\t+\t.\tgene_id "Z";
"""
GFF = """##gff-version 3
1\tR\tregion\t1\t2000\t.\t+\t.\tID=r;Name=1
1\tR\tgene\t101\t200\t.\t+\t.\tID=gene-b1;Name=thrL;gene=thrL;note=a b c
1\tR\tCDS\t101\t200\t.\t+\t0\tID=cds-1;Parent=gene-b1;product=thr operon leader peptide
1\tE\tgene\t501\t900\t.\t-\t.\tID=gene:Y;Name=P%3BQ
1\tE\tmRNA\t501\t900\t.\t-\t.\tID=transcript:Y1;Parent=gene:Y
1\tE\tfive_prime_UTR\t851\t900\t.\t-\t.\tParent=transcript:Y1
1\tE\texon\t801\t900\t.\t-\t.\tParent=transcript:Y1
1\tE\texon\t501\t600\t.\t-\t.\tParent=transcript:Y1
1\tE\tpseudogene\t1001\t1100\t.\t-\t.\tID=ps
"""


@pytest.fixture
def contigs() -> ContigTable:
    return ContigTable({"1": 2000, "2": 10}, [])


def annotation(tmp_path, contigs, name: str, text: str):
    (tmp_path / name).write_text(text)
    return read_annotation(tmp_path / name, contigs)


def test_a_gtf_without_lines_of_genes(tmp_path, contigs):
    found = annotation(tmp_path, contigs, "x.gtf", GTF)
    assert found.place("1", 99, 100) == Place("ABC", "intergenic", 1)  # the base before it
    assert found.place("1", 90, 91) == Place("ABC", "intergenic", 10)
    assert found.place("1", 100, 101) == Place("ABC", "exon", 0)
    assert found.place("1", 149, 151) == Place("ABC", "CDS", 0)
    assert found.place("1", 250, 251) == Place("ABC", "intron", 0)
    assert found.place("1", 385, 386) == Place("ABC|G2", "exon", 0)
    assert found.place("1", 460, 461) == Place("G2", "intergenic", 11)
    gene, feature, distance = found.place("2", 5, 6)
    assert (gene, feature) == ("", "intergenic")
    assert math.isnan(distance)


def test_a_gff3_whose_parts_inherit_the_gene_of_their_parents(tmp_path, contigs):
    found = annotation(tmp_path, contigs, "x.gff3", GFF)
    assert found.place("1", 199, 200) == Place("thrL", "CDS", 0)
    assert found.place("1", 200, 200) == Place("thrL", "CDS", 0)  # an insertion behind its last base
    assert found.place("1", 860, 861) == Place("P;Q", "UTR", 0)
    assert found.place("1", 820, 821) == Place("P;Q", "exon", 0)
    assert found.place("1", 700, 701) == Place("P;Q", "intron", 0)
    assert found.place("1", 1050, 1051) == Place("ps", "gene", 0)
    assert found.place("1", 1999, 2000) == Place("ps", "intergenic", 900)


def test_words_of_a_value_are_no_attributes(tmp_path):
    """The name of a GFF3 line whose product has blanks was lost: two of its words look like a pair of GTF."""
    (tmp_path / "x.gff3").write_text(GFF)
    assert [each.name for each in read_intervals(tmp_path / "x.gff3", feature="CDS")] == ["gene-b1"]


def test_what_is_no_annotation_is_one_line(tmp_path, contigs):
    for text, message in (
        ("chr1\t5\t9\n", "x.gtf:1: is no line of GTF or GFF3"),
        ("chr1\ts\texon\t9\t5\t.\t+\t.\tgene_id g\n", "x.gtf:1: start is 9 and end 5"),
        ("chr1\ts\trepeat\t5\t9\t.\t+\t.\t\n", "names no gene on a contig of the genome"),
        (GTF.replace("chr1", "chrY"), "names no gene on a contig of the genome"),
    ):
        with pytest.raises(FormatError, match=message):
            annotation(tmp_path, contigs, "x.gtf", text)
