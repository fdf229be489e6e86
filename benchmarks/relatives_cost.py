"""What relatives and windows cost: reading genomes into a memory, one variant on a long contig, and many on every core.

Sequence is random: nothing of the work depends on what the bases are but for repeats, which cost more. CPU seconds are
those of the whole command, start of the program included. The rows of workers are measured in turns, in one run.

    python benchmarks/relatives_cost.py --megabases 100 --contig-megabases 250
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from record import run_command, write

from titans_dna.io.sequence.fasta import open_fasta

WINDOW = "window:8192"


def make_fasta(path: Path, megabases: float, seed: int, contigs: int = 1) -> Path:
    """Write random bases."""
    rng = np.random.default_rng(seed)
    with path.open("wb") as file:
        for contig in range(contigs):
            file.write(f">c{contig}\n".encode())
            left = int(megabases * 1e6 / contigs)
            while left > 0:
                lines = rng.integers(0, 4, (min(left, 1 << 22) + 99) // 100 * 100).reshape(-1, 100)
                text = np.frombuffer(b"ACGT", np.uint8)[lines]
                file.write(np.pad(text, ((0, 0), (0, 1)), constant_values=10).tobytes())
                left -= 1 << 22
    return path


def measure(folder: Path, options: argparse.Namespace) -> list[list[Any]]:
    """Return the rows."""
    rows: list[list[Any]] = []

    def add(name: str, *arguments: object, note: str = "") -> float:
        wall, cpu, megabytes = run_command(*arguments)
        rows.append([name, round(wall, 1), round(cpu, 1), round(megabytes / 1024, 2), note])
        print(rows[-1], flush=True)
        return wall

    for megabases in (options.megabases / 10, options.megabases):
        fasta = make_fasta(folder / f"r{megabases:g}.fa", megabases, seed=1)
        memory = folder / f"r{megabases:g}.tdm"
        add(f"remember {megabases:g} Mb", "remember", "--fasta", fasta, "-o", memory)
        rows[-1][4] = (
            f"{megabases / rows[-1][2]:.2f} Mb a CPU second, {memory.stat().st_size / megabases / 1e6:.2f} bytes a base"
        )
    contig = make_fasta(folder / "long.fa", options.contig_megabases, seed=2)
    middle = int(options.contig_megabases * 5e5)
    common = ("score-variants", "--model", "default", "--fasta", contig, "--on-mismatch", "force")
    one = (*common, "--variant", f"c0:{middle}:A:G", "--context", WINDOW, "--workers", 1)
    add(f"one variant in the middle of {options.contig_megabases:g} Mb", *one, "-o", folder / "one.tsv")
    add("the same again: the FASTA is indexed", *one, "-o", folder / "one.tsv")
    ahead = folder / "ahead.tdm"
    add(f"remember --target {options.contig_megabases:g} Mb", "remember", "--target", "--fasta", contig, "-o", ahead)
    rows[-1][4] = f"both strands: {ahead.stat().st_size / options.contig_megabases / 1e6:.2f} bytes a base"
    for _ in range(2):
        add("one variant with the chromosome read ahead", *one, "--memory", ahead, "-o", folder / "one.tsv")
    add("the smallest job: one variant on 1 kb", "score-variants", "--model", "default", "--fasta",
        make_fasta(folder / "tiny.fa", 0.001, seed=4), "--on-mismatch", "force", "--variant", "c0:500:A:G",
        "--context", WINDOW, "--workers", 1, "-o", folder / "one.tsv")  # fmt: skip
    short = make_fasta(folder / "short.fa", 1.0, seed=3)
    vcf = folder / "many.vcf"
    with open_fasta(short) as fasta:
        refs = {at: fasta.fetch("c0", at - 1, at).decode() for at in range(1000, 1_000_000, 4000)}
    lines = [f"c0\t{at}\t.\t{ref}\t{'ACGT'['ACGT'.index(ref) - 1]}\t.\t.\t." for at, ref in refs.items()]
    vcf.write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "\n".join(lines) + "\n")
    many = ("score-variants", "--model", "default", "--fasta", short, "--vcf", vcf, "--context", WINDOW)
    walls: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(2):
        for workers in walls:
            name = f"{len(lines)} variants along 1 Mb, {workers} workers, turn {turn + 1}"
            walls[workers].append(add(name, *many, "--workers", workers, "-o", folder / "many.tsv"))
    rows.append(
        ["1 worker over 2 workers, least wall time", round(min(walls[1]) / min(walls[2]), 2), "-", "-", "ratio"]
    )
    if options.cftr:
        target, relatives, variants = options.cftr
        add(
            "CFTR: 13,641 variants, 33 Mb of relatives from nothing", "score-variants", "--model", "default", "--fasta",
            target, "--relatives", relatives, "--one-vote-per", "prefix", "--vcf", variants, "--context", WINDOW,
            "--workers", 1, "-o", folder / "cftr.tsv",
        )  # fmt: skip
    return rows


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabases", type=float, default=100.0)
    parser.add_argument("--contig-megabases", type=float, default=250.0)
    parser.add_argument("--cftr", nargs=3, type=Path, metavar=("TARGET", "RELATIVES", "VCF"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), options)
    write(
        "relatives_cost", "What relatives and windows cost",
        ["work", "wall seconds", "CPU seconds", "peak GB of a process", "note"], rows, context=WINDOW,
    )  # fmt: skip


if __name__ == "__main__":
    main()
