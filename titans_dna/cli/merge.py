"""``titans-dna merge``."""

from __future__ import annotations

from pathlib import Path

import click

from titans_dna.cli import options
from titans_dna.errors import ConfigError


@click.command("merge")
@click.argument("shards", nargs=-1, required=True, type=options.FILE)
@click.option(
    "--virtual", is_flag=True,
    help="Do not copy embeddings but point to the shards, which must stay in the folder of the output or below.",
)  # fmt: skip
@options.output(
    "Merged file: HDF5 for embeddings, VCF (- for standard output) for scored VCFs, a table for other scores; tracks "
    "keep their format.", streams=True,
)  # fmt: skip
def merge(shards: tuple[Path, ...], virtual: bool, output: Path) -> None:
    """Make one file of all shards of a job, given in any order; it equals the file of a run without shards.

    The shards must have been made with the same weights, settings and sequence, and hold every row once. Rows come in
    the order of the input.

    \b
    titans-dna merge shard*.h5 --output embeddings.h5
    titans-dna merge shard*.vcf.gz --output scored.vcf.gz
    titans-dna merge part*.surprise.bw --output surprise.bw
    """
    from titans_dna.io.formats import HOLDS, sniff

    if any(output.resolve() == path.resolve() for path in shards):
        raise ConfigError(f"--output {output} is one of the shards. Choose another file.")
    # The first shard says what all of them hold; the merge itself refuses one that does not fit the others.
    found = sniff(shards[0])
    held = found.holds if found else ""
    if str(output) == "-" and held != "variants":
        raise ConfigError("--output is - for standard output, which is for VCF only. Name a file.")
    if held in ("tracks", "all-SNVs"):
        from titans_dna.cli.terminal import number_of
        from titans_dna.jobs.merge_tracks import merge_tracks

        options.refuse_useless("virtual", where="for tracks such as " + str(shards[0]))
        contigs = merge_tracks(shards, output)
        click.echo(f"{output}: tracks of {number_of(contigs, 'contig')} of {number_of(len(shards), 'shard')}", err=True)
    elif held in ("scores", "variants"):
        from titans_dna.jobs.merge_scores import merge_scores

        if virtual:
            raise ConfigError("--virtual is for embeddings only, because scores are copied; leave it out")
        rows = merge_scores(shards, output)
        click.echo(f"{output}: {rows:,} rows of {len(shards)} shards", err=True)
    elif found and held == "embeddings" and found.merges:
        _merge_embeddings(shards, output, virtual)
    else:
        what = f"holds {HOLDS[held]} ({found.name})" if found else "is of no format that titans-dna writes"
        raise ConfigError(f"{shards[0]}: {what}, and cannot be merged; give shards of embeddings (.h5) or of scores")


def _merge_embeddings(shards: tuple[Path, ...], output: Path, virtual: bool) -> None:
    from titans_dna.cli.terminal import number_of, progress_bar
    from titans_dna.io.embeddings.merge import merge_embeddings
    from titans_dna.io.formats import format_of
    from titans_dna.jobs.provenance import command_line

    format_of(output, verb="merge", holds="embeddings")
    with progress_bar("merging", 0, unit="rows") as advance:
        rows = merge_embeddings(shards, output, virtual=virtual, command=command_line(), progress=advance)
    click.echo(f"{output}: {number_of(rows, 'region')} of {number_of(len(shards), 'shard')}", err=True)
