from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
import pickle
import random
import tracemalloc

import numpy as np
import pyfaidx
import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from titans_dna.errors import ContigUnknown, FormatError, IndexStale, InputMissing, OutputError, TitansDNAError
from titans_dna.io import open_fasta
from titans_dna.io.sequence import fasta_source
from titans_dna.io.sequence.fasta_index import FastaScanner, format_fai
from titans_dna.tokenizers import NucleotideTokenizer

SMALL = ">chr1 first contig\nACGTACGTAC\nacgtnNRYac\nGGG\n>chr2\nTTTTT\n\n>chr3\tx\nA\n"
EXPECTED = {"chr1": b"ACGTACGTACacgtnNRYacGGG", "chr2": b"TTTTT", "chr3": b"A"}


def contents(path, **options):
    with open_fasta(path, **options) as fasta:
        return {name: fasta.sequence(name) for name in fasta.contigs.names}


@pytest.mark.parametrize("name", ["a.fa", "a.fa.gz", "a.fa.bgz", "odd-name.bgzf.gz", "no_suffix"])
def test_every_compression_reads_alike_and_nothing_is_written_beside_the_source(write, tmp_path, cache, name):
    """Case and IUPAC codes stay as in the file; the format is told by the bytes (trap 13), not by the name."""
    path = write(name, SMALL)
    before = sorted(tmp_path.iterdir())
    with open_fasta(path) as fasta:
        assert fasta.contigs.names == ("chr1", "chr2", "chr3")
        assert dict(fasta.contigs.lengths) == {n: len(s) for n, s in EXPECTED.items()}
        for contig, sequence in EXPECTED.items():
            assert fasta.sequence(contig) == sequence
            assert fasta.md5(contig) == hashlib.md5(sequence.upper()).hexdigest()
            for start in range(-2, len(sequence) + 2):
                for end in range(start, len(sequence) + 3):
                    assert fasta.fetch(contig, start, end) == sequence[max(start, 0) : max(end, 0)], (start, end)
                    assert fasta.letters(contig, start, end).tobytes() == sequence[max(start, 0) : max(end, 0)]
        assert fasta.letters("chr1").flags.writeable
    assert sorted(tmp_path.iterdir()) == before
    assert contents(path) == EXPECTED, "read a second time, from the cache"


@pytest.mark.parametrize(
    "text",
    [
        SMALL.replace("\n", "\r\n"),
        SMALL.rstrip("\n"),
        SMALL + "\n\n",
        SMALL.replace("ACGTACGTAC\n", "ACGT\nACGTAC\n"),
        SMALL.replace("acgtnNRYac\n", "acgtnNRYac  \n"),
        SMALL.replace("acgtnNRYac\n", "acgtn NRYac\t\n"),
        SMALL.replace("acgtnNRYac\n", "\nacgtnNRYac\n"),
        SMALL.replace("acgtnNRYac\n", "acgtnNRYac\r\n"),
        SMALL.replace(">chr1 first contig\n", ">chr1\n\n\n"),
        "\n" + SMALL,
    ],
)
def test_odd_lines_read_right_in_every_compression(write, text):
    for name in ("a.fa", "a.fa.gz", "a.bgz"):
        assert contents(write(name, text)) == EXPECTED, name


def test_index_is_the_one_samtools_makes(write):
    path = write("a.fa", SMALL)
    scanner = FastaScanner(path)
    scanner.feed(path.read_bytes())
    pysam.faidx(str(path))
    assert format_fai(scanner.finish()) == path.with_name("a.fa.fai").read_text()


def test_scanning_does_not_depend_on_where_blocks_end(write):
    data = SMALL.replace("acgtnNRYac", "acgtnNRYac ").encode()
    whole = FastaScanner(write("a.fa", SMALL))
    whole.feed(data)
    expected = whole.finish(), whole.irregular
    for size in (1, 2, 3, 7, 20):
        scanner = FastaScanner(whole.path)
        for start in range(0, len(data), size):
            scanner.feed(data[start : start + size])
        assert (scanner.finish(), scanner.irregular) == expected, size


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b">a\n", "holds no sequence"),
        (b">a\n>b\n", "holds no sequence"),
        (b"ACGT\n", r":1: bases before the first '>'"),
        (b">a\nAC\n>a\nGT\n", r":3: contig 'a' is there twice \(first on line 1\)"),
        (b">a\nAC\n>\nGT\n", r":3: a '>' line without a name"),
        (b">a\nAC\n> b\nGT\n", r":3: a '>' line without a name"),
        (b">p\nMKTAYIAKQR\n", r":2: 'I' in 'p' is no nucleotide"),
        (b">a\nACGT\nAC9T\n", r":3: '9' in 'a'"),
        (b">a\nAC\x00T\n", r":2: '\\x00' in 'a'"),
        (b">\xff\nAC\n", r":1: contig name"),
        (b">a ACGT\rACGT\r", "holds no sequence"),
        (b"@r\nACGT\n+\nIIII\n", "is FASTQ or SAM"),
        (b"##fileformat=VCFv4.2\n", "is VCF"),
        (b"PK\x03\x04....", "is a zip archive"),
        (b"\x1f\x8b\x08\x00cut", "damaged gzip"),
        (b"\x1f\x8b\x08\x00\naC]GT\nAC" + b"\xe7" * 30, "damaged gzip"),
        (b";old style\nACGT\n", r"';' is no nucleotide"),
    ],
)
def test_what_is_no_fasta_is_refused_by_name_in_one_line(write, content, what):
    path = write("bad.fa", content)
    with pytest.raises(FormatError, match=what) as caught:
        open_fasta(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_unreadable_inputs(tmp_path):
    with pytest.raises(InputMissing, match="no such file"):
        open_fasta(tmp_path / "none.fa")
    with pytest.raises(InputMissing, match="no regular file"):
        open_fasta(tmp_path)


def test_damaged_compression_is_refused(write):
    text = ">a\n" + "ACGTTGCA" * 20000 + "\n"
    for name in ("a.fa.gz", "a.bgz"):
        path = write(name, text)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * 2 // 3])
        with pytest.raises(FormatError, match=r"damaged|cut off"):
            open_fasta(path)


def test_stale_index_is_detected_by_content_and_replaced(write, caplog):
    path = write("a.fa", SMALL)
    pysam.faidx(str(path))
    index = path.with_name("a.fa.fai")
    good = index.read_text()
    assert contents(path, on_stale="error") == EXPECTED
    os.utime(index, (1, 1))
    assert contents(path, on_stale="error") == EXPECTED, "an old date alone is no harm"
    stale = [
        good.replace("\t23\t", "\t22\t"),
        good.replace("chr2", "chrX"),
        "".join(good.splitlines(keepends=True)[:2]),
        "".join(good.splitlines(keepends=True)[1:]),
        good + good.splitlines(keepends=True)[0],
        good.replace("\t10\t11", "\t9\t11"),
        "nonsense\n",
        "",
        "\xff",
    ]
    for text in stale:
        index.write_text(text)
        with pytest.raises(IndexStale, match="does not fit") as caught:
            open_fasta(path, on_stale="error")
        assert "\n" not in str(caught.value)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert contents(path) == EXPECTED, text
        assert "does not fit" in caplog.text
        assert index.read_text() == text, "the file beside the source is left alone"


def test_sequence_that_changed_under_its_name_is_read_anew(write):
    path = write("a.fa", SMALL)
    assert contents(path) == EXPECTED
    path.write_text(">chr9\nACGT\n")
    assert contents(path) == {"chr9": b"ACGT"}


def test_stale_index_of_a_blocked_file(write):
    path = write("a.fa.bgz", SMALL)
    with open_fasta(path):
        pass
    pysam.faidx(str(path))
    assert contents(path, on_stale="error") == EXPECTED
    index = path.with_name("a.fa.bgz.fai")
    index.write_text(index.read_text().replace("chr2", "chrX"))
    with pytest.raises(IndexStale, match="chrX"):
        open_fasta(path, on_stale="error")
    assert contents(path) == EXPECTED


def test_without_a_writable_cache_plain_files_read_and_gzip_names_the_remedy(write, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TITANS_DNA_CACHE", str(tmp_path / "file" / "cache"))
    assert contents(write("a.fa", SMALL)) == EXPECTED
    with pytest.raises(OutputError, match="TITANS_DNA_CACHE"):
        open_fasta(write("a.fa.gz", SMALL))


def test_unknown_contigs_raise_and_aliases_answer(write):
    with open_fasta(write("a.fa", SMALL), aliases=[("one", "chr1")]) as fasta:
        assert fasta.fetch("1", 0, 4) == b"ACGT"
        assert fasta.fetch("one", 0, 4) == b"ACGT"
        with pytest.raises(ContigUnknown, match="chr1, chr2, chr3"):
            fasta.fetch("chr9", 0, 1)
        assert fasta.contigs.matches == {"1": ("chr1", "spelling"), "one": ("chr1", "alias file")}


def _md5_in_worker(fasta):
    return fasta.md5("chr1"), fasta.fetch("chr1", 3, 9)


def test_an_open_file_travels_to_worker_processes(write):
    for name in ("a.fa", "a.fa.gz", "b.fa.bgz.gz"):
        with open_fasta(write(name, SMALL)) as fasta:
            assert pickle.loads(pickle.dumps(fasta)).sequence("chr1") == EXPECTED["chr1"]
            with multiprocessing.get_context("spawn" if name == "a.fa" else "fork").Pool(2) as pool:
                assert set(pool.map(_md5_in_worker, [fasta] * 4)) == {_md5_in_worker(fasta)}


def test_the_file_is_opened_once(write):
    """Trap 14: one that is opened for every read would be gone (Pangolin)."""
    for name in ("a.fa", "b.bgz"):
        path = write(name, SMALL)
        with open_fasta(path) as fasta:
            fasta.fetch("chr1", 0, 1)
            path.unlink()
            assert [fasta.fetch("chr1", at, at + 2) for at in (0, 9)] == [b"AC", b"Ca"]
            assert fasta.sequence("chr1") == EXPECTED["chr1"]


def test_a_contig_becomes_ids_within_three_bytes_a_base(write):
    path = write("big.fa", ">c\n" + ("ACGTN" * 12 + "\n") * 50_000)
    with open_fasta(path) as fasta:
        length = fasta.contigs.lengths["c"]
        tracemalloc.start()
        ids = NucleotideTokenizer().encode(fasta.letters("c"))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert len(ids) == length == 3_000_000
    assert peak <= 3 * length


def test_random_windows_agree_with_pyfaidx_and_samtools(write):
    generator = random.Random(7)
    text = "".join(
        f">c{n}\n"
        + "\n".join("".join(generator.choices("ACGTacgtN", k=61)) for _ in range(generator.randint(1, 3000)))
        + "\nACG\n"
        for n in range(4)
    )
    plain, packed = write("a.fa", text), write("b.fa.bgzf.gz", text)
    with open_fasta(plain) as one, open_fasta(packed) as other, pyfaidx.Fasta(str(plain), as_raw=True) as oracle:
        for _ in range(300):
            contig = generator.choice(one.contigs.names)
            start = generator.randrange(one.contigs.lengths[contig])
            end = start + generator.choice([1, 60, 61, 62, 1000, 70000])
            expected = oracle[contig][start:end].encode()
            assert one.fetch(contig, start, end) == expected
            assert other.fetch(contig, start, end) == expected
            assert np.array_equal(one.letters(contig, start, end), other.letters(contig, start, end))


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.sampled_from(
            [">a", ">b c", ">", "ACGT", "acg", "N", "", " ", "AC GT", "\t", "E", "\r", "-", ">a", "AAAAAAAA", "\x00"]
        ),
        max_size=9,
    ),
    st.sampled_from(["\n", "\r\n"]),
)
def test_any_lines_are_read_right_or_refused(tmp_path, lines, end):
    """A naive reader is the oracle; nothing else than an error of the tree may come out."""
    path = tmp_path / "fuzz.fa"
    path.write_bytes((end.join(lines) + end).encode())
    try:
        found = contents(path)
    except TitansDNAError as refused:
        message = str(refused)
        assert "\n" not in message
        return
    expected: dict[str, str] = {}
    for line in lines:
        if line.startswith(">"):
            name = line[1:].split()[0]
            expected[name] = ""
        elif line.strip():
            expected[name] += "".join(line.split())
    assert found == {name: sequence.encode() for name, sequence in expected.items()}


def test_every_torture_fasta_is_read_right_or_refused_by_name(shared_data, caplog):
    """Stale and CRLF indexes, renamed and missing contigs, IUPAC codes."""
    for path in sorted((shared_data / "torture" / "fasta").glob("*.f*a")):
        expected: dict[str, list[bytes]] = {}
        for line in path.read_bytes().splitlines():
            if line.startswith(b">"):
                name = line[1:].split()[0].decode()
                expected[name] = []
            else:
                expected[name].append(line.strip())
        found = contents(path)
        assert found == {name: b"".join(parts) for name, parts in expected.items()}, path.name


def test_a_fasta_in_another_process_answers_to_the_same_aliases(tmp_path):
    (tmp_path / "a.fa").write_text(">chr1\nACGT\n")
    groups = (group for group in [["one", "chr1"]])
    with open_fasta(tmp_path / "a.fa", aliases=groups) as fasta, pickle.loads(pickle.dumps(fasta)) as again:
        assert again.fetch("one", 1, 3) == b"CG"
        assert again.contigs.aliases == fasta.contigs.aliases


def test_the_cache_never_holds_a_copy_with_irregular_lines(tmp_path, monkeypatch):
    """Two processes that open one file may take each other's copy and index."""
    (tmp_path / "a.fa").write_text(">c\nACGTA\nCG\nTTTTT\nA\n")
    published = []

    def watched(path, write, real=fasta_source.store):
        real(path, write)
        published.append((path.suffix, path.read_bytes()))

    monkeypatch.setattr(fasta_source, "store", watched)
    with open_fasta(tmp_path / "a.fa") as fasta:
        assert fasta.sequence("c") == b"ACGTACGTTTTTA"
    assert [text for suffix, text in published if suffix == ".fa"] == [b">c\nACGTACGTTTTTA\n"]


@pytest.mark.parametrize("name", ["a.fa", "a.fa.gz", "a.fa.bgz"])
def test_a_byte_order_mark_is_dropped(write, name):
    path = write(name, "\ufeff" + SMALL)
    for _ in range(2):
        assert contents(path) == EXPECTED


def test_a_contig_that_the_index_lacks_is_named(write, caplog):
    path = write("a.fa", SMALL)
    write("a.fa.fai", "chr1\t23\t19\t10\t11\nchr3\t1\t65\t1\t2\n")
    assert contents(path) == EXPECTED
    assert "a.fa.fai does not fit a.fa (it does not list contig 'chr2')" in caplog.text
