"""What the compiled loop of the memory gains on a CPU, against the dual form in PyTorch, in one run.

Each row is measured by turns, one thread, in CPU time: the memory alone, the models that stream, and whole commands.

    python benchmarks/compiled.py
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from record import write

PROJECT = Path(__file__).resolve().parents[1]
TURNS, TOKENS = 5, 32_768
WAYS = ("chunked", "compiled")


def by_turns(work: dict[str, Callable[[], None]], tokens: int) -> tuple[list[float], list[float]]:
    """Return microseconds of CPU time a token of each way, median, and the ratio of each turn."""
    found: dict[str, list[float]] = {way: [] for way in work}
    for run in work.values():
        run()
    for _ in range(TURNS):
        for way, run in work.items():
            start = time.process_time()
            run()
            found[way].append((time.process_time() - start) / tokens * 1e6)
    first, second = found.values()
    return [median(first), median(second)], [a / b for a, b in zip(first, second, strict=True)]


def memory(heads: int, width: int) -> dict[str, Callable[[], None]]:
    """Return the memory alone, on random tokens."""
    from titans_dna.ops import Gates, MemoryForm, initial_state, neural_memory

    form, tokens = MemoryForm(), TOKENS // 8
    q, k, v = torch.nn.functional.normalize(torch.randn(3, 1, tokens, heads, width), dim=-1)
    gate = torch.rand(1, tokens, heads, 2)
    gates = Gates(step=0.3 * gate, momentum=0.9 * gate, forgetting=0.01 * gate)
    weights = tuple(torch.randn(heads, *shape) * shape[1] ** -0.5 for shape in form.shapes(width))

    def run(way: str) -> Callable[[], None]:
        @torch.inference_mode()
        def call() -> None:
            state = initial_state(weights, 1, form)
            neural_memory(q, k, v, gates, state, chunk_tokens=64, form=form, implementation=way)

        return call

    return {way: run(way) for way in WAYS}


def streaming(name: str) -> tuple[dict[str, Callable[[], None]], float]:
    """Return a model that streams random bases by each way, and by how much ln P differs at most."""
    from titans_dna import ops
    from titans_dna.checkpoints import DEFAULT
    from titans_dna.inference.model import load_model
    from titans_dna.inference.streaming import stream_bases
    from titans_dna.model.backbone import Backbone
    from titans_dna.model.config import SIZES

    ids, said = np.random.default_rng(1).integers(0, 4, TOKENS).astype(np.uint8), []
    if name == "default":
        loaded = load_model(DEFAULT, "cpu")
        backbone, bos = loaded.backbone, loaded.bos
    else:
        torch.manual_seed(0)
        backbone, bos = Backbone(SIZES[name]).eval(), 5
    choose = ops.choose

    def run(way: str) -> Callable[[], None]:
        def call() -> None:
            ops.choose = lambda *given, **known: (way, "") if given[0] == "auto" else choose(*given, **known)
            pieces = stream_bases(backbone, ids, bos)
            said.append(np.concatenate([piece.log_probabilities for piece in pieces]))
            ops.choose = choose

        return call

    work = {way: run(way) for way in WAYS}
    for call in work.values():
        call()
    return work, float(np.abs(said[0] - said[1]).max())


def command(*words: str) -> float:
    """Return the CPU seconds of a command, everything included, the median of three."""
    found = []
    for _ in range(3):
        before = os.times()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
        subprocess.run([sys.executable, "-m", "titans_dna", *words], check=True, capture_output=True, env=environment)
        after = os.times()
        found.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return median(found)


def main() -> None:
    """Measure, and write the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    rows = []
    for heads, width in ((1, 64), (4, 64), (4, 32)):
        (slow, fast), ratios = by_turns(memory(heads, width), TOKENS // 8)
        told = f"{min(ratios):.2f} to {max(ratios):.2f}"
        rows.append([f"memory alone, {heads} heads of {width}", f"{slow:.1f}", f"{fast:.1f}", told, "-"])
    for name in ("default", "tiny", "small"):
        work, difference = streaming(name)
        (slow, fast), ratios = by_turns(work, TOKENS)
        told = f"{min(ratios):.2f} to {max(ratios):.2f}"
        said = f"{difference:.1e}" if name == "default" else "-"  # the others are not trained, and say nothing yet
        rows.append([f"{name} model, streaming", f"{slow:.1f}", f"{fast:.1f}", told, said])
    data = PROJECT / "data"
    with tempfile.TemporaryDirectory() as folder:
        region = command(
            "score-regions", "--model", "default", "--fasta", str(data / "demo.fa"), "--region", "chrC:1-1000",
            "--output", f"{folder}/r.tsv",
        )  # fmt: skip
        brca1 = PROJECT.parent / "shared/data/human"
        snvs = ["-"]
        if brca1.is_dir():
            lines = (brca1 / "hg19_brca1_sge.vcf").read_text().splitlines()
            head = [line for line in lines if line.startswith("#")]
            kept = [line for line in lines if not line.startswith("#")][::200][:20]
            Path(folder, "20.vcf").write_text("\n".join([*head, *kept]) + "\n")
            given = ("score-variants", "--model", "default", "--fasta", str(brca1 / "hg19_brca1_region.fa"))
            snvs = [
                f"{command(*given, '--vcf', f'{folder}/20.vcf', *context, '--output', f'{folder}/{n}.vcf'):.1f}"
                for n, context in enumerate(((), ("--context", "window:8192", "--workers", "1")))
            ]
    write(
        "compiled", "The memory in one compiled loop, on one thread of a CPU",
        ["what", "dual form, us a token", "compiled loop, us a token", "times as fast", "ln P differs by"],
        rows, cpu_seconds_of_a_1_kb_region=f"{region:.1f}",
        cpu_seconds_of_20_SNVs_of_BRCA1=", ".join(snvs) + " (whole contig, window:8192)",
    )  # fmt: skip


if __name__ == "__main__":
    main()
