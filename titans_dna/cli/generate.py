"""``titans-dna generate``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titans_dna.cli import options
from titans_dna.errors import ConfigError

if TYPE_CHECKING:
    from titans_dna.jobs.haplotypes import SampleHaplotypes


@click.command("generate")
@options.model
@click.option("--fasta", type=options.FILE, help="Take the prompts from this FASTA, GenBank or EMBL file.")
@options.aliases
@options.relatives
@options.bed
@options.region
@options.haplotypes
@click.option(
    "--prompt", "prompts", multiple=True, metavar="BASES",
    help="Take these bases as a prompt, without a FASTA; '' begins with nothing. Repeatable.",
)  # fmt: skip
@click.option(
    "--strand", type=click.Choice(["forward", "reverse"]), default="forward", show_default=True,
    help="Go on behind the end of a region, or along the other strand before its start.",
)  # fmt: skip
@click.option(
    "--bases", type=click.IntRange(1), default=1000, show_default=True, help="Generate so many bases in each sequence."
)
@click.option(
    "--number", type=click.IntRange(1), default=1, show_default=True, help="Generate so many sequences per prompt."
)
@click.option(
    "--temperature", type=click.FloatRange(0), default=1.0, show_default=True,
    help="Divide the logarithms of the probabilities by this; 0 takes the most likely base always.",
)  # fmt: skip
@click.option(
    "--top-k", type=click.IntRange(1, 4), default=4, show_default=True, help="Draw only from the K most likely bases."
)
@click.option(
    "--top-p", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
    help="Draw only from the fewest most likely bases whose probabilities together reach P.",
)  # fmt: skip
@click.option(
    "--without-copies", is_flag=True,
    help="Do not ask the copy memory while bases are drawn, so that less is repeated of what was read.",
)  # fmt: skip
@click.option(
    "--table", type=options.FILE, callback=options.check_output,
    help="Write a row for each prompt and each sequence too: bits per base, GC, words, and the share that is copied "
    f"({options.endings('generate --table')}).",
)  # fmt: skip
@options.region_context
@options.seed
@options.workers
@options.resume
@options.device
@options.output(f"FASTA ({options.endings('generate')}, - for standard output).", streams=True)
def generate(
    model_folder: Path, fasta: Path | None, aliases: Path | None, bed: options.RegionFile | None,
    regions: tuple[str, ...], prompts: tuple[str, ...], strand: str, bases: int, number: int, temperature: float,
    top_k: int, top_p: float, without_copies: bool, table: Path | None, context: str, seed: int, workers: int,
    resume: bool, device: str, output: Path, kin: dict[str, Any], phased: SampleHaplotypes | None,
) -> None:  # fmt: skip
    """Write sequences that go on behind prompts, each base drawn from what the model expects there.

    A prompt is a region of --fasta, read behind all of its contig before it (see --context); without --bed and --region
    every contig is one. It can be a whole chromosome, and relatives can be read before it. The name of a sequence is
    that of its prompt and a number; behind it stand ln P and bits per base by the model, GC, and the share of its bases
    that the copy memory foretold from an earlier place: what is copied was not invented.

    A sequence depends on the seed, its prompt and its number alone, not on how many others there are.

    With --sample-vcf each region is a prompt on each haplotype of a sample, NAME/1 and NAME/2, read behind that
    haplotype of its contig. Both draw with the random numbers of the region's own name, so that nothing but what was
    read makes their sequences differ. bits_difference of --table is bits per base on haplotype 2 minus those on
    haplotype 1, of the prompt and of each sequence; haplotype_start and haplotype_end are the prompt's own place.

    \b
    titans-dna generate --fasta data/demo.fa --region chrA:1-20000 --bases 200 --number 2 --output next.fa
    titans-dna generate --prompt ATGGCGACC --bases 100 --temperature 0 --output -
    titans-dna generate --fasta hg38.fa --sample-vcf phased.vcf.gz --sample NA1 --region chr2:1-9000 --output two.fa
    """
    from titans_dna.api.sequences import read_sequences
    from titans_dna.cli.regions import on_haplotypes, place_regions, warn_unused
    from titans_dna.cli.sources import open_genome, read_before, report_names
    from titans_dna.cli.terminal import progress_bar, report_outcomes
    from titans_dna.inference.generate import Sampling
    from titans_dna.inference.model import load_model
    from titans_dna.inference.windows import Context
    from titans_dna.jobs.generate import Generation, generate_file, prompts_of_regions, prompts_of_text

    if prompts and phased:
        raise ConfigError("--prompt gives the bases themselves, which --sample-vcf cannot change; leave one out")
    if (fasta is None) == (not prompts):
        raise ConfigError("give prompts by --fasta, with --region or --bed for parts of it, or by --prompt")
    if fasta is None:
        options.refuse_useless("regions", "bed", "strand", "context", where="without --fasta")
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed, copies=not without_copies)
    how = Generation(
        bases=bases, number=number, sampling=sampling, reverse=strand == "reverse", context=Context.parse(context),
        workers=workers,
    )  # fmt: skip
    model = load_model(model_folder, device)
    with open_genome(fasta, aliases) if fasta is not None else nullcontext() as source:
        placed = place_regions(source, bed, regions) if source is not None else []
        genome, rows = on_haplotypes(source, phased, placed) if source is not None else (None, [])
        model = read_before(model, genome, kin, how.context)
        asked = prompts_of_regions(genome, rows) if genome is not None else prompts_of_text(
            read_sequences(list(prompts))[0]
        )  # fmt: skip
        with progress_bar("reading", 0) as read, progress_bar("generating", 0) as advance:
            written = generate_file(
                model, genome, asked, output, how, table=table, resume=resume, read=read, advance=advance
            )
        if source is not None:
            report_names(source)
    warn_unused(placed)
    unused = [region.outcome for region in rows if not region.usable]
    report_outcomes({"generated": written} | {outcome: unused.count(outcome) for outcome in dict.fromkeys(unused)})
