"""``titans-dna explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from titans_dna.cli import options
from titans_dna.errors import ConfigError


@click.command("explain")
@options.model
@options.fasta
@options.aliases
@options.relatives
@click.option(
    "--variant", "variants", multiple=True, metavar="CONTIG:POS:REF:ALT", help="A variant, 1-based. Repeatable."
)
@click.option(
    "--vcf", type=options.FILE,
    help="Take variants of this VCF, BCF or table: those of --id, or of a scored file the --top ones.",
)  # fmt: skip
@click.option(
    "--id", "names", multiple=True, metavar="ID|CONTIG:POS", help="Explain this variant of --vcf. Repeatable."
)
@click.option("--top", type=click.IntRange(1), help="Explain so many variants of --vcf, those with the lowest scores.")
@click.option(
    "--flank", "flank_bp", type=click.IntRange(0), default=40, show_default=True,
    help="Show so many bases before a variant too, which do not count.",
)  # fmt: skip
@click.option(
    "--horizon", "horizon_bp", type=click.IntRange(0), default=128, show_default=True,
    help="Bases after the variant whose probabilities count in its score.",
)  # fmt: skip
@click.option(
    "--longest", "longest_bp", type=click.IntRange(1), default=1000, show_default=True,
    help="Longest allele that is read, in bases.",
)  # fmt: skip
@click.option(
    "--picture", type=options.FILE, callback=options.check_output,
    help="Draw what every base adds to the scores (.png, .svg or .pdf), of 20 variants at the most.",
)  # fmt: skip
@options.context
@options.device
@options.output(f"Table ({options.endings('explain')}, - for standard output), a row for each base.", streams=True)
def explain(
    model_folder: Path, fasta: Path, aliases: Path | None, variants: tuple[str, ...], vcf: Path | None,
    names: tuple[str, ...], top: int | None, picture: Path | None, context: str, device: str, output: Path,
    kin: dict[str, Any], **settings: int,
) -> None:  # fmt: skip
    """Write ln P of every base around variants, read with REF and with ALT, on both strands.

    The score of a variant on a strand is the sum of ln P with ALT less that with REF over the bases whose column
    counted names the strand; so the table says which bases make it. Columns that end in _copy name the place that the
    copy memory followed there: contig, position and strand, the base that it foretold, how many of the last 32 bases it
    foretold, and how many places were followed. An inserted base has the position of the base before it, and an offset.

    \b
    titans-dna explain --fasta data/demo.fa --variant chrA:1000:A:G --picture why.svg --output why.tsv
    titans-dna explain --fasta hg38.fa --vcf scored.vcf.gz --top 5 --picture why.pdf --output why.tsv.gz
    """
    from titans_dna.cli.sources import open_genome, read_before, report_names
    from titans_dna.cli.terminal import progress_bar, report_outcomes
    from titans_dna.inference.model import load_model
    from titans_dna.inference.windows import Context
    from titans_dna.jobs.explain import (
        Explaining,
        chosen_variants,
        explain_variants,
        lowest_variants,
        write_explanations,
    )
    from titans_dna.report.explanation import draw_explanations

    if (vcf is None) == (not variants) or (vcf is not None and bool(names) == (top is not None)):
        raise ConfigError("give variants by --variant, or by --vcf with either --id or --top")
    if vcf is None:
        options.refuse_useless("names", "top", where="without --vcf")
    asked = list(dict.fromkeys(variants))
    if vcf is not None:
        asked = chosen_variants(vcf, names) if names else lowest_variants(vcf, top or 0)
    if not asked:
        click.echo(f"warning: {vcf} has no variant with a score, so the table is empty", err=True)
    how = Explaining(context=Context.parse(context), **settings)
    model = load_model(model_folder, device)
    with open_genome(fasta, aliases) as genome, progress_bar("reading", 0) as advance:
        model = read_before(model, genome, kin, how.context)
        found, counts = explain_variants(model, genome, asked, how, advance=advance) if asked else ([], {})
        write_explanations(output, model, genome, found, how)
        report_names(genome)
    if picture and found:
        draw_explanations(picture, [(str(each), each.explanation.bases) for each in found])
    for each in found:
        click.echo(each, err=True)
    report_outcomes(counts)
