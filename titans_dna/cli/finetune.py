"""``titans-dna finetune``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from titans_dna.cli import options
from titans_dna.errors import ConfigError

_OF_SEQUENCES = ("data", "mode", "last_layers", "lora_rank", "batch", "kmer_bases", "test_share")
_OF_BASES = ("features", "one_class", "holdout", "bases", "test_bases", "layers", "window_bp")


@click.command("finetune")
@options.model
@click.option("--data", type=options.FILE, help="Labelled CSV, TSV, FASTA or BED; also .gz.")
@click.option("--fasta", type=options.FILE, help="Genome from which labelled intervals, or all bases, are read.")
@options.aliases
@click.option(
    "--targets", type=options.FILE, multiple=True,
    help="Instead of --data: what to tell of every base of --fasta. BED, GTF or GFF (classes), or bigWig (values; "
    "repeatable).",
)  # fmt: skip
@click.option(
    "--feature", "features", multiple=True, metavar="TYPE",
    help="With --targets: a type of GTF or GFF that is a class (exon, CDS, ...), or splice_donor or splice_acceptor, "
    "which follow from the exons. Repeatable.",
)  # fmt: skip
@click.option("--one-class", is_flag=True, help="With --targets: take all lines of a BED as one class.")
@click.option(
    "--holdout", multiple=True, metavar="CONTIG[:START-END]",
    help="With --targets: test on this contig or region (1-based, end included) and learn from the rest. Repeatable.",
)  # fmt: skip
@click.option(
    "--bases", type=click.IntRange(1), default=2_000_000, show_default=True,
    help="With --targets: learn from so many bases, in stretches drawn at random.",
)  # fmt: skip
@click.option(
    "--test-bases", type=click.IntRange(1), default=1_000_000, show_default=True,
    help="With --targets: test on so many bases at the most.",
)  # fmt: skip
@click.option(
    "--layers", default="final", show_default=True, metavar="final|N,...",
    help="With --targets: take the features of these layers, separated by commas (0: token embedding).",
)  # fmt: skip
@click.option(
    "--window-bp", type=click.IntRange(1), default=4096, show_default=True,
    help="With --targets: let the network read so many bases before a stretch at least.",
)  # fmt: skip
@click.option(
    "--mode", type=click.Choice(["full", "frozen", "last-layers", "lora"]), default="full", show_default=True,
    help="What is trained beside the classifier: the whole model, nothing of it, its last blocks, or low-rank adapters "
    "of its linear maps (needs the package peft).",
)  # fmt: skip
@click.option(
    "--last-layers", type=click.IntRange(1), default=1, show_default=True, help="Blocks to train in mode last-layers."
)
@click.option(
    "--lora-rank", type=click.IntRange(1), default=8, show_default=True, help="Rank of the adapters in mode lora."
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    show_default="5 to 50, for some 250 steps; 4 with --targets",
    help="Passes over the examples.",
)
@click.option("--batch", type=click.IntRange(1), default=32, show_default=True, help="Examples per step.")
@click.option(
    "--learning-rate", type=float, show_default="0.001; 0.002 with --targets", help="Highest learning rate."
)  # fmt: skip
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
    data: Path | None,
    targets: tuple[Path, ...],
    fasta: Path | None,
    aliases: Path | None,
    output: Path,
    device: str,
    epochs: int | None,
    learning_rate: float | None,
    seed: int,
    **settings: Any,
) -> None:
    """Train a classifier on pooled features, and test it beside a logistic regression on k-mers.

    With --targets instead of --data, train a head that tells something of every base of a genome (classes such as CDS
    or splice sites, or the values of bigWigs) from what the model knows on both strands, and test it on what is held
    out, beside the same head that sees bases alone. The model itself is not changed.

    CSV and TSV have the columns sequence and label, or contig, start, end (0-based, end excluded) and label. A column
    split (train or test) may be added; rows that leave it empty are then learned from. In BED the name is the label, in
    FASTA the last word of the header.

    \b
    titans-dna finetune --model default --data enhancers.csv --output enhancers/
    titans-dna finetune --model default --data exons.bed --fasta genome.fa --mode frozen --output exons/
    titans-dna finetune --targets genes.gtf --feature CDS --fasta genome.fa --holdout chr12 --output cds/
    """
    if (data is None) == (not targets):
        raise ConfigError("give labelled sequences by --data, or what to tell of every base by --targets")
    given = {name: value for name, value in (("epochs", epochs), ("learning_rate", learning_rate)) if value is not None}
    of_sequences, of_bases = ({name: settings[name] for name in names if name in settings} for names in
                              (_OF_SEQUENCES, _OF_BASES))  # fmt: skip
    if data is not None:
        options.refuse_useless(*_OF_BASES, where="with --data")
        _of_sequences(model_folder, device, data, (fasta, aliases), output, {**of_sequences, **given, "seed": seed})
        return
    options.refuse_useless(*_OF_SEQUENCES, where="with --targets")
    if fasta is None:
        raise ConfigError("--targets are of the bases of a genome; give it by --fasta")
    _of_bases(model_folder, device, targets, (fasta, aliases), output, {**of_bases, **given, "seed": seed})


def _of_sequences(
    model_folder: Path, device: str, data: Path, source: tuple[Path | None, Path | None], output: Path,
    settings: dict[str, Any],
) -> None:  # fmt: skip
    from titans_dna.cli.sources import open_genome, report_names
    from titans_dna.cli.terminal import progress_bar, report_outcomes
    from titans_dna.inference.model import load_model
    from titans_dna.training.finetune import FinetuneConfig, finetune_model
    from titans_dna.training.labelled import read_labelled

    test_share = settings.pop("test_share")
    config = FinetuneConfig(**settings)
    with open_genome(source[0], source[1]) if source[0] else nullcontext() as genome:
        examples = read_labelled(data, genome, test_share, config.seed)
        if genome:
            report_names(genome)
    model = load_model(model_folder, device)
    total = config.passes(len(examples.training)) * len(examples.training)
    with progress_bar("fine-tuning", total, "sequences") as advance:
        result = finetune_model(model, examples, output, config, advance=advance)
    click.echo(f"{result['tested_examples']:,} sequences tested, {result['training_examples']:,} learned")
    click.echo(f"{result['parameters_trained']:,} weights trained", err=True)
    report_outcomes(result["rows"])
    for name, label in (("model", model.name), ("kmer_baseline", f"{config.kmer_bases}-mers")):
        numbers = "  ".join(f"{metric} {value:.4f}" for metric, value in result[name].items())
        click.echo(f"  {label:<16} {numbers}")


def _of_bases(
    model_folder: Path, device: str, targets: tuple[Path, ...], source: tuple[Path, Path | None], output: Path,
    settings: dict[str, Any],
) -> None:  # fmt: skip
    from titans_dna.cli.regions import place_regions, warn_unused
    from titans_dna.cli.sources import open_genome, report_names
    from titans_dna.cli.terminal import progress_bar
    from titans_dna.inference.model import load_model
    from titans_dna.training.base_heads import BaseHeadConfig, train_base_head
    from titans_dna.training.base_targets import read_targets

    features, one_class, holdout = (settings.pop(name) for name in ("features", "one_class", "holdout"))
    config = BaseHeadConfig(**{**settings, "layers": tuple(settings["layers"].split(","))})
    with open_genome(*source) as genome:
        placed = place_regions(genome, None, holdout) if holdout else []
        found = read_targets(targets, genome.contigs, features, one_class=one_class)
        report_names(genome)
        warn_unused(placed)
        aside = [region.placed for region in placed if region.usable]
        with progress_bar("reading", 0) as advance:
            result = train_base_head(
                load_model(model_folder, device), genome, found, aside, output, config, advance=advance
            )  # fmt: skip
    click.echo(f"{result['bases_tested']:,} bases tested, {result['bases_learned']:,} learned")
    for name in found.names:
        for who, label in (("model", "model"), ("bases_alone", "bases alone")):
            numbers = "  ".join(f"{metric} {value:.4f}" for metric, value in result[who][name].items())
            click.echo(f"  {name:<16} {label:<12} {numbers}")
