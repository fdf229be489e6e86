"""A pretraining run, from sequence files to a model folder."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from titans_dna.errors import CheckpointError, ConfigError, InputMissing
from titans_dna.inference.gates import GateStatistics
from titans_dna.io.disk.atomic import disk_errors, write_text
from titans_dna.jobs.provenance import command_line
from titans_dna.loading.lanes import MASKED, Contig
from titans_dna.model.backbone import Backbone
from titans_dna.model.checkpoint import save_checkpoint
from titans_dna.model.config import BackboneConfig
from titans_dna.model.device import choose_device
from titans_dna.tokenizers import Tokenizer, load_tokenizer
from titans_dna.training.checkpoints import load_snapshot, require_folder
from titans_dna.training.config import TrainingConfig
from titans_dna.training.data import Source, Split, TrainingData, read_data
from titans_dna.training.distributed import World, world_of_torchrun
from titans_dna.training.evaluation import bits_by_position, held_out_gates
from titans_dna.training.log import RunLog
from titans_dna.training.loop import LogRow, Trainer, evaluation_sample, train
from titans_dna.training.run_folder import BEST, SETTINGS, SPLITS, SUMMARY, forget_replaced, run_folder
from titans_dna.training.word_counts import count_words
from titans_dna.training.words import NUCLEOTIDES, fit_config
from titans_dna.version import __version__

SPLIT_FILES = ("holdout_bed", "aliases")
REQUEUE = 75  # exit code of a run that was told to stop: EX_TEMPFAIL of sysexits.h, "try again later"


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Everything that defines a run; it is written to ``run.json``, so that the run can go on."""

    sources: tuple[Source, ...]
    backbone: BackboneConfig
    training: TrainingConfig
    split: Split = field(default_factory=Split)
    tokenizer: Tokenizer = NUCLEOTIDES
    size: str = "custom"  # name of the configuration, for the record
    device: str = "auto"
    tensorboard: bool = False
    command: str = field(default_factory=command_line)  # the one that began the run, for the record

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain values, with absolute paths: a run may go on from another folder."""
        files = {name: getattr(self.split, name) for name in SPLIT_FILES}
        return {
            "sources": [[str(s.path.resolve()), s.weight] for s in self.sources],
            "backbone": self.backbone.to_dict(),
            "training": asdict(self.training),
            "split": {**asdict(self.split), **{k: str(path.resolve()) if path else None for k, path in files.items()}},
            "tokenizer": self.tokenizer.to_json(),
            "size": self.size, "device": self.device, "tensorboard": self.tensorboard, "command": self.command,
        }  # fmt: skip

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> RunSettings:
        """Return settings from what ``to_json`` returned."""
        split = dict(values["split"])
        split |= {name: Path(split[name]) if split.get(name) else None for name in SPLIT_FILES}
        return cls(
            sources=tuple(Source(path=Path(path), weight=weight) for path, weight in values["sources"]),
            backbone=BackboneConfig.from_dict(values["backbone"]),
            training=TrainingConfig(**values["training"]),
            split=Split(**split),
            tokenizer=load_tokenizer(values["tokenizer"]),
            size=values["size"], device=values["device"], tensorboard=values["tensorboard"],
            command=values.get("command", ""),  # earlier versions did not write it
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The end of a run."""

    summary: str  # one line
    finished: bool  # False if it was told to stop and can go on
    interrupted: bool = False  # whether Ctrl-C told it


def read_settings(output: Path) -> RunSettings:
    """Return the settings of the run in a folder.

    Raises
    ------
    InputMissing
        If there is no run in the folder.
    CheckpointError
        If its settings are damaged.
    """
    path = output / SETTINGS
    if not path.is_file():
        raise InputMissing(f"no run to resume: it has no {SETTINGS}. Name the --output of a pretrain run.", path=output)
    try:
        return RunSettings.from_json(json.loads(path.read_text()))
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        raise CheckpointError(f"the settings of the run are damaged ({error}). Start it again.", path=path) from error


def pretrain_model(
    output: Path,
    settings: RunSettings,
    *,
    resume: bool = False,
    overwrite: bool = False,
    advance: Callable[..., None] = lambda count, note="": None,
) -> RunResult:
    """Train a model, or go on with its training, and write the model folder.

    Under ``torchrun`` every process calls this function; the first one writes the files.

    Parameters
    ----------
    output
        Folder of the model: ``checkpoints/`` and ``log.csv`` from the start, the model itself at the end.
    settings
        The run.
    resume
        Whether to go on from the newest whole checkpoint in ``output``.
    overwrite
        Whether the run may replace a run or a model that is in ``output``. A finished model is kept, in
        ``.titans-dna-replaced/``, until the new one is complete.
    advance
        Called with the number of tokens of every step and, as ``note``, with what the log says of it.

    Raises
    ------
    ConfigError
        If nothing, or too little, is left to learn from, or the weights are not finite at the end.
    CheckpointError
        If there is no whole checkpoint from which to go on.
    OutputError
        If the folder cannot be written, another run is writing it, or it holds what must not be replaced.
    """
    where = choose_device(settings.device)
    with (
        world_of_torchrun(where) as world,
        run_folder(output, resume=resume, overwrite=overwrite) if world.leads else nullcontext(),
    ):
        # Every process starts from the same weights, and reads and counts the same sequence by itself.
        torch.manual_seed(settings.training.seed)
        data = read_data(settings.sources, settings.split, settings.tokenizer)
        model = Backbone(fit_config(settings.backbone, settings.tokenizer))
        # Also if the run resumes: only the last version of the counts is in the checkpoint.
        _count(model, data)
        model.to(where)
        trainer = Trainer(model, data.contigs, settings.training, tokenizer=settings.tokenizer, world=world)
        if resume:
            trainer.restore(load_snapshot(output, where))
            advance(sum(_step_bases(settings.training, step) for step in range(trainer.counters.step)))
        elif world.leads:
            _begin(output, settings, data)
        return _run(output, settings, data, trainer, world, advance)


def _run(
    output: Path,
    settings: RunSettings,
    data: TrainingData,
    trainer: Trainer,
    world: World,
    advance: Callable[..., None],
) -> RunResult:
    tensorboard = settings.tensorboard
    log = RunLog(output, after_step=trainer.counters.step, tensorboard=tensorboard) if world.leads else None
    last: dict[str, LogRow] = {}

    def report(row: LogRow) -> None:
        last[row.split] = row
        if log:
            log.write(row)
        if row.split == "train" and world.leads:
            note = f"step {row.step:,} of {settings.training.steps:,}, {row.bits_per_base:.4f} bits per base"
            advance(_step_bases(settings.training, row.step - 1), note=note)

    def report_gates(step: int, gates: list[GateStatistics]) -> None:
        if log:
            log.write_gates(step, gates)

    def improved(weights: dict[str, Tensor]) -> None:
        require_folder(output)
        _save(output / BEST, settings, weights, {})

    try:
        with stop_signals() as told:
            finished = train(
                trainer, data.held_out, report=report, report_gates=report_gates, output=output, improved=improved,
                stop=lambda: bool(told),
            )  # fmt: skip
    finally:
        if log:
            log.close()
    weights, count = trainer.weights(), trainer.counters
    if not finished:
        return RunResult(
            summary=f"{output}: stopped after step {count.step}; go on with --resume {output}",
            finished=False,
            interrupted=signal.SIGINT in told,
        )
    # Every process checks, so that all end alike and none waits for another.
    if not all(bool(torch.isfinite(x).all()) for x in weights.values()):
        raise ConfigError("training ended in weights that are not finite; lower --learning-rate")
    if world.leads:
        require_folder(output)
        record = {**_record(settings, data, trainer), **_findings(settings, data, trainer, weights)}
        _save(output, settings, weights, {SUMMARY: json.dumps(record, indent=2) + "\n"})
        forget_replaced(output)
    row = last.get("validation") or last.get("train")
    parameters = sum(x.numel() for x in trainer.model.parameters())
    bits = f", {row.bits_per_base:.4f} bits per base ({row.split})" if row else ""
    return RunResult(summary=f"{output}: {parameters:,} parameters{bits} after {count.bases:,} bases", finished=True)


def _step_bases(config: TrainingConfig, step: int) -> int:
    return config.lanes * config.window_at(step)


def _count(model: Backbone, data: TrainingData) -> None:
    """Count the words of the training sequence, if the model has tables of word counts."""
    if model.counts is None:
        return
    ids = [contig.codes & (MASKED - 1) for contig in data.contigs if isinstance(contig, Contig)]
    versions = count_words(ids, data.groups, [*data.left_out, frozenset()], model.counts.form)
    # The last version leaves nothing out: it is the one that the finished model keeps. All of them are used in
    # training.
    model.counts.store(*versions[-1])
    model.counts.use(versions)


def _begin(output: Path, settings: RunSettings, data: TrainingData) -> None:
    """Write the settings and the split of a new run."""
    for name, text in ((SETTINGS, json.dumps(settings.to_json(), indent=2) + "\n"), (SPLITS, data.bed)):
        with disk_errors(output):
            write_text(output / name, text)


def _save(folder: Path, settings: RunSettings, weights: dict[str, Tensor], texts: dict[str, str]) -> None:
    model = Backbone(fit_config(settings.backbone, settings.tokenizer))
    model.load_state_dict(weights)
    save_checkpoint(folder, model, settings.tokenizer.to_json(), texts)


def _record(settings: RunSettings, data: TrainingData, trainer: Trainer) -> dict[str, Any]:
    """Return the training record of the model folder."""
    count = trainer.counters
    return {
        **data.record,
        "command": settings.command,
        "model": settings.size,
        "tokenizer": settings.tokenizer.kind,
        "parameters": sum(x.numel() for x in trainer.model.parameters()),
        **asdict(settings.training),
        "seconds": round(count.seconds, 1),
        "bases": count.bases,
        "skipped_steps": count.skipped,
        "processes": trainer.world.processes,
        "device": trainer.device.type,
        "torch_version": torch.__version__,
        "package_version": __version__,
    }


def _findings(
    settings: RunSettings, data: TrainingData, trainer: Trainer, weights: dict[str, Tensor]
) -> dict[str, list[dict[str, Any]]]:
    """Return bits by position, and statistics of the gates, of the finished model on held-out sequence."""
    model, run = trainer.whole_model(weights), settings.training
    context = bits_by_position(model, data.held_out, trainer.bos, run.window_tokens, tokenizer=settings.tokenizer)
    sample = evaluation_sample(data.held_out, run, model.config.targets)
    gates = [asdict(memory) for memory in held_out_gates(model, sample, trainer.bos)]
    return {"bits_by_position": context, "gates": gates}


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Yield the list of the signals that have asked the process to stop, as Ctrl-C and a preempting scheduler do."""
    told: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # Python sets handlers in the main thread only
        yield told
        return

    def stop(number: int, _: Any) -> None:
        told.append(number)
        if number == signal.SIGINT:  # a second Ctrl-C does not wait for the end of the step
            signal.signal(number, before[signal.SIGINT])

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
