"""Classifies sequences with a fine-tuned classifier."""

from __future__ import annotations

import copy
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file

from titans_dna.errors import CheckpointError, InputMissing
from titans_dna.inference.model import load_model
from titans_dna.io.tables.tsv import TsvWriter
from titans_dna.recall import Relatives
from titans_dna.training.finetune import HEAD, RESULT, Classifier, FinetuneConfig, classification_metrics, classify
from titans_dna.training.labelled import USED, Row

ROWS = 256  # rows classified at a time
COLUMNS = ("name", "contig", "start", "end", "label", "outcome", "predicted")


@dataclass(frozen=True, kw_only=True)
class TrainedClassifier:
    """A fine-tuned classifier that is ready to use."""

    net: Classifier
    classes: tuple[str, ...]
    config: FinetuneConfig
    name: str = ""  # name of the model
    weights_sha256: str = ""  # SHA-256 of the model's weights, without the head

    def behind(self, relatives: Relatives) -> TrainedClassifier:
        """Return the classifier as it reads with these relatives in its copy memory."""
        net = copy.copy(self.net)
        net._modules = {**net._modules, "backbone": self.net.backbone.behind(relatives.memory)}
        return replace(self, net=net)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A row of the input, and the probability of each class."""

    row: Row
    probabilities: np.ndarray  # (classes,); nan where the row cannot be used
    cells: Mapping[str, Any] = field(default_factory=dict)  # what a table says of it in further columns


def load_classifier(folder: Path, device: str = "auto") -> TrainedClassifier:
    """Load the folder of a classifier.

    Raises
    ------
    InputMissing
        If the folder holds no classifier.
    CheckpointError
        If a file is damaged, or the head does not fit the model.
    """
    model = load_model(folder, device)
    for name in (HEAD, RESULT):
        if not (folder / name).is_file():
            raise InputMissing(
                f"has no {name}, so it is no classifier. Make one with `titans-dna finetune`.", path=folder
            )
    try:
        result: dict[str, Any] = json.loads((folder / RESULT).read_text())
        classes = tuple(result["classes"])
        # A classifier of a version without adapters says nothing of their rank.
        settings = {"lora_rank": FinetuneConfig.lora_rank, **result}
        config = FinetuneConfig(**{f.name: settings[f.name] for f in fields(FinetuneConfig)})
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"is damaged ({error!r}). Restore the file.", path=folder / RESULT) from error
    net = Classifier(model.backbone, len(classes), model.bos)
    try:
        net.head.load_state_dict(load_file(folder / HEAD))
    except (SafetensorError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"does not fit the model ({reason}). Restore the file.", path=folder / HEAD) from error
    net.head.to(model.backbone.norm.weight.device)
    return TrainedClassifier(
        net=net.eval(), classes=classes, config=config, name=model.name, weights_sha256=model.weights_sha256
    )


def predict_classes(
    classifier: TrainedClassifier, rows: Iterable[Row], advance: Callable[[int], None] = lambda _: None
) -> Iterator[Prediction]:
    """Yield the class probabilities of rows in their order; ``ROWS`` of them are classified at a time."""
    rows = iter(rows)
    while group := list(itertools.islice(rows, ROWS)):
        used = [row.ids for row in group if row.outcome == USED]
        found = iter(classify(classifier.net, used, classifier.config))
        unknown = np.full(len(classifier.classes), np.nan)
        for row in group:
            yield Prediction(row=row, probabilities=next(found) if row.outcome == USED else unknown)
        advance(len(group))


@dataclass(frozen=True, kw_only=True)
class PredictionCounts:
    """Number of rows by outcome, and metrics of the predictions if all labels are known."""

    outcomes: dict[str, int]
    metrics: dict[str, float] | None  # None if a usable row has no known label, or all rows have the same


def write_predictions(
    output: Path,
    classes: Sequence[str],
    predictions: Iterable[Prediction],
    metadata: Mapping[str, str] = MappingProxyType({}),
    further: Sequence[str] = (),
) -> PredictionCounts:
    """Write one line per row: its place, its most probable class, the probability of each, and its further columns.

    Of the columns of the input, the sequence is left out, and those that are written anew are replaced.

    Parameters
    ----------
    output
        Table; ``-`` for standard output.
    classes
        Names of the classes.
    predictions
        Of the rows, in their order.
    metadata
        Stand above the header.
    further
        Columns behind the classes (`Prediction.cells`).

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    outcomes: Counter[str] = Counter()
    labels, kept = [], []
    predictions = iter(predictions)
    first = list(itertools.islice(predictions, 1))
    columns = [*COLUMNS, *(f"p_{name}" for name in classes), *further]
    anew = {"outcome", "predicted", *columns[len(COLUMNS) :]}
    # All rows of a table have the same columns.
    passed = [name for prediction in first for name in prediction.row.example.others if name not in columns]
    with TsvWriter(output, [*columns, *passed], metadata) as table:
        for prediction in itertools.chain(first, predictions):
            row = prediction.row
            outcomes[row.outcome] += 1
            given = {name: text for name, text in row.example.others.items() if name not in anew}
            table.write(given | _line(prediction, classes) | dict(prediction.cells))
            if row.outcome == USED:
                labels.append(row.example.label)
                kept.append(prediction.probabilities)
    return PredictionCounts(outcomes=dict(outcomes), metrics=_metrics(classes, labels, kept))


def _line(prediction: Prediction, classes: Sequence[str]) -> dict[str, Any]:
    """Return the columns of a row, without those that it lacks."""
    example, outcome = prediction.row.example, prediction.row.outcome
    line: dict[str, Any] = {"name": example.name or None, "label": example.label or None, "outcome": outcome}
    if example.contig:
        line |= {"contig": example.contig, "start": example.start, "end": example.end}
    if outcome == USED:
        line["predicted"] = classes[int(prediction.probabilities.argmax())]
    return line | {f"p_{name}": p for name, p in zip(classes, prediction.probabilities.tolist(), strict=True)}


def _metrics(classes: Sequence[str], labels: Sequence[str], kept: Sequence[np.ndarray]) -> dict[str, float] | None:
    if len({*labels}) < 2 or not {*labels} <= {*classes}:
        return None
    return classification_metrics(np.stack(kept), np.array([classes.index(label) for label in labels]))
