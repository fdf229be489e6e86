from __future__ import annotations

import gzip
import io
import re
import sys

import pysam
import pysam.bcftools
import pytest
from copied import write_scored
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from titans_dna.errors import FormatError, InputMissing, OutputError, TitansDNAError
from titans_dna.genome import Variant
from titans_dna.io import InfoField, ScoredVcfWriter, read_variants

HEAD = (
    '##fileformat=VCFv4.2\n##contig=<ID=1,length=5000>\n##INFO=<ID=AF,Number=A,Type=Float,Description="x, \\"y\\"">\n'
)
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
GOOD = [
    "1\t10\trs1\tA\tG\t50\tPASS\tAF=0.5",
    "1\t20\t.\ta\tc,T,ACG\t.\t.\tAF=0.1,0.2,0.3;DB",
    "1\t30\t.\tACG\tA\t1e-5\tq10;s50\t.",
    "1\t40\t.\tAC\tGT\t.\t.\tX=1",
    "1\t50\t.\tA\t*,<DEL>\t.\t.\tEND=60",
    "1\t60\t.\tA\t.\t.\t.\t.",
    "2\t70\t.\tA\tA[1:100[,]1:7]T,.A,G.\t.\t.\t.",
    "2\t80\t.\tN\tR\t.\t.\t.",
]
BAD = {
    "1\tx\t.\tA\tG\t.\t.\t.": "POS is 'x'",
    "1\t-5\t.\tA\tG\t.\t.\t.": "POS is '-5'",
    "1\t1_0\t.\tA\tG\t.\t.\t.": "POS is '1_0'",
    "1\t\u0661\t.\tA\tG\t.\t.\t.": "POS is",
    "1\t10\t.\tA\tG\t.\t.": "7 columns where the header has 8",
    "1\t10\t.\tA\tG\t.\t.\t.\tGT": "9 columns",
    "1 10 . A G . . .": "1 columns",
    "1\t10\t.\tA,C\tG\t.\t.\t.": "REF is 'A,C'",
    "1\t10\t.\t\tG\t.\t.\t.": "REF is ''",
    "1\t10\t.\t.\tG\t.\t.\t.": "REF is '.'",
    "1\t10\t.\tA\t\t.\t.\t.": "ALT is ''",
    "1\t10\t.\tA\tG,,T\t.\t.\t.": "ALT is ''",
    "1\t10\t.\tA\t-\t.\t.\t.": "ALT is '-'",
    "1\t10\t.\tA\tG,.\t.\t.\t.": "ALT is '.'",
    "1\t10\t.\tA\t<INS>B>\t.\t.\t.": "ALT is '<INS>B>'",
    "1\t10\t.\tA\t[1:5[\t.\t.\t.": r"ALT is '\[1:5\['",
    "\t10\t.\tA\tG\t.\t.\t.": "CHROM is ''",
    "1\t10\t.\tA\tG\tgood\t.\t.": "QUAL is 'good'",
    "1\t10\t\0\tA\tG\t.\t.\t.": "zero byte",
    "a,b\t10\t.\tA\tG\t.\t.\t.": "CHROM is 'a,b'",
    '"1\t10\t.\tA\tG\t.\t.\t.': "CHROM is '\"1'",
    "a>b\t10\t.\tA\tG\t.\t.\t.": "CHROM is 'a>b'",
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO": "a header line among records",
}
LLR = InfoField(id="TD_LLR", number="A", type="Float", description='Score, "natural log"')
OUTCOME = InfoField(id="TD_OUTCOME", number="A", type="String", description="What became of it")


def document(*lines: str, head: str = HEAD + COLUMNS) -> str:
    return head + "".join(line + "\n" for line in lines)


def records(path):
    with read_variants(path) as reader:
        return list(reader)


def test_every_alt_of_every_kind_is_read(write):
    """Traps 6 and 7: not the first ALT only, and "." is no separator and no base."""
    found = records(write("a.vcf", document(*GOOD)))
    assert [r.alts for r in found] == [
        ("G",), ("c", "T", "ACG"), ("A",), ("GT",), ("*", "<DEL>"), (), ("A[1:100[", "]1:7]T", ".A", "G."), ("R",),
    ]  # fmt: skip
    assert [r.problem for r in found] == [""] * len(GOOD)
    assert [r.text for r in found] == GOOD
    assert [r.line for r in found] == list(range(5, 5 + len(GOOD)))
    assert found[0].variants() == [Variant("1", 10, "A", "G", "rs1")]
    assert [v.kind for v in found[4].variants()] == ["spanning_deletion", "symbolic"]
    assert found[1].info() == {"AF": "0.1,0.2,0.3", "DB": ""}
    assert found[2].info() == {}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_line_is_a_record_with_a_reason_and_the_run_goes_on(write, bad):
    """Traps 4 and 5: a bad row neither ends the loop nor the program."""
    with read_variants(write("a.vcf", document(GOOD[0], bad, GOOD[1]))) as reader:
        found = list(reader)
        assert reader.malformed == 1
    assert [r.text for r in found] == [GOOD[0], bad, GOOD[1]]
    assert found[1].line == 6
    assert not found[0].problem
    assert not found[2].problem
    assert re.search(BAD[bad], found[1].problem)
    assert found[1].problem.startswith("malformed: ")
    with pytest.raises(FormatError, match="line 6"):
        found[1].variants()


def test_compression_line_ends_and_stdin_read_alike(write, monkeypatch, tmp_path):
    """Trap 13: the format is told by the bytes, whatever the file is called."""
    text = document(*GOOD)
    expected = [(r.text, r.contig, r.position, r.ref, r.alts) for r in records(write("a.vcf", text))]
    paths = [write(n, text) for n in ("b.vcf.gz", "c.bgz", "d")] + [write("e.vcf", text.replace("\n", "\r\n"))]
    paths.append(write("f.vcf", text.rstrip("\n")))
    (tmp_path / "bcf.in.name.txt").write_bytes(gzip.compress(text.encode()))
    paths.append(tmp_path / "bcf.in.name.txt")
    for path in paths:
        assert [(r.text, r.contig, r.position, r.ref, r.alts) for r in records(path)] == expected, path
    for data in (text.encode(), gzip.compress(text.encode())):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert [(r.text, r.contig, r.position, r.ref, r.alts) for r in records("-")] == expected


@pytest.mark.parametrize("where", ["header", "record"])
def test_bytes_that_are_no_utf8_are_read_from_bcf(write, tmp_path, where):
    """pysam refuses them, in the header and in the middle of the records."""
    note, name = (b"caf\xe9", b"rs1") if where == "header" else (b"cafe", b"r\xe9")
    lines = [b"1\t10\t.\tA\tG\t.\t.\t.", b"1\t20\t" + name + b"\tA\tG\t.\t.\t.", b"1\t30\t.\tA\tG\t.\t.\t."]
    path = write("in.vcf", HEAD.encode() + b"##note=" + note + b"\n" + COLUMNS.encode() + b"\n".join(lines) + b"\n")
    pysam.bcftools.view("-Ob", "-o", str(tmp_path / "in.bcf"), str(path), catch_stdout=False)
    with read_variants(tmp_path / "in.bcf") as reader:
        assert f"##note={note.decode('utf-8', 'surrogateescape')}" in reader.header.lines
        assert [record.text.encode("utf-8", "surrogateescape") for record in reader] == lines


@pytest.mark.parametrize("packed", [False, True])
def test_a_byte_order_mark_is_dropped(write, tmp_path, packed):
    content = document(*GOOD).encode("utf-8-sig")
    path = write("bom.vcf", gzip.compress(content) if packed else content)
    assert [r.text for r in records(path)] == GOOD
    write_scored(path, tmp_path / "out.vcf", [], [{}] * len(GOOD))
    assert (tmp_path / "out.vcf").read_bytes().startswith(b"##fileformat")


def test_bcf_from_a_file_and_from_stdin(write, tmp_path, monkeypatch):
    head = HEAD + '##contig=<ID=2>\n##FILTER=<ID=q10,Description="q">\n##FILTER=<ID=s50,Description="s">\n'
    for tag, number, kind in [("DB", "0", "Flag"), ("X", "1", "Integer"), ("END", "1", "Integer")]:
        head += f'##INFO=<ID={tag},Number={number},Type={kind},Description="d">\n'
    source = write("a.vcf", document(*GOOD, head=head + COLUMNS))
    target = tmp_path / "a.bcf"
    with (
        pysam.VariantFile(str(source)) as variants,
        pysam.VariantFile(str(target), "wb", header=variants.header) as out,
    ):
        for record in variants:
            out.write(record)
    for path in (target, "-"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(target.read_bytes())))
        found = records(path)
        assert [(r.contig, r.position, r.ref.upper(), tuple(a.upper() for a in r.alts)) for r in found] == [
            (r.contig, r.position, r.ref.upper(), tuple(a.upper() for a in r.alts)) for r in records(source)
        ]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"##fileformat=VCFv4.2\x00\n", "zero byte"),
        (b"1\t10\t.\tA\tG\t.\t.\t.\n", "before the #CHROM line"),
        (b"##fileformat=VCFv4.2\n", "no #CHROM line"),
        (b"##fileformat=VCFv4.2\nlinebreak\">\n", ":2: 'linebreak"),
        (b"##fileformat=VCFv4.2\n#CHROM\tPOSITION\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n", ":2: columns are"),
        (b"##fileformat=VCFv4.2\n#CHROM POS ID REF ALT QUAL FILTER INFO\n", "tab-separated"),
        (b"\x1f\x8b\x08\x00cut", "damaged"),
        (b">chr1\nACGT\n", "before the #CHROM line"),
        (b"BCF\x02\x02garbage", "no readable BCF"),
    ],
)  # fmt: skip
def test_what_is_no_vcf_is_refused_in_one_line(write, content, what):
    with pytest.raises(FormatError, match=what) as caught:
        records(write("bad.vcf", content))
    assert "\n" not in str(caught.value)


def test_missing_files_folders_and_cut_compression(write, tmp_path):
    for path in (tmp_path / "none.vcf", tmp_path):
        with pytest.raises(InputMissing):
            read_variants(path)
    for name in ("a.vcf.gz", "a.bgz"):
        path = write(name, document(*GOOD * 5000))
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(FormatError, match="cut off"):
            records(path)


def rows(found):
    return [{"TD_LLR": [-1.25] * len(r.alts), "TD_OUTCOME": ["scored"] * len(r.alts) or "no_alt"} for r in found]


def test_scored_copy_keeps_every_record_and_is_valid(write, tmp_path):
    """Missing contig, INFO and FILTER lines are repaired; bcftools reads the copy and its index."""
    source = write("a.vcf", document(*GOOD))
    found, output = records(source), tmp_path / "out.vcf.gz"
    counts = write_scored(source, output, [LLR, OUTCOME], rows(found), ["##command=x"], contig_lengths={"2": 900})
    assert counts == (len(GOOD), 0)
    for before, after in zip(found, records(output), strict=True):
        assert after[2:6] == before[2:6]
        kept = {key: value for key, value in after.info().items() if not key.startswith("TD_")}
        assert kept == before.info()
        assert after.text.split("\t")[:7] == before.text.split("\t")[:7]
    text = pysam.bcftools.view(str(output))
    assert text.count("TD_OUTCOME=") == len(GOOD)
    assert "TD_LLR=-1.25,-1.25,-1.25" in text
    for line in ("##contig=<ID=2,length=900>", "##command=x", "##INFO=<ID=X,Number=.", "##FILTER=<ID=q10"):
        assert line in text
    with pysam.VariantFile(str(output)) as variants:
        assert [r.pos for r in variants.fetch("2")] == [70, 80]
        assert variants.header.info["TD_LLR"].number == "A"
        assert variants.header.info["TD_LLR"].type == "Float"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.vcf", "out.vcf.gz", "out.vcf.gz.tbi"]


def test_malformed_lines_are_kept_in_the_header_and_counted(write, tmp_path):
    source = write("a.vcf", document(GOOD[0], *BAD, GOOD[1]))
    output = tmp_path / "out.vcf.gz"
    assert write_scored(source, output, [LLR], [{}] * (len(BAD) + 2)) == (2, len(BAD))
    text = pysam.bcftools.view(str(output))
    assert f"##titans_dna_malformed_records={len(BAD)}" in text
    for number, bad in enumerate(BAD, start=6):
        if bad.isascii() and "\0" not in bad:
            assert f"##titans_dna_malformed=line {number}: malformed: " in text
            assert bad.replace("\t", "\\t") in text


@pytest.mark.parametrize(
    ("line", "lengths"),
    [("##source=GATK", {"a": 7}), ("##source=PLINKv1.90", {}), ("##source=PLINK v2", {})],
)
def test_lengths_that_a_header_makes_up_are_none(write, line, lengths):
    """PLINK writes one past its last position; others write 2147483647."""
    contigs = "".join(
        f"##contig=<ID={name},length={text}>\n" for name, text in zip("abc", (7, 0, 2147483647), strict=True)
    )
    path = write("in.vcf", f"##fileformat=VCFv4.2\n{line}\n{contigs}##contig=<ID=d>\n{COLUMNS}")
    with read_variants(path) as reader:
        assert reader.header.lengths == lengths


def test_scoring_twice_replaces_the_scores(write, tmp_path):
    source, once, twice = write("a.vcf", document(GOOD[0])), tmp_path / "1.vcf", tmp_path / "2.vcf"
    write_scored(source, once, [LLR], [{"TD_LLR": [1.0]}])
    write_scored(once, twice, [LLR], [{"TD_LLR": [float("nan")]}])
    text = twice.read_text()
    assert text.count("ID=TD_LLR") == 1
    assert text.endswith("AF=0.5;TD_LLR=.\n")


def test_names_that_no_header_can_declare_are_left_out_of_the_copy_and_named(write, tmp_path):
    source = write(
        "a.vcf", document('1\t10\t.\tA\tG\t.\tq"1\tOK=1;A,B=2;C>=3', "1\t11\t.\tA\tG\t.\tmy-filter\t<x>;1000G;;=5")
    )
    for output in (tmp_path / "o.vcf", tmp_path / "o.vcf.gz"):
        assert write_scored(source, output, [LLR], [{"TD_LLR": [1.0]}] * 2) == (2, 0)
        with pysam.VariantFile(str(output)) as back:
            assert [(list(r.filter), sorted(r.info)) for r in back] == [
                ([], ["OK", "TD_LLR"]),
                (["my-filter"], ["1000G", "TD_LLR"]),
            ]
    text = (tmp_path / "o.vcf").read_text()
    for lost in ("line 5: INFO 'A,B'", "line 5: INFO 'C>'", "line 5: FILTER 'q\"1'", "line 6: INFO '<x>'"):
        assert f"##titans_dna_dropped={lost}" in text


def test_values_are_typed_and_strings_escaped(write, tmp_path):
    fields = [
        InfoField(id="F", number="1", type="Float", description="f"),
        InfoField(id="I", number="1", type="Integer", description="i"),
        InfoField(id="S", number=".", type="String", description="s"),
        InfoField(id="B", number="0", type="Flag", description="b"),
        InfoField(id="M", number="1", type="Float", description="m"),
    ]
    output = tmp_path / "o.vcf"
    row = {"F": 1.23456789e-8, "I": 7.0, "S": ["a b;c", "d=e,f%"], "B": True, "M": None}
    write_scored(write("a.vcf", document("1\t10\t.\tA\tG\t.\t.\t.")), output, fields, [row])
    assert output.read_text().splitlines()[-1].split("\t")[7] == "F=1.234568e-08;I=7;S=a%20b%3Bc,d%3De%2Cf%25;B"
    with pytest.raises(FormatError):
        InfoField(id="bad id", number="1", type="Float", description="")
    with pytest.raises(FormatError):
        InfoField(id="x", number="1", type="float32", description="")


def test_scores_keep_the_32_bits_that_vcf_has(write, tmp_path):
    """Trap 11: scores are not rounded to 16 bits."""
    scores = [-0.12345678, 3.4028e38, 1.1754944e-38, 12345.678]
    lines = [f"1\t{n}\t.\tA\tG\t.\t.\t." for n in range(1, 5)]
    write_scored(write("a.vcf", document(*lines)), tmp_path / "o.vcf", [LLR], [{"TD_LLR": [s]} for s in scores])
    with pysam.VariantFile(str(tmp_path / "o.vcf")) as back:
        assert [r.info["TD_LLR"][0] for r in back] == pytest.approx(scores, rel=1e-6)


def test_unsorted_sources_keep_their_order_and_get_no_index(write, tmp_path, caplog):
    output = tmp_path / "o.vcf.gz"
    (tmp_path / "o.vcf.gz.tbi").write_text("an old one")
    write_scored(write("a.vcf", document(GOOD[1], GOOD[0])), output, [LLR], [{}, {}])
    assert [r.position for r in records(output)] == [20, 10]
    assert not (tmp_path / "o.vcf.gz.tbi").exists()
    assert "not sorted" in caplog.text


def test_contigs_beyond_512_mb_get_a_csi_index(write, tmp_path):
    output = tmp_path / "o.vcf.gz"
    write_scored(write("a.vcf", document("wheat\t600000000\t.\tA\tG\t.\t.\t.")), output, [LLR], [{"TD_LLR": [2]}])
    assert (tmp_path / "o.vcf.gz.csi").exists()
    with pysam.VariantFile(str(output)) as variants:
        assert [r.pos for r in variants.fetch("wheat", 599999990, 600000010)] == [600000000]


def _fail_while_writing(source, output):
    with read_variants(source) as reader, ScoredVcfWriter(output, reader.header, [LLR]) as writer:
        writer.write(next(reader), {})
        raise ZeroDivisionError


@pytest.mark.parametrize(("end", "suffixes"), [(999_999_999, [".csi"]), (99_999_999_999, [])])
def test_an_end_that_no_index_holds_does_not_cost_the_scores(write, tmp_path, capfd, caplog, end, suffixes):
    path, output = write("in.vcf", document(f"1\t10\t.\tA\tG\t.\t.\tEND={end}", GOOD[1])), tmp_path / "out.vcf.gz"
    write_scored(path, output, [LLR], [{}, {}])
    assert [record.position for record in records(output)] == [10, 20]
    assert sorted(file.name for file in tmp_path.glob("out*")) == sorted(f"out.vcf.gz{s}" for s in ["", *suffixes])
    if suffixes:
        with pysam.VariantFile(str(output)) as found:
            assert [record.pos for record in found.fetch("1", 15, 20)] == [10, 20]
    assert ("no index can be made" in caplog.text) == (not suffixes)
    assert "hts_idx" not in capfd.readouterr().err


def test_an_error_leaves_nothing_behind(write, tmp_path):
    source, output = write("a.vcf", document(*GOOD)), tmp_path / "o.vcf.gz"
    for count in (len(GOOD) - 1, len(GOOD) + 1):
        with pytest.raises(ValueError, match="zip"):
            write_scored(source, output, [LLR], [{}] * count)
    with pytest.raises(OutputError, match="does not exist"):
        write_scored(source, tmp_path / "no" / "o.vcf.gz", [LLR], [{}] * len(GOOD))
    with pytest.raises(OutputError, match=r"Choose \.vcf\.gz, \.vcf or \.vcf\.bgz"):
        write_scored(source, tmp_path / "o.txt", [LLR], [{}] * len(GOOD))
    with pytest.raises(ZeroDivisionError):
        _fail_while_writing(source, output)
    assert [p.name for p in tmp_path.iterdir()] == ["a.vcf"]


def test_stdout_gets_the_whole_document(write, capfdbinary, monkeypatch):
    write_scored(write("a.vcf", document(GOOD[0])), "-", [LLR], [{"TD_LLR": [1]}])
    assert capfdbinary.readouterr().out.endswith(b"AF=0.5;TD_LLR=1\n")


def test_bytes_that_are_no_utf8_survive_the_copy(write, tmp_path):
    source = write("a.vcf", document(GOOD[0]).encode().replace(b"rs1", b"caf\xe9"))
    write_scored(source, tmp_path / "o.vcf", [LLR], [{"TD_LLR": [1]}])
    assert b"caf\xe9" in (tmp_path / "o.vcf").read_bytes()


COLUMN = st.sampled_from(
    [
        'a"b',
        "x,y=1;z>=2",
        "1",
        "chr2",
        "",
        ".",
        "10",
        "0",
        "-3",
        "A",
        "AC",
        "N",
        "<DEL>",
        "*",
        "A,C",
        "PASS",
        "x=1;y",
        "1.5",
        "é",
        "G]1:5]",
        " ",
    ]
)


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.lists(COLUMN, min_size=7, max_size=9).map("\t".join) | st.sampled_from(GOOD) | st.text(max_size=20),
        max_size=6,
    )
)
def test_any_records_are_all_accounted_for_and_their_copy_is_valid(tmp_path, lines):
    """Nothing is lost silently: every non-empty line is a record, good or bad, and goes into the copy."""
    source, output = tmp_path / "fuzz.vcf", tmp_path / "fuzz.out.vcf"
    source.write_bytes(document(*lines).encode("utf-8", "surrogatepass"))
    expected = [line for line in source.read_bytes().split(b"\n")[4:] if line.rstrip(b"\r")]
    try:
        found = records(source)
    except TitansDNAError:
        pytest.fail("a bad record may not end the run")
    assert len(found) == len(expected)
    good, bad = write_scored(source, output, [LLR], [{"TD_LLR": [0.5] * len(r.alts)} for r in found])
    assert good + bad == len(expected)
    with pysam.VariantFile(str(output)) as variants:
        assert sum(1 for _ in variants) == good
