"""Binary files with flipped and missing bytes: an error of the tree or what is still right, no crash, no silent end."""

from __future__ import annotations

import bz2
import lzma
import random

import h5py
import numpy as np
import pysam
import pytest

from titans_dna.errors import FormatError, TitansDNAError
from titans_dna.genome import Interval
from titans_dna.io import EmbeddingWriter, open_embeddings, open_fasta, open_reads, read_intervals, read_variants
from titans_dna.training.labelled import read_rows

GENERATOR = random.Random(5)
VCF = "##fileformat=VCFv4.2\n##contig=<ID=1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
VCF += "".join(f"1\t{n}\t.\tA\tG\t.\t.\t.\n" for n in range(1, 8000))
FASTA = ">a\n" + "".join("".join(GENERATOR.choices("ACGT", k=60)) + "\n" for _ in range(2500))


@pytest.fixture(autouse=True)
def quiet():
    before = pysam.set_verbosity(0)
    yield
    pysam.set_verbosity(before)


def damaged(data: bytes, times: int):
    """Yield copies with a few bytes changed, or cut off somewhere."""
    generator = random.Random(6)
    for number in range(times):
        changed = bytearray(data)
        if number % 4 == 3:
            del changed[generator.randrange(1, len(changed)) :]
        else:
            for _ in range(generator.randint(1, 4)):
                changed[generator.randrange(len(changed))] = generator.randrange(256)
        yield bytes(changed)


def read_fasta(path):
    with open_fasta(path) as fasta:
        return {name: fasta.sequence(name) for name in fasta.contigs}


def read_vcf(path):
    with read_variants(path) as reader:
        return [record.text for record in reader]


def write_bam(path):
    header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": "a", "LN": 3000}]}
    with pysam.AlignmentFile(str(path), "wb", header=header) as out:
        for number in range(1500):
            read = pysam.AlignedSegment(out.header)
            read.query_name, read.reference_id, read.reference_start = f"r{number}", 0, number
            read.query_sequence, read.cigartuples = "".join(GENERATOR.choices("ACGT", k=60)), [(0, 60)]
            out.write(read)
    return path


def read_bam(path):
    with open_reads(path) as reads:
        return [read.sequence for name in reads.contigs for read in reads.reads(Interval(name, 0, 3000))]


@pytest.mark.parametrize(
    ("name", "content", "read"),
    [
        ("a.fa.gz", FASTA, read_fasta),
        ("a.bgz", FASTA, read_fasta),
        ("v.vcf.gz", VCF, read_vcf),
        ("v.bgz", VCF, read_vcf),
    ],
)
def test_damaged_compression_is_never_read_as_if_it_were_whole(write, name, content, read):
    """Every byte counts: what is read without an error is what was written."""
    whole = write(name, content)
    data, expected, refused = whole.read_bytes(), read(whole), 0
    for changed in damaged(data, 40):
        path = write(f"damaged.{name}", changed)
        try:
            found = read(path)
        except TitansDNAError as error:
            assert "\n" not in str(error)  # noqa: PT017
            refused += 1
        else:
            assert found == expected
    assert refused > 25


def test_a_file_that_is_cut_between_two_blocks_is_refused(write):
    for name, content, read in [("a.bgz", FASTA * 1, read_fasta), ("v.bgz", VCF, read_vcf)]:
        path = write(name, content)
        path.write_bytes(path.read_bytes()[:-28])
        with pytest.raises(FormatError, match="may be cut off"):
            read(path)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pysam's own, while it drops a file
def test_damaged_bam_and_bcf_give_one_line(tmp_path):
    bam = write_bam(tmp_path / "a.bam")
    bcf = tmp_path / "a.bcf"
    (tmp_path / "a.vcf").write_text(VCF)
    with (
        pysam.VariantFile(str(tmp_path / "a.vcf")) as source,
        pysam.VariantFile(str(bcf), "wb", header=source.header) as out,
    ):
        for record in source:
            out.write(record)
    for whole, read in [(bam, read_bam), (bcf, read_vcf)]:
        for number, changed in enumerate(damaged(whole.read_bytes(), 25)):
            path = tmp_path / f"damaged{number}{whole.suffix}"
            path.write_bytes(changed)
            try:
                read(path)
            except TitansDNAError as error:
                assert "\n" not in str(error)  # noqa: PT017


def test_damaged_embeddings_are_refused_or_right(tmp_path):
    whole = tmp_path / "e.h5"
    with EmbeddingWriter(whole, 4, {"a": (9, "m")}, {"model": "x"}) as writer:
        writer.append([Interval("a", n, n + 1) for n in range(5)], np.ones((5, 4)))
    assert h5py.is_hdf5(whole)
    for changed in (b"", b"x" * 100, whole.read_bytes()[:600], whole.read_bytes()[:-2000]):
        (tmp_path / "d.h5").write_bytes(changed)
        with pytest.raises(FormatError):
            open_embeddings(tmp_path / "d.h5")


@pytest.mark.parametrize(
    ("ending", "pack", "told"),
    [("bz2", bz2.compress, "is bzip2-compressed"), ("xz", lzma.compress, "is xz-compressed"),
     ("zip", lambda data: b"PK\x03\x04" + data, "is a zip archive")],
)  # fmt: skip
def test_compressions_that_are_not_read_are_named(write, ending, pack, told):
    readers = {
        "a.fa": open_fasta, "a.vcf": read_variants, "a.bed": read_intervals, "a.sam": open_reads,
        "a.csv": lambda path: list(read_rows(path, None)),
    }  # fmt: skip
    for name, reader in readers.items():
        path = write(f"{name}.{ending}", pack(b"@SQ\tSN:c\tLN:9\n" * 20))
        with pytest.raises(FormatError, match=rf"{name}\.{ending}: {told}\. Unpack it, or compress it with gzip"):
            reader(path)


def test_a_contig_that_bam_cannot_address_is_named_with_the_limit(write):
    path = write("long.sam", "@SQ\tSN:c\tLN:3000000000\nr\t0\tc\t5\t60\t4M\t*\t0\t0\tACGT\tIIII\n")
    with pytest.raises(FormatError, match="contig 'c' has 3,000,000,000 bases, more than the 2,147,483,647"):
        open_reads(path)
