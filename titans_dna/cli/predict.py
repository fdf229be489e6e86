"""``titans-dna predict``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titans_dna.cli import options
from titans_dna.errors import ConfigError
from titans_dna.io.formats import format_of

if TYPE_CHECKING:
    from titans_dna.io.sequence.fasta import Genome
    from titans_dna.jobs.haplotypes import SampleHaplotypes
    from titans_dna.training.labelled import Row

    Source = tuple[Path | None, Path | None, SampleHaplotypes | None]  # FASTA, aliases, and whose haplotypes


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
@options.haplotypes
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
    phased: SampleHaplotypes | None,
) -> None:
    """Write, for every row of DATA, the most probable class and the probability of each class.

    Labels may be missing. If every usable row has one, the metrics of finetune are printed as well. Rows that cannot be
    used keep their line and say why in it. Further columns of a table stand behind the classes. Intervals are 0-based,
    ends excluded.

    With --sample-vcf each interval has a row for each haplotype of a sample; start and end stay those of the reference,
    haplotype_start and haplotype_end are the haplotype's own. probability_difference, in both rows, is the probability
    on haplotype 2 minus that on haplotype 1, of the class in difference_class: of two classes the second by name, of
    more the one predicted on haplotype 1. Tracks of a head of bases are written on the reference, one per haplotype,
    and NAME_difference, haplotype 2 minus haplotype 1.

    \b
    titans-dna finetune --model default --data enhancers.csv --output enhancers/
    titans-dna predict --model enhancers/ --data more.csv --output classes.tsv
    titans-dna predict --model exons/ --data regions.bed --fasta genome.fa --output classes.tsv.gz
    titans-dna predict --model cds/ --fasta genome.fa --contig chr12 --bed-output cds.bed --output tracks.bw
    titans-dna predict --model exons/ --data regions.bed --fasta hg38.fa --sample-vcf phased.vcf.gz --output two.tsv
    """
    from titans_dna.training.base_heads import holds_base_head

    if phased and fasta is None:
        raise ConfigError("--sample-vcf changes a genome; give the one its variants were called on by --fasta")
    if holds_base_head(model_folder):
        options.refuse_useless("data", "one_vote_per", where="with a head that tells something of every base")
        bed = (bed_output, threshold) if bed_output is not None else None
        if bed is None:
            options.refuse_useless("threshold", where="without --bed-output")
        source = (fasta, aliases, phased)
        _predict_bases(model_folder, device, source, contigs, output, bed, (workers, resume), kin)
        return
    options.refuse_useless("contigs", "bed_output", "threshold", "resume", "workers", where="with a classifier")
    if data is None:
        raise ConfigError("give the sequences to classify by --data")
    _predict_classes(model_folder, device, data, (fasta, aliases, phased), output, kin)


def _predict_bases(
    model_folder: Path, device: str, source: Source, contigs: tuple[str, ...], output: Path,
    bed: tuple[Path, float] | None, how: tuple[int, bool], kin: dict[str, Any],
) -> None:  # fmt: skip
    from dataclasses import replace

    from titans_dna.cli.regions import on_haplotypes
    from titans_dna.cli.sources import open_genome, read_before, report_names
    from titans_dna.cli.terminal import number_of, progress_bar
    from titans_dna.genome.interval import Interval
    from titans_dna.inference.placing import place_interval
    from titans_dna.inference.windows import Context
    from titans_dna.training.base_heads import load_base_head
    from titans_dna.training.base_tracks import BedOutput, predict_base_tracks

    if source[0] is None:
        raise ConfigError("a head of bases reads contigs; give the genome by --fasta")
    format_of(output, verb="predict --tracks")
    stretches = BedOutput(path=bed[0], threshold=bed[1]) if bed else None
    trained = load_base_head(model_folder, device)
    with open_genome(source[0], source[1]) as reference, progress_bar("reading", 0) as advance:
        chosen = [reference.contigs.require(name) for name in contigs] or list(reference.contigs.names)
        whole = [Interval(name, 0, reference.contigs.lengths[name]) for name in chosen]
        genome, placed = on_haplotypes(reference, source[2], [place_interval(reference.contigs, one) for one in whole])
        read = [region.contig for region in placed]
        context = Context(kind="window", window_bp=trained.config.window_bp)
        trained = replace(trained, model=read_before(trained.model, genome, kin, context))
        bases = predict_base_tracks(
            trained, genome, read, output, bed=stretches, workers=how[0], resume=how[1], advance=advance
        )
        report_names(reference)
    what = number_of(len(read), "haplotype" if source[2] else "contig")
    click.echo(f"{bases:,} bases of {what}", err=True)


def _predict_classes(
    model_folder: Path, device: str, data: Path, source: Source, output: Path, kin: dict[str, Any],
) -> None:  # fmt: skip
    from titans_dna.cli.sources import open_genome, read_kin, report_names
    from titans_dna.cli.terminal import progress_bar, report_outcomes
    from titans_dna.inference.haplotype_genome import HaplotypeGenome
    from titans_dna.jobs.provenance import command_line, describe_relatives
    from titans_dna.training.haplotype_rows import haplotype_columns, told_by_haplotype
    from titans_dna.training.predict import load_classifier, predict_classes, write_predictions
    from titans_dna.version import __version__

    if str(output) != "-":
        format_of(output, verb="predict")
    classifier = load_classifier(model_folder, device)
    with open_genome(source[0], source[1]) if source[0] else nullcontext() as reference:
        genome, rows = _read_rows(data, reference, source[2])
        found = read_kin(classifier.net.backbone.config, classifier.name, genome, kin)
        if reference:
            report_names(reference)
    haplotypes = genome if isinstance(genome, HaplotypeGenome) else None
    which = haplotypes.which if haplotypes else ()
    classifier = classifier.behind(found) if found else classifier
    with progress_bar("predicting", len(rows), "sequences") as advance:
        predicted = told_by_haplotype(predict_classes(classifier, rows, advance), classifier.classes, which)
        metadata = {
            "version": __version__, "model": f"{classifier.name} sha256={classifier.weights_sha256}",
            "input": data.name, **({"relatives": describe_relatives(found)} if found else {}),
            **({"haplotypes": haplotypes.told} if haplotypes else {}), "command": command_line(),
        }  # fmt: skip
        counts = write_predictions(output, classifier.classes, predicted, metadata, haplotype_columns(which))
    report_outcomes(counts.outcomes)
    if counts.metrics:
        click.echo("  ".join(f"{metric} {value:.4f}" for metric, value in counts.metrics.items()), err=True)


def _read_rows(
    data: Path, reference: Genome | None, phased: SampleHaplotypes | None
) -> tuple[Genome | None, list[Row]]:  # fmt: skip
    """Return the rows to classify, and the genome that their bases are from: that of a sample's haplotypes if asked."""
    from titans_dna.cli.regions import on_haplotypes
    from titans_dna.training.haplotype_rows import place_examples, read_on_haplotypes
    from titans_dna.training.labelled import iterate_examples, read_rows

    if reference is None or phased is None:
        return reference, list(read_rows(data, reference, taught=False))
    examples = list(iterate_examples(data, taught=False))
    genome, placed = on_haplotypes(reference, phased, place_examples(examples, reference))
    return genome, list(read_on_haplotypes(examples, placed, genome))
