"""Every block and write rule at equal compute: held-out bits per base of a real genome after the same CPU seconds.

Each variant trains on the same contigs of a FASTA for the same process time on one thread (the number of steps follows
from the time of its first steps), and is evaluated on a contig that it never saw, with its memory carried along.
Differences below the spread of the seeds mean nothing; losses stay in the table.

    python benchmarks/ablations.py --fasta yeast.fa.gz --holdout I --seconds 60 --seeds 2
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from record import in_child, write

VARIANTS: dict[str, dict[str, object]] = {
    "MAG": {},
    "MAC": {"block": "mac", "segment_tokens": 128},
    "MAL": {"block": "mal"},
    "LMM": {"block": "lmm"},
    "window attention": {"block": "window"},
    "Transformer": {"block": "transformer"},
    "MAG, linear memory": {"memory": {"depth": 1, "residual": False, "norm": False}},
    "MAG, last matrix written": {"memory": {"written": "last"}},
    "MAG, no momentum": {"memory": {"momentum": False}},
    "MAG, no forgetting": {"memory": {"forgetting": False}},
    "MAG, unbounded steps": {"memory": {"bounded": False}},
    "MAG, no convolution": {"convolution_tokens": 1},
    "MAG, no persistent tokens": {"persistent_tokens": 0},
    "MAG, chunk 32": {"chunk_tokens": 32},
    "MAG, and a local memory reset every 512": {
        "further_memories": [{"heads": 1, "chunk_tokens": 64, "reset_tokens": 512}]
    },
}
BASE = {"width": 64, "attention_heads": 2, "memory_heads": 1, "window_tokens": 64}


def child(name: str, fasta: Path, holdout: str, seconds: float, seed: int) -> None:
    """Train and evaluate one variant; print its figures as JSON."""
    import torch

    from titans_dna.io.fasta import open_fasta
    from titans_dna.loading.lanes import Contig
    from titans_dna.model.backbone import Backbone
    from titans_dna.model.config import BackboneConfig
    from titans_dna.tokenizers import NucleotideTokenizer
    from titans_dna.training.config import TrainingConfig
    from titans_dna.training.evaluation import carried_bits, reset_bits
    from titans_dna.training.loop import Trainer, train

    tokenizer = NucleotideTokenizer()
    with open_fasta(fasta) as source:
        aside = source.contigs.require(holdout)
        learned = [tokenizer.encode(source.sequence(c)) for c in source.contigs.names if c != aside]
        held_out = tokenizer.encode(source.sequence(aside))[:200_000]
    contigs = [Contig(codes=ids) for ids in learned]
    config = BackboneConfig.from_dict({**BASE, **VARIANTS[name]})
    restart = (
        1.0 if config.block == "transformer" else 0.25
    )  # a cache as long as the stream is not carried between lanes
    settings = {
        "lanes": 8,
        "window_tokens": 512,
        "restart": restart,
        "learning_rate": 5e-3,
        "soft_mask_weight": 1.0,
        "seed": seed,
    }

    def run(steps: int) -> tuple[Trainer, float]:
        torch.manual_seed(seed)
        model = Backbone(config)
        started = time.process_time()
        trainer = Trainer(model, contigs, TrainingConfig(steps=steps, **settings))  # type: ignore[arg-type]
        train(trainer, [], report=lambda row: None)
        return trainer, time.process_time() - started

    run(1)
    steps = max(10, round(seconds / (run(5)[1] / 5)))
    trainer, spent = run(steps)
    model = trainer.model
    bits = carried_bits(model, [held_out], trainer.bos).bits
    reset = reset_bits(model, [held_out], trainer.bos, 512).bits
    parameters = sum(x.numel() for x in model.parameters())
    print(json.dumps({"bits": bits, "reset": reset, "steps": steps, "seconds": spent, "parameters": parameters}))


def main() -> None:
    """Run all variants, two at a time, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fasta", type=Path, required=True)
    parser.add_argument("--holdout", required=True, help="contig")
    parser.add_argument("--seconds", type=float, default=60.0, help="of training, process time on one thread")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS))
    parser.add_argument("--child", nargs=2, metavar=("NAME", "SEED"))
    options = parser.parse_args()
    if options.child:
        child(options.child[0], options.fasta, options.holdout, options.seconds, int(options.child[1]))
        return
    common = ("--fasta", str(options.fasta), "--holdout", options.holdout, "--seconds", str(options.seconds))
    cases = [(name, seed) for seed in range(options.seeds) for name in options.variants]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda c: in_child(__file__, *common, "--child", c[0], str(c[1]), threads=1), cases))
    rows = []
    for name in options.variants:
        results = [r for (n, _), r in zip(cases, done, strict=True) if n == name]
        bits = [r["bits"] for r in results]
        mean = {key: statistics.mean(r[key] for r in results) for key in ("reset", "steps", "parameters")}
        spread = max(bits) - min(bits)
        rows.append(
            [name, round(statistics.mean(bits), 4), round(spread, 4), round(mean["reset"], 4), round(mean["steps"]),
             round(mean["parameters"])]
        )  # fmt: skip
    rows.sort(key=lambda row: row[1])
    columns = ["variant", "bits per base", "spread of seeds", "memory reset every 512", "steps", "parameters"]
    write(
        "ablations", "Blocks and write rules at equal compute", columns, rows,
        genome=options.fasta.name, holdout=options.holdout, seconds=options.seconds, seeds=options.seeds,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
