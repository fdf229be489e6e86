"""Seconds and memory of the default model from 4 kb to 22 Mb, each sequence read in one pass, in a process of its own.

Yeast (its contigs joined), E. coli and the first 22 Mb of human chr22 are streamed from the first base to the last with
the memory carried along; the processor's clock and the resident memory are read at every power of four, at 8 Mb and at
the end. What `backbone_scaling` measured on the same kind of machine (every block and the Transformer, on random bases,
without counted words) is taken from its results, not measured twice; the Transformer beyond its last point is drawn as
what it is, an extrapolation with the square of the length.

    python benchmarks/evidence/linear_cost.py --budget full      # about 30 minutes on one core
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from models import default, told_default
from setting import COLOURS, DEMO, INK, Setting, claim, one_thread, plotting, read_setting, record, save_figure

LONGEST = 8_388_608  # bases at which time and memory are compared with those at 64 kb
MARKS = [4096 * 4**n for n in range(6)] + [LONGEST]
FILES = {
    "yeast, contigs joined": "genomes/yeast_R64-1-1.fa.gz",
    "E. coli": "genomes/ecoli_k12_NC_000913.3.fna.gz",
    "chr22, first 22 Mb": "human/hg19_chr22_1-22000000.fa.gz",
}
SMALL = {"demo chrA, first 128 kb": (DEMO, 131_072)}
HELD_BYTES, TABLES_MB = 8, 144  # of the copy memory: per base; of its two tables, and what may grow beside it
COLUMNS = ["sequence", "bases", "processor s", "µs per base", "per base against 64 kb", "MB above the model"]


def resident_megabytes() -> float:
    """Return the memory of this process that is resident now, in MB; a peak would hide what loading took."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def joined(path: Path, bases: int | None) -> np.ndarray:
    """Return the ids of all contigs, one behind the other."""
    from titans_dna.loading.genomes import open_genome

    genome = open_genome(path)
    return np.concatenate([np.array(genome.ids_of(name)) for name in genome.contigs.names])[:bases]


def child(path: Path, bases: int | None) -> dict[str, Any]:
    """Stream a file once; return bases, processor seconds and MB at every mark."""
    from titans_dna.inference.streaming import PIECE_TOKENS, stream_bases

    one_thread()
    ids, model = joined(path, bases), default()
    for _ in stream_bases(model.backbone, ids[: 2 * PIECE_TOKENS], model.bos):
        pass  # warm up
    before, most, marks, finite = resident_megabytes(), 0.0, [], True
    processor = time.process_time()
    for piece in stream_bases(model.backbone, ids, model.bos):
        known = ids[piece.start : piece.start + len(piece.log_probabilities)] < 4
        finite &= bool(np.isfinite(piece.log_probabilities[known]).all())
        most, read = max(most, resident_megabytes() - before), min(piece.next_input, len(ids))
        if (read in MARKS or read == len(ids)) and (not marks or marks[-1][0] < read):
            marks.append([read, time.process_time() - processor, most])
    return {"marks": marks, "finite": finite, "known": int((ids < 4).sum())}


def measure(setting: Setting, wanted: list[str]) -> dict[str, dict[str, Any]]:
    """Run every sequence that is wanted in its process."""
    cases = {name: (setting.data / FILES[name], None) for name in wanted} if setting.full else SMALL

    def run(path: Path, bases: int | None) -> dict[str, Any]:
        limit = ("--bases", str(bases)) if bases else ()
        return record.in_child(__file__, "--child", str(path), *limit, threads=1)

    weights = default().weights_sha256
    return {name: setting.once(f"linear_{path.name}", lambda c=(path, bases): run(*c), weights)
            for name, (path, bases) in cases.items()}  # fmt: skip


def earlier() -> dict[str, list[list[float]]]:
    """Return [bases, seconds, MB] of every block as `backbone_scaling` measured them."""
    rows = json.loads((record.RESULTS / "backbone_scaling.json").read_text())["rows"]
    return {block: [[r[1], r[2], r[5]] for r in rows if r[0] == block] for block in dict.fromkeys(r[0] for r in rows)}


def table(found: dict[str, dict[str, Any]]) -> list[list[Any]]:
    """Return the rows."""
    rows = []
    for name, case in found.items():
        base = {int(m[0]): m[1] / m[0] for m in case["marks"]}.get(65_536)
        for bases, processor, megabytes in case["marks"]:
            ratio = round(processor / bases / base, 3) if base else "-"
            row = [name, int(bases), round(processor, 2), 1e6 * processor / bases, ratio]
            rows.append([*row, round(megabytes, 1)])
    return rows


def claims(found: dict[str, dict[str, Any]], blocks: dict[str, list[list[float]]], full: bool) -> list[dict[str, str]]:
    """Return what is claimed about cost, and what was found."""
    per_base = {name: {int(m[0]): m[1] / m[0] for m in case["marks"]} for name, case in found.items()}
    growth = {name: {int(m[0]): m[2] for m in case["marks"]} for name, case in found.items()}
    longest = max(mark for marks in per_base.values() for mark in marks if mark <= LONGEST)
    reached = [name for name in found if longest in per_base[name]]
    ratios = {name: per_base[name][longest] / per_base[name][65_536] for name in reached}
    more = max(growth[name][longest] - growth[name][65_536] for name in reached)
    ratio = max(ratios.values())
    told = ", ".join(f"{value:.2f} ({name})" for name, value in ratios.items())
    ends = {n: case["marks"][-1] for n, case in found.items()}
    passes = "; ".join(
        f"{n}: {m[0] / 1e6:.1f} Mb, {m[1]:,.0f} s, {m[2]:.0f} MB above the model" for n, m in ends.items()
    )
    finite = all(case["finite"] for case in found.values())
    quadratic, window, memory = blocks["transformer"], blocks["window"][-1], blocks["mag"][-1]
    grown = quadratic[-1][1] / quadratic[-1][0] / (quadratic[-2][1] / quadratic[-2][0])
    cheaper = memory[1] / memory[0] / (window[1] / window[0])
    return [
        claim("Time per base does not grow with what was read before", "8 Mb against 64 kb: at most 1.1 times",
              f"at {longest / 2**20:.3g} Mb {told} times", ratio <= 1.1),
        claim("Memory grows by what the copy memory holds, and by nothing else",
              f"8 Mb against 64 kb: at most {HELD_BYTES} bytes a base and {TABLES_MB} MB more",
              f"{more:.1f} MB more at {longest / 2**20:.3g} Mb", more <= HELD_BYTES * longest / 2**20 + TABLES_MB),
        claim("Whole genomes go through in one pass on one core", "yeast, E. coli, 22 Mb of chr22; every score finite",
              passes, finite if full and len(found) == len(FILES) else None),
        claim("A Transformer of the same size is quadratic", "time per base grows as the length (4 times)",
              f"{grown:.1f} times from 64 to 256 kb, {quadratic[-1][2]:,.0f} MB there (`backbone_scaling`)", grown > 3),
        claim("The memory costs no more than attention in a window", "at most 1.5 times window attention alone",
              f"{cheaper:.1f} times, at 2 Mb (`backbone_scaling`)", cheaper <= 1.5),
    ]  # fmt: skip


def draw(found: dict[str, dict[str, Any]], blocks: dict[str, list[list[float]]], path: Path) -> None:
    """Write the log-log figure: seconds and memory against bases."""
    plt = plotting()
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.9))
    styles = {"mag": ("MAG, random bases", "violet"), "window": ("window attention alone", "green"),
              "transformer": ("Transformer", "red")}  # fmt: skip
    for block, (label, colour) in styles.items():
        for axis, column in zip(axes, (1, 2), strict=True):
            axis.loglog([m[0] for m in blocks[block]], [max(m[column], 0.01) for m in blocks[block]], "--o", ms=3, lw=1,
                        color=COLOURS[colour], label=label)  # fmt: skip
    last, beyond = blocks["transformer"][-1], [262_144, 22_000_000]
    axes[0].loglog(beyond, [last[1] * (b / last[0]) ** 2 for b in beyond], ":", lw=1, color=COLOURS["red"],
                   label="Transformer, extrapolated")  # fmt: skip
    for (name, case), marker, colour in zip(found.items(), "osD", ("blue", "orange", "grey"), strict=False):
        marks, style = case["marks"], {"color": COLOURS.get(colour, INK), "marker": marker, "ms": 4, "lw": 1.4}
        for axis, column in zip(axes, (1, 2), strict=True):
            x, y = [m[0] for m in marks], [max(m[column], 0.01) for m in marks]
            axis.loglog(x, y, label=f"default model, {name}", **style)
    labels, limits = ("seconds of one core", "MB above the model"), ((1e-2, 1e9), (0.1, 2e4))
    for axis, label, limit in zip(axes, labels, limits, strict=True):
        axis.set(xlabel="bases read in one pass", ylabel=label, ylim=limit)
        axis.grid(alpha=0.25)
    axes[0].legend(fontsize=7, loc="upper left")
    figure.tight_layout()
    save_figure(figure, path)


def main() -> None:
    """Measure, and write table, claims and figure."""

    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--sequences", nargs="*", choices=list(FILES), default=list(FILES), help="of the full budget"
        )
        parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
        parser.add_argument("--bases", type=int, help=argparse.SUPPRESS)

    options = read_setting(__doc__, more)
    if options.child:
        print(json.dumps(child(options.child, options.bases)))
        return
    setting = options.setting
    found, blocks = measure(setting, options.sequences), earlier()
    setting.write(
        "linear_cost", "Cost of one pass with the default model", COLUMNS, table(found),
        claims(found, blocks, setting.full),
        model=told_default(default()), threads=1,
        bases_known={name: case["known"] for name, case in found.items()},
    )  # fmt: skip
    draw(found, blocks, setting.results / "evidence_linear_cost.svg")


if __name__ == "__main__":
    main()
