"""Time and memory per base from 4 kb to 2 Mb, for every block in the same macro block.

Each block streams random bases once, in pieces of 4,096, in a process of its own; the clock and the peak memory are
read at every power of four. The full Transformer stops where its time per base has grown tenfold.

    python benchmarks/backbone_scaling.py            # writes results/backbone_scaling.{json,md,svg}
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from record import RESULTS, in_child, peak_megabytes, write

PIECE = 4096
MARKS = [4096 * 4**n for n in range(5)] + [2_097_152]  # 4 kb to 1 Mb, and 2 Mb


def child(block: str, longest: int) -> None:
    """Stream one block and print [bases, seconds, MB] at every mark."""
    import torch

    from titans_dna.model.backbone import Backbone
    from titans_dna.model.config import BackboneConfig

    torch.manual_seed(0)
    config = BackboneConfig(width=64, attention_heads=2, memory_heads=1, window_tokens=128, block=block)
    model = Backbone(config).eval()
    marks = [m for m in MARKS if m <= longest]
    found: list[list[float]] = []
    with torch.inference_mode():
        model.stream(torch.randint(0, 4, (1, PIECE)))  # warm up
        before, state, read = peak_megabytes(), None, 0
        started = time.perf_counter()
        while read < marks[-1]:
            out = model.stream(torch.randint(0, 4, (1, PIECE)), state)
            state, read = out.state, read + PIECE
            if read in marks:
                found.append([read, time.perf_counter() - started, peak_megabytes() - before])
                if block == "transformer" and len(found) > 1 and found[-1][1] / read > 10 * found[0][1] / found[0][0]:
                    break
    print(json.dumps({"marks": found}))


def draw(found: dict[str, list[list[float]]]) -> None:
    """Write the log-log figure."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "titans-dna"
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
    for block, marks in found.items():
        style = {"linestyle": "--"} if block in ("transformer", "window") else {}
        left.loglog([m[0] for m in marks], [m[1] for m in marks], marker="o", ms=3, label=block, **style)
        right.loglog([m[0] for m in marks], [max(m[2], 0.1) for m in marks], marker="o", ms=3, label=block, **style)
    for axis, label in ((left, "seconds"), (right, "memory above the model, MB")):
        axis.set(xlabel="bases read", ylabel=label)
        axis.grid(alpha=0.3)
    left.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(RESULTS / "backbone_scaling.svg", metadata={"Date": None})


def main() -> None:
    """Run all blocks and write table and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--longest", type=int, default=MARKS[-1], help="bases")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--blocks", nargs="*", default=["mac", "mag", "mal", "lmm", "window", "transformer"])
    parser.add_argument("--child")
    options = parser.parse_args()
    if options.child:
        child(options.child, options.longest)
        return
    found = {
        block: in_child(__file__, "--longest", str(options.longest), "--child", block, threads=options.threads)["marks"]
        for block in options.blocks
    }
    rows = []
    for block, marks in found.items():
        per_base = {int(bases): seconds / bases for bases, seconds, _ in marks}
        base = per_base.get(65_536, per_base[int(marks[0][0])])
        for bases, seconds, megabytes in marks:
            ratio = seconds / bases / base
            rows.append([block, int(bases), seconds, 1e6 * seconds / bases, round(ratio, 3), round(megabytes, 1)])
    columns = ["block", "bases", "seconds", "µs per base", "per base against 64 kb", "peak MB above the model"]
    RESULTS.mkdir(exist_ok=True)
    draw(found)
    write("backbone_scaling", "Cost of streaming against length", columns, rows, threads=options.threads)


if __name__ == "__main__":
    sys.exit(main())
