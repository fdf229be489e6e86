from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from titans_dna.errors import FormatError, InputMissing, TitansDNAError
from titans_dna.genome import ContigTable, Interval
from titans_dna.io import iterate_records, read_intervals

BED = "# c\nbrowser position chr1:1-2\ntrack name=x\n\nchr1\t0\t10\tone\t5\t-\r\nchr1 5 6\nchr2\t7\t7\t.\t0\t.\textra\n"
GTF = (
    '#!genome\nchrI\tsrc\texon\t11\t20\t.\t-\t.\tgene_id "G1"; transcript_id "T1"; note "a; b";\n'
    'chrI\tsrc\tgene\t1\t20\t.\t-\t.\tgene_id "G1";\nchrI\tsrc\texon\t30\t30\t.\t?\t.\tgene_id "G2"\n'
)
GFF = (
    "##gff-version 3\nchr%20I\tx\texon\t11\t20\t.\t+\t.\tID=e1;Parent=mRNA%2C1;Name=n\n"
    "c\tx\tCDS\t1\t3\t.\t.\t0\tID=c\n##FASTA\n>c\nACGT\n"
)


def test_bed_is_zero_based_half_open_and_other_lines_are_skipped(write):
    expected = [Interval("chr1", 0, 10, "-", "one"), Interval("chr1", 5, 6, "."), Interval("chr2", 7, 7, ".", "")]
    for name in ("a.bed", "a.bed.gz", "noname", "b.txt.bgz"):
        assert read_intervals(write(name, BED)) == expected


def test_annotations_are_one_based_inclusive_and_give_exons(write):
    for name in ("a.gtf", "a.gtf.gz", "noname"):
        assert read_intervals(write(name, GTF)) == [
            Interval("chrI", 10, 20, "-", "T1"),
            Interval("chrI", 29, 30, ".", "G2"),
        ]
    assert [i.name for i in read_intervals(write("a.gtf", GTF), feature=None)] == ["T1", "G1", "G2"]
    for name in ("a.gff3", "a.gff", "plain"):
        assert read_intervals(write(name, GFF)) == [Interval("chr I", 10, 20, "+", "mRNA,1")]
    assert read_intervals(write("a.gff3", GFF), feature="CDS") == [Interval("c", 0, 3, ".", "c")]


def test_several_types_of_features_and_what_is_left_out_is_said(write, caplog):
    assert [i.end for i in read_intervals(write("a.gtf", GTF), feature=("gene", "exon"))] == [20, 20, 30]
    assert not caplog.messages
    path = write("b.gtf", GTF)
    assert [i.name for i in read_intervals(path, feature="gene")] == ["G1"]
    assert caplog.messages == [f"{path}: lines of type gene are read: 1; left out are: exon 2. Choose with --feature."]
    with pytest.raises(
        FormatError, match=r"holds no line of type CDS, five, but exon 2, gene 1\. Choose with --feature"
    ):
        read_intervals(path, feature=["five", "CDS"])
    with pytest.raises(FormatError, match="is BED, whose lines have no feature types"):
        read_intervals(write("a.bed", BED), feature="gene")


def test_the_genes_of_a_bacterium_are_read_and_its_few_exons_are_named_as_such(shared_data, caplog):
    path = shared_data / "genomes" / "ecoli_k12_NC_000913.3.gff.gz"
    assert len(read_intervals(path, feature="gene")) == 4494
    caplog.clear()
    assert len(read_intervals(path)) == 207
    assert "lines of type exon are read: 207; left out are: gene 4,494, CDS 4,337, pseudogene 145" in caplog.text


def test_what_has_no_strand_has_a_dot_or_the_star_of_r(write):
    text = "c\t0\t5\ta\t0\t*\nc\t0\t5\tb\t0\t.\n"
    assert [i.strand for i in read_intervals(write("a.bed", text))] == [".", "."]
    gtf = "".join(f"c\tx\texon\t1\t5\t.\t{strand}\t.\tgene_id G\n" for strand in "*.?")
    assert [i.strand for i in read_intervals(write("a.gtf", gtf))] == [".", ".", "."]


def test_numbers_behind_the_third_column_are_columns_of_somebodys_own(write):
    text = "chr1\t0\t10\t5\t7\t9\t-0.5\nchr1\t3\t9\t1.5\t2\t1e-3\nchr1\t4\t9\tx\t0\t-\n"
    assert [(i.start, i.strand, i.name) for i in read_intervals(write("a.bed.gz", text))] == [
        (0, ".", "5"), (3, ".", "1.5"), (4, "-", "x"),
    ]  # fmt: skip


def test_a_first_line_that_names_columns_is_skipped_and_said(write, caplog):
    for head in ("chrom\tstart\tend\tname", "#x\nChrom chromStart chromEnd", "contig\tStart\tEnd"):
        path = write("a.bed", f"{head}\nc\t0\t5\nc\t7\t9\n")
        caplog.clear()
        assert [i.start for i in read_intervals(path)] == [0, 7]
        assert "is taken for the names of columns and skipped" in caplog.text
    with pytest.raises(FormatError, match=r"a\.bed:2: start is 'start'"):
        read_intervals(write("a.bed", "c\t0\t5\nchrom\tstart\tend\n"))


def test_blocks_of_bed12_are_exons(shared_data):
    path = shared_data / "torture" / "fasta" / "gene.bed12"
    (whole,), parts = read_intervals(path), read_intervals(path, blocks=True)
    assert (whole.start, whole.end, whole.strand, whole.name) == (6010, 31420, "-", "uc010vpx.1")
    assert [(p.start, p.length_bp) for p in parts][:2] == [(6010, 158), (11205, 127)]
    assert parts[-1].end == whole.end
    assert len(parts) == 6


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("chr1\t5", "2 columns"),
        ("chr1\tx\t5", "start is 'x'"),
        ("chrom\tbegin\tend", "header line must begin with '#'"),
        ("chr1\t-1\t5", "start is '-1'"),
        ("chr1\t9\t5", "not 0 <= start <= end"),
        ("chr1\t1\t5\tn\t0\tx", "strand is 'x'"),
        ("\t1\t5", "without a contig name"),
        ("chr1\t1.0\t5", "start is '1.0'"),
        ("chr1\t1\t99999999999999999999", "end is"),
        ("c\t0\t9\tn\t0\t+\t0\t0\t0\t2\t1,\t0,", "blockCount is 2"),
        ("c\t0\t9\tn\t0\t+\t0\t0\t0\t1\t10,\t0,", "beyond the interval"),
    ],
)
def test_a_broken_line_is_named_with_file_and_line(write, line, what):
    path = write("a.bed", f"chr1\t0\t1\n{line}\n")
    with pytest.raises(FormatError, match=what) as caught:
        read_intervals(path, blocks=True)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert "\n" not in str(caught.value)


def test_a_broken_line_among_good_ones_is_a_record_with_a_reason(write):
    """Trap 5: one bad row does not end the run."""
    found = list(iterate_records(write("a.bed", "track x\nc\t0\t5\nc\t9\t5\n#\nc\tx\t5\nc\t6\t7\n")))
    assert [(r.line, len(r.intervals), bool(r.problem)) for r in found] == [
        (2, 1, False),
        (3, 0, True),
        (5, 0, True),
        (6, 1, False),
    ]
    assert found[1].problem.startswith("malformed: c: interval 9-5")
    assert found[1].text == "c\t9\t5"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("c\tx\texon\t0\t5\t.\t+\t.\t", "count from 1"),
        ("c\tx\texon\t5\t1\t.\t+\t.\t", "not 0 <= start <= end"),
        ("c\tx\texon\t5\tz\t.\t+\t.\t", "end is 'z'"),
        ("c\tx\texon\t5\t9\t.\tplus\t.\t", "strand is 'plus'"),
        ("c x exon 5 9 . + .", "1 columns"),
    ],
)
def test_a_broken_annotation_line_is_named(write, line, what):
    with pytest.raises(FormatError, match=what):
        read_intervals(write("a.gff3", line + "\n"))


def test_empty_missing_and_binary_files(write, tmp_path, shared_data):
    with pytest.raises(FormatError, match="holds no interval"):
        read_intervals(write("a.bed", "# nothing\n"))
    with pytest.raises(FormatError, match="holds no line of type exon, but gene 1"):
        read_intervals(write("a.gtf", "c\tx\tgene\t1\t5\t.\t+\t.\t\n"))
    with pytest.raises(InputMissing):
        read_intervals(tmp_path / "none.bed")
    with pytest.raises(FormatError, match=r":1: is not UTF-8"):
        read_intervals(write("b.bed", b"BAM\xff\xfe\n"))
    with pytest.raises(FormatError, match="cut off"):
        read_intervals(write("c.bed", b"\x1f\x8b\x08\x00\x00"))
    with pytest.raises(FormatError, match=r"malformed\.bed:1: .* has 2 columns"):
        read_intervals(shared_data / "torture" / "fasta" / "malformed.bed")
    assert len(read_intervals(shared_data / "torture" / "fasta" / "regions.bed")) == 2


@pytest.mark.real
def test_yeast_exons_meet_the_genome_by_alias(shared_data):
    """Names are chrI in the annotation and I in the sequence; the mitochondrion is chrM and Mito."""
    from titans_dna.io import open_fasta

    exons = read_intervals(shared_data / "genomes" / "yeast_sacCer3.gtf.gz")
    with open_fasta(shared_data / "genomes" / "yeast_R64-1-1.fa.gz") as fasta:
        placed = [fasta.contigs.place(exon) for exon in exons]
        assert [p.length_bp for p in placed] == [e.length_bp for e in exons]
        assert {p.contig for p in placed} <= set(fasta.contigs.names)
        starts = sum(fasta.fetch(p.contig, p.start, p.start + 3) == b"ATG" for p in placed if p.strand == "+")
    assert len(exons) > 6000
    assert starts > 1000


CELL = st.sampled_from(
    ["chr1", "", "0", "5", "10", "-1", "x", "+", "-", ".", "1,2", "é", "exon", 'gene_id "g"', "track", "#", "1e3"]
)


@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.lists(CELL, max_size=13).map("\t".join) | st.text(max_size=15), max_size=5),
    st.sampled_from(["a.bed", "a.gtf", "a"]),
)
def test_any_lines_are_intervals_or_one_error_with_a_line(tmp_path, lines, name):
    path = tmp_path / name
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    try:
        found = read_intervals(path, feature=None, blocks=True)
    except TitansDNAError as refused:
        message = str(refused)
        assert "\n" not in message
        return
    table = ContigTable({"chr1": 7})
    for interval in found:
        assert 0 <= interval.start <= interval.end
        if table.resolve(interval.contig):
            assert table.place(interval).end <= 7


def test_sequences_behind_the_features_of_gff3_need_no_directive(tmp_path):
    """GFF3 says that a line that begins with > implies ##FASTA."""
    feature = "c\tx\texon\t{}\t{}\t.\t+\t.\tID=e{}\n"
    for name in ("a.gff3", "a.txt"):
        (tmp_path / name).write_text(feature.format(1, 4, 1) + feature.format(7, 9, 2) + ">c\nACGTACGTACGT\n>d\nACGT\n")
        assert [(i.start, i.end) for i in read_intervals(tmp_path / name)] == [(0, 4), (6, 9)]
