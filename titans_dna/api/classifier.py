"""A fine-tuned classifier in a notebook: trained on sequences and labels, asked for the classes of others."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_dna.api.frames import find_column, is_frame, is_missing, require_pandas
from titans_dna.api.regions import iterate_regions, on_haplotypes
from titans_dna.api.sequences import opened, read_sequences
from titans_dna.errors import ConfigError
from titans_dna.inference.haplotype_genome import HaplotypeGenome
from titans_dna.jobs.haplotypes import PLACE
from titans_dna.training.finetune import RESULT, FinetuneConfig, finetune_model
from titans_dna.training.haplotype_rows import (
    haplotype_columns,
    place_examples,
    read_on_haplotypes,
    told_by_haplotype,
)  # fmt: skip
from titans_dna.training.labelled import USED, Example, Row, read_examples, split_rows
from titans_dna.training.predict import TrainedClassifier, predict_classes
from titans_dna.training.predict import load_classifier as load_trained

if TYPE_CHECKING:
    import pandas as pd

    from titans_dna.inference.model import SequenceModel
    from titans_dna.io.sequence.fasta import Genome


class Classifier:
    """A classifier of sequences; made by `Model.finetune` or `titans_dna.load_classifier`.

    Attributes
    ----------
    classes
        Names of the classes, sorted.
    result
        What ``finetune.json`` says: ``model`` and ``kmer_baseline`` hold accuracy, mcc, auroc and auprc on the examples
        that were held out, ``rows`` the examples by outcome, and the rest the settings.
    """

    classes: tuple[str, ...]
    result: dict[str, Any]

    def __init__(self, trained: TrainedClassifier, result: dict[str, Any]) -> None:
        self._trained, self.classes, self.result = trained, trained.classes, result

    def __repr__(self) -> str:
        auroc = self.result["model"]["auroc"]
        return f"Classifier({', '.join(self.classes)}; AUROC {auroc:.3f} on {self.result['tested_examples']} held out)"

    def predict(self, sequences: Any, fasta: Any = None, *, haplotypes: Any = None) -> pd.DataFrame:
        """Return the probability of each class.

        Parameters
        ----------
        sequences
            As `Model.embed` takes them: bases, or with ``fasta`` regions.
        fasta
            Genome of regions: a path, or what `open_fasta` returned.
        haplotypes
            ``("phased.vcf.gz", "NA1")``: regions are taken from the haplotypes of this sample; with a third entry, 1 or
            2, from one of them.

        Returns
        -------
        pandas.DataFrame
            A row for each input, in its order: ``outcome`` (``used``, or why there is no answer), ``predicted``, and
            ``p_CLASS`` for each class, which add up to 1; nan where there is no answer. With ``haplotypes`` a row for
            each haplotype of a region, and the columns haplotype, haplotype_start and haplotype_end (its place there,
            0-based, end excluded), difference_class (of two classes the second, of more the one predicted on haplotype
            1) and probability_difference (its probability on haplotype 2 minus that on haplotype 1, in both rows); the
            outcome may be ``deleted``.

        Raises
        ------
        FormatError, InputMissing, ContigUnknown
            If the sequences or regions cannot be read.
        ConfigError
            If pandas is not installed, or the sample's haplotypes are not known.
        """
        pandas = require_pandas()
        if fasta is None and haplotypes is not None:
            raise ConfigError("haplotypes are those of regions of a genome; give fasta, or leave them out")
        examples = _examples(sequences, fasta)
        with opened(fasta) if fasta is not None else nullcontext() as genome:
            rows, which = _read_rows(examples, genome, haplotypes)
        found = list(told_by_haplotype(predict_classes(self._trained, rows), self.classes, which))
        table = np.array([prediction.probabilities for prediction in found]).reshape(len(rows), len(self.classes))
        named = [
            self.classes[int(p.argmax())] if row.outcome == USED else None for p, row in zip(table, rows, strict=True)
        ]
        columns: dict[str, Any] = {"outcome": [row.outcome for row in rows], "predicted": named}
        columns |= {f"p_{name}": table[:, at] for at, name in enumerate(self.classes)}
        for name in haplotype_columns(which):
            cells = [prediction.cells.get(name) for prediction in found]
            columns[name] = pandas.array(cells, dtype="Int64") if name in PLACE else cells
        return pandas.DataFrame(columns)


@dataclass(frozen=True, kw_only=True)
class FinetuneInputs:
    """What a classifier learns from."""

    sequences: Any  # see `titans_dna.api.sequences.read_sequences`; with a genome, regions
    labels: Iterable[Any] | None  # one for each; None takes the column "label" of a frame, or the names of regions
    fasta: Any = None  # genome of regions
    split: Iterable[str] | None = None  # "train" or "test" for each; None draws the tested ones at random
    test_share: float = 0.2  # of each class, where there is no split


def finetune(model: SequenceModel, inputs: FinetuneInputs, folder: Any, settings: dict[str, Any]) -> Classifier:
    """Train a classifier as ``titans-dna finetune`` does (see `titans_dna.api.model.Model.finetune`)."""
    known = {field.name for field in fields(FinetuneConfig)}
    if unknown := settings.keys() - known:
        raise ConfigError(f"finetune has no setting {sorted(unknown)[0]!r}; choose from {', '.join(sorted(known))}")
    if not 0 < inputs.test_share < 1:
        raise ConfigError(f"test_share is {inputs.test_share}; choose a number between 0 and 1")
    config = FinetuneConfig(**settings)
    examples = _examples(inputs.sequences, inputs.fasta, inputs.labels, inputs.split)
    with ExitStack() as stack:
        genome = stack.enter_context(opened(inputs.fasta)) if inputs.fasta is not None else None
        rows = list(read_examples(examples, genome))
        data = split_rows(rows, inputs.test_share, config.seed, where="finetune")
        output = Path(folder) if folder is not None else Path(stack.enter_context(tempfile.TemporaryDirectory())) / "c"
        result = finetune_model(model, data, output, config)
        device = str(model.device)
        return Classifier(load_trained(output, device.partition(":")[0]), result)


def load_classifier(folder: str | os.PathLike[str], device: str = "auto") -> Classifier:
    """Load a classifier that `Model.finetune` or ``titans-dna finetune`` wrote.

    Parameters
    ----------
    folder
        Its folder.
    device
        ``auto`` (a GPU if there is one), ``cpu`` or ``cuda``.

    Raises
    ------
    InputMissing
        If the folder has no classifier.
    CheckpointError
        If a file is damaged.
    """
    trained = load_trained(Path(folder), device)
    return Classifier(trained, json.loads((Path(folder) / RESULT).read_text()))


def _examples(
    given: Any, fasta: Any, labels: Iterable[Any] | None = None, split: Iterable[str] | None = None
) -> list[Example]:
    """Return one example for each sequence or region."""
    made = _of_sequences(given) if fasta is None else _of_regions(given, fasta)
    if labels is None and is_frame(given):
        labels = find_column(given, ["label"], needed=False)
    texts = _texts(labels, len(made), "labels") or [example.label for example in made]
    splits = _texts(split, len(made), "split") or [""] * len(made)
    for number, name in enumerate(splits):
        if name not in ("", "train", "test"):
            raise ConfigError(f"split {number} is {name!r}; write train or test")
    return [replace(e, label=label, split=name) for e, label, name in zip(made, texts, splits, strict=True)]


def _of_sequences(given: Any) -> list[Example]:
    return [Example(label="", sequence=bases) for bases in read_sequences(given)[0]]


def _of_regions(given: Any, fasta: Any) -> list[Example]:
    with opened(fasta) as genome:
        placed = list(iterate_regions(genome.contigs, given))
    return [Example(label=p.asked.name, contig=p.asked.contig, start=p.asked.start, end=p.asked.end) for p in placed]


def _read_rows(examples: list[Example], genome: Genome | None, haplotypes: Any) -> tuple[list[Row], tuple[int, ...]]:
    """Return rows to classify, on each haplotype of a sample if there is one, and which haplotypes these are."""
    if genome is None or haplotypes is None:
        return list(read_examples(examples, genome, taught=False)), ()
    own, placed = on_haplotypes(genome, haplotypes, place_examples(examples, genome))
    return list(read_on_haplotypes(examples, placed, own)), own.which if isinstance(own, HaplotypeGenome) else ()


def _texts(values: Iterable[Any] | None, count: int, what: str) -> list[str] | None:
    """Return labels as text, one for each sequence."""
    if values is None:
        return None
    texts = ["" if is_missing(value) else str(value) for value in values]
    if len(texts) != count:
        raise ConfigError(f"there are {len(texts):,} {what} for {count:,} sequences; give one for each")
    return texts
