"""How whole commands grow with their input: regions by length, variants, contigs, and reports by rows.

Every row is one command of its own, start of the program included, on one thread: CPU seconds, and the peak memory of
its process. The sequence is yeast's genome, its contigs joined: one region from its start; SNVs at even distances on
its first bases, many on one contig and few on a long one; its first bases cut into contigs of equal length; reports of
the variants. Compiled loops are made ahead.

    python benchmarks/growth.py [--data ../shared/data] [--parts regions variants few contigs report]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from record import run_command, write

from titans_dna.io.sequence.fasta import open_fasta

REGIONS_BP = (100_000, 1_000_000, 10_000_000)
VARIANTS, VARIANTS_BP, HORIZON = (100, 1_000, 10_000, 100_000), 500_000, 16
FEW, FEW_BP = 20, (100_000, 1_000_000, 10_000_000)
CONTIGS, CONTIGS_BP = (1, 100, 1_000, 10_000, 100_000), 1_000_000
PARTS = ("regions", "variants", "few", "contigs", "report")
HEADER = "##fileformat=VCFv4.2\n##contig=<ID=c0,length={bases}>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def write_fasta(path: Path, sequence: bytes, contigs: int = 1) -> Path:
    """Write a sequence, cut into contigs of equal length."""
    size = len(sequence) // contigs
    with path.open("wb") as file:
        for number in range(contigs):
            piece = sequence[number * size : (number + 1) * size]
            lines = [piece[at : at + 100] for at in range(0, size, 100)]
            file.write(b">c%d\n%b\n" % (number, b"\n".join(lines)))
    return path


def write_snvs(path: Path, sequence: bytes, count: int) -> Path:
    """Write SNVs at even distances; several of one base where there are more than bases between them."""
    rows = []
    for number in range(count):
        at = number * len(sequence) // count
        ref = chr(sequence[at])
        alt = "ACGT"[("ACGT".index(ref) + 1) % 4]
        rows.append(f"c0\t{at + 1}\ts{number}\t{ref}\t{alt}\t.\t.\t.\n")
    path.write_text(HEADER.format(bases=len(sequence)) + "".join(rows))
    return path


def measure(folder: Path, sequence: bytes, parts: list[str]) -> list[list[Any]]:
    """Return the rows: what, how much, CPU seconds and peak MB."""
    output, tables = folder / "out.tsv", {}
    whole = write_fasta(folder / "whole.fa", sequence)
    few = write_fasta(folder / "few.fa", sequence[:VARIANTS_BP])
    rows: list[list[Any]] = []

    def note(what: str, count: int, *command: object) -> None:
        _, seconds, megabytes = run_command(*command)
        print(what, count, round(seconds, 1), round(megabytes), file=sys.stderr, flush=True)
        rows.append([what, f"{count:,}", seconds, megabytes])

    again = ("--model", "default", "--device", "cpu", "--output")
    run_command("score-regions", "--fasta", few, "--region", "c0:1-9000", *again, output)
    if "regions" in parts:
        for bases in REGIONS_BP:
            note("one region, bases", bases, "score-regions", "--fasta", whole, "--region", f"c0:1-{bases}", *again,
                 output)  # fmt: skip
    if "variants" in parts or "report" in parts:
        for count in VARIANTS:
            vcf = write_snvs(folder / f"{count}.vcf", sequence[:VARIANTS_BP], count)
            tables[count] = folder / f"scored{count}.vcf.gz"
            command = ("score-variants", "--fasta", few, "--vcf", vcf, "--horizon", HORIZON, *again, tables[count])
            note(f"variants on {VARIANTS_BP:,} bases", count, *command)
    if "few" in parts:
        for bases in FEW_BP:
            contig = write_fasta(folder / "cut.fa", sequence[:bases])
            vcf = write_snvs(folder / "few.vcf", sequence[:bases], FEW)
            note(f"bases with {FEW} variants", bases, "score-variants", "--fasta", contig, "--vcf", vcf, "--horizon",
                 HORIZON, *again, folder / "few.vcf.gz")  # fmt: skip
    if "contigs" in parts:
        for count in CONTIGS:
            cut = write_fasta(folder / "cut.fa", sequence[:CONTIGS_BP], count)
            note(f"contigs of {CONTIGS_BP:,} bases", count, "score-regions", "--fasta", cut, *again, output)
    if "report" in parts:
        for count, table in tables.items():
            note("report, variants", count, "report", "--variants", table, "--output", folder / "report.html")
    return rows


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    with open_fasta(options.data / "genomes/yeast_R64-1-1.fa.gz") as genome:
        sequence = b"".join(genome.sequence(name) for name in genome.contigs.names if name != "Mito").upper()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TITANS_DNA_CACHE"] = str(Path(folder) / "cache")
        rows = measure(Path(folder), sequence.replace(b"N", b""), options.parts)
    columns = ["what", "how many", "CPU s", "peak MB"]
    write("growth", "How whole commands grow with their input", columns, rows, model="default", threads=1,
          horizon_bp=HORIZON)  # fmt: skip


if __name__ == "__main__":
    main()
