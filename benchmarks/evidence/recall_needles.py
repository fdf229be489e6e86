"""Needles that the copy memory finds again: keys and values in 98 kb to 16 Mb, decoded greedily, exactly right or not.

Two tests. *Genomic-NIAH* (huggingface/carbon, 2026): a random key of 24 bases and a value of 24 in real DNA, at 10, 30,
50, 70 and 90% of the haystack; behind it the key is given and 24 bases are decoded; plain, or with 8 decoys whose keys
differ in 4, 2 or 1 bases. A haystack holds a needle at each depth, with 8 decoys for each: five times the
decoys of the published task, which has one needle. *Needles*: keys of 32 and values of 16 at random places, up to 4,096
in one haystack, in random and in real DNA; overwritten (the newest value must win), among decoys, and asked with 2
bases changed.

The copy memory reads the whole haystack; the network reads its last 8,192 bases and the question, with a fresh deep
memory. Two cells are read by the network from the first base too, to show that the answers are the same. Beside the
model stands a rule without a network: believe the longest run, then the most hits, then the newest place.

    python benchmarks/evidence/recall_needles.py --budget full --model build/default/best
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from needle_scores import wilson
from recall_needles_cells import (
    CONTEXT_TOKENS,
    FURTHER,
    LENGTHS,
    MEGA2,
    MEGA16,
    TASKS,
    TOLD_GENOMES,
    WHOLE,
    measure,
    planned,
    read_genomes,
)
from recall_needles_task import Cell
from setting import COLOURS, INK, claim, one_thread, plotting, read_setting, save_figure

from titans_dna.inference.model import load_model

Found = list[tuple[Cell, dict[str, Any]]]
# Exact match of Genomic-NIAH, read from the tables of huggingface/carbon (2026), by task and haystack.
PUBLISHED = {
    "Evo 2 7B": {"NIAH": {98_304: 0.97, 393_216: 0.80, 786_432: 0.53}},
    "Carbon 8B": {
        "NIAH": {98_304: 0.89, 393_216: 0.86, 786_432: 0.65},
        "NIAH, decoys d4": {786_432: 0.47},
        "NIAH, decoys d2": {786_432: 0.22},
    },
}
TOLD_MISSES = 5  # of a cell, in the result
COUNTED = 100  # needles of the haystacks that are read both ways
TARGETS = {"NIAH": 0.99, "NIAH, decoys d4": 0.99, "NIAH, decoys d2": 0.95, "NIAH, decoys d1": 0.90}
TARGETS |= dict(zip(FURTHER, (0.99, 0.95, 0.99, 0.90), strict=True))
COLUMNS = [
    "test", "DNA", "haystack", "needles in it", "read by", "asked", "exact", "95% interval", "bases right",
    "exact by the rule alone", "misses", *PUBLISHED,
]  # fmt: skip


def table(found: Found) -> list[list[Any]]:
    """Return a row for each cell."""
    rows = []
    for cell, counts in found:
        low, high = wilson(counts["exact"], counts["asked"])
        published = (
            [] if cell.needles > 5 else [tasks.get(cell.test, {}).get(cell.bases) for tasks in PUBLISHED.values()]
        )
        rows.append([
            cell.test, "real" if cell.real else "random", f"{cell.bases:,}", f"{cell.needles:,}", cell.read_by,
            f"{counts['asked']:,}", share(counts, "exact"), f"{low:.3f} to {high:.3f}", share(counts, "right"),
            share(counts, "rule_exact"), misses(counts), *("" if x is None else x for x in published or [None, None]),
        ])  # fmt: skip
    return rows


def share(counts: dict[str, Any], name: str) -> float:
    """Return the share of the cases that are exact, or of the bases that are right."""
    return round(counts[name] / counts["bases" if name.endswith("right") else "asked"], 4)


def told(cell: Cell, counts: dict[str, Any]) -> dict[str, Any]:
    """Return what the result keeps of a cell: counts, seconds, and a few of the misses."""
    kept = {name: value for name, value in counts.items() if name != "answers"}
    return {**vars(cell), **kept, "misses": counts["misses"][:TOLD_MISSES]}


def misses(counts: dict[str, Any]) -> str:
    """Say how often each kind of miss came about."""
    kinds = Counter(miss["why"] for miss in counts["misses"])
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none"


def claims(found: Found, full: bool) -> list[dict[str, str]]:
    """Return what was to be shown and whether it holds: every cell of a claim must reach its target."""
    rows = []
    for task in TASKS:
        text = f"Genomic-{task}: 24 bases decoded, haystacks of 98 kb to 16 Mb of real DNA"
        rows.append(
            _claim(text, TARGETS[task], [pair for pair in found if pair[0].test == task and pair[0].needles <= 5], full)
        )
    for real in (False, True):
        dna = "real" if real else "random"
        own = [(cell, counts) for cell, counts in found if not cell.depths and cell.real == real]
        for test in FURTHER:
            many = "1 to 4,096 " if test == "needles" else "256 "
            at_2mb = [pair for pair in own if pair[0].test == test and pair[0].bases == MEGA2]
            rows.append(_claim(f"{many}{test} in 2 Mb of {dna} DNA", TARGETS[test], at_2mb, full, "right"))
        far = [pair for pair in own if pair[0].bases == MEGA16]
        rows.append(_claim(f"4,096 needles in 16 Mb of {dna} DNA", TARGETS["needles"], far, full, "right"))
    return [*rows, _same(found, full)]


def _claim(text: str, target: float, pairs: Found, full: bool, name: str = "exact") -> dict[str, str]:
    what = "exact match" if name == "exact" else "bases right"
    if not (full and pairs):
        return claim(text, f"{what} at least {target} in each", "-", None)
    shares = [share(counts, name) for _, counts in pairs]
    asked = sum(counts["asked"] for _, counts in pairs)
    measured = ", ".join(f"{x:.3f}" for x in shares)
    if name != "exact":
        measured += "; exact " + ", ".join(f"{share(counts, 'exact'):.3f}" for _, counts in pairs)
    return claim(text, f"{what} at least {target} in each", f"{measured} ({asked:,} asked)", min(shares) >= target)


def _same(found: Found, full: bool) -> dict[str, str]:
    """Return whether the answers are those of a network that read everything."""
    answers = {(cell.test, cell.read_by): counts["answers"] for cell, counts in found if cell.needles == COUNTED}
    text = "Reading ahead with the copy memory alone gives the answers of a network that read all 786 kb"
    pairs = [(mine, answers.get((test, Cell.read_by), [])) for (test, by), mine in answers.items() if by == WHOLE]
    if not (full and pairs):
        return claim(text, "the same answers", "-", None)
    alike = sum(a == b for whole, ahead in pairs for a, b in zip(whole, ahead, strict=True))
    asked = sum(len(whole) for whole, _ in pairs)
    return claim(text, "at least 0.99 of the answers are the same", f"{alike} of {asked}", alike >= 0.99 * asked)


def seconds(found: Found) -> dict[str, float]:
    """Return CPU seconds of a megabase read ahead (the longest haystacks), one read by the network, and a question."""
    longest = max(cell.bases for cell, _ in found)
    ahead = [pair for pair in found if pair[0].bases == longest and pair[0].read_by != WHOLE]
    whole = [pair for pair in found if pair[0].read_by == WHOLE]

    def per_megabase(pairs: Found) -> float:
        megabases = sum(cell.bases * cell.haystacks for cell, _ in pairs) / 1e6
        return round(sum(counts["seconds_read"] for _, counts in pairs) / megabases, 3)

    asked = [sum(counts[name] for _, counts in found) for name in ("seconds_asked", "asked")]
    return {
        "CPU seconds per Mb read ahead": per_megabase(ahead),
        "CPU seconds per Mb read by the network": per_megabase(whole),
        "CPU seconds per question": round(asked[0] / asked[1], 4),
    }


def draw(found: Found, path: Path) -> None:
    """Write the figure: exact match by length of the haystack, and what is published of others."""
    plt = plotting()
    figure, axis = plt.subplots(figsize=(7.4, 3.4))
    for (task, _), colour in zip(TASKS.items(), COLOURS.values(), strict=False):
        own = [(cell.bases, counts) for cell, counts in found if cell.test == task and cell.needles <= 5]
        low, high = zip(*(wilson(counts["exact"], counts["asked"]) for _, counts in own), strict=True)
        lengths, exact = [bases for bases, _ in own], [share(counts, "exact") for _, counts in own]
        axis.plot(lengths, exact, "-o", ms=4, lw=1.4, color=colour, label=task)
        axis.fill_between(lengths, low, high, color=colour, alpha=0.15, lw=0)
        for (name, tasks), mark in zip(PUBLISHED.items(), ("^", "s"), strict=True):
            points = tasks.get(task, {})
            axis.plot(list(points), list(points.values()), f":{mark}", ms=4, lw=0.8, color=colour)
            if task == "NIAH":
                axis.plot([], [], f":{mark}", ms=4, lw=0.8, color=INK, label=f"{name}, published")
    axis.set_xscale("log")
    axis.set_xticks(LENGTHS, ["98 kb", "393 kb", "786 kb", "2 Mb", "16 Mb"])
    axis.minorticks_off()
    axis.set(xlabel="haystack of real DNA", ylabel="24 bases exactly right", ylim=(0, 1.04), title="Genomic-NIAH")
    axis.grid(alpha=0.25)
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.tight_layout()
    save_figure(figure, path)


def main() -> None:
    """Measure, and write table, claims and figure."""
    options = read_setting(__doc__, lambda p: p.add_argument("--model", default="default", help="name or folder"))
    setting = options.setting
    one_thread()
    model, genome = load_model(options.model, "cpu"), read_genomes(setting)

    def once(cell: Cell) -> dict[str, Any]:
        name = f"recall_needles_{cell.name}{'_whole' * (cell.read_by == WHOLE)}"
        return setting.once(name, lambda: measure(model, cell, genome, setting.seed), model.weights_sha256)

    found = [(cell, once(cell)) for cell in planned(setting.full)]
    parameters = sum(p.numel() for p in model.backbone.parameters())
    setting.write(
        "recall_needles", "Needles that the copy memory finds again", COLUMNS, table(found),
        claims(found, setting.full),
        model=f"{model.name} {model.weights_sha256[:12]}: {parameters:,} parameters",
        read=f"the haystack by the copy memory, its last {CONTEXT_TOKENS:,} bases and the question by the network",
        settings_chosen_on="needles of seed 1: the leading run, and which of two leading places is heard",
        real=TOLD_GENOMES if setting.full else "data/demo.fa",
        planted="NIAH: a needle at each of five depths of one haystack, each with decoys of its own at random places",
        **seconds(found),
        cells=[told(cell, counts) for cell, counts in found],
    )  # fmt: skip
    draw(found, setting.results / "evidence_recall_needles.svg")


if __name__ == "__main__":
    main()
