"""How near are scores in windows to those in the context of the whole contig, and what does each context cost?

SNVs of CFTR's coding sequence, every fortieth, on the 229 kb around the gene: scored by the command line in each
context, one process and one thread.

    python benchmarks/variants_context.py
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
from pathlib import Path

import numpy as np
from record import run_command, write

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
CONTEXTS = ("contig", "window:2048", "window:8192", "window:32768")
EVERY, MARGIN_BP = 40, 20_000


def make_inputs(folder: Path) -> tuple[Path, Path, int, int]:
    """Write the sequence around the gene and the variants; return both, and the numbers of variants and bases."""
    with gzip.open(DATA / "human/enm001_cftr_all_snvs.vcf.gz", "rt") as file:
        rows = [line.split("\t")[:5] for line in file if not line.startswith("#")]
    places = [int(row[1]) for row in rows]
    low, high = min(places) - MARGIN_BP, max(places) + MARGIN_BP
    with gzip.open(DATA / "mammals/encode_ENm001.fa.gz", "rt") as file:
        human = next(part for part in file.read().split(">") if part.startswith("human"))
    sequence = "".join(human.split("\n")[1:])[low - 1 : high]
    fasta, vcf = folder / "gene.fa", folder / "gene.vcf"
    fasta.write_text(f">gene\n{sequence}\n")
    kept = [f"gene\t{int(p) - low + 1}\t.\t{ref}\t{alt}\t.\t.\t." for _, p, _, ref, alt in rows[::EVERY]]
    vcf.write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "\n".join(kept) + "\n")
    return fasta, vcf, len(kept), len(sequence)


def main() -> None:
    """Measure, and write the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    from titans_dna.io.scores import open_scores

    rows, whole = [], np.zeros(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fasta, vcf, count, bases = make_inputs(folder)
        for context in CONTEXTS:
            output = folder / f"{context}.tsv"
            _, cpu, _ = run_command(
                "score-variants", "--model", "default", "--fasta", fasta, "--vcf", vcf, "--context", context,
                "--workers", 1, "--output", output,
            )  # fmt: skip
            llr = open_scores(output).to_pandas()["llr"].to_numpy()
            whole = llr if context == "contig" else whole
            r = round(float(np.corrcoef(llr, whole)[0, 1]), 4)
            rows.append([context, r, round(float(np.abs(llr - whole).max()), 3), round(cpu, 1)])
            print(rows[-1], flush=True)
    write(
        "variants_context", "Scores in windows beside those of the whole contig",
        ["context", "correlation with the whole contig", "largest difference, nats", "CPU seconds"], rows,
        variants=count, contig_bases=bases,
    )  # fmt: skip


if __name__ == "__main__":
    main()
