"""What repeats, gaps and turning strands do to trained models: norms of the memory, finite scores, and what follows.

Trained models (the default, and a nano model of every block with a memory, trained on the demo genome) read a
homopolymer, microsatellites, a satellite of 171-base monomers that differ in 2% of their bases, and blocks of 1 kb that
alternate between the strands: 100,000 bases each (50,000 for the nano models), in float32 and in bfloat16 (matrix
products; the memory's state stays in float32, as in training). The default model also reads 17 Mb of N between known
bases. Behind each lie 16,384 bases of the demo genome: are they, but for the first 128, read as well as from a fresh
start?

    python benchmarks/evidence/stress.py --budget full      # about 30 minutes on one core
"""

from __future__ import annotations

import argparse
import math
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from models import default, nano, told_default
from sequences import ids_of
from setting import COLOURS, DEMO, INK, Setting, claim, one_thread, plotting, read_setting, save_figure

from titans_dna.inference.model import SequenceModel
from titans_dna.inference.streaming import stream_bases
from titans_dna.model.state import StreamState

PARTS = ["repeats", "gap"]
GAP, SMALL_GAP = 4096 << 12, 4096 << 3  # bases of N
BLOCKS, STEPS = ["mag", "mac", "mal", "lmm"], 20
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
WINDOW_BASES = 128  # first bases behind, which window attention reads without its context: they do not count
MOST_NORM = 10.0  # of the initial one
MOST_GROWTH = 0.02  # of the norm over the last tenth of a repeat
LEARNED = 0.5  # bits per base in the last tenth of a satellite
MOST_LOSS = 0.02  # bits per base, behind a repeat against a fresh start
COLUMNS = ["model", "sequence", "bases", "precision", "largest norm over initial", "at the end", "scores not finite",
           "bits, last tenth", "bits behind it", "from a fresh start"]  # fmt: skip


def repeats(bases: int, seed: int) -> dict[str, np.ndarray]:
    """Return the made sequences, ``bases`` each."""
    random = np.random.default_rng([seed, 3])
    block, monomer = random.integers(0, 4, 1000), random.integers(0, 4, 171)
    satellite = np.tile(monomer, bases // 171 + 1)[:bases]
    changed = random.random(bases) < 0.02
    satellite[changed] = random.integers(0, 4, int(changed.sum()))
    units = {
        "poly-A": np.zeros(1, dtype=int),
        "(CA)n": np.array([1, 0]),
        "(CATTC)n": np.array([1, 0, 3, 3, 1]),
        "alternating strands, 1 kb": np.concatenate([block, (3 - block)[::-1]]),
    }
    made = {name: np.tile(unit, bases // len(unit) + 1)[:bases] for name, unit in units.items()}
    return {name: ids.astype(np.uint8) for name, ids in {**made, "satellite, 171-base monomers": satellite}.items()}


def norms(state: StreamState) -> list[float]:
    """Return the Frobenius norm of every matrix of every memory."""
    weights = [w for block in state.blocks for memory in block.memories for w in memory.memory.weights]
    return [float(w.detach().float().norm()) for w in weights]


def read(model: SequenceModel, before: np.ndarray, ids: np.ndarray, behind: np.ndarray, dtype: str) -> dict[str, Any]:
    """Stream all three; return norms while ``ids`` is read, and bits of its last tenth and of what is behind it."""
    whole = np.concatenate([before, ids, behind])
    initial, end = norms(model.backbone.initial_state(1)), len(before) + len(ids)
    bits, marks = np.full(len(whole), np.nan), []
    autocast = torch.autocast("cpu", dtype=DTYPES[dtype]) if dtype != "float32" else nullcontext()
    with autocast:
        for piece in stream_bases(model.backbone, whole, model.bos):
            stop = piece.start + len(piece.log_probabilities)
            bits[piece.start : stop] = -piece.log_probabilities / math.log(2)
            ratio = max(now / first for now, first in zip(norms(piece.state), initial, strict=True))
            marks.append([stop, ratio if math.isfinite(ratio) else None])
    known = whole < 4
    last = slice(end - len(ids) // 10, end)
    return {
        "marks": [mark for mark in marks if mark[0] <= end][:: max(1, len(marks) // 40)],
        "largest": max((m[1] if m[1] is not None else math.inf) for m in marks), "end": marks[-1][1],
        "not_finite": int((known & ~np.isfinite(bits)).sum()),
        "last": float(np.mean(bits[last])) if len(ids) >= 10 and known[last].all() else None,
        "behind": float(np.mean(bits[end + WINDOW_BASES :])),
    }  # fmt: skip


def cases_of(name: str, model: SequenceModel, setting: Setting) -> list[dict[str, Any]]:
    """Read all sequences with one model in both precisions."""
    bases = (100_000 if name == "default" else 50_000) if setting.full else 6_000
    behind = ids_of(DEMO, "chrC")[: 16_384 if setting.full else 2_048]
    nothing, found = behind[:0], []
    for dtype in DTYPES:
        fresh = read(model, nothing, nothing, behind, dtype)["behind"]
        for sequence, ids in repeats(bases, setting.seed).items():
            case = read(model, nothing, ids, behind, dtype)
            found.append({"model": name, "sequence": sequence, "bases": bases, "dtype": dtype, "fresh": fresh, **case})
    return found


def gap(model: SequenceModel, setting: Setting, dtype: str) -> list[dict[str, Any]]:
    """Read N between known bases, and the same known bases without the N."""
    # The memory of the default begins anew at every 4,096th token, N or not. Where the N are a multiple of that, what
    # follows has the same resets with them and without; other lengths move the resets, which costs or gains 0.001 bits.
    bases = GAP if setting.full else SMALL_GAP
    known = ids_of(DEMO, "chrC")[: 4 * 16_384 if setting.full else 4_096]
    before, behind = known[: len(known) * 3 // 4], known[len(known) * 3 // 4 :]
    nothing = known[:0]
    straight = read(model, before, nothing, behind, dtype)["behind"]
    case = read(model, before, np.full(bases, 4, dtype=np.uint8), behind, dtype)
    return [{"model": "default", "sequence": f"{bases / 1e6:.3g} Mb of N", "bases": bases, "dtype": dtype,
             "fresh": straight, **case}]  # fmt: skip


def measure(setting: Setting, parts: list[str], blocks: list[str]) -> list[dict[str, Any]]:
    """Read the repeats with every model that is wanted, and the gap with the default one."""
    shipped = default()

    def small(block: str) -> list[dict[str, Any]]:
        model, about = nano(setting, setting.seed, STEPS if setting.full else 3, block)
        return cases_of(f"nano {block.upper()}, {about['bases'] / 1e6:.2g} Mb of training", model, setting)

    weights, readings = shipped.weights_sha256, []
    if "repeats" in parts:
        readings.append(("default", weights, lambda: cases_of("default", shipped, setting)))
        readings += [(block, "", lambda b=block: small(b)) for block in (blocks if setting.full else BLOCKS[:1])]
    if "gap" in parts:
        readings += [(f"gap_{GAP}_{dtype}", weights, lambda d=dtype: gap(shipped, setting, d)) for dtype in DTYPES]
    found = (setting.once(f"stress_{name}", lambda r=read_it: {"cases": r()}, w) for name, w, read_it in readings)
    return [case for group in found for case in group["cases"]]


def table(found: list[dict[str, Any]]) -> list[list[Any]]:
    """Return a row for each case."""
    rows = []
    for c in found:
        last = "-" if c["last"] is None else c["last"]
        rows.append([c["model"], c["sequence"], c["bases"], c["dtype"], c["largest"], c["end"], c["not_finite"], last,
                     c["behind"], c["fresh"]])  # fmt: skip
    return rows


def growth(case: dict[str, Any]) -> float:
    """Return by what share the norm grew over the last tenth of a sequence."""
    marks = [[bases, math.inf if ratio is None else ratio] for bases, ratio in case["marks"]]
    earlier = [ratio for bases, ratio in marks if bases <= 0.9 * case["bases"]]
    return marks[-1][1] / earlier[-1] - 1 if earlier else 0.0


def claims(found: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return what is claimed about robustness, with the worst case of each."""

    def told(case: dict[str, Any]) -> str:
        return f"{case['model']}, {case['sequence']}, {case['dtype']}"

    worst = max(found, key=lambda c: c["largest"])
    lost = sum(c["not_finite"] for c in found)
    gaps = [c for c in found if c["sequence"].endswith("of N")]
    rising = max((c for c in found if c not in gaps), key=growth)
    satellite = next((c for c in found if "satellite" in c["sequence"]), None)
    others = [c for c in found if c not in gaps]
    behind = max(others, key=lambda c: c["behind"] - c["fresh"])
    lost_behind = behind["behind"] - behind["fresh"]
    many = sum(c["behind"] - c["fresh"] > MOST_LOSS for c in others)
    moved = max((abs(c["behind"] - c["fresh"]) for c in gaps), default=None)
    return [
        claim("Repeats of 100 kb leave the norm of the memory small", f"at most {MOST_NORM:g} times the initial one",
              f"{worst['largest']:.2f} times at most ({told(worst)})", worst["largest"] <= MOST_NORM),
        claim("The norm has settled after 100 kb of a repeat", f"at most {MOST_GROWTH:.0%} more in the last tenth",
              f"{growth(rising):+.1%} ({told(rising)})", growth(rising) <= MOST_GROWTH),
        claim("A satellite is learned while it is read", f"default model: at most {LEARNED} bits per base after 100 kb",
              "-" if satellite is None else f"{satellite['last']:.2f} ({told(satellite)})",
              None if satellite is None else satellite["last"] <= LEARNED),
        claim("Every score is finite, in float32 and in bfloat16", "none lost",
              f"{lost} of {len(found)} readings' scores not finite" if lost else f"none lost in {len(found)} readings",
              lost == 0),
        claim("N is no sequence: the memory is carried over it unchanged", "bits behind as without it, within 0.001",
              "-" if moved is None else f"{gaps[0]['sequence']}: {moved:.5f} bits per base apart",
              None if moved is None else moved <= 0.001),
        claim("A repeat does not spoil what follows", f"16 kb behind it: at most {MOST_LOSS} bits above a fresh start",
              f"{many} of {len(others)} readings lose more; worst {lost_behind:+.3f} ({told(behind)})", many == 0),
    ]  # fmt: skip


def draw(found: list[dict[str, Any]], path: Any) -> None:
    """Write the figure: norms along the repeats (default model), and what is lost behind them (all models)."""
    plt = plotting()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.4, 4.0), width_ratios=(1, 1.15))
    sequences = list(dict.fromkeys(c["sequence"] for c in found if not c["sequence"].endswith("of N")))
    colours = dict(zip(sequences, COLOURS.values(), strict=False))
    for c in (c for c in found if c["model"] == "default" and c["sequence"] in colours):
        style, label = ("-", c["sequence"]) if c["dtype"] == "float32" else ("--", None)
        marks = [m for m in c["marks"] if m[1] is not None]
        left.plot([m[0] / 1000 for m in marks], [m[1] for m in marks], style, lw=1.2, color=colours[c["sequence"]],
                  label=label)  # fmt: skip
    left.set(xlabel="kb read", ylabel="norm of the memory over its initial norm",
             title="default model; dashed: bfloat16")  # fmt: skip
    left.legend(fontsize=7)
    models = list(dict.fromkeys(c["model"] for c in found))
    for c in (c for c in found if c["sequence"] in colours):
        shift = 0.14 * (sequences.index(c["sequence"]) - 2)
        right.plot(c["behind"] - c["fresh"], models.index(c["model"]) + shift, "o" if c["dtype"] == "float32" else "x",
                   ms=4, color=colours[c["sequence"]])  # fmt: skip
    right.axvline(0, color=INK, lw=0.8)
    right.set_yticks(range(len(models)), [m.replace(", ", ",\n") for m in models], fontsize=7)
    right.invert_yaxis()
    right.set(
        xlabel="bits per base lost behind the repeat, against a fresh start", title="circles float32, crosses bfloat16"
    )
    for axis in (left, right):
        axis.grid(alpha=0.25)
    figure.tight_layout()
    save_figure(figure, path)


def main() -> None:
    """Measure, and write table, claims and figure."""

    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
        parser.add_argument("--blocks", nargs="*", default=BLOCKS, choices=BLOCKS, help="of nano models")

    options = read_setting(__doc__, more)
    setting = options.setting
    one_thread()
    found = measure(setting, options.parts, options.blocks)
    setting.write(
        "stress", "Trained models on repeats, gaps and alternating strands", COLUMNS, table(found), claims(found),
        models=f"{told_default(default())}; nano models of each block, trained on demo chrA and chrB",
        seeds="one each: no model is compared with another",
    )  # fmt: skip
    draw(found, setting.results / "evidence_stress.svg")


if __name__ == "__main__":
    main()
