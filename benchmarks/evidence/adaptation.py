"""Does the memory adapt at test time, and does what it gains come from copies? Bits along contigs never seen.

Every contig is read four times by the same model: the memory carried along, put back to its initial weights every
1,024 bases, frozen at its initial weights, and frozen after the first tenth. Attention in its window, convolutions and
counted words go on as ever, so a difference is the long-term memory's. The gain of carrying (bits of the other reading
minus bits of the carried one) is shown along the contig, and by the distance to the previous copy: to the last earlier
occurrence, on the same strand, of the 20 bases before the base that is predicted. The base itself is not part of that
word, so copies that end or differ count as well.

- the default model on human chr20 (1 Mb), yeast chromosome XII and chrC of the demo genome: none was in its training.
  It is compared with itself, so intervals (95%) come from a bootstrap of segments of 10,000 bases.
- three nano models trained on chrA and chrB of the demo genome, on chrC: mean, least and greatest of the seeds. Some
  families of dispersed repeats are on chrC alone, so only what was read earlier on chrC predicts their later copies.
- three nano models trained alike whose memory starts as an induction, on all three contigs. They saw no real genome, so
  what they know of one they learned while they read it. Unlike the default model they count no words.

    python benchmarks/evidence/adaptation.py --budget full      # about 45 minutes on one core
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from copies import distance_bins, group_means, previous_copy
from models import INDUCTION, default, nano, told_default, told_nano
from reading import DEEP as MEMORY
from reading import bits_along
from sequences import Contig, chr20, demo, yeast
from setting import COLOURS, INK, Setting, claim, one_thread, plotting, read_setting, save_figure

from titans_dna.inference.model import SequenceModel

KMER_BASES = 20
WINDOWS = 25  # along a contig
FAR = 3  # first bin of distances of 1,024 bases and more
FIRST_COPY = "private family, first copy"
ACROSS = 4  # cases beside one another in the figure
SEEDS = 3  # of a nano model
LEAST_SEGMENTS, LEAST_BASES = 5, 500  # of a group: with fewer its interval says little, and the figure leaves it out
OTHERS = MEMORY[1:]
Case = tuple[str, list[dict[str, Any]]]  # name of the model, and its summaries: one, or one for each seed
COLUMNS = ["model", "contig", "group", "bases", "bits, carried", "gain over frozen", "low", "high", "gain over reset",
           "low", "high", "gain over frozen later"]  # fmt: skip


def summary(model: SequenceModel, contig: Contig, setting: Setting) -> dict[str, Any]:
    """Read a contig in all four ways and say what carrying gains: overall, along it, by distance and by element."""
    tenth = max(1, len(contig.ids) // 10 // 4096) * 4096
    bits = {memory: bits_along(model, contig.ids, memory, tenth) for memory in MEMORY}
    gains = {memory: bits[memory] - bits["carried"] for memory in OTHERS}
    gains["frozen later"][:tenth] = np.nan
    bins, names = distance_bins(previous_copy(contig.ids, KMER_BASES))
    position = np.arange(len(contig.ids)) * WINDOWS // len(contig.ids)
    coarse = np.select([bins < 0, bins == 0, bins < FAR], [-1, 0, 1], 2)
    groupings = {
        "all": (np.zeros_like(bins), ["all"]),
        "distance": (bins, names),
        "far": (coarse, ["no copy", "copy within 1 kb", "copy 1 kb back or more"]),
        "position": (position, [str(n) for n in range(WINDOWS)]),
        "element": (contig.element, list(contig.kinds)),
    }
    values = {"carried": bits["carried"], **gains}
    return {
        "contig": contig.name, "bases": len(contig.ids), "frozen_from": tenth,
        **{name: {"names": labels, **{key: group_means(x, groups, len(labels), seed=setting.seed)
                                      for key, x in values.items()}}
           for name, (groups, labels) in groupings.items()},
    }  # fmt: skip


def contigs(setting: Setting) -> dict[str, Callable[[], Contig]]:
    """Return what is read, by a short name: at the small budget a part of the demo genome alone."""
    if not setting.full:
        return {"demo": lambda: demo("chrC", 16_384)}
    return {
        "demo": lambda: demo("chrC"),
        "yeast": lambda: yeast(setting, "XII", KMER_BASES),
        "chr20": lambda: chr20(setting),
    }


def shipped(setting: Setting) -> list[Case]:
    """Read the contigs with the default model."""
    model = default()
    return [("default", [setting.once(f"adaptation_{name}", lambda c=make: summary(model, c(), setting),
                                      model.weights_sha256)])
            for name, make in contigs(setting).items()]  # fmt: skip


def trained(setting: Setting, names: Collection[str], label: str = "", **changes: Any) -> list[Case]:
    """Train nano models with several seeds (one at the small budget) and read contigs with each."""

    def one(seed: int, contig: Contig) -> dict[str, Any]:
        model, about = nano(setting, seed, 100 if setting.full else 3, label=label, **changes)
        return {**summary(model, contig, setting), "training": about}

    seeds = range(setting.seed, setting.seed + (SEEDS if setting.full else 1))
    told = f"nano, {label} start" if label else "nano"
    return [(f"{told}, {len(seeds)} seeds", [
                setting.once(f"adaptation_nano_{label or 'plain'}_{name}_{seed}", lambda s=seed, c=make: one(s, c()))
                for seed in seeds])
            for name, make in contigs(setting).items() if name in names]  # fmt: skip


def across(found: list[dict[str, Any]], grouping: str, key: str) -> list[dict[str, Any]]:
    """Return the mean of the seeds for each group, with the least and greatest as its bounds."""
    rows = []
    for group in zip(*(case[grouping][key] for case in found), strict=True):
        means = [g["mean"] for g in group if g["mean"] is not None]
        bounds = {"mean": float(np.mean(means)), "low": min(means), "high": max(means)} if means else {}
        rows.append({**group[0], **bounds})
    return rows


def reading(case: list[dict[str, Any]], grouping: str, key: str) -> list[dict[str, Any]]:
    """Return the groups of a case: one model with its bootstrap, or several seeds."""
    return case[0][grouping][key] if len(case) == 1 else across(case, grouping, key)


def table(cases: list[Case]) -> list[list[Any]]:
    """Return a row for each group of each case."""
    rows = []
    for name, case in cases:
        for grouping in ("all", "distance", "element"):
            parts = {key: reading(case, grouping, key) for key in ("carried", *OTHERS)}
            for at, label in enumerate(case[0][grouping]["names"]):
                frozen = parts["frozen"][at]
                if frozen["bases"]:
                    bounds = [
                        round(parts[key][at][x], 4) for key in ("frozen", "reset") for x in ("mean", "low", "high")
                    ]
                    later = parts["frozen later"][at]["mean"]
                    rows.append([name, case[0]["contig"], label, frozen["bases"], parts["carried"][at]["mean"], *bounds,
                                 "-" if later is None else round(later, 4)])  # fmt: skip
    return rows


def told(group: dict[str, Any]) -> str:
    """Write a gain with its bounds."""
    return f"{group['mean']:+.4f} [{group['low']:+.4f}, {group['high']:+.4f}]"


def above(case: list[dict[str, Any]], grouping: str, key: str, more: int, less: int) -> bool:
    """Tell whether one group gains more than another, and gains at all: by their intervals, or with every seed."""
    groups = [reading(case, grouping, key)] if len(case) == 1 else [each[grouping][key] for each in case]
    low, high = ("low", "high") if len(case) == 1 else ("mean", "mean")
    return all(group[more][low] > max(0.0, group[less][high]) for group in groups)


def compared(case: list[dict[str, Any]], grouping: str, more: int, less: int, words: tuple[str, str]) -> str:
    """Write what the two groups gain over both other readings."""
    parts = {key: reading(case, grouping, key) for key in ("frozen", "reset")}
    there, elsewhere = words
    return "; ".join(
        f"over {key} {told(groups[more])} {there}, {told(groups[less])} {elsewhere}" for key, groups in parts.items()
    )


def claims(cases: list[Case], full: bool) -> list[dict[str, str]]:
    """Return the claims of every case: that carrying gains, and that it gains on copies."""
    found = []
    for name, case in cases:
        bounds = "95% interval" if len(case) == 1 else f"each of {len(case)} seeds"
        where = f"({name}, {case[0]['contig']})"
        overall = {key: reading(case, "all", key)[0] for key in OTHERS}
        holds = all(overall[key]["low"] > 0 for key in ("frozen", "reset"))
        said = ", ".join(f"{told(gain)} over {key}" for key, gain in overall.items())
        text, target = "A memory carried along lowers bits per base", "gain over frozen and over reset above 0"
        found.append(claim(f"{text} {where}", f"{target} ({bounds})", said, holds if full else None))
        target = "above 0, and above that without a copy"
        for at, distance in ((1, "within 1 kb"), (2, "1 kb back or more")):
            text = f"The gain is that of copies {distance}"
            found.append(contrast(case, "far", at, 0, (f"{text} {where}", f"{target} ({bounds})"), full))
        if FIRST_COPY in case[0]["element"]["names"]:
            first = case[0]["element"]["names"].index(FIRST_COPY)
            text, target = (
                "Families that lie on this contig alone are remembered",
                "gain on later copies above first ones",
            )
            words = (f"{text} {where}", f"{target} ({bounds})")
            found.append(contrast(case, "element", first + 1, first, words, full))
    return found


def contrast(
    case: list[dict[str, Any]], grouping: str, more: int, less: int, words: tuple[str, str], full: bool
) -> dict[str, str]:
    """Return the claim that one group gains more than another, over frozen and over reset."""
    text, target = words
    if not all(each[grouping]["frozen"][at]["bases"] for each in case for at in (more, less)):
        return claim(text, target, "no such copies", None)
    holds = all(above(case, grouping, key, more, less) for key in ("frozen", "reset"))
    said = compared(case, grouping, more, less, ("there", "without") if grouping == "far" else ("later", "first"))
    return claim(text, target, said, holds if full else None)


def along(cases: list[Case]) -> dict[str, dict[str, list[float | None]]]:
    """Return what the upper row of the figure shows: the gain in each of 25 stretches of a contig."""
    return {f"{name}, {case[0]['contig']}": {
                key: [None if g["mean"] is None else round(g["mean"], 5) for g in reading(case, "position", key)]
                for key in OTHERS} for name, case in cases}  # fmt: skip


def shown(group: dict[str, Any], segments: int) -> bool:
    """Tell whether a group is large enough for the figure."""
    return group["segments"] >= segments and group["bases"] >= LEAST_BASES


def draw(cases: list[Case], path: Any) -> None:
    """Write the figure: above, the gain along the contig; below, by the distance to the previous copy."""
    plt = plotting()
    lines = -(-len(cases) // ACROSS)
    figure, axes = plt.subplots(2 * lines, ACROSS, figsize=(3.1 * ACROSS + 0.6, 5.6 * lines), squeeze=False)
    for unused in axes.reshape(lines, 2, ACROSS).swapaxes(1, 2).reshape(-1, 2)[len(cases) :].flat:
        unused.set_axis_off()
    colours = {"frozen": COLOURS["blue"], "reset": COLOURS["orange"], "frozen later": COLOURS["green"]}
    for number, (name, case) in enumerate(cases):
        line, column = divmod(number, ACROSS)
        top, bottom = axes[2 * line : 2 * line + 2, column]
        top.set_title(f"{name}\n{case[0]['contig']}")
        names, least = case[0]["distance"]["names"], min(LEAST_SEGMENTS, case[0]["bases"] // 10_000)
        for shift, (key, colour) in enumerate(colours.items()):
            along, near = reading(case, "position", key), reading(case, "distance", key)
            x = [(n + 0.5) / WINDOWS * case[0]["bases"] / 1000 for n, g in enumerate(along) if g["mean"] is not None]
            top.plot(x, [g["mean"] for g in along if g["mean"] is not None], color=colour, lw=1.2, label=key)
            held = [(n + 0.22 * (shift - 1), g) for n, g in enumerate(near) if shown(g, least)]
            means = np.array([g["mean"] for _, g in held])
            low, high = (np.array([g[x] for _, g in held]) for x in ("low", "high"))
            bounds = np.maximum([means - low, high - means], 0)
            bottom.errorbar([n for n, _ in held], means, yerr=bounds, fmt="o", ms=3.5, lw=1, color=colour, label=key)
        bottom.set_xticks(range(len(names)), names, rotation=55, ha="right", fontsize=7)
        for axis in (top, bottom):
            axis.axhline(0, color=INK, lw=0.8)
            axis.grid(alpha=0.25)
        top.set_xlabel("position, kb")
        bottom.set_xlabel("bases back to the previous copy")
    for row in axes:
        row[0].set_ylabel("bits per base gained\nby carrying, against")
    axes[0, 0].legend(fontsize=7)
    figure.tight_layout()
    save_figure(figure, path)


def main() -> None:
    """Measure, and write table, claims and figure."""
    setting = read_setting(__doc__).setting
    one_thread()
    plain = trained(setting, ["demo"])
    induction = trained(setting, contigs(setting), "induction", **INDUCTION)
    cases = [*shipped(setting), *plain, *induction]
    trainings = {"nano": plain[0][1], "nano, induction start": induction[0][1]}
    setting.write(
        "adaptation", "Bits gained by carrying the memory", COLUMNS, table(cases), claims(cases, setting.full),
        models="; ".join([told_default(default()), *(
            told_nano([case["training"] for case in found], name) for name, found in trainings.items())]),
        contigs="none was in the training of the model that reads it",
        word_of_a_copy=f"{KMER_BASES} bases before the base, same strand",
        nano_training={name: [case["training"] for case in found] for name, found in trainings.items()},
        intervals="default model: bootstrap of segments of 10,000 bases; nano: least and greatest of the seeds",
        gain_along_contigs=along(cases),
    )  # fmt: skip
    draw(cases, setting.results / "evidence_adaptation.svg")


if __name__ == "__main__":
    main()
