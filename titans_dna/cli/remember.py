"""``titans-dna remember``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from titans_dna.cli import options
from titans_dna.errors import ConfigError


@click.command("remember")
@click.option(
    "--fasta", "relatives", type=options.FILE, multiple=True,
    help="Genomes of relatives, strains or haplotypes: FASTA (plain, gzip, bgzip), GenBank or EMBL. Repeatable.",
)  # fmt: skip
@click.option(
    "--memory", "memories", type=options.FILE, multiple=True, help="What is remembered already, to add to. Repeatable."
)
@options.one_vote_per
@click.option(
    "--target", is_flag=True,
    help="The FASTA are what is to be scored, not relatives: keep both strands of each contig for --context window:N.",
)  # fmt: skip
@click.option("--contig", "contigs", multiple=True, help="With --target, this contig alone. Repeatable.")
@options.model_option("Folder of the model that is to use the memory: only its settings of the copy memory are read.")
@options.output("Memory file (.tdm).")
def remember(model_folder: Path, output: Path, target: bool, contigs: tuple[str, ...], **kin: Any) -> None:
    """Read genomes into a memory file, once, for `--memory` of the verbs that score.

    Nothing is aligned, and no network is needed: a million bases and more are read in a second, and take six to seven
    bytes each on the disk, besides tables of up to 134 MB. The file is mapped into memory by all processes that use
    it. Contigs of one file are one relative and have one vote; say with --one-vote-per where that is otherwise. A
    memory is not changed: to add to one, write another.

    With --target the genome itself is read, for the copy memory of --context window:N holds all of a contig before the
    place that is scored. One variant in the middle of human chromosome 1 is then scored in seconds. Scores are the same
    as without. A base takes twice as much, on the disk and while the file is written; the file is best made of one
    large chromosome, by --contig.

    \b
    titans-dna remember --fasta chimp.fa.gz --fasta dog.fa.gz --output mammals.tdm
    titans-dna remember --fasta pangenome.fa.gz --one-vote-per prefix --output haplotypes.tdm
    titans-dna remember --memory mammals.tdm --fasta cow.fa.gz --output more.tdm
    titans-dna score-variants --model default --fasta human.fa --vcf in.vcf --memory mammals.tdm -o scored.vcf.gz
    titans-dna remember --target --fasta hg38.fa --contig chr7 --output chr7.tdm
    titans-dna score-variants --fasta hg38.fa --vcf in.vcf --context window:8192 --memory chr7.tdm --output scored.tsv
    """
    from titans_dna.cli.terminal import number_of, progress_bar
    from titans_dna.loading.memory_file import save_memory, save_target
    from titans_dna.loading.relatives import RelativesChoice, read_relatives, read_target
    from titans_dna.model.checkpoint import CONFIG, read_backbone_config

    if target:
        options.refuse_useless("memories", "one_vote_per", where="with --target")
    else:
        options.refuse_useless("contigs", where="without --target")
    fastas = kin.pop("relatives")
    with progress_bar("reading", 0) as advance:
        form = read_backbone_config(model_folder / CONFIG).require_recall(model_folder.name)
        if target:
            if not fastas:
                raise ConfigError("--fasta is missing; give the genome that is to be scored")
            ahead = read_target(fastas, form, contigs, advance=advance)
        else:
            found, _ = read_relatives(RelativesChoice(fastas=fastas, **kin), form, advance=advance)
    if target:
        save_target(output, ahead)
        bases, what = (
            sum(contig.length_bp for contig in ahead.contigs),
            f"both strands of {number_of(len(ahead.contigs), 'contig')}",
        )
    else:
        save_memory(output, found)
        genomes = number_of(len(found.genomes), "genome")
        bases, what = found.bases, f"{number_of(len(found.contigs), 'contig')} of {genomes}"
    size = output.stat().st_size
    click.echo(f"{what}, {bases:,} bases, {size / 1e6:,.1f} MB ({size / max(1, bases):.2f} bytes a base)", err=True)
