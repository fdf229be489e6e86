"""``titans-dna copies``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from titans_dna.cli import options


@click.command("copies")
@options.model_option("Folder of a model: only its copy memory is used, not its network.")
@options.fasta
@options.aliases
@options.relatives
@click.option("--contig", "contigs", multiple=True, help="Trace this contig only. Repeatable.")
@click.option("--least-bp", type=click.IntRange(1), default=32, show_default=True, help="Leave shorter stretches out.")
@options.output("Table of pairs of places (.bedpe, .bedpe.gz): 0-based, end excluded; genome browsers draw it as arcs.")
def copies(
    model_folder: Path, fasta: Path, aliases: Path | None, contigs: tuple[str, ...], least_bp: int, output: Path,
    kin: dict[str, Any],
) -> None:  # fmt: skip
    """Write every stretch that the copy memory foretells, with the earlier place or the relative that it comes from.

    Each contig is read once, forward; copies are found on both strands and through substitutions. No network is run:
    it takes a second or two for a million bases. A tandem array is a row of stretches that come from one unit before,
    and what no stretch covers was not in memory: new sequence, if relatives were read first.

    \b
    titans-dna copies --fasta data/demo.fa --output demo.bedpe
    titans-dna copies --fasta assembly.fa --relatives strain.fa --least-bp 200 --output origin.bedpe.gz
    """
    from titans_dna.cli.sources import open_genome, read_before, report_names
    from titans_dna.cli.terminal import number_of, progress_bar
    from titans_dna.inference.model import load_model
    from titans_dna.jobs.copies import write_copies

    model = load_model(model_folder, "cpu")
    with open_genome(fasta, aliases) as source:
        model = read_before(model, source, kin)
        chosen = [source.contigs.require(name) for name in contigs] or source.contigs.names
        with progress_bar("tracing", 0) as advance:
            count = write_copies(model, source, chosen, output, least_bp=least_bp, advance=advance)
        report_names(source)
    click.echo(number_of(count, "copy", "copies"), err=True)
