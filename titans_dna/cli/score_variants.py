"""``titans-dna score-variants``."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from titans_dna.cli import options
from titans_dna.errors import ConfigError


@click.command("score-variants")
@options.model
@options.fasta
@options.aliases
@options.relatives
@click.option(
    "--vcf", type=options.FILE,
    help="Variants: .vcf, .vcf.gz, .bcf, a table (.tsv, .csv, .txt; 1-based), or - for standard input.",
)  # fmt: skip
@options.columns
@click.option(
    "--variant", "variants", multiple=True, metavar="CONTIG:POS:REF:ALT", help="A variant, 1-based. Repeatable."
)
@click.option(
    "--horizon", "horizon_bp", type=click.IntRange(0), default=128, show_default=True,
    help="Bases after the variant whose probabilities count in its score. With the default model, 1024 gives the same "
    "scores (r > 0.9998) at 40% of the speed.",
)  # fmt: skip
@click.option(
    "--longest", "longest_bp", type=click.IntRange(1), default=1000, show_default=True,
    help="Longest allele that is scored, in bases; of <DEL> and other structural variants, written out in bases.",
)  # fmt: skip
@click.option(
    "--imprecise", is_flag=True,
    help="Score structural variants whose junctions are not known to the base as if POS, END and lengths were exact.",
)  # fmt: skip
@click.option(
    "--junctions", is_flag=True,
    help="Add TD_JUNCTION: the part of the score in the bases behind the variant, which REF has too; the part in bases "
    "that are deleted or inserted grows with their number.",
)  # fmt: skip
@click.option(
    "--on-mismatch", type=click.Choice(["error", "skip", "swap", "force"]), default="skip", show_default=True,
    help="What to do where REF differs from the FASTA: stop; give no score; exchange REF and ALT if ALT is in the "
    "FASTA; or compare the two alleles as they are written.",
)  # fmt: skip
@click.option(
    "--other-fasta",
    type=options.FILE,
    help="Another genome build, to say how many mismatching variants fit it instead.",
)
@click.option(
    "--haplotype", default="", metavar="SAMPLE", help="Apply the phased neighbours of this sample before scoring."
)
@click.option(
    "--background", type=options.FILE,
    help="Common variants; each score gets its quantile among theirs. They are scored first, unless this model has "
    "scored them already. - for standard input.",
)  # fmt: skip
@click.option(
    "--shuffles", type=click.IntRange(0), default=0, show_default=True,
    help="Number of dinucleotide-shuffled surroundings for an empirical p-value; 0 for no p-value.",
)  # fmt: skip
@click.option(
    "--gtf", "annotation", type=options.FILE,
    help="GTF or GFF3: say in which gene and in what of it each variant lies, or how far from the nearest (TD_GENE, "
    "TD_FEATURE, TD_GENE_DISTANCE).",
)  # fmt: skip
@options.seed
@options.context
@options.workers
@options.shard
@options.resume
@options.device
@options.output(
    f"VCF (.vcf.gz with index, .vcf, - for standard output) or table ({options.endings('score-variants', 'scores')}).",
    streams=True,
)
def score_variants(
    model_folder: Path,
    fasta: Path,
    aliases: Path | None,
    vcf: Path | None,
    variants: tuple[str, ...],
    columns: tuple[str, ...],
    output: Path,
    device: str,
    kin: dict[str, Any],
    **settings: object,
) -> None:
    """Score every ALT by ln P(ALT) - ln P(REF), given the whole contig on both sides, averaged over both strands.

    Negative means that the model finds ALT less likely than REF. Every record that can be read is written; an ALT that
    cannot be scored has a reason in TD_OUTCOME. A malformed record has a row in a table; a VCF counts such records in
    its header, and quotes the first 1,000 of them. Positions are 1-based, as in VCF. With --relatives or --memory the
    genomes that were read before vote on every substitution too (TD_VOTE, TD_TOLERANCE).

    \b
    titans-dna score-variants --model model/ --fasta data/demo.fa --vcf data/demo.vcf --output scored.vcf.gz
    titans-dna score-variants --model model/ --fasta data/demo.fa --variant chrA:1000:A:G --output scored.tsv
    titans-dna score-variants --model model/ --fasta hg38.fa --vcf sge.tsv --column position=hg38_pos -o out.tsv
    titans-dna score-variants --model default --fasta me.fa --vcf in.vcf --memory relatives.tdm --output scored.vcf.gz
    titans-dna score-variants --model model/ --fasta hg38.fa --vcf all.vcf.gz --shard 3/8 --resume --output part3.vcf.gz
    titans-dna merge part*.vcf.gz --output all.scored.vcf.gz
    """
    from titans_dna.cli.sources import open_genome, read_before, report_names
    from titans_dna.cli.terminal import progress_bar, report_outcomes
    from titans_dna.inference.model import load_model
    from titans_dna.inference.windows import Context
    from titans_dna.io.variants.variant_table import VariantColumns
    from titans_dna.jobs.variant_scores import ScoringOptions
    from titans_dna.jobs.variants import VariantInputs, score_variant_file

    if (vcf is None) == (not variants):
        raise ConfigError("give either --vcf or --variant")
    if variants:
        options.refuse_useless("columns", where="with --variant")
    how = {name: settings.pop(name) for name in ("resume", "shard", "workers")}
    background, other = settings.pop("background"), settings.pop("other_fasta")
    annotation = settings.pop("annotation")
    settings["context"] = context = Context.parse(str(settings["context"]))
    scoring = ScoringOptions(**settings)  # type: ignore[arg-type]
    inputs = VariantInputs(
        variants=vcf if vcf is not None else variants, columns=VariantColumns.parse(columns),
        background=background, annotation=annotation,  # type: ignore[arg-type]
    )  # fmt: skip
    model = load_model(model_folder, device)
    with ExitStack() as stack:
        genome = stack.enter_context(open_genome(fasta, aliases))
        model = read_before(model, genome, kin, context)
        another = stack.enter_context(open_genome(Path(str(other)), aliases)) if other else None
        advance = stack.enter_context(progress_bar("scoring", 0))
        inputs = replace(inputs, other=another)
        counts = score_variant_file(
            model, genome, inputs, output, options=scoring, advance=advance, **how,  # type: ignore[arg-type]
        )  # fmt: skip
        report_names(genome)
    report_outcomes(counts)
