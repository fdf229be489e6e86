"""Does the deep memory of the default pay? The default beside a model of the same recipe whose block has no memory.

Both were trained by ``train_default.py`` on one thread for about the same time; so the one without a deep memory, whose
steps are cheaper, saw more sequence. Bits per base of sequences that neither has seen, copy memory and all carried.

    python benchmarks/train_default.py --block window --steps 9000 --threads 1 --output build/default-window
    python benchmarks/default_blocks.py --models default build/default-window
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from record import write

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
SEQUENCES = {  # file and contig of what was held out of training; the first contig if empty
    "human chr20": ("human/hg19_chr20_1Mb.fa.gz", ""),
    "yeast XII": ("genomes/yeast_R64-1-1.fa.gz", "XII"),
    "S. pombe III": ("genomes/pombe_ASM294v2.fa.gz", "III"),
    "human BRCA1": ("human/hg19_brca1_region.fa", ""),
}


def bits_of(folder: str, bases: int) -> tuple[list[Any], list[float]]:
    """Return what is to be said of a model, and its bits per base of every sequence."""
    from titans_dna.checkpoints import model_folder
    from titans_dna.inference.model import load_model
    from titans_dna.io.sequence.fasta import open_fasta
    from titans_dna.training.evaluation import carried_bits, training_record

    model, about = load_model(folder, "cpu"), training_record(model_folder(folder))
    config, found = model.backbone.config, []
    for path, contig in SEQUENCES.values():
        with open_fasta(DATA / path) as fasta:
            ids = model.tokenizer.encode(fasta.sequence(contig or fasta.contigs.names[0]))[:bases]
        found.append(round(carried_bits(model.backbone, [ids], model.bos).bits, 4))
        print(folder, path, found[-1], flush=True)
    block = "window, then mag" if config.block == "mag" else config.block
    told = [block, f"{about['parameters']:,}", about["steps"], round(about["bases"] / 1e6, 1)]
    return [*told, round(about["seconds"] / 3600, 2), model.weights_sha256[:12]], found


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", required=True, help="folders, or default")
    parser.add_argument("--bases", type=int, default=1 << 40, help="of each sequence at the most")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [[*told, *bits] for told, bits in (bits_of(folder, options.bases) for folder in options.models)]
    columns = ["block", "parameters", "steps", "Mb read", "hours of training", "weights", *SEQUENCES]
    write("default_blocks", "The default with and without a deep memory", columns, rows, seeds=1,
          note="hours are of one thread beside other work; one seed each")  # fmt: skip


if __name__ == "__main__":
    main()
