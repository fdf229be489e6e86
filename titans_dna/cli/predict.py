"""``titans-dna predict``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from titans_dna.cli import options
from titans_dna.errors import ConfigError
from titans_dna.io.formats import format_of


@click.command("predict")
@click.option(
    "--model",
    "model_folder",
    type=options.FILE,
    required=True,
    help="Use the classifier in this folder (see finetune).",
)
@click.option("--data", type=options.FILE, help="CSV, TSV, FASTA or BED, as for finetune; also .gz.")
@click.option("--fasta", type=options.FILE, help="Genome from which intervals, or all bases, are read.")
@options.aliases
@options.relatives
@click.option("--contig", "contigs", multiple=True, help="With a head of bases: read this contig only. Repeatable.")
@click.option(
    "--bed-output", type=options.FILE, callback=options.check_place,
    help="With a head of bases: also write the stretches of each class as BED.",
)  # fmt: skip
@click.option(
    "--threshold", type=click.FloatRange(0, 1, min_open=True), default=0.5, show_default=True,
    help="With --bed-output: least probability of the bases of a stretch.",
)  # fmt: skip
@options.workers
@options.resume
@options.device
@options.output(
    f"Table ({options.endings('predict')}, - for standard output); with a head of bases tracks "
    f"({options.endings('predict --tracks')}; a bigWig is NAME.CLASS.bw).", callback=options.check_place,
)  # fmt: skip
def predict(
    model_folder: Path,
    data: Path | None,
    fasta: Path | None,
    aliases: Path | None,
    contigs: tuple[str, ...],
    bed_output: Path | None,
    threshold: float,
    workers: int,
    resume: bool,
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
    titans-dna predict --model cds/ --fasta genome.fa --contig chr12 --bed-output cds.bed --output tracks.bw
    """
    from titans_dna.training.base_heads import holds_base_head

    if holds_base_head(model_folder):
        options.refuse_useless("data", "one_vote_per", where="with a head that tells something of every base")
        bed = (bed_output, threshold) if bed_output is not None else None
        if bed is None:
            options.refuse_useless("threshold", where="without --bed-output")
        _predict_bases(model_folder, device, (fasta, aliases), contigs, output, bed, (workers, resume), kin)
        return
    options.refuse_useless("contigs", "bed_output", "threshold", "resume", "workers", where="with a classifier")
    if data is None:
        raise ConfigError("give the sequences to classify by --data")
    _predict_classes(model_folder, device, data, (fasta, aliases), output, kin)


def _predict_bases(
    model_folder: Path, device: str, source: tuple[Path | None, Path | None], contigs: tuple[str, ...], output: Path,
    bed: tuple[Path, float] | None, how: tuple[int, bool], kin: dict[str, Any],
) -> None:  # fmt: skip
    from dataclasses import replace

    from titans_dna.cli.sources import open_genome, read_before, report_names
    from titans_dna.cli.terminal import progress_bar
    from titans_dna.inference.windows import Context
    from titans_dna.training.base_heads import load_base_head
    from titans_dna.training.base_tracks import BedOutput, predict_base_tracks

    if source[0] is None:
        raise ConfigError("a head of bases reads contigs; give the genome by --fasta")
    format_of(output, verb="predict --tracks")
    stretches = BedOutput(path=bed[0], threshold=bed[1]) if bed else None
    trained = load_base_head(model_folder, device)
    with open_genome(source[0], source[1]) as genome, progress_bar("reading", 0) as advance:
        context = Context(kind="window", window_bp=trained.config.window_bp)
        trained = replace(trained, model=read_before(trained.model, genome, kin, context))
        chosen = [genome.contigs.require(name) for name in contigs] or list(genome.contigs.names)
        bases = predict_base_tracks(
            trained, genome, chosen, output, bed=stretches, workers=how[0], resume=how[1], advance=advance
        )
        report_names(genome)
    click.echo(f"{bases:,} bases of {len(chosen):,} contigs", err=True)


def _predict_classes(
    model_folder: Path, device: str, data: Path, source: tuple[Path | None, Path | None], output: Path,
    kin: dict[str, Any],
) -> None:  # fmt: skip
    from titans_dna.cli.sources import open_genome, read_kin, report_names
    from titans_dna.cli.terminal import progress_bar, report_outcomes
    from titans_dna.jobs.provenance import command_line, describe_relatives
    from titans_dna.training.labelled import read_rows
    from titans_dna.training.predict import load_classifier, predict_classes, write_predictions
    from titans_dna.version import __version__

    if str(output) != "-":
        format_of(output, verb="predict")
    classifier = load_classifier(model_folder, device)
    with open_genome(source[0], source[1]) if source[0] else nullcontext() as genome:
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
