"""Heads at base resolution on what the default model knows, beside the same head that sees bases alone.

    python benchmarks/base_heads.py        # fifteen minutes of one core; needs the real genomes beside the project

The settings are those of the command, but for fewer bases; none was chosen on the sequences that are tested.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from record import write

from titans_dna.genome.interval import Interval
from titans_dna.inference.model import load_model
from titans_dna.io.sequence.fasta import open_fasta
from titans_dna.training.base_heads import BaseHeadConfig, train_base_head
from titans_dna.training.base_targets import read_targets

DATA = Path(__file__).resolve().parents[2] / "shared/data/genomes"
CASES: tuple[tuple[str, str, str, tuple[str, ...], tuple[str, int, int | None]], ...] = (
    ("yeast", "yeast_R64-1-1.fa.gz", "yeast_sacCer3.gtf.gz", ("exon",), ("XII", 0, None)),
    ("*E. coli* K-12", "ecoli_k12_NC_000913.3.fna.gz", "ecoli_k12_NC_000913.3.gff.gz", ("CDS",),
     ("NC_000913.3", 1_000_000, 1_500_000)),
)  # fmt: skip
CONFIG = BaseHeadConfig(bases=800_000, test_bases=400_000)


def main() -> None:
    """Train, test, and write the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    model, rows = load_model("default", "cpu"), []
    for genome_name, fasta, annotation, features, (contig, start, end) in CASES:
        with open_fasta(DATA / fasta) as genome, tempfile.TemporaryDirectory() as folder:
            contig = genome.contigs.require(contig)
            aside = Interval(contig, start, genome.contigs.lengths[contig] if end is None else end)
            targets = read_targets([DATA / annotation], genome.contigs, features)
            result = train_base_head(model, genome, targets, [aside], Path(folder) / "head", CONFIG)
        for name in targets.names:
            for who, label in (("model", "what the model knows, both strands"), ("bases_alone", "bases alone")):
                found: dict[str, Any] = result[who][name]
                told = [f"{found[key]:.3f}" for key in ("auroc", "auprc", "share")]
                rows.append([genome_name, name, str(aside), label, *told])
                print(rows[-1], flush=True)
    write(
        "base_heads", "Heads at base resolution, tested on what is held out",
        ["genome", "class", "tested on", "features", "AUROC", "AUPRC", "share of bases"], rows,
        bases_learned=CONFIG.bases, bases_tested=CONFIG.test_bases, epochs=CONFIG.epochs,
    )  # fmt: skip


if __name__ == "__main__":
    main()
