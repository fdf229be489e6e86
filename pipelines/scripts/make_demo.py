"""Make the demo input: a small genome with planted truth, variants, regions and reads.

Every file is a pure function of the seed. Run it as ``python pipelines/scripts/make_demo.py --output data``.
"""

import argparse
from pathlib import Path

import numpy as np
from demo.files import write_bed, write_fasta, write_truth, write_vcf
from demo.layout import draw_genome
from demo.reads import write_bam
from demo.variants import VariantMaker

SEED = 110


def make_demo(output: Path, seed: int = SEED) -> None:
    """Write demo.fa, demo.vcf, demo.bed, demo.bam, demo.bam.bai and demo.json.

    Parameters
    ----------
    output
        Folder to write to; made when missing.
    seed
        Seed of the generator; genome, variants, regions and reads draw from streams of their own.
    """
    output.mkdir(parents=True, exist_ok=True)
    genome, variants, regions, reads = (np.random.default_rng([seed, stream]) for stream in range(4))
    contigs = draw_genome(genome)
    write_fasta(contigs, output / "demo.fa")
    write_vcf(contigs, VariantMaker(variants, contigs).draw(), output / "demo.vcf")
    write_bed(regions, contigs, output / "demo.bed")
    sample = write_bam(reads, contigs, output / "demo.bam")
    write_truth(seed, contigs, sample, output / "demo.json")


def main() -> None:
    """Read the command line and make the demo."""
    parser = argparse.ArgumentParser(description="Make the demo input.")
    parser.add_argument("--output", type=Path, default=Path("data"), help="folder to write to (default: data)")
    parser.add_argument("--seed", type=int, default=SEED, help=f"seed (default: {SEED})")
    arguments = parser.parse_args()
    make_demo(arguments.output, arguments.seed)


if __name__ == "__main__":
    main()
