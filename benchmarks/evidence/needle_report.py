"""Tables, figures and claims of the needle benchmark from its finished cases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from figures import write_svg
from needle_budget import LONGER, Budget
from needle_models import MODELS
from needle_scores import Tally
from record import RESULTS, write
from setting import BUILD

from titans_dna.report.svg import INK, MUTED, SERIES, SURFACE

CHANCE = 0.25
Case = dict[str, Any]
Key = tuple[str, str, int]  # variant in words, DNA, distance


def tallies(cases: Iterable[Case], part: str = "scores") -> dict[Key, Tally]:
    """Return the tallies of some cases (all seeds of a model), joined; what was not reached is not there."""
    joined: dict[Key, Tally] = {}
    for found in cases:
        for variant, dna, distance, *counts in found.get(part, {}).get("tallies", []):
            key = (variant, dna, int(distance))
            joined[key] = joined.get(key, Tally()).join(Tally(*counts))
    return joined


def span(tally: Tally) -> str:
    """Return the accuracy, its interval and the count of bases in words."""
    low, high = tally.interval()
    return f"{tally.accuracy:.3f} ({low:.3f} to {high:.3f}; {tally.bases:,} bases)"


def short(bases: int) -> str:
    """Return a distance in words, such as 64 kb."""
    for unit, word in ((1 << 20, "Mb"), (1 << 10, "kb")):
        if bases >= unit:
            return f"{bases // unit} {word}"
    return f"{bases} b"


def claim(words: str, target: str, measured: str, held: bool) -> dict[str, str]:
    """Return one row of the table of claims."""
    return {"claim": words, "target": target, "measured": measured, "verdict": "holds" if held else "fails"}


def shared(cases: Sequence[Case]) -> int:
    """Return the last distance that all seeds of a model reached."""
    return min(case["scores_reached"] for case in cases)


def claims(budget: Budget, by_model: dict[str, list[Case]]) -> list[dict[str, str]]:
    """Return what was to be shown, what was seen, and whether it holds; nothing about what was not reached."""
    found, far = [], budget.distances[-1]
    for name in budget.claimed:
        cases = by_model.get(name, [])
        for key, tally in tallies(cases).items():
            if key[2] in {far, shared(cases)}:
                seeds = sum(case["scores_reached"] >= key[2] for case in cases)
                found.append(_recall(name, key, tally, seeds, budget.goal))
    for key, tally in tallies(by_model.get(budget.far_model or "", []), "far").items():
        if key[2] > far:
            found.append(_recall(budget.far_model or "", key, tally, 1, budget.goal))
    seen = tallies(by_model.get("window attention", []))
    for dna in ("random", "real") if seen else ():
        near = seen["one needle", dna, budget.distances[0]]
        words = f"window attention recalls one needle inside its window ({dna} DNA)"
        found.append(claim(words, f"at least {budget.window_goal}", span(near), near.accuracy >= budget.window_goal))
        past = _sum([seen[key] for key in seen if key[:2] == ("one needle", dna) and key[2] > budget.distances[0]])
        low, high = past.interval()
        words = f"window attention falls to chance past its window ({dna} DNA)"
        found.append(claim(words, f"{CHANCE}", span(past), low <= CHANCE <= high))
    return found


def _recall(name: str, key: Key, tally: Tally, seeds: int, goal: float) -> dict[str, str]:
    variant, dna, distance = key
    words = f"{name} recalls {variant} after {short(distance)} of {dna} DNA"
    measured = f"{span(tally)}, {seeds} seed{'s' * (seeds != 1)}"
    return claim(words, f"at least {goal}", measured, tally.accuracy >= goal)


def losses(by_model: dict[str, list[Case]], name: str) -> str:
    """Tell where another model recalls more than ``name``, at the last distance that all seeds of all reached."""
    distance = min(shared(cases) for cases in by_model.values())
    own, lost = tallies(by_model[name]), []
    for key in [key for key in own if key[2] == distance]:
        others = {other: tallies(cases).get(key, Tally()).accuracy for other, cases in by_model.items()}
        better = [f"{other} {value:.3f}" for other, value in others.items() if value > own[key].accuracy]
        if better:
            lost.append(f"{key[0]} in {key[1]} DNA ({own[key].accuracy:.3f}) to {', '.join(better)}")
    return f"{name} after {short(distance)}: {'; '.join(lost) or 'nowhere'}"


def _sum(parts: Sequence[Tally]) -> Tally:
    total = Tally()
    for part in parts:
        total = total.join(part)
    return total


def _labels(budget: Budget, name: str) -> list[tuple[str, str]]:
    return list(dict.fromkeys(group.label for group in budget.groups(name)))


def _add_claims(path: Path, found: list[dict[str, str]]) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "claims": found}, indent=2) + "\n")
    lines = ["", "| claim | target | measured | verdict |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(row.values()) + " |" for row in found]
    table = path.with_suffix(".md")
    table.write_text(table.read_text() + "\n".join(lines) + "\n")
    print("\n".join(lines))


def report(label: str, budget: Budget, cases: list[Case], genome: str, held_out: Sequence[str]) -> int:
    """Write tables, claims and figures; return 1 if a claim of the small run is missed."""
    folder = RESULTS if label == "full" else BUILD
    by_model = {n: [c for c in cases if c["model"] == n and "scores" in c] for n in budget.models}
    by_model = {name: found for name, found in by_model.items() if found}
    about = {
        "budget": label,
        "trained on": "random bases and the other contigs, half and half; loss on asked payloads alone",
        "stages (bases x steps)": ", ".join(f"{s.bases} x {s.steps}" for s in budget.plan.stages),
        "longer": ", ".join(f"{name}: {n} times the steps after the first stage" for name, n in LONGER.items()),
        "bases per step": budget.plan.batch_bases,
        "learning rate": ", ".join(f"{name} {budget.plan_of(name).learning_rate:g}" for name in by_model),
        "seeds": ", ".join(f"{name} {len(found)}" for name, found in by_model.items()),
        "not reached": ", ".join(n for n in budget.models if n not in by_model) or "none",
        "loses": losses(by_model, budget.claimed[0]) if budget.claimed[0] in by_model else "not asked",
        "genome": genome,
        "held out": ", ".join(held_out),
    }
    name = "evidence_needle"
    columns = ["model", "asked for", "DNA", "bases asked", *map(short, budget.distances), "all 8 right at the last"]
    put = partial(write, folder=folder, **about)
    put(name, "Needle in a genome: payload accuracy by distance", columns, _rows(budget, by_model))
    found = claims(budget, by_model)
    _add_claims(folder / f"{name}.json", found)
    columns = ["model", "seeds", "parameters", "training CPU s", "steps", "accuracy in training", "state numbers"]
    columns.append("tokens written per Mb of filler")
    put(f"{name}_models", "Needle in a genome: the models", columns, _models(by_model))
    counts = [str(n) for n in budget.counts]
    put(
        f"{name}_capacity", "Needles that a memory holds: payload accuracy by their number, 1 kb after the last",
        ["model", "state numbers", *counts], _capacity(by_model, counts),
    )  # fmt: skip
    draw(folder / f"{name}.svg", budget, by_model)
    draw_capacity(folder / f"{name}_capacity.svg", by_model, counts)
    return int(
        label == "small"
        and any(row["verdict"] == "fails" for row in found if "recalls one needle after" in row["claim"])
    )


def _rows(budget: Budget, by_model: dict[str, list[Case]]) -> list[list[Any]]:
    rows = []
    for name, found in by_model.items():
        seen = tallies(found)
        for variant, dna in _labels(budget, name):
            row = [seen.get((variant, dna, distance), Tally()) for distance in budget.distances]
            rows.append([name, variant, dna, _asked(row), *map(_cell, row), _whole(row[-1])])
        for (variant, dna, distance), tally in tallies(found, "far").items():
            blank = [""] * (len(budget.distances) - 1)
            about = f"{variant}, after {short(distance)}"
            rows.append([name, about, dna, tally.bases, *blank, _cell(tally), _whole(tally)])
    return rows


def _asked(row: Sequence[Tally]) -> str:
    counts = [tally.bases for tally in row if tally.bases]
    return str(counts[0]) if len(set(counts)) == 1 else f"{counts[0]} to {counts[-1]}"


def _cell(tally: Tally) -> float | str:
    return round(tally.accuracy, 4) if tally.bases else "not reached"


def _whole(tally: Tally) -> float | str:
    if not tally.bases:
        return "not reached"
    return round(tally.whole / tally.payloads, 4) if tally.payloads else "not kept"


def _mean(found: list[Case], key: str) -> float:
    return sum(c[key] for c in found) / len(found)


def _models(by_model: dict[str, list[Case]]) -> list[list[Any]]:
    rows = []
    for name, found in by_model.items():
        read, written = (sum(c["scores"][key] for c in found) for key in ("read", "written"))
        per_mb = round(1e6 * written / read, 2) if read else "no memory"
        seconds, steps = (round(_mean(found, f"training_{key}")) for key in ("seconds", "steps"))
        accuracy = round(_mean(found, "training_accuracy"), 4)
        numbers = found[0]["scores"]["state_numbers"]
        rows.append([name, len(found), found[0]["parameters"], seconds, steps, accuracy, numbers, per_mb])
    return rows


def _capacity(by_model: dict[str, list[Case]], counts: Sequence[str]) -> list[list[Any]]:
    rows = []
    for name, found in by_model.items():
        joined = [_sum([Tally(**c["capacity"][n]) for c in found]) for n in counts]
        rows.append([name, found[0]["scores"]["state_numbers"], *(round(t.accuracy, 4) for t in joined)])
    return rows


def _line(axes: Any, name: str, x: Sequence[float], y: Sequence[float]) -> None:
    number = list(MODELS).index(name)
    colour = SERIES[number] if number < len(SERIES) else MUTED
    style = "--" if name == "window attention" else "-"
    axes.plot(x, y, style, color=colour, label=name, marker="o", markersize=3.5, markeredgecolor=SURFACE)


def _axes(axes: Any, words: str) -> None:
    axes.set(ylabel="payload accuracy", ylim=(0, 1.04), title=words)
    axes.title.set(fontsize=9, color=INK)
    axes.axhline(CHANCE, color=MUTED, linewidth=0.8, linestyle=":")
    axes.text(1.0, CHANCE + 0.02, "chance", transform=axes.get_yaxis_transform(), ha="right", color=MUTED, fontsize=7.5)


def draw(path: Path, budget: Budget, by_model: dict[str, list[Case]]) -> None:
    """Draw accuracy against distance, random DNA above real DNA."""
    write_svg(
        path, _plotter(budget, by_model), description="Payload accuracy of one needle by distance, a line per model.",
        width_in=7.5, height_in=5.6, rows=(1.0, 1.0),
    )  # fmt: skip


def _plotter(budget: Budget, by_model: dict[str, list[Case]]) -> Callable[..., None]:
    def plot(*column: Any) -> None:
        for axes, dna in zip(column, ("random", "real"), strict=True):
            _axes(axes, f"one needle in {dna} DNA")
            for name, found in by_model.items():
                seen = tallies(found)
                far = {k: t for k, t in tallies(found, "far").items() if k[1] == dna}
                points = {d: t.accuracy for (what, kind, d), t in seen.items() if (what, kind) == ("one needle", dna)}
                points |= {d: t.accuracy for (_, _, d), t in far.items() if d > budget.distances[-1]}
                _line(axes, name, list(points), list(points.values()))
        axes.set_xscale("log", base=2)
        asked = [*budget.distances, *(d for d in budget.far_distances if d > budget.distances[-1])]
        axes.set_xticks(asked, [short(d) for d in asked])
        axes.minorticks_off()
        axes.set_xlabel("bases between needle and question")
        column[0].legend(frameon=False, fontsize=7.5, ncols=2, loc="center right")

    return plot


def draw_capacity(path: Path, by_model: dict[str, list[Case]], counts: Sequence[str]) -> None:
    """Draw accuracy against the number of needles."""

    def plot(axes: Any) -> None:
        _axes(axes, "needles held at once, random DNA, asked for after 1 kb")
        for name, _, *values in _capacity(by_model, counts):
            _line(axes, name, [int(n) for n in counts], values)
        axes.set_xscale("log", base=2)
        axes.set_xticks([int(n) for n in counts], counts)
        axes.minorticks_off()
        axes.set_xlabel("needles")
        axes.legend(frameon=False, fontsize=7.5, loc="upper right")

    words = "Payload accuracy by the number of needles, a line per model."
    write_svg(path, plot, description=words, width_in=7.5, height_in=3.4)
