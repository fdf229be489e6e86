"""All data of one report, read from the files that the other verbs wrote; the content of a file tells its part."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from titans_dna.errors import ConfigError
from titans_dna.io.formats import HOLDS, sniff
from titans_dna.io.scores import open_scores
from titans_dna.report.copies import Copies, read_copies
from titans_dna.report.explained import ExplainedVariants, read_explained
from titans_dna.report.generated import GeneratedSequences, read_generated
from titans_dna.report.predictions import PredictedClasses, read_predictions
from titans_dna.report.regions import EmbeddedRegions, ScoredRegions, read_embedded_regions, read_scored_regions
from titans_dna.report.run import (
    Classifier,
    Evaluation,
    InputFile,
    ModelRun,
    describe_file,
    read_classifier,
    read_evaluation,
    read_model_run,
)
from titans_dna.report.samples import SampleRow, read_sample
from titans_dna.report.track import TrackProfile, read_tracks
from titans_dna.report.variants import ScoredVariants, read_scored_variants

T = TypeVar("T")
#: Inputs of one file each, in the order in which the page lists them.
ROLES = (
    "evaluation", "variants", "regions", "track", "embeddings", "labels", "classifier", "classes", "copies",
    "generated",
)  # fmt: skip
logger = logging.getLogger(__name__)
_PARTS = {
    "variants": "variants",
    "mutagenesis": "variants",
    "tracks": "track",
    "all-SNVs": "track",
    "embeddings": "embeddings",
    "classes": "classes",
    "copies": "copies",
    "generated": "generated",
    "explanation": "explained",
}


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """Paths of the files that a report is made from; each may be left out, but not all of them.

    Raises
    ------
    ConfigError
        If no input is given, or an option is given without the input that it is about.
    """

    model: Path | None = None  # directory written by `pretrain`
    evaluation: Path | None = None  # JSON written by `evaluate`
    variants: Path | None = None  # what `score-variants` or `mutagenesis` wrote
    truth_field: str = ""  # INFO field with the true class of a variant, empty for none
    truth_optional: bool = False  # whether variants without that field are read nevertheless
    truth_positive: str = "breaking"  # value of that field for the class that should score high; the others should not
    regions: Path | None = None  # table written by `score-regions`
    track: Path | None = None  # what `score-regions --track` wrote
    tracks: tuple[Path, ...] = ()  # what `score-regions --tracks` wrote; bigWigs are named NAME.KIND.bw
    embeddings: Path | None = None  # what `embed` or `convert` wrote
    classifier: Path | None = None  # finetune.json written by `finetune`
    classes: Path | None = None  # table written by `predict`
    copies: Path | None = None  # BEDPE written by `score-regions --copies`
    generated: Path | None = None  # table written by `generate --table`
    explained: tuple[Path, ...] = ()  # tables written by `explain`
    samples: tuple[Path, ...] = ()  # JSON written by `statistics`, one file per sample
    folder: Path | None = None  # folder of the page, from which it links to the samples' own pages; None for no links
    label: str = ""  # column that tells the classes of embedded regions; "" for their names
    labels: Path | None = None  # table with "name" and that column; None for the columns of the HDF5 file

    def __post_init__(self) -> None:
        parts = (self.model, self.evaluation, self.variants, self.regions, self.track, self.tracks, self.embeddings)
        more = (self.classifier, self.classes, self.copies, self.generated, self.explained, self.samples)
        if not any((*parts, *more)):
            raise ConfigError("nothing to report on. Give at least one input, e.g. --model or --variants.")
        if self.truth_field and not self.variants:
            raise ConfigError(f"truth field {self.truth_field!r} without variants. Give --variants too.")
        if (self.label or self.labels) and not self.embeddings:
            raise ConfigError("--label and --labels are for embeddings. Give --embeddings too.")
        if self.labels and not self.label:
            raise ConfigError("--labels without --label. Name the column of the table.")


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """The data that a report shows; a part is None where its input was not given."""

    files: tuple[InputFile, ...]  # the inputs with their checksums, without the model directory
    run: ModelRun | None  # model and training
    evaluation: Evaluation | None  # bits per base on held-out sequence
    variants: ScoredVariants | None  # scored alleles
    truth_positive: str  # value of the truth field for the class that should score high
    regions: ScoredRegions | None  # scored regions
    tracks: tuple[TrackProfile, ...]  # each along the longest contig that has values
    embedded: EmbeddedRegions | None  # embeddings of regions
    classifier: Classifier | None = None  # a fine-tuned classifier beside its baseline
    predicted: PredictedClasses | None = None  # classes that a classifier predicted
    copies: Copies | None = None  # stretches and where they come from
    generated: GeneratedSequences | None = None  # generated sequences beside their prompts
    explained: ExplainedVariants | None = None  # variants base by base
    samples: tuple[SampleRow, ...] = ()  # the table over samples


def gather_inputs(inputs: ReportInputs) -> ReportData:
    """Read all inputs of a report.

    Raises
    ------
    InputMissing, CheckpointError, FormatError
        If an input is missing, or is not a file of the kind that its option is for.
    """
    files = [describe_file(role, path) for role in ROLES if (path := getattr(inputs, role))]
    files += [describe_file("explained", path) for path in inputs.explained]
    files += [describe_file("track", path) for path in inputs.tracks]
    files += [describe_file("sample", path) for path in inputs.samples]
    tracks = (*((inputs.track,) if inputs.track else ()), *inputs.tracks)
    run = _if_given(inputs.model, read_model_run)
    unseen = run.held_out if run else ()
    return ReportData(
        files=tuple(files),
        run=run,
        evaluation=_if_given(inputs.evaluation, read_evaluation),
        variants=_variants(inputs),
        truth_positive=inputs.truth_positive,
        regions=_if_given(inputs.regions, read_scored_regions),
        tracks=tuple(track for path in tracks for track in read_tracks(path, prefer=unseen)),
        embedded=_if_given(inputs.embeddings, partial(read_embedded_regions, label=inputs.label, labels=inputs.labels)),
        classifier=_if_given(inputs.classifier, read_classifier),
        predicted=_if_given(inputs.classes, read_predictions),
        copies=_if_given(inputs.copies, read_copies),
        generated=_if_given(inputs.generated, read_generated),
        explained=read_explained(inputs.explained) if inputs.explained else None,
        samples=tuple(read_sample(path, inputs.folder) for path in inputs.samples),
    )


def _if_given(path: Path | None, read: Callable[[Path], T]) -> T | None:
    return read(path) if path else None


def _variants(inputs: ReportInputs) -> ScoredVariants | None:
    """Return the scored variants, if any are given; their truth field must be there."""
    if inputs.variants is None:
        return None
    found = read_scored_variants(inputs.variants, truth_field=inputs.truth_field)
    if inputs.truth_field and not found.truth_field:
        what = f"no scored allele has the truth field {inputs.truth_field!r}"
        if not inputs.truth_optional:
            raise ConfigError(f"{what}. Name another INFO field or column.", path=inputs.variants)
        logger.warning("%s: %s", inputs.variants, what)
    return found


def part_of(path: Path) -> str:
    """Return the field of `titans_dna.report.gather.ReportInputs` that a file, or the folder of a model, belongs to.

    Raises
    ------
    ConfigError
        If the file holds nothing that a report shows.
    InputMissing, FormatError
        If there is no such file, or it is damaged.
    """
    if path.is_dir():
        return "model"
    found = sniff(path)
    if found is not None and found.holds in _PARTS:
        return _PARTS[found.holds]
    if found is not None and found.holds == "scores":
        names = {column.name for column in open_scores(path).columns}
        return "variants" if {"position", "llr"} <= names else "regions"
    if found is not None and found.holds == "figures" and (part := _part_of_figures(path)):
        return part
    what = f"holds {HOLDS[found.holds]}, which a report does not show" if found else "is of no known kind"
    raise ConfigError(f"{path}: {what}; name its part by an option")


def _part_of_figures(path: Path) -> str:
    """Return whether JSON is a sample's statistics, a classifier's test, or an evaluation; "" if it is none of them."""
    try:
        found = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except ValueError:
        return "evaluation"  # whose reader says what is wrong
    marks = {"sample": "samples", "training_examples": "classifier", "bits_per_base": "evaluation"}
    return next((part for mark, part in marks.items() if isinstance(found, dict) and mark in found), "")
