"""``titans-dna convert``."""

from __future__ import annotations

from pathlib import Path

import click

from titans_dna.cli import options


@click.command("convert")
@click.argument("source", type=options.FILE)
@click.argument("target", type=options.FILE, callback=options.check_place)
def convert(source: Path, target: Path) -> None:
    """Convert embeddings between file formats; the endings of SOURCE and TARGET say which.

    An .h5 becomes .h5ad (AnnData), .parquet or .npy; .h5ad and .parquet become .h5 again without loss. .npy holds the
    vectors alone, in the order of the rows. Coordinates are 0-based, ends excluded, in all of them.

    \b
    titans-dna convert embeddings.h5 embeddings.h5ad
    titans-dna convert embeddings.parquet embeddings.h5
    """
    from titans_dna.cli.terminal import number_of
    from titans_dna.io.embeddings.convert import convert_embeddings

    regions = convert_embeddings(source, target)
    click.echo(f"{target}: {number_of(regions, 'region')}", err=True)
