"""Every block and write rule at equal compute: held-out bits per base of a real genome after the same CPU seconds.

First the time of a step of every variant is measured on one thread, in turn; then each trains on the same contigs of a
FASTA for the steps that fit into the same time, and is evaluated on a contig that it never saw, with its memory carried
along. So the bits do not depend on how busy the machine is while it trains. Differences below the spread of the seeds
mean nothing; losses stay in the table.

    python benchmarks/ablations.py --fasta yeast.fa.gz --holdout I --seconds 60 --seeds 2
    python benchmarks/ablations.py --memories --holdout z --seconds 60 --seeds 3   # human chr22, judged on chr20

    python benchmarks/ablations.py --shapes --holdout z --seconds 60 --seeds 2     # the same, heads and chunks
    python benchmarks/ablations.py --layers --holdout z --seconds 120 --seeds 2    # the same, layers with a memory

``--memories`` asks where the two memories pay: the deep one and the copy memory on and off, in every block, and parts
of the copy memory's rule. The variants without copies never recall; all others recall from anywhere before a window.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from record import in_child, write

if TYPE_CHECKING:
    from titans_dna.model.backbone import Backbone

KEPT = Path(__file__).resolve().parents[1] / "build" / "ablations"  # results of cases, so that a run can go on

HUMAN = Path(__file__).resolve().parents[1] / "build" / "ablations_human.fa"
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
    "MAG, large steps at first": {"initial_step": 0.5},
    "MAG, no convolution": {"convolution_tokens": 1},
    "MAG, no persistent tokens": {"persistent_tokens": 0},
    "MAG, chunk 32": {"chunk_tokens": 32},
    "MAG, and a local memory reset every 512": {
        "further_memories": [{"heads": 1, "chunk_tokens": 64, "reset_tokens": 512}]
    },
}
COPIES: dict[str, object] = {"recall": {}}
SECOND = {"block": "mag", "memory_layers": [2]}  # window attention, then MAG: the shape of the default model
MEMORIES: dict[str, dict[str, object]] = {
    "window": {"block": "window"},
    "window + copies": {"block": "window", **COPIES},
    "window of 128 + copies": {"block": "window", "window_tokens": 128, **COPIES},
    "MAG": {},
    "MAG + copies": COPIES,
    "window, then MAG": SECOND,
    "window, then MAG + copies": {**SECOND, **COPIES},
    "window, then LMM + copies": {"block": "lmm", "memory_layers": [2], **COPIES},
    "MAC + copies": {"block": "mac", "segment_tokens": 128, **COPIES},
    "MAL + copies": {"block": "mal", **COPIES},
    "LMM": {"block": "lmm"},
    "LMM + copies": {"block": "lmm", **COPIES},
    "Transformer + copies": {"block": "transformer", **COPIES},
    "exact copies alone": {**SECOND, "recall": {"accepted_hits": 32}},
    "no inverted copies": {**SECOND, "recall": {"inverted": False}},
    "1 place": {**SECOND, "recall": {"places": 1}},
    "4 places": {**SECOND, "recall": {"places": 4}},
    "32 places": {**SECOND, "recall": {"places": 32}},
    "words of 12 in place of the spaced seed": {**SECOND, "recall": {"words": ["1" * 12, "1" * 20]}},
    "one word in 8": {**SECOND, "recall": {"sample_every": [8, 8]}},
    "rows in place of places": {**SECOND, **COPIES},
}
SHAPES: dict[str, dict[str, object]] = {  # what the second layer of the default costs and brings
    "window + copies": MEMORIES["window + copies"],
    "window of 128 + copies": MEMORIES["window of 128 + copies"],
    "window, then MAG + copies": {**SECOND, **COPIES},
    "window, then MAG, chunk 128 + copies": {**SECOND, **COPIES, "chunk_tokens": 128},
    "window, then MAG, chunk 256 + copies": {**SECOND, **COPIES, "chunk_tokens": 256},
    "window, then MAG, 2 heads + copies": {**SECOND, **COPIES, "memory_heads": 2},
    "window, then MAG, linear + copies": {
        **SECOND, **COPIES, "memory": {"depth": 1, "residual": False, "norm": False},
    },
    "window, then MAG, reset every 4,096 + copies": {**SECOND, **COPIES, "reset_tokens": 4096},
}  # fmt: skip
TINY = {"width": 112, "attention_heads": 4, "memory_heads": 2, "window_tokens": 128, "context_orders": [4], **COPIES}
FOUR = {**TINY, "width": 96, "layers": 4}
LAYERS: dict[str, dict[str, object]] = {  # which layers of the named sizes need a deep memory, at equal parameters
    "2 layers, MAG in both": TINY,
    "2 layers, MAG in the second": {**TINY, "width": 128, "memory_layers": [2]},
    "2 layers, window attention": {**TINY, "width": 144, "block": "window"},
    "4 layers, MAG in all": FOUR,
    "4 layers, MAG in the second and fourth": {**FOUR, "width": 112, "memory_layers": [2, 4]},
    "4 layers, MAG in the fourth": {
        **FOUR,
        "width": 120,
        "attention_heads": 5,
        "memory_heads": 2,
        "memory_layers": [4],
    },
}
HUMANS = {**MEMORIES, **SHAPES, **LAYERS}  # variants that are judged on human sequence
ROWS = "rows in place of places"
SETTINGS = {"lanes": 8, "window_tokens": 512, "learning_rate": 5e-3, "soft_mask_weight": 1.0}
MEMORIES_BASES = 200_000  # of the held-out contig, for copies need room
BASE = {"width": 64, "attention_heads": 2, "memory_heads": 1, "window_tokens": 64}


def make_human() -> None:
    """Write the real part of chr22 in five contigs, and chr20 as ``z``, for the ablation of the memories."""
    import pysam

    data = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "human"
    with pysam.FastxFile(str(data / "hg19_chr22_1-22000000.fa.gz")) as file:
        chr22 = next(iter(file)).sequence[16_050_000:]
    with pysam.FastxFile(str(data / "hg19_chr20_1Mb.fa.gz")) as file:
        chr20 = next(iter(file)).sequence
    HUMAN.parent.mkdir(parents=True, exist_ok=True)
    with HUMAN.open("w") as out:
        for part in range(5):
            out.write(f">chr22_{part}\n{chr22[part * 1_200_000 : (part + 1) * 1_200_000]}\n")
        out.write(f">z\n{chr20}\n")


def child(name: str, fasta: Path, holdout: str, steps: int, seed: int) -> None:
    """Train one variant for so many steps; print its bits, or its time per step if there are none."""
    import torch

    from titans_dna.io.sequence.fasta import open_fasta
    from titans_dna.loading.lanes import Contig
    from titans_dna.model.backbone import Backbone
    from titans_dna.model.config import BackboneConfig
    from titans_dna.tokenizers import NucleotideTokenizer
    from titans_dna.training import loop
    from titans_dna.training.config import TrainingConfig
    from titans_dna.training.evaluation import carried_bits, reset_bits
    from titans_dna.training.loop import Trainer, train

    if name == ROWS:
        from recalled_rows import with_rows

        loop.with_recalled = with_rows
    tokenizer = NucleotideTokenizer()
    with open_fasta(fasta) as source:
        aside = source.contigs.require(holdout)
        learned = [tokenizer.encode(source.sequence(c)) for c in source.contigs.names if c != aside]
        far = name in HUMANS
        held_out = tokenizer.encode(source.sequence(aside))[: MEMORIES_BASES if far else 100_000]
    contigs = [Contig(codes=ids) for ids in learned]
    config = BackboneConfig.from_dict({**BASE, **{**VARIANTS, **HUMANS}[name]})
    # A cache as long as the stream is not carried between lanes.
    restart = 1.0 if config.block == "transformer" else 0.25
    settings = {**SETTINGS, "restart": restart, "seed": seed}

    def run(steps: int) -> tuple[Trainer, float]:
        torch.manual_seed(seed)
        trainer = Trainer(Backbone(config), contigs, TrainingConfig(steps=steps, **settings))  # type: ignore[arg-type]
        started = time.perf_counter()
        train(trainer, [], report=lambda row: None)
        return trainer, time.perf_counter() - started

    if not steps:
        run(2)
        (_, short), (_, long) = run(2), run(8)
        print(json.dumps({"seconds": (long - short) / 6}))
        return
    trainer, _ = run(steps)
    model = trainer.model
    parameters = sum(x.numel() for x in model.parameters())
    if name == ROWS:
        print(json.dumps({"bits": rows_bits(model, held_out, trainer.bos), "parameters": parameters}))
        return
    bits = carried_bits(model, [held_out], trainer.bos).bits
    reset = reset_bits(model, [held_out], trainer.bos, 512).bits
    print(json.dumps({"bits": bits, "reset": reset, "parameters": parameters}))


def rows_bits(model: Backbone, ids: np.ndarray, bos: int) -> float:
    """Return the bits per base of a sequence read with the records of rows."""
    import torch
    from recalled_rows import WORDS, rows

    from titans_dna.model.backbone import Recalled

    read = np.concatenate([[bos], ids[:-1]]).astype(np.uint8)
    records = rows(read, WORDS).view(np.int32)
    state, total, known = replace(model.initial_state(1), recall=None), 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(read), 2048):
            piece = slice(start, start + 2048)
            recalled = Recalled(torch.from_numpy(records[None, piece]), None)
            out = model.stream(torch.from_numpy(read[None, piece].astype(np.int64)), state, recalled=recalled)
            state, wanted = out.state, torch.from_numpy(ids[piece].astype(np.int64))
            there = wanted < model.config.targets
            found = out.logits[0].log_softmax(-1)[there].gather(1, wanted[there][:, None])
            total, known = total - float(found.double().sum()), known + int(there.sum())
    return total / known / math.log(2)


def main() -> None:
    """Measure the steps, run all variants and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--fasta", type=Path, default=HUMAN, help="made of the human sequence beside the project if absent"
    )
    parser.add_argument("--memories", action="store_true", help="ask where the two memories pay")
    parser.add_argument("--shapes", action="store_true", help="ask what shape the deep memory should have")
    parser.add_argument("--layers", action="store_true", help="ask which layers should have a deep memory")
    parser.add_argument("--holdout", required=True, help="contig")
    parser.add_argument("--seconds", type=float, default=60.0, help="of training, on one thread")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--variants", nargs="*", default=None)
    parser.add_argument("--step-seconds", type=Path, help="JSON of an earlier measurement; made there if absent")
    parser.add_argument("--child", nargs=3, metavar=("NAME", "STEPS", "SEED"))
    options = parser.parse_args()
    if options.child:
        child(options.child[0], options.fasta, options.holdout, int(options.child[1]), int(options.child[2]))
        return
    asked, (name, title) = VARIANTS, ("ablations", "Blocks and write rules at equal compute")
    if options.memories:
        asked, (name, title) = MEMORIES, ("ablations_memories", "Where the memories pay, at equal compute")
    if options.shapes:
        asked, (name, title) = SHAPES, ("ablations_shapes", "Shapes of the deep memory beside copies, at equal compute")
    if options.layers:
        asked, (name, title) = LAYERS, ("ablations_layers", "Which layers need a deep memory, at equal compute")
    options.variants = options.variants or list(asked)
    if options.fasta == HUMAN and not HUMAN.exists():
        make_human()
    common = ("--fasta", str(options.fasta), "--holdout", options.holdout, "--child")
    if options.step_seconds and options.step_seconds.exists():
        step_seconds = json.loads(options.step_seconds.read_text())
    else:
        rounds = [
            {name: in_child(__file__, *common, name, "0", "0", threads=1)["seconds"] for name in options.variants}
            for _ in range(3)
        ]
        step_seconds = {name: min(times[name] for times in rounds) for name in options.variants}
        if options.step_seconds:
            options.step_seconds.write_text(json.dumps(step_seconds))
    steps = {name: round(options.seconds / step_seconds[name]) for name in options.variants}
    cases = [(name, seed) for seed in range(options.seeds) for name in options.variants]

    KEPT.mkdir(parents=True, exist_ok=True)

    def run(case: tuple[str, int]) -> dict[str, float]:
        variant, seed = case
        place = KEPT / f"{options.fasta.stem}-{variant.replace(' ', '_')}-{steps[variant]}-{seed}.json"
        if not place.exists():
            found = in_child(__file__, *common, variant, str(steps[variant]), str(seed), threads=1)
            place.write_text(json.dumps(found))
        return json.loads(place.read_text())

    with ThreadPoolExecutor(options.jobs) as pool:
        done = list(pool.map(run, cases))
    rows = []
    for variant in options.variants:
        results = [r for (n, _), r in zip(cases, done, strict=True) if n == variant]
        bits = [r["bits"] for r in results]
        reset = round(statistics.mean(r["reset"] for r in results), 4) if "reset" in results[0] else "-"
        means = (round(statistics.mean(bits), 4), round(max(bits) - min(bits), 4), reset)
        per_step = round(1000 * step_seconds[variant])
        rows.append([variant, *means, steps[variant], per_step, results[0]["parameters"]])
    rows.sort(key=lambda row: row[1])
    columns = [
        "variant", "bits per base", "spread of seeds", "memory reset every 512", "steps", "ms per step", "parameters"
    ]  # fmt: skip
    write(
        name, title, columns, rows,
        genome=options.fasta.name, holdout=options.holdout, seconds=options.seconds, seeds=options.seeds,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
