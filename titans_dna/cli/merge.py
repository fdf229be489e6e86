"""``titans-dna merge``."""

from __future__ import annotations

from pathlib import Path

import click

from titans_dna.cli import options


@click.command("merge", short_help="Put the shards of a run together.")
@click.argument("shards", nargs=-1, required=True, type=options.FILE)
@options.output("The whole: VCF for VCF; for tables .tsv, .parquet, .h5 or .h5ad.")
def merge(shards: tuple[Path, ...], output: Path) -> None:
    """Put the shards of a run (--shard I/N of score-variants or score-regions) together, in the order of the input.

    All shards must be there, and be of one model, one sequence and one set of options.

    \b
    titans-dna merge part1.vcf.gz part2.vcf.gz --output all.vcf.gz
    titans-dna merge part*.parquet --output all.h5ad
    """
    from titans_dna.inference.merge_scores import merge_scores

    rows = merge_scores(shards, output)
    click.echo(f"{output}: {rows:,} rows of {len(shards)} shards", err=True)
