"""What htslib reads of FORMAT, samples and INFO is copied as it is, and nothing that is whole is counted as lost."""

from __future__ import annotations

import pysam
import pytest
from copied import write_scored

from titans_dna.io import read_variants
from titans_dna.io.variants.vcf_header import InfoField

HEAD = (
    "##fileformat=VCFv4.5\n##contig=<ID=c,length=90>\n"
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">\n##FORMAT=<ID=DP,Number=1,Type=Integer,Description="x">\n'
    '##FORMAT=<ID=LAD,Number=LR,Type=Integer,Description="x">\n##INFO=<ID=DP,Number=1,Type=Integer,Description="x">\n'
    "##META=<ID=Assay,Type=String,Number=.,Values=[WholeGenome, Exome]>\n"
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tann\tbob\n"
)
LLR = InfoField(id="TD_LLR", number="A", type="Float", description="x")


@pytest.mark.parametrize(
    "samples",
    [
        "DP:GT\t5:0/1\t.:1|1", "GT:LAD:DP\t0/1::3\t0/1:1,2:3", "LAD:DP\t:3\t1,2", ".\t.\t.", "GT:DP\t.\t0/1",
        "GT\t|1|1\t/0|1",
    ],
)  # fmt: skip
def test_samples_that_htslib_reads_are_copied_as_they_are(write, tmp_path, caplog, samples):
    source = write("a.vcf", HEAD + f"c\t5\t.\tA\tG\t.\t.\tDP=5;\t{samples}\n")
    for output in (tmp_path / "o.vcf", tmp_path / "o.vcf.gz"):
        assert write_scored(source, output, [LLR], [{"TD_LLR": [1.0]}]) == (1, 0)
        with read_variants(output) as reader:
            (record,) = reader
        assert record.text.split("\t")[7:] == ["DP=5;TD_LLR=1", *samples.split("\t")]
        with pysam.VariantFile(str(output)) as back:
            assert [r.pos for r in back] == [5]
    assert "cannot be copied" not in caplog.text


@pytest.mark.parametrize("sample", ["0/1:x", "0/1:3:4", ":3", "0/x"])
def test_samples_that_htslib_does_not_read_are_left_out_and_named(write, tmp_path, caplog, sample):
    source = write("a.vcf", HEAD + f"c\t5\t.\tA\tG\t.\t.\t.\tGT:DP\t{sample}\t0/1:3\n")
    write_scored(source, tmp_path / "o.vcf", [LLR], [{"TD_LLR": [1.0]}])
    text = (tmp_path / "o.vcf").read_text()
    assert "GT:DP\t.\t0/1:3" in text
    assert f"##titans_dna_dropped=line 9: sample ann: {sample!r}" in text
    assert "1 samples, INFO or FILTER values cannot be copied" in caplog.text


def test_symbols_with_a_semicolon_and_positions_of_many_digits_are_no_broken_lines(write):
    lines = "c\t5\t.\tA\t<A;B>\t.\t.\t.\tGT\t.\t.\nc\t12345678901\t.\tA\tG\t.\t.\t.\tGT\t.\t.\n"
    with read_variants(write("a.vcf", HEAD + lines + "c\t" + "9" * 19 + lines[-22:])) as reader:
        found = list(reader)
    assert [(r.position, r.alts, bool(r.problem)) for r in found[:2]] == [
        (5, ("<A;B>",), False), (12345678901, ("G",), False),
    ]  # fmt: skip
    assert found[2].problem.startswith("malformed: POS is '9999")
