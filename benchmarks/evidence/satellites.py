"""Is a satellite learned while it is read? Bits per base of tandem repeats by the length of their unit.

Each satellite repeats one random unit of 5 to 400 bases, in which 2% of the bases are drawn anew in each copy. No model
saw any of them in training, so what lowers the bits is what the model learned from the copies before: attention sees
the last 128 bases, and beyond those there is the memory alone. The bits of the last quarter are told, where 12,000
bases are read; beside them those of the same model with its memory frozen at its initial weights.

Three nano models are trained alike on the demo genome, three seeds each: the plain one, one whose tokens carry the last
16 bases (`stem_tokens`) and whose memory takes larger steps, and one whose memory also starts as an induction
(`induction`): keys are queries one base late. The default model is read too.

    python benchmarks/evidence/satellites.py --budget full      # about 20 minutes on one core
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from models import INDUCTION, STEM, default, nano, told_default, told_nano
from reading import bits_along
from setting import COLOURS, INK, Setting, claim, one_thread, plotting, read_setting, save_figure

from titans_dna.inference.model import SequenceModel

NANOS: dict[str, dict[str, Any]] = {"plain": {}, "stem": STEM, "induction": INDUCTION}
TOLD = {"plain": "nano", "stem": "nano, stem and larger steps", "induction": "nano, induction start"}
UNITS_BP = (5, 20, 60, 100, 171, 400)
COMPARED_BP = (20, 60, 100, 171)
LEARNED = 1.5  # bits per base
CHANGED = 0.02  # share of the bases of a copy that are drawn anew
DRAWS = 3  # units of each length
MEMORY = ("carried", "frozen")
COLUMNS = ["model", "seeds", "memory", *(f"unit of {n}" for n in UNITS_BP)]


def satellite(unit_bp: int, bases: int, seed: int) -> np.ndarray:
    """Return the ids of one satellite."""
    random = np.random.default_rng([seed, unit_bp])
    ids = np.tile(random.integers(0, 4, unit_bp), bases // unit_bp + 1)[:bases]
    changed = random.random(bases) < CHANGED
    ids[changed] = random.integers(0, 4, int(changed.sum()))
    return ids.astype(np.uint8)


def read(model: SequenceModel, setting: Setting) -> dict[str, list[float]]:
    """Return the bits per base of the last quarter, for each length of unit, carried and frozen."""
    units, bases, draws = (UNITS_BP, 12_000, DRAWS) if setting.full else (UNITS_BP[:2], 1_000, 1)

    def bits(unit_bp: int, memory: str) -> float:
        read = [bits_along(model, satellite(unit_bp, bases, draw), memory)[-bases // 4 :] for draw in range(draws)]
        return float(np.mean(read))

    return {memory: [bits(unit, memory) for unit in units] for memory in MEMORY}


def measure(setting: Setting) -> dict[str, list[dict[str, Any]]]:
    """Read with every model; a list holds one reading for each seed."""

    def one(label: str, seed: int) -> dict[str, Any]:
        model, about = nano(setting, seed, 100 if setting.full else 3, label=label * bool(NANOS[label]), **NANOS[label])
        return {**read(model, setting), "training": about}

    shipped = default()
    found = {"default": [setting.once("satellites_default", lambda: read(shipped, setting), shipped.weights_sha256)]}
    seeds = range(setting.seed, setting.seed + (3 if setting.full else 1))
    for label in NANOS if setting.full else ("induction",):
        found[TOLD[label]] = [
            setting.once(f"satellites_{label}{seed}", lambda n=label, s=seed: one(n, s)) for seed in seeds
        ]
    return found


def table(found: dict[str, list[dict[str, Any]]]) -> list[list[Any]]:
    """Return a row for each model and memory: the mean of the seeds."""
    return [
        [name, len(runs), memory, *(round(float(x), 3) for x in np.mean([run[memory] for run in runs], 0))]
        for name, runs in found.items()
        for memory in MEMORY
    ]


def claims(found: dict[str, list[dict[str, Any]]], full: bool) -> list[dict[str, str]]:
    """Return whether the induction start teaches a memory to learn, and who learns well."""
    induction = TOLD["induction"]
    others = [run for name in (TOLD["plain"], TOLD["stem"]) for run in found.get(name, [])]
    text, target = "An induction start lets a memory learn satellites", "each of 3 seeds below all 6 without it"
    target = f"units of {', '.join(map(str, COMPARED_BP))} bases: bits of {target}"
    if not (full and others):
        return [claim(text, target, "-", None)]
    pairs = [(extreme(found[induction], n, max), extreme(others, n, min)) for n in COMPARED_BP]
    told = ", ".join(f"{a:.2f} against {b:.2f}" for a, b in pairs) + " (worst seed, best without)"
    rows = [claim(text, target, told, all(a < b for a, b in pairs))]
    for name in (induction, "default"):
        text = f"Satellites are learned while they are read ({name})"
        target = f"units of {', '.join(map(str, COMPARED_BP))} bases: at most {LEARNED} bits per base, the worst seed"
        bits = [extreme(found[name], n, max) for n in COMPARED_BP]
        rows.append(claim(text, target, ", ".join(f"{x:.2f}" for x in bits), max(bits) <= LEARNED))
    return rows


def extreme(runs: list[dict[str, Any]], unit_bp: int, of: Callable[[list[float]], float]) -> float:
    """Return the most or the fewest bits of the seeds on a unit, the memory carried."""
    return of([run["carried"][UNITS_BP.index(unit_bp)] for run in runs])


def draw(found: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Write the figure: bits by length of unit; the spread of the seeds as bars."""
    plt = plotting()
    figure, axis = plt.subplots(figsize=(6.4, 3.6))
    for (name, runs), colour in zip(found.items(), ("grey", "blue", "green", "orange"), strict=False):
        for memory, style in zip(MEMORY, ("-o", ":"), strict=True):
            values = np.array([run[memory] for run in runs])
            mean, x = values.mean(0), UNITS_BP[: values.shape[1]]
            bounds = [mean - values.min(0), values.max(0) - mean]
            label = name if memory == "carried" else None
            axis.errorbar(x, mean, yerr=bounds, fmt=style, ms=3.5, lw=1.2, color=COLOURS.get(colour, INK), label=label)
    axis.axvline(128, color=INK, lw=0.8, ls="--")
    axis.annotate("attention reaches no further", (132, 0.3), rotation=90, fontsize=7)
    axis.set_xscale("log")
    axis.set_xticks(UNITS_BP, [str(n) for n in UNITS_BP])
    axis.minorticks_off()
    axis.set(
        xlabel="bases of the unit", ylabel="bits per base, last quarter", ylim=(0, 2.4), title="dotted: memory frozen"
    )
    axis.grid(alpha=0.25)
    axis.legend(fontsize=7, loc="lower center")
    figure.tight_layout()
    save_figure(figure, path)


def main() -> None:
    """Measure, and write table, claims and figure."""
    setting = read_setting(__doc__).setting
    one_thread()
    found = measure(setting)
    trainings = {name: [run["training"] for run in runs] for name, runs in found.items() if name != "default"}
    setting.write(
        "satellites", "Satellites learned while they are read", COLUMNS[: 3 + len(found["default"][0]["carried"])],
        table(found), claims(found, setting.full),
        models="; ".join([told_default(default()), *(told_nano(runs, name) for name, runs in trainings.items())]),
        satellites=f"{DRAWS} units of each length, {CHANGED:.0%} of the bases of each copy changed",
    )  # fmt: skip
    draw(found, setting.results / "evidence_satellites.svg")


if __name__ == "__main__":
    main()
