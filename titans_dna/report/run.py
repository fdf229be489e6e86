"""What was run: the model directory, its training log, and the evaluation of the model beside Markov baselines."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_dna.errors import CheckpointError, FormatError, InputMissing


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A file that the report was made from."""

    role: str  # what it is to the report, e.g. "variants"
    name: str  # last part of its path
    bytes: int  # size
    sha256: str  # lower-case hexadecimal


@dataclass(frozen=True, kw_only=True, eq=False)
class LogCurve:
    """One split of the training log, in the order of steps."""

    split: str  # "train" or "validation"
    steps: NDArray[np.int64]  # optimiser steps done, shape (n,)
    bits_per_base: NDArray[np.float64]  # shape (n,)


@dataclass(frozen=True, kw_only=True)
class ContextBits:
    """Bits per base of held-out bases that have ``start`` to ``end`` - 1 bases before them in their window."""

    start: int
    end: int
    bits_per_base: float


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelRun:
    """A model directory: settings, how it was trained, and the log of that."""

    name: str  # last part of the directory's path
    config: Mapping[str, Any]  # config.json
    training: Mapping[str, Any]  # training.json, empty where there is none
    curves: tuple[LogCurve, ...]  # train first; empty where there is no log
    context: tuple[ContextBits, ...]  # bits per base by context, shortest first; empty where not measured
    bases_seen: int  # bases trained on, 0 if the log does not say
    weights_sha256: str  # of model.safetensors

    @property
    def held_out(self) -> tuple[str, ...]:
        """Contigs that training never saw."""
        found = self.training.get("holdout_contigs")
        return tuple(map(str, found)) if isinstance(found, list) else ()


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A Markov model evaluated on the same bases."""

    name: str  # e.g. "order-12"
    bits_per_base: float  # mean, >= 0


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Bits per base on sequence that was held out."""

    contigs: tuple[str, ...]  # evaluated sequences
    bases: int  # bases evaluated
    carried: float  # bits per base, memory carried along the whole contig
    reset: float  # bits per base, memory reset at every segment; nan where not measured
    baselines: tuple[Baseline, ...]  # in the order of the file
    baseline_contigs: tuple[str, ...]  # what the baselines were fitted on
    details: Mapping[str, Any]  # the whole JSON object

    @property
    def best_baseline(self) -> Baseline | None:
        """The baseline with the fewest bits per base."""
        return min(self.baselines, key=lambda baseline: baseline.bits_per_base, default=None)


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """A fine-tuned classifier and its k-mer baseline, tested on the same sequences."""

    classes: tuple[str, ...]  # their names
    trained: int  # sequences learned
    tested: int  # sequences tested
    rows: tuple[tuple[str, Mapping[str, float]], ...]  # name, and its accuracy, mcc, auroc and auprc


def describe_file(role: str, path: Path) -> InputFile:
    """Return size and checksum of a file.

    Raises
    ------
    InputMissing
        If there is no such file.
    """
    if not path.is_file():
        raise InputMissing(f"no such file ({role}). Check the path, or leave the option out.", path=path)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return InputFile(role=role, name=path.name, bytes=path.stat().st_size, sha256=digest)


def read_model_run(directory: Path) -> ModelRun:
    """Read ``config.json``, ``training.json`` and ``log.csv`` of a model directory, and the checksum of its weights.

    Raises
    ------
    CheckpointError
        If the directory, its settings or its weights are missing.
    FormatError
        If one of these files breaks its format.
    """
    weights = directory / "model.safetensors"
    for needed in (directory / "config.json", weights):
        if not needed.is_file():
            raise CheckpointError(
                f"has no {needed.name}. Give a directory written by `titans-dna pretrain`.", path=directory
            )
    training, log = directory / "training.json", directory / "log.csv"
    curves, bases_seen = _read_log(log) if log.is_file() else ((), 0)
    record = _read_object(training) if training.is_file() else {}
    try:
        context = tuple(
            ContextBits(start=int(row["start"]), end=int(row["end"]), bits_per_base=float(row["bits_per_base"]))
            for row in record.pop("bits_by_position", ())
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"bits_by_position is no list of bins ({error!r}). Train again.", path=training) from error
    return ModelRun(
        name=directory.resolve().name,
        config=_read_object(directory / "config.json"),
        training=record,
        context=context,
        curves=curves,
        bases_seen=bases_seen,
        weights_sha256=describe_file("weights", weights).sha256,
    )


def read_evaluation(path: Path) -> Evaluation:
    """Read what ``titans-dna evaluate`` wrote.

    Raises
    ------
    InputMissing
        If there is no such file.
    FormatError
        If it is not JSON, or a value that the report needs is missing or no number.
    """
    details = _read_object(path)
    try:
        return Evaluation(
            contigs=tuple(map(str, details["contigs"])),
            bases=int(details["bases"]),
            carried=float(details["bits_per_base"]),
            reset=_number(details.get("bits_per_base_memory_reset")),
            baselines=tuple(
                Baseline(name=str(entry["name"]), bits_per_base=float(entry["bits_per_base"]))
                for entry in details.get("baselines", ())
            ),
            baseline_contigs=tuple(map(str, details.get("baseline_contigs", ()))),
            details=details,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"not an evaluation ({error!r}). Write it with `titans-dna evaluate`.", path=path) from error


def read_classifier(path: Path) -> Classifier:
    """Read what ``titans-dna finetune`` wrote about its test.

    Raises
    ------
    InputMissing
        If there is no such file.
    FormatError
        If it is not JSON, or a value that the report needs is missing or no number.
    """
    details = _read_object(path)
    try:
        names = {"model": f"{details['backbone']}, fine-tuned", "kmer_baseline": f"{details['kmer_bases']}-mers"}
        return Classifier(
            classes=tuple(map(str, details["classes"])),
            trained=int(details["training_examples"]),
            tested=int(details["tested_examples"]),
            rows=tuple(
                (name, {metric: float(details[key][metric]) for metric in ("accuracy", "mcc", "auroc", "auprc")})
                for key, name in names.items()
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"not a classifier ({error!r}). Write it with `titans-dna finetune`.", path=path) from error


def _read_log(path: Path) -> tuple[tuple[LogCurve, ...], int]:
    """Return the curves of log.csv, and the number of bases trained on."""
    points: dict[str, list[tuple[int, float]]] = {}
    bases_seen = 0
    with path.open(newline="", encoding="utf-8", errors="replace") as stream:
        for line, row in enumerate(csv.DictReader(stream), 2):
            try:
                points.setdefault(row["split"], []).append((int(row["step"]), _number(row["bits_per_base"])))
                if row["split"] == "train":
                    # The column counts all bases since the start, also over a resumed run, so the largest is the total.
                    bases_seen = max(bases_seen, int(float(row.get("bases") or 0)))
            except (KeyError, TypeError, ValueError) as error:
                raise FormatError(
                    f"not a row of a training log ({error!r}). Train again.", path=path, line=line
                ) from error
    curves = []
    for split in sorted(points):  # "train" comes before "validation"
        steps, values = zip(*points[split], strict=True)
        curves.append(LogCurve(split=split, steps=np.array(steps), bits_per_base=np.array(values, dtype=np.float64)))
    return tuple(curves), bases_seen


def _read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError as error:
        raise InputMissing("no such file. Check the path, or leave the option out.", path=path) from error
    except json.JSONDecodeError as error:
        raise FormatError(f"not JSON ({error.msg}). Write the file again.", path=path, line=error.lineno) from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not JSON ({error}). Write the file again.", path=path) from error
    if not isinstance(value, dict):
        raise FormatError(f"holds a JSON {type(value).__name__}, not an object. Write the file again.", path=path)
    return value


def _number(value: object) -> float:
    """Return a number, and nan for a value that is empty or not given."""
    return math.nan if value in (None, "", ".", "NA") else float(value)  # type: ignore[arg-type]
