"""Coverage-guided fuzzing of the readers: run by `test_fuzz.py` for a fixed number of inputs, or by hand for as long
as wanted.

    python tests/io/fuzz_readers.py -runs=100000 -max_len=2000

FUZZ_CPU_SECONDS in the environment ends the run after so much CPU time, as if all inputs had been tried.

Any exception but one of the tree, an error of more than one line, or a record that vanishes ends the run with a
non-zero exit code.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import atheris
import pysam
from copied import write_scored

with atheris.instrument_imports(include=["titans_dna"]):
    from titans_dna.errors import TitansDNAError
    from titans_dna.genome import Interval, Variant
    from titans_dna.io.intervals.bed import read_intervals
    from titans_dna.io.sequence.bam import open_reads
    from titans_dna.io.sequence.fasta import open_fasta
    from titans_dna.io.tables.tsv import read_tsv
    from titans_dna.io.variants.variant_table import open_variants
    from titans_dna.io.variants.vcf import read_variants
    from titans_dna.io.variants.vcf_header import InfoField

SCORE = InfoField(id="S", number="A", type="Float", description="s")

HEAD = b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
WIDE = (
    HEAD[:-1].replace(
        b"#CHROM",
        b'##FORMAT=<ID=Q,Number=1,Type=Float,Description="q">\n##INFO=<ID=I,Number=1,Type=Integer,Description="i">\n#CHROM',
    )
    + b"\tFORMAT\tS1\tS2\n"
)
FOLDER = Path(tempfile.mkdtemp())
CPU_SECONDS, TRIED = float(os.environ.get("FUZZ_CPU_SECONDS", "inf")), [0]


def write(name: str, data: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(data)
    return path


def fasta(data: bytes) -> None:
    with open_fasta(write("a.fa", data)) as file:
        for name, length in file.contigs.lengths.items():
            assert len(file.sequence(name)) == length == len(file.fetch(name, 0, length))
    for entry in (FOLDER / "cache").glob("*"):
        entry.unlink()


def vcf(data: bytes) -> None:
    body = data.replace(b"\x1f\x8b", b"")
    found = list(read_variants(write("a.vcf", HEAD + body)))
    assert len(found) == sum(1 for line in body.split(b"\n") if line.rstrip(b"\r"))


def copy(data: bytes) -> None:
    source, target = write("c.vcf", WIDE + data.replace(b"\x1f\x8b", b"")), FOLDER / "copy.vcf"
    rows = [{"S": [0.5] * len(record.alts)} for record in read_variants(source)]
    written, _ = write_scored(source, target, [SCORE], rows)
    with pysam.VariantFile(str(target)) as variants:
        assert sum(1 for _ in variants) == written


def bed(data: bytes) -> None:
    read_intervals(write("a.bed", data), blocks=True)


def gff(data: bytes) -> None:
    read_intervals(write("a.gff3", data), feature=None)


def table(data: bytes) -> None:
    list(read_tsv(write("a.tsv", data)))
    list(open_variants(write("a.tsv", b"chrom\tpos\tref\talt\n" + data)))


def strings(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for parse in (Interval.parse, Variant.parse):
        try:
            parse(text)
        except TitansDNAError as error:
            assert "\n" not in str(error)  # noqa: PT017


def sam(data: bytes) -> None:
    with open_reads(write("a.sam", data)) as reads:
        for name, length in reads.contigs.lengths.items():
            list(reads.reads(Interval(name, 0, length)))


TARGETS = [fasta, vcf, bed, gff, table, strings, sam, copy]


def one_input(data: bytes) -> None:
    TRIED[0] += 1
    if TRIED[0] % 256 == 0 and time.process_time() > CPU_SECONDS:
        sys.stderr.write(f"#{TRIED[0]}\tDONE, for the time is up\n")
        sys.stderr.flush()
        shutil.rmtree(FOLDER, ignore_errors=True)
        os._exit(0)  # the library offers no way to stop
    if not data:
        return
    try:
        TARGETS[data[0] % len(TARGETS)](data[1:])
    except TitansDNAError as error:
        assert "\n" not in str(error)  # noqa: PT017


if __name__ == "__main__":
    os.environ["TITANS_DNA_CACHE"] = str(FOLDER / "cache")
    pysam.set_verbosity(0)
    logging.disable(logging.CRITICAL)
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
