"""``titans-dna predict``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from titans_dna.cli import options


@click.command("predict", short_help="Classify sequences or intervals by a fine-tuned model.")
@click.option(
    "--model",
    "model_folder",
    type=options.FILE,
    required=True,
    help="Use the classifier in this folder (see finetune).",
)
@click.option("--data", type=options.FILE, required=True, help="CSV, TSV, FASTA or BED, as for finetune; also .gz.")
@click.option("--fasta", type=options.FILE, help="Genome from which intervals are read.")
@options.aliases
@options.relatives
@options.device
@options.output(f"Table ({options.endings('predict')}, - for standard output).", streams=True)
def predict(
    model_folder: Path,
    data: Path,
    fasta: Path | None,
    aliases: Path | None,
    device: str,
    output: Path,
    kin: dict[str, Any],
) -> None:
    """Write, for every row of DATA, the most probable class and the probability of each class.

    Labels may be missing. If every usable row has one, the metrics of finetune are printed as well. Rows that cannot be
    used keep their line and say why in it. Further columns of a table stand behind the classes. Intervals are 0-based,
    ends excluded.

    \b
    titans-dna finetune --model default --data enhancers.csv --output enhancers/
    titans-dna predict --model enhancers/ --data more.csv --output classes.tsv
    titans-dna predict --model exons/ --data regions.bed --fasta genome.fa --output classes.tsv.gz
    """
    from titans_dna.cli.sources import open_genome, read_kin, report_names
    from titans_dna.cli.terminal import progress_bar, report_outcomes
    from titans_dna.jobs.provenance import command_line, describe_relatives
    from titans_dna.training.labelled import read_rows
    from titans_dna.training.predict import load_classifier, predict_classes, write_predictions
    from titans_dna.version import __version__

    classifier = load_classifier(model_folder, device)
    with open_genome(fasta, aliases) if fasta else nullcontext() as genome:
        rows = list(read_rows(data, genome, taught=False))
        found = read_kin(classifier.net.backbone.config, classifier.name, genome, kin)
        if genome:
            report_names(genome)
    classifier = classifier.behind(found) if found else classifier
    with progress_bar("predicting", len(rows), "sequences") as advance:
        predicted = predict_classes(classifier, rows, advance)
        metadata = {
            "version": __version__, "model": f"{classifier.name} sha256={classifier.weights_sha256}",
            "input": data.name, **({"relatives": describe_relatives(found)} if found else {}),
            "command": command_line(),
        }  # fmt: skip
        counts = write_predictions(output, classifier.classes, predicted, metadata)
    report_outcomes(counts.outcomes)
    if counts.metrics:
        click.echo("  ".join(f"{metric} {value:.4f}" for metric, value in counts.metrics.items()), err=True)
