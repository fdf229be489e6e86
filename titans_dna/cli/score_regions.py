"""``titans-dna score-regions``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titans_dna.cli import options
from titans_dna.errors import ConfigError
from titans_dna.genome.shard import Shard

if TYPE_CHECKING:
    from titans_dna.cli.sources import ReadsChoice
    from titans_dna.inference.model import SequenceModel
    from titans_dna.jobs.haplotypes import SampleHaplotypes


@click.command("score-regions")
@options.model
@options.fasta_or_reads
@options.aliases
@options.relatives
@options.bed
@options.region
@options.reads
@options.haplotypes
@click.option(
    "--track", type=options.FILE, callback=options.check_output,
    help="Write a bigWig of the memory's surprise at every base of the contigs read.",
)  # fmt: skip
@click.option(
    "--tracks", type=options.FILE, callback=options.check_output,
    help="Write log-likelihood, entropy, and each layer's surprise and forgetting at every base: NAME.bw makes one "
    "bigWig per kind; .tsv.gz, .parquet and .h5 hold all in one file (start 0-based).",
)  # fmt: skip
@click.option(
    "--copies", type=options.FILE, callback=options.check_output,
    help="Stretches of the contigs that the copy memory foretold, and the earlier places they come from: "
    f"{options.endings('score-regions --copies')}, which genome browsers draw as arcs.",
)  # fmt: skip
@click.option(
    "--igv", type=options.FILE, callback=options.check_output,
    help="Write a session of IGV (.xml) too, which opens the genome with the tracks of --track and --tracks NAME.bw.",
)  # fmt: skip
@click.option(
    "--without", multiple=True, metavar="CONTIG:START-END",
    help="Say too what the bits would be if the copy memory did not hold this stretch (1-based, end included): columns "
    "bits_without_stretch and, as the difference, bits_from_stretch. Needs --context window:N. Repeatable.",
)  # fmt: skip
@click.option(
    "--strand", type=click.Choice(["forward", "reverse", "region"]), default="forward", show_default=True,
    help="Strand to read: forward or reverse, whatever strand a region is said to lie on; region reads each region on "
    "its own strand, - on the reverse one. Tracks and copies are of the forward strand.",
)  # fmt: skip
@options.region_context
@options.workers
@options.shard
@options.resume
@options.device
@options.output(
    f"Table ({options.endings('score-regions')}, - for standard output); start 0-based, end excluded.", streams=True
)
def score_regions(
    model_folder: Path,
    fasta: Path | None,
    aliases: Path | None,
    bed: Path | None,
    regions: tuple[str, ...],
    track: Path | None,
    tracks: Path | None,
    copies: Path | None,
    igv: Path | None,
    without: tuple[str, ...],
    strand: str,
    context: str,
    workers: int,
    shard: Shard,
    resume: bool,
    device: str,
    output: Path,
    kin: dict[str, Any],
    phased: SampleHaplotypes | None,
    **sample: Any,
) -> None:
    """Score regions by log-likelihood (nats), bits per base, the memory's surprise, and the entropy of the predictions.

    A region is read with the memory of all that stands before it on its contig, on the strand that --strand says; the
    column strand is that of the input. On the reverse strand, what stands before a region is what lies to the right of
    it on its contig. Contigs are streamed once, at constant memory use. Without --bed
    and --region every contig is one region. --shard divides whole contigs, or with another context ranges of them; the
    tracks of a shard hold its own bases. With --reads a sample's own genome takes the reference's place, or every read
    becomes a row of its own, read from a fresh memory; start and end are those of its alignment.

    With --sample-vcf each region has a row for each haplotype of a sample, read behind that haplotype of its contig.
    Start and end stay those of the reference; haplotype_start and haplotype_end are the haplotype's own, and
    bits_difference is the bits per base of haplotype 2 minus those of haplotype 1. Tracks are written on the reference.

    \b
    titans-dna score-regions --model model/ --fasta data/demo.fa --bed data/demo.bed --output regions.tsv
    titans-dna score-regions --model model/ --fasta data/demo.fa --tracks tracks.bw --output contigs.parquet
    titans-dna score-regions --model model/ --fasta hg38.fa --reads sample.bam --region chr2:1-5000000 --output own.tsv
    titans-dna score-regions --fasta hg38.fa --sample-vcf phased.vcf.gz --sample NA1 --bed genes.bed --output two.tsv
    """
    from titans_dna.cli.regions import note_strands, on_haplotypes, place_regions, warn_unused
    from titans_dna.cli.sources import ReadsChoice, open_genome, read_before, report_names
    from titans_dna.cli.terminal import progress_bar, report_outcomes
    from titans_dna.inference.model import load_model
    from titans_dna.inference.windows import Context
    from titans_dna.io.tables.igv import bigwigs_of, write_session
    from titans_dna.jobs.copies import write_copies
    from titans_dna.jobs.haplotypes import left_out
    from titans_dna.jobs.regions import RegionOutputs, RegionReading, score_region_file

    choice = ReadsChoice(**sample)
    if phased and (copies or choice.reads):
        raise ConfigError(f"--sample-vcf excludes {'--copies' if copies else '--reads'}; leave one out")
    if phased and track and len(phased.which) > 1:
        raise ConfigError("--track holds one haplotype; add --haplotypes 1 or 2, or write --tracks")
    if igv and (fasta is None or not (track or (tracks and tracks.suffix == ".bw"))):
        raise ConfigError("--igv shows bigWigs on a genome; give --fasta, and --track or --tracks NAME.bw")
    if choice.as_sequences:
        options.refuse_useless("strand", where="with --reads-as sequences; see --as-sequenced")
    model = load_model(model_folder, device)
    if choice.as_sequences:
        model = read_before(model, None, kin)
        if track or tracks or copies or resume or not shard.whole:
            raise ConfigError("reads by themselves have no tracks, shards or resume; leave these options out")
        _score_reads(model, (fasta, aliases), choice, (bed, regions), output)
        return
    if copies and not shard.whole:
        raise ConfigError("--copies is not divided into shards; write it by itself, for all contigs at once")
    with open_genome(fasta, aliases, choice) as source:
        placed = place_regions(source, bed, regions)
        stretches = place_regions(source, None, without) if without else []
        genome, rows = on_haplotypes(source, phased, placed)
        model = read_before(model, genome, kin, Context.parse(context))
        outputs = RegionOutputs(table=output, surprise=track, tracks=tracks)
        with progress_bar("scoring", 0) as advance:
            reading = RegionReading(
                context=Context.parse(context), workers=workers,
                without=left_out(genome, [region.placed for region in stretches]),
                strand=strand,
            )  # fmt: skip
            counts = score_region_file(
                model, genome, rows, outputs, shard=shard, resume=resume, reading=reading, advance=advance
            )  # fmt: skip
        if copies:
            read = dict.fromkeys(region.contig for region in placed if region.usable)
            click.echo(f"copies: {write_copies(model, source, list(read), copies):,}", err=True)
        report_names(source)
    if igv and fasta:
        write_session(igv, fasta, [*filter(None, [track]), *(bigwigs_of(tracks) if tracks else ())])
    if strand == "forward":
        note_strands(placed)
    warn_unused(placed)
    report_outcomes(counts)


def _score_reads(
    model: SequenceModel,
    reference: tuple[Path | None, Path | None],
    choice: ReadsChoice,
    asked: tuple[Path | None, tuple[str, ...]],
    output: Path,
) -> None:
    """Write one row per read."""
    from itertools import tee

    from titans_dna.cli.regions import open_aligned
    from titans_dna.genome.interval import Interval
    from titans_dna.inference.placing import PlacedRegion
    from titans_dna.inference.reads import score_sequences
    from titans_dna.io.tables.score_table import ScoreTableWriter
    from titans_dna.jobs.provenance import command_line
    from titans_dna.jobs.regions import COLUMNS, table_row
    from titans_dna.version import __version__

    metadata = {
        "version": __version__, "model": f"{model.name} sha256={model.weights_sha256}", "reads": str(choice.reads),
        "options": "kind=reads", "command": command_line(),
    }  # fmt: skip
    with (
        open_aligned(reference, choice, asked) as (_, found),
        ScoreTableWriter(output, COLUMNS, metadata) as writer,
    ):
        # Places and sequences are taken from one iterator, because the reads of a region may be too many to keep.
        reads, again = tee(found)
        for read, score in zip(reads, score_sequences(model, (r.sequence for r in again)), strict=True):
            place = Interval(read.contig, read.start, read.end, read.strand, read.name)
            # The outcome given here shows only for a read without bases; `table_row` tells that of a scored one itself.
            row = PlacedRegion(asked=place, contig=read.contig, start=read.start, end=read.end, outcome="empty")
            writer.write(table_row(row, score if read.sequence else None))
    click.echo(f"{writer.rows:,} reads", err=True)
