"""``titans-dna remember``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from titans_dna.cli import options


@click.command("remember", short_help="Read genomes of relatives into a memory file.")
@click.option(
    "--fasta", "relatives", type=options.FILE, multiple=True,
    help="Genomes of relatives, strains or haplotypes: FASTA (plain, gzip, bgzip), GenBank or EMBL. Repeatable.",
)  # fmt: skip
@click.option(
    "--memory", "memories", type=options.FILE, multiple=True, help="What is remembered already, to add to. Repeatable."
)
@options.one_vote_per
@options.model_option("Folder of the model that is to use the memory: only its settings of the copy memory are read.")
@options.output("Memory file (.tdm).")
def remember(model_folder: Path, output: Path, **kin: Any) -> None:
    """Read genomes into a memory file, once, for `--memory` of the verbs that score.

    Nothing is aligned, and no network is needed: a million bases and more are read in a second, and take six to seven
    bytes each on the disk, besides tables of up to 134 MB. The file is mapped into memory by all processes that use
    it. Contigs of one file are one relative and have one vote; say with --one-vote-per where that is otherwise. A
    memory is not changed: to add to one, write another.

    \b
    titans-dna remember --fasta chimp.fa.gz --fasta dog.fa.gz --output mammals.tdm
    titans-dna remember --fasta pangenome.fa.gz --one-vote-per prefix --output haplotypes.tdm
    titans-dna remember --memory mammals.tdm --fasta cow.fa.gz --output more.tdm
    titans-dna score-variants --model default --fasta human.fa --vcf in.vcf --memory mammals.tdm -o scored.vcf.gz
    """
    from titans_dna.cli.progress import progress_bar
    from titans_dna.loading.memory_file import save_memory
    from titans_dna.loading.relatives import RelativesChoice, read_relatives
    from titans_dna.model.checkpoint import CONFIG, read_backbone_config

    choice = RelativesChoice(fastas=kin.pop("relatives"), **kin)
    with progress_bar("reading", 0) as advance:
        form = read_backbone_config(model_folder / CONFIG).require_recall(model_folder.name)
        found, _ = read_relatives(choice, form, advance=advance)
    save_memory(output, found)
    size = output.stat().st_size
    click.echo(
        f"{len(found.contigs):,} contigs of {len(found.genomes):,} genomes, {found.bases:,} bases, "
        f"{size / 1e6:,.1f} MB ({size / found.bases:.2f} bytes a base)",
        err=True,
    )
