"""What predicts best for what a base costs: bits per base of every block against microseconds a base, with copies.

The bits are those of ``ablations.py --memories`` and ``--shapes``, trained for equal processor time; the cost of
reading is measured here, on one thread, in turn.

    python benchmarks/frontier.py        # three minutes of a quiet core, after the two ablations
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import numpy as np
import torch
from ablations import BASE, MEMORIES, SHAPES
from record import RESULTS, write

from titans_dna.model.backbone import Backbone
from titans_dna.model.config import BackboneConfig

BASES, ROUNDS = 16_384, 3
SHOWN = [name for name in {**MEMORIES, **SHAPES} if name.endswith("+ copies")]


def seconds(model: Backbone, ids: torch.Tensor) -> float:
    """Return processor seconds of reading a sequence."""
    started = time.process_time()
    with torch.inference_mode():
        state = None
        for piece in ids.split(4096, 1):
            state = model.stream(piece, state).state
    return time.process_time() - started


def main() -> None:
    """Measure, and write the table and the figure."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    bits: dict[str, tuple[float, str]] = {}
    for name in ("ablations_memories", "ablations_shapes"):
        table = json.loads((RESULTS / f"{name}.json").read_text())
        for row in table["rows"]:  # the shapes were trained on another day: their own reference stands among them
            bits.setdefault(f"{row[0]}|{name}", (row[1], name))
    models = {}
    for name in SHOWN:
        torch.manual_seed(0)
        models[name] = Backbone(BackboneConfig.from_dict({**BASE, **{**MEMORIES, **SHAPES}[name]})).eval()
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, 4, (1, BASES)))
    for model in models.values():
        seconds(model, ids[:, :512])
    rounds = [{name: seconds(model, ids) for name, model in models.items()} for _ in range(ROUNDS)]
    rows: list[list[Any]] = []
    for name in SHOWN:
        each = sorted(1e6 * found[name] / BASES for found in rounds)
        for key, (value, run) in bits.items():
            if key == f"{name}|{run}":
                rows.append([name, run, value, round(statistics.median(each), 1), f"{each[0]:.1f} to {each[-1]:.1f}"])
    rows.sort(key=lambda row: (row[1], row[2]))
    write(
        "frontier", "Bits per base against the cost of reading, with the copy memory, trained for equal time",
        ["block", "trained in", "bits per base", "CPU us a base", "range"], rows, bases=BASES, rounds=ROUNDS,
    )  # fmt: skip
    draw(rows)


def draw(rows: list[list[Any]]) -> None:
    """Draw bits per base against microseconds a base; the two runs have marks of their own."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "titans-dna", "svg.fonttype": "path"}):
        figure = Figure(figsize=(10.0, 4.8), layout="constrained")
        axes, key = figure.subplots(1, 2, width_ratios=(3, 2))
        key.axis("off")
        colours = {"ablations_memories": "#2466b0", "ablations_shapes": "#c8372d"}
        for number, (name, run, value, cost, _) in enumerate(rows, 1):
            axes.text(cost, value, str(number), color=colours[run], fontsize=7, ha="center", va="center")
            label = f"{number}  {name.removesuffix(' + copies')}"
            key.text(0, 1 - number / (len(rows) + 4), label, color=colours[run], fontsize=7.5)
        for place, (run, colour) in enumerate(colours.items(), len(rows) + 2):
            key.text(0, 1 - place / (len(rows) + 4), f"bits: benchmarks/results/{run}", color=colour, fontsize=7)
        values, costs = [row[2] for row in rows], [row[3] for row in rows]
        axes.set_xlim(min(costs) * 0.8, max(costs) * 1.25)
        axes.set_ylim(min(values) - 0.003, max(values) + 0.003)
        axes.set_xscale("log")
        axes.set_xlabel("microseconds of one core to read a base")
        axes.set_ylabel("bits per base, human chr20")
        figure.savefig(RESULTS / "frontier.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
