"""``titans-dna pretrain``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from titans_dna.cli import options


@click.command("pretrain")
@click.option(
    "--fasta", "fastas", multiple=True, metavar="FASTA[=WEIGHT]",
    help="FASTA, GenBank or EMBL to learn from; bases of weight 2 are drawn twice as often. Repeatable.",
)  # fmt: skip
@click.option(
    "--holdout", multiple=True, metavar="CONTIG", help="Contig to evaluate on and never learn from. Repeatable."
)
@click.option(
    "--exclude", multiple=True, metavar="CONTIG",
    help="Contig to leave out of training and evaluation; FASTA:CONTIG means that of one file only. Repeatable.",
)  # fmt: skip
@click.option("--holdout-bed", type=options.FILE, help="Regions to evaluate on (BED: 0-based, end excluded).")
@click.option(
    "--holdout-share", type=click.FloatRange(0, 1, max_open=True), default=0.0,
    help="Share of contigs to evaluate on, drawn by --seed.",
)  # fmt: skip
@options.aliases
@options.tokenizer
@click.option("--config", default="tiny", show_default=True, help="Size of the model by name, or a config.json.")
@click.option(
    "--recall/--no-recall", default=None,
    help="Whether the model has a copy memory, which finds again what was read, however far back; by default --config "
    "decides. What it recalls is computed once before training, in some 3 microseconds and 4 to 12 bytes per base and "
    "strand.",
)  # fmt: skip
@click.option("--steps", type=click.IntRange(1), default=1000, show_default=True, help="Updates of the weights.")
@click.option(
    "--lanes", type=click.IntRange(1), default=16, show_default=True, help="Windows per step, over all processes."
)
@click.option(
    "--accumulate", type=click.IntRange(1), default=1, show_default=True,
    help="Parts into which a process cuts its windows of a step, to need less memory.",
)  # fmt: skip
@click.option("--window-tokens", type=click.IntRange(2), default=1024, show_default=True, help="Tokens per window.")
@click.option(
    "--first-window-tokens", type=click.IntRange(0), default=0,
    help="Start with windows of this many tokens, and double them until they are --window-tokens long.",
)  # fmt: skip
@click.option(
    "--restart", type=click.FloatRange(0, 1, min_open=True), default=0.25, show_default=True,
    help="Chance that, after a window, a lane jumps to a random place with a fresh memory; 1: random windows only.",
)  # fmt: skip
@click.option("--random-share", type=click.FloatRange(0, 1), default=0.0, help="Share of lanes with random windows.")
@click.option("--learning-rate", type=float, default=3e-3, show_default=True, help="Highest learning rate.")
@click.option(
    "--soft-mask-weight", type=click.FloatRange(0, 1), default=0.1, show_default=True,
    help="Weight of lower-case bases (repeats) in the loss.",
)  # fmt: skip
@click.option(
    "--evaluate-every", type=click.IntRange(1), default=100, show_default=True, help="Steps between evaluations."
)
@click.option("--save-every", type=click.IntRange(1), default=100, show_default=True, help="Steps between checkpoints.")
@click.option(
    "--precision", type=click.Choice(["float32", "bfloat16"]), default="float32", show_default=True,
    help="Number format of matrix products.",
)  # fmt: skip
@click.option(
    "--strategy", type=click.Choice(["ddp", "fsdp", "context"]), default="ddp", show_default=True,
    help="How several processes (torchrun) share the work: replicas, sharded weights, or windows cut into pieces.",
)  # fmt: skip
@click.option("--tensorboard", is_flag=True, help="Write events for TensorBoard too.")
@options.seed
@options.device
@click.option("--output", "-o", type=options.FILE, help="Folder of the model; it is made if it does not exist.")
@click.option("--resume", type=options.FILE, metavar="DIR", help="Go on with the run in DIR, with its own settings.")
@click.option(
    "--overwrite", is_flag=True, help="Replace the run or the model in --output once the new one is complete."
)
def pretrain(output: Path | None, resume: Path | None, overwrite: bool, **settings: Any) -> None:
    """Train a model on the contigs of FASTA files.

    A run keeps checkpoints in its folder; after a crash, --resume goes on as if nothing had happened. On SIGTERM or
    SIGUSR1 it saves and exits with code 75, for a scheduler to queue it again; on Ctrl-C it saves and exits with 130.

    \b
    titans-dna pretrain --fasta data/demo.fa --holdout chrC --steps 100 --output model/
    titans-dna pretrain --fasta human.fa --fasta mouse.fa=0.5 --holdout-share 0.05 --recall --output model/
    titans-dna pretrain --fasta data/demo.fa --holdout chrC --tokenizer kmer:6 --steps 100 --output words/
    titans-dna pretrain --resume model/
    torchrun --nproc-per-node 2 -m titans_dna pretrain --fasta data/demo.fa --output model/
    """
    from titans_dna.cli import INTERRUPTED
    from titans_dna.cli.terminal import progress_bar
    from titans_dna.training.run import REQUEUE, pretrain_model, read_settings

    if resume is not None:
        if overwrite:
            raise click.UsageError("--resume goes on with a run and --overwrite replaces it. Choose one of them.")
        run, folder = read_settings(resume), resume
    elif output is None or not settings["fastas"]:
        raise click.UsageError("give --fasta and --output to start a run, or --resume to go on with one")
    else:
        run, folder = _settings(**settings), output
    training = run.training
    bases = sum(training.lanes * training.window_at(step) for step in range(training.steps))
    with progress_bar("training", bases) as advance:
        result = pretrain_model(folder, run, resume=resume is not None, overwrite=overwrite, advance=advance)
    click.echo(result.summary, err=not result.finished)
    if not result.finished:
        raise SystemExit(INTERRUPTED if result.interrupted else REQUEUE)


def _settings(
    *, fastas: tuple[str, ...], holdout: tuple[str, ...], exclude: tuple[str, ...], holdout_bed: Path | None,
    aliases: Path | None, holdout_share: float, tokenizer: str, config: str, recall: bool | None, device: str,
    tensorboard: bool, **training: Any,
) -> Any:  # fmt: skip
    from titans_dna.model.checkpoint import read_backbone_config
    from titans_dna.model.config import named_config
    from titans_dna.recall.form import RecallForm
    from titans_dna.tokenizers import named_tokenizer
    from titans_dna.training.config import TrainingConfig
    from titans_dna.training.data import Source, Split
    from titans_dna.training.run import RunSettings

    backbone = read_backbone_config(Path(config)) if config.endswith(".json") else named_config(config)
    if recall is not None:
        # A copy memory that the configuration describes keeps its own form; only a missing one gets the default form.
        backbone = replace(backbone, recall=(backbone.recall or RecallForm()) if recall else None)
    return RunSettings(
        sources=tuple(Source.parse(text) for text in fastas),
        backbone=backbone,
        training=TrainingConfig(**training),
        tokenizer=named_tokenizer(tokenizer),
        split=Split(
            holdout=holdout, exclude=exclude, holdout_bed=holdout_bed, holdout_share=holdout_share,
            aliases=aliases, seed=training["seed"],
        ),
        size=config, device=device, tensorboard=tensorboard,
    )  # fmt: skip
