"""Training throughput and memory of ``tiny`` and ``small`` against titans-pytorch's MAC transformer, in one run.

    pip install titans-pytorch==0.5.5
    python benchmarks/train_throughput.py

Theirs has the same width, depth, attention heads and window (segments), a memory in every layer with the same chunk,
heads and depth, and takes each chunk's gradients at that chunk's own weights (``batch_size`` equal to ``chunk_size``).
A step is forward, loss and backward of one sequence. Each case runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace

from record import in_child, peak_megabytes, write


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


MODELS = {"titans-dna, its block": ours_default, "titans-dna, MAC": ours, "titans-pytorch, MAC": theirs}


def child(name: str, size: str, tokens: int, steps: int) -> None:
    """Measure one case once and print it as JSON."""
    import torch

    torch.manual_seed(0)
    model, loss_of = MODELS[name](size)
    loss_of(torch.randint(0, 4, (1, 257))).backward()  # warm up
    ids = torch.randint(0, 4, (1, tokens + 1))
    started = time.perf_counter()
    for _ in range(steps):
        model.zero_grad(set_to_none=True)
        loss_of(ids).backward()
    seconds = (time.perf_counter() - started) / steps
    parameters = sum(x.numel() for x in model.parameters())
    print(json.dumps({"rate": tokens / seconds, "megabytes": peak_megabytes(), "parameters": parameters}))


def main() -> None:
    """Run all cases, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="*", default=["tiny", "small"])
    parser.add_argument("--tokens", type=int, nargs="*", default=[1024, 4096, 16_384, 65_536])
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", nargs=4, metavar=("NAME", "SIZE", "TOKENS", "STEPS"))
    options = parser.parse_args()
    if options.child:
        name, size, tokens, steps = options.child
        child(name, size, int(tokens), int(steps))
        return
    rows = []
    for size in options.sizes:
        for tokens in options.tokens:
            found = {}
            for name in MODELS:
                arguments = ("--child", name, size, str(tokens), str(options.steps))
                try:
                    found[name] = in_child(__file__, *arguments, threads=options.threads)
                except RuntimeError as error:
                    found[name] = {"rate": float("nan"), "megabytes": float("nan"), "parameters": 0}
                    print(str(error)[-500:])
            base = found["titans-pytorch, MAC"]["rate"]
            for name, values in found.items():
                row = [size, tokens, name, values["parameters"], values["rate"], values["rate"] / base]
                rows.append([*row, values["megabytes"]])
                print(rows[-1], flush=True)
    columns = ["size", "context", "model", "parameters", "bases per second", "times theirs", "peak MB"]
    write("train_throughput", "Training throughput on one sequence", columns, rows, threads=options.threads)


if __name__ == "__main__":
    main()
