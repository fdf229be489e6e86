"""``titans-dna embed``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titans_dna.cli import options
from titans_dna.errors import ConfigError

if TYPE_CHECKING:
    from titans_dna.cli.sources import ReadsChoice
    from titans_dna.inference.embed import EmbedOptions
    from titans_dna.inference.model import SequenceModel
    from titans_dna.inference.placing import PlacedRegion
    from titans_dna.io.sequence.fasta import Genome
    from titans_dna.jobs.embeddings import Storage
    from titans_dna.jobs.haplotypes import SampleHaplotypes


@click.command("embed")
@options.model
@options.fasta_or_reads
@options.aliases
@options.relatives
@options.bed
@options.region
@options.reads
@options.haplotypes
@click.option(
    "--window-bp",
    type=click.IntRange(min=1),
    help="Cut the regions, or whole contigs, into windows of this many bases.",
)
@click.option(
    "--stride-bp", type=click.IntRange(min=1), show_default="--window-bp",
    help="Bases from the start of one window to the start of the next.",
)  # fmt: skip
@click.option(
    "--pool", "pooling", default="mean", show_default=True, metavar="mean|max|last|center|none|bins:N",
    help="How the vectors of a region's bases become one. none keeps a vector for every base; bins:N makes N means.",
)  # fmt: skip
@click.option(
    "--layer", "layers", multiple=True, metavar="final|0|1|...",
    help="Take the features after this block (0: the token embedding), or the final ones (default). Repeatable.",
)  # fmt: skip
@click.option(
    "--strand", type=click.Choice(["forward", "reverse", "both", "region"]), default="forward", show_default=True,
    help="Strand to read: forward or reverse, whatever strand a region is said to lie on; both averages the vectors of "
    "the two; region reads each region on its own strand, - on the reverse one, bins and bases in its direction.",
)  # fmt: skip
@options.region_context
@options.workers
@click.option(
    "--dtype", type=click.Choice(["float32", "float16"]), default="float32", show_default=True,
    help="Number format of the vectors.",
)  # fmt: skip
@click.option(
    "--compression", type=click.Choice(["none", "lzf", "gzip", "blosc2"]), default="none", show_default=True,
    help="Compression of the vectors. Other programs need hdf5plugin to read blosc2.",
)  # fmt: skip
@options.shard
@options.resume
@options.device
@options.output("HDF5 file (.h5); see convert for other formats.")
def embed(
    model_folder: Path, fasta: Path | None, aliases: Path | None, bed: Path | None, regions: tuple[str, ...],
    window_bp: int | None, stride_bp: int | None, pooling: str, layers: tuple[str, ...], strand: str,
    context: str, device: str, output: Path, kin: dict[str, Any], phased: SampleHaplotypes | None, **stored: Any,
) -> None:  # fmt: skip
    """Write one vector per region, in the order of the input, with coordinates (0-based, end excluded).

    Contigs are read once per strand, whatever the number, order and overlap of the regions. Without --bed and --region
    every contig is one region, or is cut into windows. Lower case is read as upper case. N and other ambiguity codes
    count in no vector. Every region has a row with an outcome; a region that cannot be embedded has a row of nan.

    With --reads a sample's own genome takes the reference's place, or every read becomes a row of its own, read from a
    fresh memory. Strands, bins and bases are then those of the read, start and end those of its alignment.

    With --sample-vcf each region has a row for each haplotype of a sample, named NAME/1 and NAME/2, with its own place
    (haplotype_start, haplotype_end) and haplotype_distance, 1 - the cosine of the angle between the two vectors.

    A run that was stopped, even by kill -9, goes on with --resume; its finished part is kept in OUTPUT.work.

    \b
    titans-dna embed --model model/ --fasta data/demo.fa --bed data/demo.bed --output embeddings.h5
    titans-dna embed --model model/ --fasta data/demo.fa --window-bp 1000 --stride-bp 500 --output tiles.h5
    titans-dna embed --model model/ --fasta data/demo.fa --shard 2/10 --output shard02.h5    # then: titans-dna merge
    titans-dna embed --model model/ --fasta hg38.fa --reads sample.bam --reads-as sequences --region chr2:1-9000 -o r.h5
    titans-dna embed --fasta hg38.fa --sample-vcf phased.vcf.gz --sample NA1 --bed genes.bed --output haplotypes.h5
    """
    from titans_dna.cli.regions import iterate_regions, on_haplotypes
    from titans_dna.cli.sources import ReadsChoice, open_genome, read_before, report_names
    from titans_dna.cli.terminal import progress_bar, report_outcomes
    from titans_dna.inference.embed import EmbedOptions
    from titans_dna.inference.haplotype_genome import HaplotypeGenome
    from titans_dna.inference.model import load_model
    from titans_dna.inference.placing import tiled
    from titans_dna.inference.pooling import Pooling
    from titans_dna.inference.windows import Context
    from titans_dna.jobs import embeddings as embedding_job
    from titans_dna.jobs.haplotypes import named_by_haplotype
    from titans_dna.jobs.provenance import command_line
    from titans_dna.version import __version__

    if stride_bp and not window_bp:
        raise ConfigError("--stride-bp without --window-bp; give both")
    kept = {name: stored.pop(name) for name in ("dtype", "compression", "shard", "resume", "workers")}
    # What is left in `stored` are the options for reads.
    choice, storage = ReadsChoice(**stored), embedding_job.Storage(**kept)
    if phased and choice.reads:
        raise ConfigError("--sample-vcf excludes --reads; leave one out")
    if choice.as_sequences:
        options.refuse_useless("context", where="with --reads-as sequences: a read has no contig before it")
    if choice.as_sequences and strand == "region":
        raise ConfigError(
            "reads by themselves have no strand but their own; see --as-sequenced, and leave --strand out"
        )
    if choice.as_sequences and (not storage.shard.whole or storage.resume or window_bp):
        raise ConfigError("reads by themselves have no windows, shards or resume; leave these out")
    chosen = EmbedOptions(
        pooling=Pooling.parse(pooling), layers=layers or ("final",), strand=strand,
        context=Context.parse("region" if choice.as_sequences else context),
    )  # fmt: skip
    model = load_model(model_folder, device)
    chosen.check(model)
    if choice.as_sequences:
        model = read_before(model, None, kin)
        _embed_reads(model, (fasta, aliases), choice, (bed, regions), output, (chosen, storage))
        return
    with open_genome(fasta, aliases, choice) as source:
        asked: Iterable[PlacedRegion] = iterate_regions(source, bed, regions)
        if window_bp:
            asked = tiled(asked, window_bp, stride_bp or window_bp)
        genome: Genome = source
        if phased is not None:
            genome, rows = on_haplotypes(source, phased, list(asked))
            asked = named_by_haplotype(rows)
        model = read_before(model, genome, kin, Context.parse(context))
        haplotypes = genome if isinstance(genome, HaplotypeGenome) else None
        plan = embedding_job.plan_embeddings(asked, genome.contigs.lengths, chosen, haplotypes)
        attributes = embedding_job.embedding_attributes(model, plan, storage.shard) | {
            "fasta": str(fasta), "package_version": __version__, "command": command_line()
        }  # fmt: skip
        if choice.reads is not None:
            attributes |= {"reads": str(choice.reads), "reads_as": choice.reads_as}
        costs = [plan.groups[number].cost_bp for number in plan.of_shard(storage.shard)]
        with progress_bar("embedding", len(chosen.strands) * sum(costs)) as advance:
            counts = embedding_job.write_embeddings(output, model, genome, plan, attributes, storage, progress=advance)
        report_names(source)
    report_outcomes(counts)


def _embed_reads(
    model: SequenceModel,
    reference: tuple[Path | None, Path | None],
    choice: ReadsChoice,
    asked: tuple[Path | None, tuple[str, ...]],
    output: Path,
    settings: tuple[EmbedOptions, Storage],
) -> None:
    """Write one vector per read of a sample."""
    from titans_dna.cli.regions import open_aligned
    from titans_dna.cli.terminal import report_outcomes
    from titans_dna.inference.embed import vector_attributes
    from titans_dna.inference.reads import embed_reads
    from titans_dna.io.embeddings.writer import EmbeddingWriter
    from titans_dna.jobs.provenance import command_line
    from titans_dna.version import __version__

    chosen, storage = settings
    attributes = vector_attributes(model, chosen) | {
        "context": "read", "reads": str(choice.reads), "reads_as": choice.reads_as, "package_version": __version__,
        "command": command_line(),
    }  # fmt: skip
    width, counts = chosen.columns(model) * chosen.pooling.bins, Counter[str]()
    with open_aligned(reference, choice, asked) as (aligned, reads):
        contigs = {contig: (length, "") for contig, length in aligned.contigs.lengths.items()}
        with EmbeddingWriter(
            output, width, contigs, attributes, storage.dtype, compression=storage.compression,
            ragged=chosen.pooling.ragged,
        ) as writer:  # fmt: skip
            for block in embed_reads(model, reads, chosen):
                writer.append(block.intervals, block.vectors, outcomes=block.outcomes, counts=block.counts)
                counts.update(block.outcomes)
    report_outcomes(counts)
