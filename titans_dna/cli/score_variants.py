"""``titans-dna score-variants``."""

from __future__ import annotations

from pathlib import Path

import click

from titans_dna.cli import options


@click.command("score-variants", short_help="Score the variants of a VCF.")
@options.model
@options.fasta
@options.aliases
@click.option(
    "--vcf", type=options.FILE, required=True,
    help="Variants: .vcf, .vcf.gz, .bcf, - for standard input, a table (.tsv, .csv, .txt), or CONTIG:POSITION:REF:ALT.",
)  # fmt: skip
@options.columns
@click.option(
    "--horizon", "horizon_bp", type=click.IntRange(0), default=128, show_default=True,
    help="Bases behind the variant whose probabilities count.",
)  # fmt: skip
@click.option(
    "--longest", "longest_bp", type=click.IntRange(1), default=1000, show_default=True, help="Longest allele, in bases."
)
@click.option(
    "--on-mismatch", type=click.Choice(["skip", "error"]), default="skip", show_default=True,
    help="What to do where REF differs from the FASTA.",
)  # fmt: skip
@options.device
@options.output("VCF (.vcf.gz with index, .vcf, - for standard output) or table (.tsv, .tsv.gz).")
def score_variants(
    model_folder: Path, fasta: Path, aliases: Path | None, vcf: Path, columns: tuple[str, ...], output: Path,
    device: str, **settings: object,
) -> None:  # fmt: skip
    """Score every ALT by ln P(ALT) - ln P(REF), given the whole contig before it, averaged over both strands.

    Negative means that the model finds ALT less likely than REF. Every record is written; an ALT that cannot be scored
    has a reason in TD_OUTCOME. Positions are 1-based, as in VCF.

    \b
    titans-dna score-variants --model model/ --fasta data/demo.fa --vcf data/demo.vcf --output scored.vcf.gz
    titans-dna score-variants --model model/ --fasta hg38.fa --vcf sge.tsv --column position=hg38_pos -o out.tsv
    """
    from titans_dna.cli.progress import progress_bar
    from titans_dna.cli.sources import open_genome, report_names
    from titans_dna.inference.model import load_model
    from titans_dna.inference.variant_file import score_variant_file
    from titans_dna.io.variant_table import VariantColumns

    model = load_model(model_folder, device)
    with open_genome(fasta, aliases) as source, progress_bar("scoring", 0) as advance:
        counts = score_variant_file(
            model, source, vcf, output, columns=VariantColumns.parse(columns), advance=advance, **settings,  # type: ignore[arg-type]
        )  # fmt: skip
        report_names(source)
    for outcome, count in counts.items():
        click.echo(f"{outcome:<20} {count:>10,}", err=True)
    click.echo(f"{'total':<20} {sum(counts.values()):>10,}", err=True)
