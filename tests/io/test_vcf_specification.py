"""The VCF specification's own files: what must pass is read whole, and htslib reads every scored copy."""

from __future__ import annotations

from pathlib import Path

import pysam
import pytest
from copied import write_scored

from titans_dna.errors import TitansDNAError
from titans_dna.io import InfoField, read_variants

TORTURE = Path(__file__).parents[3] / "shared" / "data" / "torture" / "vcf_4.2"
PASSED, FAILED = sorted(TORTURE.glob("passed/*.vcf")), sorted(TORTURE.glob("failed/*.vcf"))
SCORE = InfoField(id="TD_LLR", number="A", type="Float", description="x")


def data_lines(path: Path) -> list[bytes]:
    return [line for line in path.read_bytes().splitlines() if line and not line.startswith(b"#")]


def test_the_set_is_whole(shared_data):
    assert (len(PASSED), len(FAILED)) == (25, 190)


@pytest.mark.parametrize("path", PASSED, ids=lambda p: p.stem)
def test_what_must_pass_is_read_whole(path):
    with read_variants(path) as reader:
        records = list(reader)
    assert [r.problem for r in records] == [""] * len(data_lines(path))
    expected = [(r.chrom, r.pos, r.ref, r.alts or ()) for r in pysam.VariantFile(str(path))]
    assert [(r.contig, r.position, r.ref, r.alts) for r in records] == expected


@pytest.mark.parametrize("path", FAILED + PASSED, ids=lambda p: p.stem)
def test_a_scored_copy_of_any_of_them_is_read_by_htslib(path, tmp_path):
    output = tmp_path / "o.vcf.gz"
    try:
        with read_variants(path) as reader:
            rows = [{"TD_LLR": [0.5] * len(record.alts)} for record in reader]
        written, malformed = write_scored(path, output, [SCORE], rows)
    except TitansDNAError:
        assert path in FAILED
        return
    assert written + malformed == len(data_lines(path))
    with pysam.VariantFile(str(output)) as variants:
        assert sum(1 for _ in variants) == written


HEAD = (
    "##fileformat=VCFv4.2\n##contig=<ID=1>\n"
    '##INFO=<ID=X,Number=R,Type=Integer,Description="x">\n'
    '##FORMAT=<ID=Q,Number=1,Type=Float,Description="q">\n'
)
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1\tS2\n"


def test_a_broken_sample_is_left_out_of_the_copy_and_named(write, tmp_path):
    lines = [
        "1\t10\t.\tA\tG\t.\t.\t.\tGT:Q\t0|1:1.5\t1/C:2",
        "1\t11\t.\tA\tG\t.\t.\t.\tGT:Q\t0|1:much\t1",
        "1\t12\t.\tA\tG\t.\t.\t.\tQ:GT\t1:0|1\t2:0",
        "1\t13\t.\tA\tG\t.\t.\t.\tGT\t0|1:5\t",
    ]
    source, output = write("a.vcf", HEAD + COLUMNS + "".join(f"{line}\n" for line in lines)), tmp_path / "o.vcf"
    assert write_scored(source, output, [SCORE], [{}] * 4) == (4, 0)
    samples = [line.split("\t")[8:] for line in output.read_text().splitlines() if not line.startswith("#")]
    assert samples == [["GT:Q", "0|1:1.5", "."], ["GT:Q", ".", "1"], ["Q:GT", "1:0|1", "2:0"], ["GT", ".", "."]]
    text = output.read_text()
    for what in (
        "line 6: sample S2: '1/C:2'",
        "line 7: sample S1: '0|1:much'",
        "line 9: sample S1",
    ):
        assert f"##titans_dna_dropped={what}" in text
    with pysam.VariantFile(str(output)) as variants:
        assert len(list(variants)) == 4
