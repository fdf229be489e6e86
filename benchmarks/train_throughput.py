"""Training throughput and memory of ``tiny`` and ``small`` against titans-pytorch's MAC transformer, in one run.

    pip install titans-pytorch==0.5.5
    python benchmarks/train_throughput.py
    python benchmarks/train_throughput.py --compiled      # a row with torch.compile too; it needs a C++ compiler

Theirs has the same width, depth, attention heads and window (segments), a memory in every layer with the same chunk,
heads and depth, and takes each chunk's gradients at that chunk's own weights (``batch_size`` equal to ``chunk_size``).
A step is forward, loss and backward of one sequence. Each case runs in a process of its own. The first step of a length
pays for fresh memory pages, theirs most of all; the ratio is that of the later steps (median), the first one stands
beside it. A case that needs more than ``--most-gb`` is refused the memory, and says so.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import time
from dataclasses import replace

from record import in_child, peak_megabytes, write

LONG = 16_384  # tokens from which a case takes two steps only


def ours(size: str):
    """Return a loss of (1, T) ids, and its parameters."""
    import torch.nn.functional as F

    from titans_dna.model.backbone import Backbone
    from titans_dna.model.config import named_config

    model = Backbone(replace(named_config(size), block="mac", segment_tokens=128))
    return model, lambda ids: F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())


def ours_default(size: str):
    """Return the same of the named size as it is, with its own block."""
    import torch.nn.functional as F

    from titans_dna.model.backbone import Backbone
    from titans_dna.model.config import named_config

    model = Backbone(named_config(size))
    return model, lambda ids: F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())


def theirs(size: str):
    """Return the same of their transformer of equal width and depth."""
    from titans_pytorch import MemoryAsContextTransformer, MemoryMLP

    from titans_dna.model.config import named_config

    config = named_config(size)
    head = config.width // config.memory_heads
    model = MemoryAsContextTransformer(
        num_tokens=config.vocabulary, dim=config.width, depth=config.layers, segment_len=config.window_tokens,
        heads=config.attention_heads, dim_head=config.width // config.attention_heads, ff_mult=config.feed_forward,
        num_persist_mem_tokens=config.persistent_tokens, num_longterm_mem_tokens=config.persistent_tokens,
        neural_memory_segment_len=config.chunk_tokens, neural_memory_batch_size=config.chunk_tokens,
        neural_memory_model=MemoryMLP(head, depth=config.memory.depth, expansion_factor=2.0),
        neural_memory_kwargs={"dim_head": head, "heads": config.memory_heads}, use_flex_attn=False,
    )  # fmt: skip
    return model, lambda ids: model(ids, return_loss=True)


def compiled(size: str):
    """Return ``ours_default`` through torch.compile."""
    import torch

    model, _ = ours_default(size)
    fast = torch.compile(model)
    return model, lambda ids: torch.nn.functional.cross_entropy(fast(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())


MODELS = {"titans-dna, its block": ours_default, "titans-dna, MAC": ours, "titans-pytorch, MAC": theirs}
COMPILED = "titans-dna, its block, compiled"


def child(name: str, size: str, tokens: int, steps: int, most_gb: float) -> None:
    """Measure the steps of one case and print them as JSON."""
    import torch

    limit = int(most_gb * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    torch.manual_seed(0)
    model, loss_of = {**MODELS, COMPILED: compiled}[name](size)
    loss_of(torch.randint(0, 4, (1, 257))).backward()  # warm up
    ids, seconds = torch.randint(0, 4, (1, tokens + 1)), []
    for _ in range(steps):
        model.zero_grad(set_to_none=True)
        started = time.perf_counter()
        loss_of(ids).backward()
        seconds.append(time.perf_counter() - started)
    parameters = sum(x.numel() for x in model.parameters())
    later = statistics.median(seconds[1:])
    print(json.dumps({
        "parameters": parameters, "rate": tokens / later, "first": tokens / seconds[0], "megabytes": peak_megabytes(),
    }))  # fmt: skip


def measure(name: str, size: str, tokens: int, options: argparse.Namespace) -> dict[str, float]:
    """Run one case in a process of its own; nan where it had not enough memory."""
    steps = options.steps if tokens < LONG else 2
    case = ("--child", name, size, str(tokens), str(steps), str(options.most_gb))
    try:
        return in_child(__file__, *case, threads=options.threads)
    except RuntimeError as error:
        if not any(word in str(error) for word in ("memory", "Memory", "alloc")):
            raise
        return dict.fromkeys(("rate", "first", "megabytes"), float("nan")) | {"parameters": 0}


def main() -> None:
    """Run all cases, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="*", default=["tiny", "small"])
    parser.add_argument("--tokens", type=int, nargs="*", default=[1024, 4096, 16_384, 65_536])
    parser.add_argument("--steps", type=int, default=4, help=f"of each case; 2 from {LONG:,} tokens on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--most-gb", type=float, default=16.0, help="address space of a case")
    parser.add_argument("--compiled", action="store_true", help="measure torch.compile too")
    parser.add_argument("--child", nargs=5, metavar=("NAME", "SIZE", "TOKENS", "STEPS", "GB"))
    options = parser.parse_args()
    if options.child:
        name, size, tokens, steps, most_gb = options.child
        child(name, size, int(tokens), int(steps), float(most_gb))
        return
    rows = []
    for size in options.sizes:
        for tokens in options.tokens:
            names = [*MODELS, COMPILED] if options.compiled else [*MODELS]
            found = {name: measure(name, size, tokens, options) for name in names}
            base = found["titans-pytorch, MAC"]
            for name, values in found.items():
                row = [size, tokens, name, values["parameters"]]
                for what in ("rate", "first"):
                    row += [values[what], values[what] / base[what]]
                rows.append([_said(value) for value in [*row, values["megabytes"]]])
                print(rows[-1], flush=True)
    columns = ["size", "context", "model", "parameters", "bases per second", "times theirs"]
    columns += ["bases per second, first step", "times theirs, first step", "peak MB"]
    write(
        "train_throughput", "Training throughput on one sequence", columns, rows,
        threads=options.threads, steps=options.steps, address_space_gb=options.most_gb,
    )  # fmt: skip


def _said(value: float | str) -> float | str:
    return "out of memory" if isinstance(value, float) and math.isnan(value) else value


if __name__ == "__main__":
    main()
