"""``titans-dna mutagenesis``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from titans_dna.cli import options
from titans_dna.errors import ConfigError
from titans_dna.genome.shard import Shard
from titans_dna.io.formats import format_of


@click.command("mutagenesis")
@options.model
@options.fasta
@options.aliases
@options.relatives
@options.bed
@options.region
@click.option(
    "--horizon", "horizon_bp", type=click.IntRange(0), default=128, show_default=True,
    help="Bases after a change whose probabilities count in its score.",
)  # fmt: skip
@click.option(
    "--picture", type=options.FILE, callback=options.check_output,
    help="Draw the first region as a sequence logo scaled by effect (.png, .svg or .pdf).",
)  # fmt: skip
@click.option(
    "--all-snvs", is_flag=True,
    help="Write ln P of A, C, G and T at every base instead, from one pass over each strand of each contig.",
)  # fmt: skip
@click.option("--contig", "contigs", multiple=True, help="With --all-snvs: take this contig only. Repeatable.")
@click.option(
    "--strand", type=click.Choice(["both", "forward", "reverse"]), default="both", show_default=True,
    help="With --all-snvs: strand to read; both averages the two.",
)  # fmt: skip
@options.region_context
@options.workers
@options.shard
@options.resume
@options.device
@options.output(
    "HDF5 (.h5). With --all-snvs: .tsv.gz (bgzip and tabix, 1-based), NAME.bw (one for each base) or .h5.",
    callback=options.check_place,
)
def mutagenesis(
    model_folder: Path,
    fasta: Path,
    aliases: Path | None,
    bed: Path | None,
    regions: tuple[str, ...],
    horizon_bp: int,
    picture: Path | None,
    all_snvs: bool,
    contigs: tuple[str, ...],
    strand: str,
    context: str,
    workers: int,
    shard: Shard,
    resume: bool,
    device: str,
    output: Path,
    kin: dict[str, Any],
) -> None:
    """Score all three changes of every base of a region by ln P(change) - ln P(reference), given the whole contig.

    With --all-snvs the genome is read once, and every possible SNV is scored by the bases before it on each strand.

    \b
    titans-dna mutagenesis --model model/ --fasta data/demo.fa --region chrA:1001-1100 --picture logo.svg -o effects.h5
    titans-dna mutagenesis --model model/ --fasta data/demo.fa --all-snvs --contig chrC -o snvs.tsv.gz
    """
    from titans_dna.cli.regions import place_regions, warn_unused
    from titans_dna.cli.sources import open_genome, read_before, report_names
    from titans_dna.cli.terminal import number_of, progress_bar
    from titans_dna.inference.model import load_model
    from titans_dna.inference.windows import Context
    from titans_dna.jobs.mutagenesis import mutate_regions, write_all_snvs
    from titans_dna.report.logo import draw_effects

    if all_snvs == bool(regions or bed):
        raise ConfigError("give regions (--region, --bed), or --all-snvs for whole contigs")
    if not (shard.whole or all_snvs):
        raise ConfigError("--shard divides the contigs of --all-snvs; give each machine regions of its own instead")
    if all_snvs:
        options.refuse_useless("horizon_bp", "picture", where="with --all-snvs")
    else:
        options.refuse_useless("contigs", "strand", where="without --all-snvs")
    format_of(output, verb="mutagenesis --all-snvs" if all_snvs else "mutagenesis")
    model = load_model(model_folder, device)
    with open_genome(fasta, aliases) as source, progress_bar("mutating", 0) as advance:
        model = read_before(model, source, kin, Context.parse(context))
        if all_snvs:
            chosen = [source.contigs.require(name) for name in contigs] or source.contigs.names
            report_names(source)
            strands = {"both": (False, True), "forward": (False,), "reverse": (True,)}[strand]
            write_all_snvs(
                model, source, chosen, output, strands=strands, shard=shard, resume=resume,
                context=Context.parse(context), workers=workers, advance=advance,
            )  # fmt: skip
            return
        placed = place_regions(source, bed, regions)
        report_names(source)
        warn_unused(placed)
        found = mutate_regions(
            model, source, [p.placed for p in placed if p.usable], output, horizon_bp=horizon_bp,
            resume=resume, context=Context.parse(context), workers=workers, advance=advance,
        )  # fmt: skip
    click.echo(f"{number_of(len(found), 'region')} mutated", err=True)
    if picture:
        first = found[0]
        draw_effects(picture, f"{first.region}  ({model.name})", first.region.start + 1, first.reference, first.mean)
