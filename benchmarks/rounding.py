"""How far apart two ways of rounding the default model drift along real sequence, and what keeps them together.

The two ways are the compiled loop and the dual form in PyTorch, which are equal but for the order of their sums. The
model is read as shipped, with deep memories that begin anew at other distances or never, and never with less
forgetting. The distance was chosen on yeast and *E. coli*, which the model was trained on.

    python benchmarks/rounding.py        # six minutes of one core; needs the real genomes beside the project
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
BASES = 262_144
PLACES = {  # what is read: file, number of the contig, first base counted from 0
    "human chr20": ("human/hg19_chr20_1Mb.fa.gz", 0, 200_000),
    "human BRCA1": ("human/hg19_brca1_region.fa", 0, 5_000),
    "*E. coli* K-12": ("genomes/ecoli_k12_NC_000913.3.fna.gz", 0, 100_000),
    "yeast IV": ("genomes/yeast_R64-1-1.fa.gz", 3, 100_000),
}
SETTINGS = ((4096, 1.0), (2048, 1.0), (8192, 1.0), (32_768, 1.0), (0, 1.0), (0, 0.1), (0, 0.0))  # reset, forgetting


def with_settings(model: SequenceModel) -> Callable[[int, float], None]:
    """Return what sets the distance of the resets, 0 for never, and multiplies the forgetting by a number."""
    (memory,) = (part for part in model.backbone.modules() if isinstance(part, NeuralMemory))
    factor, trained = [1.0], memory.gate

    def gate(x: torch.Tensor) -> ops.Gates:
        gates = trained(x)
        return replace(gates, forgetting=gates.forgetting * factor[0])

    def to(reset_tokens: int, forgetting: float) -> None:
        memory.reset_tokens, factor[0] = reset_tokens, forgetting

    object.__setattr__(memory, "gate", gate)
    return to


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
    to, rows = with_settings(model), []
    for place, (file, contig, start) in PLACES.items():
        with open_fasta(DATA / file) as fasta:
            ids = model.tokenizer.encode(fasta.fetch(fasta.contigs.names[contig], start, start + BASES).upper())
        for reset, forgetting in SETTINGS:
            to(reset, forgetting)
            loop, dual = read(model, ids, "compiled"), read(model, ids, "chunked")
            apart, bits = np.abs(loop - dual), -np.nanmean(loop) / np.log(2)
            row = [place, f"{reset:,}" if reset else "never", f"{forgetting:g}", f"{bits:.4f}"]
            rows.append([*row, f"{np.nanmean(apart):.1e}", f"{np.nanmax(apart):.1e}"])
            print(rows[-1], flush=True)
    write(
        "rounding", "Two ways of rounding the default model, along 262,144 bases of real sequence",
        ["sequence", "begins anew every", "forgetting x", "bits per base", "ln P differs, mean", "largest"], rows,
    )  # fmt: skip


if __name__ == "__main__":
    main()
