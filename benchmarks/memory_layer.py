"""The memory layer against titans-pytorch in its faithful setting: tokens per second and peak memory, in one run.

Both are layers of width 256 with 4 heads of 64, an MLP memory of depth 2 and expansion 2, chunks of 64, one sequence of
16,384 tokens. titans-pytorch takes a chunk's gradients at that chunk's own weights only if ``batch_size`` equals
``chunk_size``; that is what is compared. Each case runs in a process of its own; cases take turns, and the median of
the rounds counts.

    pip install titans-pytorch==0.5.5
    python benchmarks/memory_layer.py
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time

from record import in_child, peak_megabytes, write

WIDTH, HEADS, CHUNK = 256, 4, 64


def layer(name: str):
    """Return a function from features (1, T, WIDTH) to outputs, and its parameters."""
    import torch

    if name == "titans-dna":
        from titans_dna.model.config import BackboneConfig
        from titans_dna.model.memory import NeuralMemory

        config = BackboneConfig(width=WIDTH, memory_heads=HEADS, chunk_tokens=CHUNK)
        module = NeuralMemory(config, config.memories[0])
        active = torch.ones(1, 1, dtype=torch.bool)
        return module, lambda x: module(x, module.initial_state(1), active.expand(1, x.shape[1])).values
    from titans_pytorch import MemoryMLP
    from titans_pytorch import NeuralMemory as Theirs

    module = Theirs(
        dim=WIDTH, chunk_size=CHUNK, batch_size=CHUNK, dim_head=WIDTH // HEADS, heads=HEADS,
        model=MemoryMLP(WIDTH // HEADS, depth=2, expansion_factor=2.0),
    )  # fmt: skip
    return module, lambda x: module(x)[0]


def child(name: str, mode: str, tokens: int) -> None:
    """Measure one case once and print it as JSON."""
    import torch

    torch.manual_seed(0)
    module, run = layer(name)
    run(torch.randn(1, 4 * CHUNK, WIDTH)).sum().backward()  # warm up
    import torch.utils.checkpoint  # what recomputation loads when first used is not part of a step

    torch.utils.checkpoint.checkpoint(torch.sin, torch.ones(1, requires_grad=True), use_reentrant=False).backward()
    module.zero_grad()
    x = torch.randn(1, tokens, WIDTH)
    before = peak_megabytes()
    started = time.perf_counter()
    if mode == "forward":
        with torch.no_grad():
            run(x)
    else:
        run(x).square().mean().backward()
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "megabytes": peak_megabytes() - before}))


def main() -> None:
    """Run all cases and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=16_384)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", nargs=2)
    options = parser.parse_args()
    if options.child:
        child(*options.child, options.tokens)
        return
    cases = [(name, mode) for mode in ("forward", "forward+backward") for name in ("titans-dna", "titans-pytorch")]
    found: dict[tuple[str, str], list[dict[str, float]]] = {case: [] for case in cases}
    for _ in range(options.rounds):
        for case in cases:
            arguments = ("--tokens", str(options.tokens), "--child", *case)
            found[case].append(in_child(__file__, *arguments, threads=options.threads))
    rows = []
    for name, mode in cases:
        seconds, theirs = (statistics.median(r["seconds"] for r in found[n, mode]) for n in (name, "titans-pytorch"))
        memory, other = (statistics.median(r["megabytes"] for r in found[n, mode]) for n in (name, "titans-pytorch"))
        rate = options.tokens / seconds
        rows.append([mode, name, round(rate), round(theirs / seconds, 2), round(memory), round(memory / other, 3)])
    columns = ["mode", "layer", "tokens/s", "speed ratio", "peak MB", "memory ratio"]
    title = "Memory layer against titans-pytorch 0.5.5"
    write("memory_layer", title, columns, rows, tokens=options.tokens, rounds=options.rounds, threads=options.threads)


if __name__ == "__main__":
    sys.exit(main())
