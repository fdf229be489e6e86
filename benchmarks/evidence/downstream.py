"""The default model fine-tuned on the labelled sets at hand, beside k-mers; BRCA1 with and without context.

Each set is learned three times, with other orders and strands of the same examples: all weights from the shipped ones
("full"), the head alone ("frozen"), and, for yeast, all weights from random ones ("from scratch"). Beside it stands the
logistic regression on 6-mers that `finetune` prints, and the best of 2- to 6-mers on the test set, which favours it.

GenomicBenchmarks is not at hand. Put its sets as NAME.csv (sequence, label, split) into a folder and name it with
--sets: published rows are shown beside a set whose test split has the published size, and beside no other.

    python benchmarks/evidence/downstream.py --budget full      # about 50 minutes on one core
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import brca1
import torch
from labelled import SETS, WINDOW_BP, published, write_set
from models import default, told_default
from setting import COLOURS, INK, Setting, claim, one_thread, plotting, read_setting, record, save_figure

from titans_dna.inference.model import SequenceModel
from titans_dna.model.backbone import Backbone
from titans_dna.training.finetune import FinetuneConfig, classification_metrics, finetune_model, kmer_probabilities
from titans_dna.training.labelled import LabelledData, read_labelled

MODES, PARTS = ("full", "frozen", "from scratch"), ("sets", "brca1")
UNLEARNED = "yeast exons"  # the set that is learned from random weights too
EPOCHS = 20  # 4, which make 52 steps of 400 examples, are too few: demo promoters 0.72 instead of 0.998
KMERS = range(2, 7)
COLUMNS = ["set", "examples, tested", "classifier", "AUROC", "least", "greatest", "accuracy", "seconds"]
BRCA1 = "BRCA1 saturation editing"


def unlearned(model: SequenceModel, seed: int) -> SequenceModel:
    """Return a model of the same shape with random weights and empty counts."""
    torch.manual_seed(seed)
    return replace(model, backbone=Backbone(model.backbone.config).eval(), name="from scratch")


def one_run(model: SequenceModel, data: LabelledData, mode: str, epochs: int, seed: int) -> dict[str, Any]:
    """Learn and test once."""
    start = unlearned(model, seed) if mode == "from scratch" else model
    config = FinetuneConfig(mode="frozen" if mode == "frozen" else "full", epochs=epochs, seed=seed,
                            learning_rate=1e-2 if mode == "frozen" else 2e-3)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        result = finetune_model(start, data, Path(folder) / "classifier", config)
    return {name: result[name] for name in ("model", "kmer_baseline", "seconds")}


def best_kmer(data: LabelledData) -> tuple[int, dict[str, float]]:
    """Return the k whose logistic regression is best on the test set, and how good it is there."""
    found = {}
    for k in KMERS:
        given = (data.training, data.training_labels, data.tested, len(data.classes), k)
        found[k] = classification_metrics(kmer_probabilities(*given), data.tested_labels)
    best = max(found, key=lambda k: found[k]["auroc"])
    return best, found[best]


def learn(name: str, path: Path, setting: Setting, modes: tuple[str, ...]) -> dict[str, Any]:
    """Return all runs on a set."""
    model, data = default(), read_labelled(path, None, 0.2, 0)
    key = name.replace(" ", "_").replace(".", "")
    epochs, seeds = (EPOCHS, 3) if setting.full else (1, 1)
    runs = {mode: [setting.once(f"downstream_{key}_{mode.replace(' ', '_')}_{seed}",
                                lambda m=mode, s=seed: one_run(model, data, m, epochs, s), model.weights_sha256)
                   for seed in range(setting.seed, setting.seed + seeds)] for mode in modes}  # fmt: skip
    best, metrics = best_kmer(data)
    return {
        "training": len(data.training), "tested": len(data.tested), "runs": runs, "best_kmer": [best, metrics],
        "published": published(name, len(data.tested)),
    }  # fmt: skip


def measure(setting: Setting, wanted: list[str], kinds: list[str], folder: Path | None) -> dict[str, dict[str, Any]]:
    """Return the runs, of the kinds that are wanted, of every set that is; the small budget has the demo genome's."""
    names = wanted if setting.full else ["demo promoters"]
    modes, sizes = (MODES[:2], (400, 300)) if setting.full else (MODES[:2], (64, 64))
    found = {}
    for name in names:
        learned = MODES if setting.full and name == UNLEARNED else modes
        chosen = tuple(mode for mode in learned if mode in kinds)
        found[name] = learn(name, write_set(name, setting, *sizes), setting, chosen)
    for path in sorted(folder.glob("*.csv")) if folder else ():
        found[path.stem] = learn(path.stem, path, setting, MODES)
    return found


def context(setting: Setting) -> dict[str, Any] | None:
    """Return BRCA1 by context, with what the study's own table gives; nothing at the small budget."""
    if not setting.full:
        return None
    model = default()

    def compared() -> dict[str, Any]:
        return brca1.compare(*brca1.scores_by_context(model, setting.data), draws=500, seed=setting.seed)

    return setting.once("downstream_brca1", compared, model.weights_sha256)


def beside() -> dict[str, float]:
    """Return the AUROC of scores that are not ours on the same variants, from `variants_brca1`."""
    rows = json.loads((record.RESULTS / "variants_brca1.json").read_text())["rows"]
    return {name: value for name, _, value in rows if "study" in name}


def spread(runs: list[dict[str, Any]], metric: str) -> tuple[float, float, float]:
    """Return mean, least and greatest over the seeds."""
    values = [run["model"][metric] for run in runs]
    return sum(values) / len(values), min(values), max(values)


def bounded(values: Sequence[float]) -> str:
    """Write a value with its bounds."""
    return f"{values[0]:.3f} [{values[1]:.3f}, {values[2]:.3f}]"


def table(sets: dict[str, dict[str, Any]], variants: dict[str, Any] | None) -> list[list[Any]]:
    """Return a row for each classifier of each set, and for each context of BRCA1."""
    rows: list[list[Any]] = []
    for name, found in sets.items():
        size = f"{found['training']:,}, {found['tested']:,}"
        for mode, runs in found["runs"].items():
            seconds = sum(run["seconds"] for run in runs) / len(runs)
            rows.append([name, size, f"default model, {mode} ({len(runs)} seeds)", *spread(runs, "auroc"),
                         spread(runs, "accuracy")[0], round(seconds, 1)])  # fmt: skip
        six, (k, best) = next(iter(found["runs"].values()))[0]["kmer_baseline"], found["best_kmer"]
        for label, m in (("6-mers, logistic regression", six), (f"{k}-mers, the best of 2 to 6 on the test set", best)):
            rows.append([name, size, label, m["auroc"], "-", "-", m["accuracy"], "-"])
        rows += [[name, size, f"{model} (published)", "-", "-", "-", value, "-"]
                 for model, value in found["published"].items()]  # fmt: skip
    if variants:
        size = f"0, {variants['variants']:,}"
        rows += [[BRCA1, size, name, *values, "-", "-"] for name, values in variants["auroc"].items()]
        rows += [[BRCA1, size, name, value, "-", "-", "-", "-"] for name, value in beside().items()]
    return rows


def claims(sets: dict[str, dict[str, Any]], variants: dict[str, Any] | None, full: bool) -> list[dict[str, str]]:
    """Return what is claimed about labelled sets and about BRCA1."""
    found = []
    for name, case in sets.items():
        shipped = {mode: spread(runs, "auroc") for mode, runs in case["runs"].items() if mode != "from scratch"}
        mode, (mean, least, greatest) = max(shipped.items(), key=lambda item: item[1][0])
        k, best = case["best_kmer"]
        told = f"{bounded((mean, least, greatest))}, the better mode, {mode}; {k}-mers {best['auroc']:.3f}"
        target = "least AUROC of 3 seeds above the best k"
        holds = least > best["auroc"] if full else None
        found.append(claim(f"The fine-tuned default model beats k-mers ({name})", target, told, holds))
        if "from scratch" in case["runs"]:
            learned, scratch = (spread(case["runs"][m], "auroc") for m in ("full", "from scratch"))
            told = f"{bounded(learned)}; from scratch {bounded(scratch)}"
            target = "AUROC of 3 seeds above all 3 from scratch"
            found.append(claim(f"Pretraining helps ({name})", target, told, learned[1] > scratch[2]))
    shown = [name for name, case in sets.items() if case["published"]]
    told = "see the table" if shown else "the sets are not at hand; `--sets` takes them"
    target = "accuracy on the published split"
    found.append(claim("As good as published models of its size on GenomicBenchmarks", target, told, None))
    if not variants:
        return [*found, claim("Context helps on BRCA1", "AUROC above that without", "-", None)]
    first = next(iter(variants["auroc"].values()))
    gains = "; ".join(f"{g[0]:+.3f} [{g[1]:+.3f}, {g[2]:+.3f}] over {name}" for name, g in variants["gain"].items())
    best = max(beside().values())
    return [
        *found,
        claim("Context helps on BRCA1", "AUROC with the memory of the region above that without (95% interval)", gains,
              all(g[1] > 0 for g in variants["gain"].values())),
        claim("The default model tells damaging BRCA1 variants from others", f"AUROC above {best}, the study's CADD",
              bounded(first), first[1] > best),
    ]  # fmt: skip


def draw(sets: dict[str, dict[str, Any]], variants: dict[str, Any] | None, path: Path) -> None:
    """Write the figure: AUROC of every classifier by set, and of BRCA1 by context."""
    plt = plotting()
    figure, axes = plt.subplots(1, 1 + bool(variants), figsize=(10.4 if variants else 5.6, 3.4), squeeze=False)
    left = axes[0, 0]
    styles = dict(zip(MODES, ("blue", "violet", "orange"), strict=True))
    for at, found in enumerate(sets.values()):
        for shift, (mode, runs) in enumerate(found["runs"].items()):
            for run in runs:
                label = mode if not at and run is runs[0] else None
                left.plot(run["model"]["auroc"], at + 0.15 * (shift - 1), "o", ms=5, alpha=0.8, label=label,
                          color=COLOURS[styles[mode]])  # fmt: skip
        for marker, value, label in (("|", next(iter(found["runs"].values()))[0]["kmer_baseline"]["auroc"], "6-mers"),
                                     ("x", found["best_kmer"][1]["auroc"], "best k-mers")):  # fmt: skip
            left.plot(value, at, marker, ms=10, color=INK, label=None if at else label)
    left.set_yticks(range(len(sets)), list(sets))
    left.set(xlabel="AUROC on the test split", ylim=(len(sets) - 0.5, -0.5))
    left.legend(fontsize=7, loc="best")
    if variants:
        right = axes[0, 1]
        for at, (low, high, mean) in enumerate((v[1], v[2], v[0]) for v in variants["auroc"].values()):
            right.errorbar(mean, at, xerr=[[mean - low], [high - mean]], fmt="o", color=COLOURS["blue"])
        right.set_yticks(range(len(variants["auroc"])), [n.replace(", ", ",\n") for n in variants["auroc"]])
        for name, value in beside().items():
            right.axvline(value, ls="--", lw=1, color=COLOURS["red"])
            right.annotate(name.split()[0], (value, -0.42), fontsize=7, ha="right" if "phyloP" in name else "left")
        right.axvline(0.5, color=INK, lw=0.8)
        right.set(xlabel="AUROC, BRCA1 loss of function", ylim=(len(variants["auroc"]) - 0.5, -0.5), xlim=(0.42, 0.86))
    for axis in axes.flat:
        axis.grid(alpha=0.25, axis="x")
    figure.tight_layout()
    save_figure(figure, path)


def main() -> None:
    """Measure, and write table, claims and figure."""

    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--learn", nargs="*", choices=list(SETS), default=list(SETS), help="of the full budget")
        parser.add_argument("--modes", nargs="*", choices=MODES, default=list(MODES))
        parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
        parser.add_argument("--sets", type=Path, help="folder of further sets, NAME.csv")

    options = read_setting(__doc__, more)
    one_thread()
    setting = options.setting
    sets = measure(setting, options.learn, options.modes, options.sets) if "sets" in options.parts else {}
    variants = context(setting) if "brca1" in options.parts else None
    setting.write(
        "downstream", "Fine-tuning beside k-mers, and BRCA1 by context", COLUMNS, table(sets, variants),
        claims(sets, variants, setting.full), window_bp=WINDOW_BP,
        passes=f"{EPOCHS}, chosen after one run on the test set of demo promoters; 4 before" if setting.full else 1,
        pretraining=f"{told_default(default())}; seeds are those of fine-tuning",
        tested_on="; ".join(f"{name}: {SETS[name][1]}" for name in sets if name in SETS),
    )  # fmt: skip
    draw(sets, variants, setting.results / "evidence_downstream.svg")


if __name__ == "__main__":
    main()
