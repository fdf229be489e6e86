"""What runs of N cost: whole commands on a contig that is nearly all N, and on one with gaps beside its bases alone.

CPU seconds are those of the whole command, start of the program included.

    python benchmarks/gaps.py --megabases 300
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from record import run_command, write

KNOWN_BP = 1000
BASES_BP, GAPS_BP = 100_000, (200_000, 250_000, 150_000)  # stretches of bases between gaps


def random_bases(count: int, seed: int) -> bytes:
    """Return random bases."""
    return np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(seed).integers(0, 4, count)].tobytes()


def write_fasta(path: Path, *parts: tuple[bytes, int]) -> Path:
    """Write one contig of parts, each of letters that are repeated so often; their lengths are whole lines."""
    with path.open("wb") as file:
        file.write(b">c\n")
        for letters, times in parts:
            lines = b"".join(letters[at : at + 50] + b"\n" for at in range(0, len(letters), 50))
            for _ in range(times):
                file.write(lines)
    return path


def measure(folder: Path, megabases: int) -> list[list[Any]]:
    """Return the rows."""
    rows: list[list[Any]] = []

    def add(name: str, verb: str, fasta: Path, *arguments: object) -> None:
        _, cpu, megabytes = run_command(verb, "--fasta", fasta, *arguments, "-o", folder / "scores.tsv")
        rows.append([name, round(cpu, 1), round(megabytes)])
        print(rows[-1], flush=True)

    flank, gap = random_bases(KNOWN_BP, 1), b"N" * 1_000_000
    alone = write_fasta(folder / "alone.fa", (flank, 1))
    between = write_fasta(folder / "between.fa", (flank, 1), (gap, megabases), (flank, 1))
    last = megabases * 1_000_000 + KNOWN_BP
    here, behind = f"c:1-{KNOWN_BP}", f"c:{last + 1}-{last + KNOWN_BP}"
    ref = flank[499:500].decode()
    change = f"{ref}:{'ACGT'['ACGT'.index(ref) - 1]}"
    add("a region of 1 kb alone", "score-regions", alone, "--region", here)
    add(f"the same behind {megabases} Mb of N, read for the first time", "score-regions", between, "--region", behind)
    add("the same again: the FASTA is indexed", "score-regions", between, "--region", behind)
    add("on the reverse strand, behind as many", "score-regions", between, "--region", here, "--strand", "reverse")
    add("a variant in the 1 kb alone, both strands", "score-variants", alone, "--variant", f"c:500:{change}")
    add(f"the same behind {megabases} Mb of N", "score-variants", between, "--variant", f"c:{last + 500}:{change}")
    stretches = [random_bases(BASES_BP, seed) for seed in range(1 + len(GAPS_BP))]
    gaps = [(b"N" * 1000, count // 1000) for count in GAPS_BP]
    parts = [(stretches[0], 1)]
    for hole, bases in zip(gaps, stretches[1:], strict=True):
        parts += [hole, (bases, 1)]
    known, whole = len(stretches) * BASES_BP, len(stretches) * BASES_BP + sum(GAPS_BP)
    for name, size, some in (
        (f"{known // 1000} kb of bases as one region", known, [(bases, 1) for bases in stretches]),
        (f"the same among {sum(GAPS_BP) // 1000} kb of N in {len(GAPS_BP)} gaps", whole, parts),
    ):
        add(name, "score-regions", write_fasta(folder / f"{size}.fa", *some), "--region", f"c:1-{size}")
    return rows


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabases", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), options.megabases)
    write("gaps", "What runs of N cost", ["work", "CPU seconds", "peak MB"], rows)


if __name__ == "__main__":
    main()
