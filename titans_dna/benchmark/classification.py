"""Labelled sets learned by a checkpoint, several times, beside k-mers: what its features are worth."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from titans_dna.errors import check_least
from titans_dna.inference.model import SequenceModel
from titans_dna.training.finetune import FinetuneConfig, finetune_model
from titans_dna.training.labelled import LabelledData

METRICS = ("accuracy", "mcc", "auroc", "auprc")
LEARNING_RATES = {"frozen": 1e-2, "lora": 5e-3}  # a few weights bear larger steps than a whole model
LEARNING_RATE = 2e-3
COLUMNS = (
    "set", "classifier", "classes", "learned", "tested", "runs", "weights_trained", *METRICS,
    *(f"{m}_least" for m in METRICS), *(f"{m}_greatest" for m in METRICS),
)  # fmt: skip
CARD_COLUMNS = (*COLUMNS[:11], "auroc_least", "auroc_greatest")  # the others are too many for a page


@dataclass(frozen=True, kw_only=True)
class ClassificationTest:
    """How a set is learned.

    Raises
    ------
    ConfigError
        If a number is out of its range, or a mode is unknown.
    """

    modes: tuple[str, ...] = ("full", "frozen")  # see `FinetuneConfig.mode`
    runs: int = 3  # with other orders and strands of the same examples
    epochs: int | None = None
    kmer_bases: int = 6

    def __post_init__(self) -> None:
        check_least(1, runs=self.runs)
        for mode in self.modes:
            self.config(mode, 0)

    def config(self, mode: str, seed: int) -> FinetuneConfig:
        """Return the settings of one run."""
        return FinetuneConfig(
            mode=mode, epochs=self.epochs, kmer_bases=self.kmer_bases, seed=seed,
            learning_rate=LEARNING_RATES.get(mode, LEARNING_RATE),
        )  # fmt: skip

    def passes(self, data: LabelledData) -> int:
        """Return how many sequences are learned from in all."""
        examples = len(data.training)
        return len(self.modes) * self.runs * self.config("full", 0).passes(examples) * examples


def classify_set(
    model: SequenceModel, name: str, data: LabelledData, test: ClassificationTest, seed: int, *,
    advance: Callable[[int], None] = lambda sequences: None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Learn a set by every mode, several times, and by k-mers once; return a row for each with the columns `COLUMNS`.

    Parameters
    ----------
    model
        With one token per base; it is not changed.
    name
        Of the set, for the table.
    data
        From `titans_dna.benchmark.sets`.
    test
        Modes and runs.
    seed
        Of the first run; the next ones count up.
    advance
        Called with the number of sequences learned from since the last call.

    Raises
    ------
    ConfigError
        If the model reads tokens of several bases.
    """
    rows: list[dict[str, Any]] = []
    baseline: dict[str, float] = {}
    for mode in test.modes:
        found = []
        for run in range(seed, seed + test.runs):
            with tempfile.TemporaryDirectory() as folder:
                result = finetune_model(model, data, Path(folder) / "out", test.config(mode, run), advance=advance)
            found.append(result["model"])
            baseline, weights = result["kmer_baseline"], result["parameters_trained"]
        rows.append(_row(name, f"{model.name}, {mode}", data, weights, found))
    rows.append(_row(name, f"{test.kmer_bases}-mers", data, len(data.classes) * (4**test.kmer_bases + 1), [baseline]))
    return rows


def _row(
    name: str, classifier: str, data: LabelledData, weights: int, runs: Sequence[dict[str, float]]
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "set": name, "classifier": classifier, "classes": len(data.classes), "learned": len(data.training),
        "tested": len(data.tested), "runs": len(runs), "weights_trained": weights,
    }  # fmt: skip
    for metric in METRICS:
        values = [run[metric] for run in runs]
        row |= {
            metric: round(sum(values) / len(values), 4), f"{metric}_least": round(min(values), 4),
            f"{metric}_greatest": round(max(values), 4),
        }  # fmt: skip
    return row
