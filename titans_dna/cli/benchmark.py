"""``titans-dna benchmark``: a group of verbs, one for each benchmark."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from titans_dna.cli import options
from titans_dna.errors import ConfigError

_CARD = click.option(
    "--card", type=options.FILE, callback=options.check_place,
    help="Also write the table as a section of Markdown, for the card of a model.",
)  # fmt: skip


def _table(verb: str) -> Any:
    return options.output(f"Table ({options.endings(f'benchmark {verb}')}, - for standard output).", streams=True)


@click.group("benchmark", short_help="Measure a model on data of your own.")
def benchmark() -> None:
    """Measure any model on data of your own, and write a table and a section for its card.

    \b
    titans-dna benchmark needle --fasta data/demo.fa --haystack 65536 --output needle.tsv
    titans-dna benchmark memory --fasta data/demo.fa --output memory_card.json
    titans-dna benchmark classification --set enhancers/ --output classes.tsv
    titans-dna benchmark variants --fasta g.fa --vcf clinvar.vcf --field CLNSIG --positive Pathogenic -o variants.tsv
    """


@benchmark.command("needle", short_help="Find again what was planted far back: Genomic-NIAH.")
@options.model
@options.fasta
@options.aliases
@click.option(
    "--haystack", "haystacks_bp", type=click.IntRange(1), multiple=True,
    show_default="98304, 393216 and 786432, as far as the sequence reaches",
    help="Length of a haystack in bases. Repeatable.",
)  # fmt: skip
@click.option(
    "--number", type=click.IntRange(1), default=4, show_default=True,
    help="Haystacks of each test, with a needle at five depths each.",
)  # fmt: skip
@click.option(
    "--decoys", type=click.IntRange(0), default=8, show_default=True, help="Decoys of each needle; 0 for no such tests."
)
@click.option(
    "--distance", "distances", type=click.IntRange(1, 24), multiple=True, default=(4, 2, 1), show_default=True,
    help="Bases of its key, of 24, in which a decoy differs. Repeatable.",
)  # fmt: skip
@click.option(
    "--context", metavar="contig|window:N", show_default="window:8192 of a model with a copy memory, else contig",
    help="What the network reads of a haystack: all of it, or at least its last N bases, while the copy memory holds "
    "all.",
)  # fmt: skip
@options.seed
@options.device
@_CARD
@_table("needle")
def needle(
    model_folder: Path, fasta: Path, aliases: Path | None, haystacks_bp: tuple[int, ...], number: int, decoys: int,
    distances: tuple[int, ...], context: str | None, seed: int, device: str, card: Path | None, output: Path,
) -> None:  # fmt: skip
    """Plant keys and values in real sequence, and ask for the values behind it.

    The task is Genomic-NIAH: a random key of 24 bases and a value of 24 behind it stand at 10, 30, 50, 70 and 90% of a
    stretch of the FASTA's known bases. Behind the stretch the key is given again and 24 bases are decoded; exact is the
    share of values of which every base is right, with its 95% interval. A decoy has nearly the same key and another
    value.

    \b
    titans-dna benchmark needle --fasta data/demo.fa --haystack 65536 --output needle.tsv
    titans-dna benchmark needle --model model/ --fasta hg38.fa --distance 2 --card needle.md --output needle.tsv
    """
    from titans_dna.benchmark.needles import COLUMNS, known_bases, needle_row, plan_needles, recall_needles
    from titans_dna.benchmark.table import told_of, write_section
    from titans_dna.cli.sources import open_genome
    from titans_dna.cli.terminal import progress_bar
    from titans_dna.inference.model import load_model
    from titans_dna.inference.windows import Context
    from titans_dna.io.tables.tsv import write_tsv

    read_as = Context.parse(context) if context else None
    model = load_model(model_folder, device)
    with open_genome(fasta, aliases) as genome:
        ids = known_bases(genome, 1, 4 * max(haystacks_bp, default=786_432))
        tests = plan_needles(len(ids), haystacks_bp, number, decoys, distances)
        total = sum(test.haystack_bp * test.haystacks for test in tests)
        rows = []
        with progress_bar("reading", total) as advance:
            for test in tests:
                found = recall_needles(model, ids, test, seed, context=read_as, advance=advance)
                rows.append(needle_row(test, found))
        told = {"seed": seed, "number": number, **({"context": read_as} if read_as else {})}
        metadata = told_of(model, genome, told)
        write_tsv(output, COLUMNS, rows, metadata)
    words = f"Genomic-NIAH in {fasta.name}: keys and values of 24 bases, {number} haystacks of each kind, seed {seed}."
    if card:
        write_section(card, "Needles in a haystack", words, COLUMNS, rows, metadata["model"])
    for row in rows:
        click.echo(
            f"{row['haystack_bp']:>12,} bp  {row['test']:<22} {row['exact']:.3f} exact of {row['asked']:,} "
            f"({row['exact_low']:.3f} to {row['exact_high']:.3f})", err=True,
        )  # fmt: skip


@benchmark.command("memory", short_help="The memory card: what a model's memory holds, and how far copies pay.")
@options.model
@options.fasta
@options.aliases
@click.option(
    "--most-bases", type=click.IntRange(65_536), default=12_000_000, show_default=True,
    help="Use so many known bases of the FASTA at the most; copies are tried as far back as these allow.",
)  # fmt: skip
@click.option(
    "--keep", is_flag=True, help="Also put the card into the model's folder, where `titans-dna info` shows it."
)
@options.seed
@options.device
@options.output(f"Memory card ({options.endings('benchmark memory')}).")
def memory(
    model_folder: Path, fasta: Path, aliases: Path | None, most_bases: int, keep: bool, seed: int, device: str,
    output: Path,
) -> None:  # fmt: skip
    """Measure what the memory of a model holds.

    The card says how many needles are found again in one haystack, how many beside decoys whose keys differ in 4, 2 and
    1 of 24 bases, how many bits per base a model saves on a copy of 1,000 bases (of which 5% are substituted) by the
    distance from its original, how far such copies pay, and how many bytes the copy memory takes for a base.

    \b
    titans-dna benchmark memory --fasta data/demo.fa --output memory_card.json
    titans-dna benchmark memory --model model/ --fasta hg38.fa --keep --output memory_card.json
    """
    from titans_dna.benchmark.memory_card import CARD, LEAST_BP, card_lines, measure_memory, write_card
    from titans_dna.benchmark.needles import known_bases
    from titans_dna.cli.sources import open_genome
    from titans_dna.cli.terminal import progress_bar
    from titans_dna.inference.model import load_model
    from titans_dna.version import __version__

    model = load_model(model_folder, device)
    with open_genome(fasta, aliases) as genome:
        ids = known_bases(genome, LEAST_BP, most_bases)
    with progress_bar("reading", 0) as advance:
        card = measure_memory(model, ids, seed, advance)
    card = {"version": __version__, "model": model.name, "reference": fasta.name, **card}
    write_card(output, card)
    if keep:
        write_card(model_folder / CARD, card)
    for name, words in card_lines(card).items():
        click.echo(f"{name:<18} {words}", err=True)


@benchmark.command("classification", short_help="Learn labelled sets by a model, several times, beside k-mers.")
@options.model
@click.option(
    "--set", "sets", type=options.FILE, multiple=True,
    help="Labelled file (see finetune), folder in the layout of GenomicBenchmarks (train/CLASS/*.txt and "
    "test/CLASS/*.txt), or of GUE (train.csv, test.csv). Repeatable.",
)  # fmt: skip
@click.option("--train", "training", type=options.FILE, help="In place of --set: the labelled file to learn from.")
@click.option("--test", "tested", type=options.FILE, help="In place of --set: the labelled file to test on.")
@click.option("--fasta", type=options.FILE, help="Genome from which labelled intervals are read.")
@options.aliases
@click.option(
    "--mode", "modes", type=click.Choice(["full", "frozen", "last-layers", "lora"]), multiple=True,
    default=("full", "frozen"), show_default=True, help="What is trained beside the classifier. Repeatable.",
)  # fmt: skip
@click.option(
    "--runs", type=click.IntRange(1), default=3, show_default=True,
    help="Learn each set so many times, with seeds that count up from --seed.",
)  # fmt: skip
@click.option(
    "--epochs", type=click.IntRange(1), show_default="5 to 50, for some 250 steps", help="Passes over the examples."
)
@click.option(
    "--kmer-bases", type=click.IntRange(1, 8), default=6, show_default=True, help="Bases of the baseline's k-mers."
)
@options.seed
@options.device
@_CARD
@_table("classification")
def classification(
    model_folder: Path, sets: tuple[Path, ...], training: Path | None, tested: Path | None, fasta: Path | None,
    aliases: Path | None, seed: int, device: str, card: Path | None, output: Path, **settings: Any,
) -> None:  # fmt: skip
    """Learn labelled sets from a model's features, and test what was learned beside k-mers.

    Each set is learned several times by every mode, with other orders and strands of the same examples; the table has
    the mean, the least and the greatest accuracy, MCC (Matthews correlation), AUROC and AUPRC of the runs. The row of
    the k-mers is a logistic regression on their frequencies.

    \b
    titans-dna benchmark classification --set human_enhancers_cohn/ --set GUE/prom_core_all/ --output classes.tsv
    titans-dna benchmark classification --train train.csv --test test.csv --card classes.md --output classes.tsv
    """
    from titans_dna.benchmark.classification import CARD_COLUMNS, COLUMNS, ClassificationTest, classify_set
    from titans_dna.benchmark.sets import read_parts, read_set
    from titans_dna.benchmark.table import told_of, write_section
    from titans_dna.cli.sources import open_genome
    from titans_dna.cli.terminal import progress_bar
    from titans_dna.inference.model import load_model
    from titans_dna.io.tables.tsv import write_tsv

    if bool(sets) == bool(training or tested) or (training is None) != (tested is None):
        raise ConfigError("give labelled sets by --set, or one by --train together with --test")
    test = ClassificationTest(**settings)
    # All sets are read before anything is learned: a fault in the last one is found at once.
    with open_genome(fasta, aliases) if fasta else nullcontext() as genome:
        data = {path.name: read_set(path, genome, seed=seed) for path in sets}
        if training and tested:
            data[tested.name] = read_parts(training, tested, genome)
    if len(data) < len(sets) + bool(training):
        raise ConfigError("two sets have the same name; rename a file or folder, for the table tells them by it")
    model = load_model(model_folder, device)
    rows = []
    with progress_bar("learning", sum(test.passes(each) for each in data.values()), "sequences") as advance:
        for name, each in data.items():
            rows += classify_set(model, name, each, test, seed, advance=advance)
    told = {"seed": seed, "runs": test.runs, "kmer_bases": test.kmer_bases, "epochs": test.epochs or "auto"}
    metadata = told_of(model, None, told)
    write_tsv(output, COLUMNS, rows, metadata)
    if card:
        words = f"Each set learned {test.runs} times from seed {seed} on; means of the runs."
        write_section(card, "Labelled sequences", words, CARD_COLUMNS, rows, metadata["model"])
    for row in rows:
        numbers = "  ".join(f"{metric} {row[metric]:.4f}" for metric in ("accuracy", "mcc", "auroc"))
        click.echo(f"{row['set']:<28} {row['classifier']:<20} {numbers}", err=True)


@benchmark.command("variants", short_help="Score labelled variants, and tell how well scores part the labels.")
@options.model_option(unless="scored")
@click.option("--fasta", type=options.FILE, help="Reference of --vcf: FASTA (plain, gzip, bgzip), GenBank or EMBL.")
@options.aliases
@options.relatives
@click.option("--vcf", type=options.FILE, help="Variants with a label in an INFO field: .vcf, .vcf.gz or .bcf.")
@click.option("--scored", type=options.FILE, help="In place of --vcf and --fasta: a VCF that score-variants wrote.")
@click.option("--field", required=True, help="INFO field that holds the label.")
@click.option("--positive", multiple=True, required=True, help="Label of variants that should score low. Repeatable.")
@click.option(
    "--negative", multiple=True, show_default="all other labels",
    help="Label of variants that should not; further labels are then left out. Repeatable.",
)  # fmt: skip
@click.option(
    "--cluster-bp", type=click.IntRange(1), default=100_000, show_default=True,
    help="Cut contigs into stretches of this length, and draw the stretches again for the intervals.",
)  # fmt: skip
@click.option("--draws", type=click.IntRange(1), default=1000, show_default=True, help="Draws for the intervals.")
@options.context
@options.workers
@options.seed
@options.device
@_CARD
@_table("variants")
def variants(
    model_folder: Path, fasta: Path | None, aliases: Path | None, kin: dict[str, Any], vcf: Path | None,
    scored: Path | None, context: str, workers: int, seed: int, device: str, card: Path | None, output: Path,
    **settings: Any,
) -> None:  # fmt: skip
    """Tell how well the scores of a model part variants with one label from those with another.

    For each score (TD_LLR and, with relatives, TD_VOTE and TD_TOLERANCE) and each kind of variant the table has AUROC,
    AUPRC, and the share of matched pairs in which the positive scores lower: each positive is paired with the nearest
    negative of its kind and contig, each used once. For the 95% intervals whole stretches of contigs are drawn again,
    as neighbours are not independent; there is none if all variants lie in one stretch.

    \b
    titans-dna benchmark variants --fasta hg38.fa --vcf clinvar.vcf.gz --field CLNSIG \\
      --positive Pathogenic --negative Benign --context window:8192 --card variants.md --output variants.tsv
    titans-dna benchmark variants --scored scored.vcf.gz --field CLNSIG --positive Pathogenic --output variants.tsv
    """
    from titans_dna.benchmark.table import told_of_scores, write_section
    from titans_dna.benchmark.variants import (
        COLUMNS,
        VariantTest,
        compare_labels,
        read_labelled_scores,
        score_labelled,
    )
    from titans_dna.cli.sources import open_genome, read_before, report_names
    from titans_dna.cli.terminal import progress_bar, report_outcomes
    from titans_dna.inference.model import load_model
    from titans_dna.inference.windows import Context
    from titans_dna.io.tables.tsv import write_tsv

    if (scored is None) == (vcf is None) or (vcf is None) != (fasta is None):
        raise ConfigError("give --vcf and --fasta, or a file that is scored already by --scored")
    if scored:
        of_scoring = ("model_folder", "device", "relatives", "memories", "context", "workers", "aliases")
        options.refuse_useless(*of_scoring, where="with --scored")
    test = VariantTest(**settings)
    if scored:
        found = read_labelled_scores(scored, test)
    else:
        assert fasta is not None
        assert vcf is not None
        model = load_model(model_folder, device)
        with open_genome(fasta, aliases) as genome, progress_bar("scoring", 0) as advance:
            model = read_before(model, genome, kin, Context.parse(context))
            found = score_labelled(
                model, genome, vcf, test, context=context, workers=workers, counted=report_outcomes, advance=advance
            )
            report_names(genome)
    rows = compare_labels(found, test, seed)
    metadata = told_of_scores(found.made, {"seed": seed, **vars(test)})
    write_tsv(output, COLUMNS, rows, metadata)
    if card:
        words = (
            f"{(scored or vcf or output).name}: {test.field} is {' or '.join(test.positive)} against "
            f"{' or '.join(test.negative) or 'all other labels'}; 95% intervals of {test.draws:,} draws of "
            f"stretches of {test.cluster_bp:,} bases."
        )
        write_section(card, "Labelled variants", words, COLUMNS, rows, metadata.get("model", "not told"))
    for row in rows:
        interval = "" if row["auroc_low"] is None else f" ({row['auroc_low']:.3f} to {row['auroc_high']:.3f})"
        click.echo(
            f"{row['score']:<10} {row['kind']:<10} AUROC {row['auroc']:.3f}{interval}, {row['positives']:,} positive, "
            f"{row['negatives']:,} negative, {row['clusters']:,} clusters", err=True,
        )  # fmt: skip
