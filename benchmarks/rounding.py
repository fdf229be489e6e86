"""How far apart two ways of rounding the default model drift along real sequence, as shipped and with smaller steps.

The two ways are the compiled loop and the dual form in PyTorch, which are equal but for the order of their sums.

    python benchmarks/rounding.py        # three minutes of one core; needs the real genomes beside the project
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from record import write

from titans_dna import ops
from titans_dna.inference.model import SequenceModel, load_model
from titans_dna.inference.streaming import stream_bases
from titans_dna.io.sequence.fasta import open_fasta
from titans_dna.model.memory import NeuralMemory

DATA = Path(__file__).resolve().parents[2] / "shared/data"
BASES, WINDOW = 65_536, 8192
PLACES = {  # what is read: file, number of the contig, first base counted from 0
    "human chr20": ("human/hg19_chr20_1Mb.fa.gz", 0, 200_000),
    "human BRCA1": ("human/hg19_brca1_region.fa", 0, 5_000),
    "*E. coli* K-12": ("genomes/ecoli_k12_NC_000913.3.fna.gz", 0, 100_000),
    "yeast IV": ("genomes/yeast_R64-1-1.fa.gz", 3, 100_000),
}
STEPS = (1.0, 0.5, 0.25)


def with_steps(model: SequenceModel) -> Callable[[float], None]:
    """Return what multiplies the steps and the forgetting of every memory of the model by one number."""
    factor = [1.0]
    for memory in (part for part in model.backbone.modules() if isinstance(part, NeuralMemory)):

        def gate(x: torch.Tensor, trained: Callable[..., ops.Gates] = memory.gate) -> ops.Gates:
            gates = trained(x)
            return replace(gates, step=gates.step * factor[0], forgetting=gates.forgetting * factor[0])

        object.__setattr__(memory, "gate", gate)
    return lambda to: factor.__setitem__(0, to)


def read(model: SequenceModel, ids: np.ndarray, way: str) -> np.ndarray:
    """Return ln P of every base, by one implementation of the memory."""
    choose = ops.choose
    ops.choose = lambda *given, **known: (way, "") if given[0] == "auto" else choose(*given, **known)
    try:
        return np.concatenate([piece.log_probabilities for piece in stream_bases(model.backbone, ids, model.bos)])
    finally:
        ops.choose = choose


def main() -> None:
    """Measure, and write the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    model = load_model("default", "cpu")
    set_steps, rows = with_steps(model), []
    for place, (file, contig, start) in PLACES.items():
        with open_fasta(DATA / file) as fasta:
            ids = model.tokenizer.encode(fasta.fetch(fasta.contigs.names[contig], start, start + BASES).upper())
        for steps in STEPS:
            set_steps(steps)
            loop, dual = read(model, ids, "compiled"), read(model, ids, "chunked")
            apart, bits = np.abs(loop - dual), -np.nanmean(loop) / np.log(2)
            largest = [f"{np.nanmax(apart[:n]):.1e}" for n in (WINDOW, BASES)]
            rows.append([place, f"{steps:g}", f"{bits:.4f}", f"{np.nanmean(apart):.1e}", *largest])
            print(rows[-1], flush=True)
    write(
        "rounding", "Two ways of rounding the default model, after 65,536 bases of real sequence",
        ["sequence", "steps, forgetting x", "bits per base", "ln P differs, mean", "largest in 8,192", "largest"], rows,
    )  # fmt: skip


if __name__ == "__main__":
    main()
