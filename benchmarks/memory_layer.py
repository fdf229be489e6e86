"""The memory layer against titans-pytorch in its faithful setting: tokens per second and peak memory, in one run.

Both are layers of width 256 with 4 heads of 64, an MLP memory of depth 2 and expansion 2, chunks of 64, one sequence of
16,384 tokens. titans-pytorch takes a chunk's gradients at that chunk's own weights only if ``batch_size`` equals
``chunk_size``; that is what is compared. Each case runs in a process of its own; cases take turns, and the median of
the rounds counts. The first step of a process pays for its memory being mapped, which costs the layer that needs more
of it much more; the steps after it are what a training run consists of. Both are shown.

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
STEPS = 3  # after the first
LAYERS = ("titans-dna", "titans-pytorch")


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
    times = []
    for _ in range(1 + STEPS):
        started = time.perf_counter()
        if mode == "forward":
            with torch.no_grad():
                run(x)
        else:
            run(x).square().mean().backward()
        times.append(time.perf_counter() - started)
    found = {"first": times[0], "seconds": statistics.median(times[1:]), "megabytes": peak_megabytes() - before}
    print(json.dumps(found))


def main() -> None:
    """Run all cases and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=16_384)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--child", nargs=2)
    options = parser.parse_args()
    if options.child:
        child(*options.child, options.tokens)
        return
    cases = [(n, mode, name) for n in options.threads for mode in ("forward", "forward+backward") for name in LAYERS]
    found: dict[tuple[int, str, str], list[dict[str, float]]] = {case: [] for case in cases}
    for _ in range(options.rounds):
        for threads, mode, name in cases:
            arguments = ("--tokens", str(options.tokens), "--child", name, mode)
            found[threads, mode, name].append(in_child(__file__, *arguments, threads=threads))
    middle = {
        case: {key: statistics.median(r[key] for r in rounds) for key in rounds[0]} for case, rounds in found.items()
    }
    rows = []
    for threads, mode, name in cases:
        ours, theirs = middle[threads, mode, name], middle[threads, mode, "titans-pytorch"]
        speed, first, memory = (theirs[k] / ours[k] for k in ("seconds", "first", "megabytes"))
        rate = round(options.tokens / ours["seconds"])
        rows.append(
            [
                threads,
                mode,
                name,
                rate,
                round(speed, 2),
                round(first, 2),
                round(ours["megabytes"]),
                round(1 / memory, 3),
            ]
        )
    columns = ["threads", "mode", "layer", "tokens/s", "speed ratio", "of the first step", "peak MB", "memory ratio"]
    title = "Memory layer against titans-pytorch 0.5.5"
    write("memory_layer", title, columns, rows, tokens=options.tokens, rounds=options.rounds)


if __name__ == "__main__":
    sys.exit(main())
