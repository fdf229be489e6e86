"""``titans-dna finetune``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from titans_dna.cli import options


@click.command("finetune", short_help="Train a classifier on labelled sequences or intervals.")
@options.model
@click.option("--data", type=options.FILE, required=True, help="Labelled CSV, TSV, FASTA or BED; also .gz.")
@click.option("--fasta", type=options.FILE, help="Genome from which labelled intervals are read.")
@options.aliases
@click.option(
    "--mode", type=click.Choice(["full", "frozen", "last-layers"]), default="full", show_default=True,
    help="What is trained beside the classifier: the whole model, nothing of it, or its last blocks.",
)  # fmt: skip
@click.option(
    "--last-layers", type=click.IntRange(1), default=1, show_default=True, help="Blocks to train in mode last-layers."
)
@click.option(
    "--epochs", type=click.IntRange(1), show_default="5 to 50, for some 250 steps", help="Passes over the examples."
)
@click.option("--batch", type=click.IntRange(1), default=32, show_default=True, help="Examples per step.")
@click.option("--learning-rate", type=float, default=1e-3, show_default=True, help="Highest learning rate.")
@click.option(
    "--kmer-bases", type=click.IntRange(1, 8), default=6, show_default=True, help="Bases of the baseline's k-mers."
)
@click.option(
    "--test-share", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.2, show_default=True,
    help="Share of each class to test on, where the data name no split.",
)  # fmt: skip
@options.seed
@options.device
@options.output("Folder of the classifier; it is made if it does not exist.", callback=None)
def finetune(
    model_folder: Path,
    data: Path,
    fasta: Path | None,
    aliases: Path | None,
    output: Path,
    test_share: float,
    device: str,
    **settings: Any,
) -> None:
    """Train a classifier on pooled features, and test it beside a logistic regression on k-mers.

    CSV and TSV have the columns sequence and label, or contig, start, end (0-based, end excluded) and label. A column
    split (train or test) may be added; rows that leave it empty are then learned from. In BED the name is the label, in
    FASTA the last word of the header.

    \b
    titans-dna finetune --model default --data enhancers.csv --output enhancers/
    titans-dna finetune --model default --data exons.bed --fasta genome.fa --mode frozen --output exons/
    """
    from titans_dna.cli.sources import open_genome, report_names
    from titans_dna.cli.terminal import progress_bar, report_outcomes
    from titans_dna.inference.model import load_model
    from titans_dna.training.finetune import FinetuneConfig, finetune_model
    from titans_dna.training.labelled import read_labelled

    config = FinetuneConfig(**settings)
    with open_genome(fasta, aliases) if fasta else nullcontext() as genome:
        examples = read_labelled(data, genome, test_share, config.seed)
        if genome:
            report_names(genome)
    model = load_model(model_folder, device)
    total = config.passes(len(examples.training)) * len(examples.training)
    with progress_bar("fine-tuning", total, "sequences") as advance:
        result = finetune_model(model, examples, output, config, advance=advance)
    click.echo(f"{result['tested_examples']:,} sequences tested, {result['training_examples']:,} learned")
    report_outcomes(result["rows"])
    for name, label in (("model", model.name), ("kmer_baseline", f"{config.kmer_bases}-mers")):
        numbers = "  ".join(f"{metric} {value:.4f}" for metric, value in result[name].items())
        click.echo(f"  {label:<16} {numbers}")
