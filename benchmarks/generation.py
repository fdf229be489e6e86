"""What the default model writes behind 100 kb of a genome, beside what the genome has there; and what a base costs.

None of the contigs was trained on. Every row is a mean over three sequences of 3,000 bases, or the genome's own bases.

    python benchmarks/generation.py        # ten minutes of one core; needs the real genomes beside the project
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from record import peak_megabytes, write

from titans_dna.inference.composition import Composition, count_words, describe_generated, describe_prompt, divergence
from titans_dna.inference.generate import Prompt, Sampling, generate, read_prompt
from titans_dna.inference.model import SequenceModel, load_model
from titans_dna.io.sequence.fasta import open_fasta

DATA = Path(__file__).resolve().parents[2] / "shared/data"
PROMPT, BASES, SEQUENCES = 100_000, 3_000, 3
PLACES = {  # what is read: file, number of the contig, first base counted from 0
    "human chr20": ("human/hg19_chr20_1Mb.fa.gz", 0, 300_000),
    "yeast XII": ("genomes/yeast_R64-1-1.fa.gz", 11, 200_000),
    "*S. pombe* III": ("genomes/pombe_ASM294v2.fa.gz", 2, 200_000),
}
WAYS = {
    "drawn": Sampling(), "drawn, temperature 0.7": Sampling(temperature=0.7), "drawn, top-p 0.9": Sampling(top_p=0.9),
    "drawn without copies": Sampling(copies=False),
}  # fmt: skip


def figures(bits: float, made_of: Composition, apart: float) -> list[float]:
    """Return the columns of a row."""
    return [bits, made_of.gc, apart, made_of.copied, float(made_of.longest_copy_bp)]


def own(model: SequenceModel, contig: bytes) -> list[float]:
    """Return the figures of the bases that the genome has behind the prompt."""
    found = read_prompt(model, "own", contig[: PROMPT + BASES], PROMPT)
    words = [count_words(model.tokenizer.encode(part)) for part in (contig[:PROMPT], found.sequence)]
    return figures(-found.log_likelihood / found.known / np.log(2), describe_prompt(found), divergence(*words))


def drawn(model: SequenceModel, prompt: Prompt, sampling: Sampling) -> tuple[list[float], float]:
    """Return the mean figures of sequences behind a prompt, and milliseconds of processor time a base."""
    rows, started = [], time.process_time()
    made = [generate(model, prompt, BASES, sampling, number) for number in range(1, SEQUENCES + 1)]
    spent = (time.process_time() - started) / BASES / SEQUENCES * 1e3
    for found in made:
        made_of = describe_generated(prompt, found)
        rows.append(figures(-found.log_likelihood / BASES / np.log(2), made_of, made_of.word_divergence))
    return np.mean(rows, axis=0).tolist(), spent


def main() -> None:
    """Measure, and write the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    model, rows = load_model("default", "cpu"), []
    generate(model, read_prompt(model, "warm", b"ACGT"), 8, Sampling())  # compiled before it is timed
    for place, (file, number, start) in PLACES.items():
        with open_fasta(DATA / file) as fasta:
            contig = fasta.fetch(fasta.contigs.names[number], start, start + PROMPT + BASES).upper()
        prompt = read_prompt(model, place, contig[:PROMPT])
        found = {"the genome's own": (own(model, contig), None)}
        found |= {way: drawn(model, prompt, sampling) for way, sampling in WAYS.items()}
        for way, (values, spent) in found.items():
            bits, gc, apart, copied, longest = values
            told = [f"{bits:.3f}", f"{gc:.3f}", f"{apart:.4f}", f"{copied:.3f}", f"{longest:.0f}"]
            rows.append([place, way, *told, "-" if spent is None else f"{spent:.2f}"])
            print(rows[-1], flush=True)
    write(
        "generation", f"{BASES:,} bases behind {PROMPT:,} of a genome, written by the default model",
        ["behind", "bases", "bits per base", "GC", "divergence of words from the prompt's", "copied", "longest copy",
         "CPU ms a base"], rows, peak_mb=round(peak_megabytes()),
    )  # fmt: skip


if __name__ == "__main__":
    main()
