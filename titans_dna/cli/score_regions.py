"""``titans-dna score-regions``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titans_dna.cli import options

if TYPE_CHECKING:
    from titans_dna.cli.sources import ReadsChoice
    from titans_dna.genome.interval import Interval
    from titans_dna.inference.model import SequenceModel
    from titans_dna.inference.score_regions import RegionScore

COLUMNS = (
    "contig", "start", "end", "name", "strand", "bases", "log_likelihood", "bits_per_base", "memory_surprise", "outcome"
)  # fmt: skip


@click.command("score-regions", short_help="Score regions or whole contigs, with a track of surprise.")
@options.model
@options.fasta_or_reads
@options.aliases
@options.bed
@options.region
@options.reads
@click.option(
    "--track", type=options.FILE, callback=options.check_folder,
    help="bigWig of the memory's surprise at every base of the contigs read.",
)  # fmt: skip
@options.device
@options.output("Table (.tsv, .tsv.gz, - for standard output); start 0-based, end excluded.")
def score_regions(
    model_folder: Path,
    fasta: Path | None,
    aliases: Path | None,
    bed: Path | None,
    regions: tuple[str, ...],
    track: Path | None,
    device: str,
    output: Path,
    **sample: Any,
) -> None:
    """Score regions: log-likelihood (nats), bits per base and the memory's surprise.

    A region is read with the memory of its whole contig before it; contigs are streamed once, at constant memory.
    Without --bed and --region every contig is one region. With --reads a sample's own genome takes the reference's
    place, or every read becomes a row of its own, read from a fresh memory; start and end are those of its alignment.

    \b
    titans-dna score-regions --model model/ --fasta data/demo.fa --bed data/demo.bed --output regions.tsv
    titans-dna score-regions --model model/ --fasta data/demo.fa --track surprise.bw --output contigs.tsv
    titans-dna score-regions --model model/ --fasta hg38.fa --reads sample.bam --region chr2:1-5000000 --output own.tsv
    """
    from titans_dna.cli.progress import progress_bar
    from titans_dna.cli.regions import by_contig, place_regions, warn_unused
    from titans_dna.cli.sources import ReadsChoice, open_genome, report_names
    from titans_dna.inference.model import load_model
    from titans_dna.inference.score_regions import score_contig_regions
    from titans_dna.io.tables import write_tsv
    from titans_dna.io.tracks import BigWigTrack

    choice = ReadsChoice(**sample)
    model = load_model(model_folder, device)
    if choice.as_sequences:
        _score_reads(model, fasta, aliases, choice, bed, regions, output)
        return
    with open_genome(fasta, aliases, choice) as source, ExitStack() as stack:
        placed = place_regions(source, bed, regions)
        work = by_contig(placed, source)
        lengths = {contig: source.contigs.lengths[contig] for contig in work}
        writer = stack.enter_context(BigWigTrack(track, lengths)) if track and work else None
        scores: dict[int, RegionScore] = {}
        with progress_bar("scoring", sum(lengths.values())) as advance:
            for contig, rows in work.items():
                found = score_contig_regions(
                    model, source.sequence(contig), [placed[row].placed for row in rows],
                    track=(lambda start, values, c=contig: writer.add(c, start, values)) if writer else None,  # type: ignore[misc]
                    progress=advance,
                )  # fmt: skip
                scores.update(zip(rows, found, strict=True))
        table = []
        for row, region in enumerate(placed):
            score = scores.get(row)
            outcome = "scored" if score and score.bases else "reference_n" if score else region.outcome
            table.append(_row(region.contig or region.asked.contig, region.asked, score, outcome))
        write_tsv(output, COLUMNS, table)
        report_names(source)
    warn_unused(placed)


def _row(contig: str, interval: Interval, score: RegionScore | None, outcome: str) -> dict[str, object]:
    """Return one row of the table."""
    place = (contig, interval.start, interval.end, interval.name, interval.strand)
    numbers: tuple[object, ...] = (0, None, None, None)
    if score:
        numbers = (score.bases, score.log_likelihood, score.bits_per_base, score.memory_surprise)
    return dict(zip(COLUMNS, (*place, *numbers, outcome), strict=True))


def _score_reads(
    model: SequenceModel, fasta: Path | None, aliases: Path | None, choice: ReadsChoice, bed: Path | None,
    regions: tuple[str, ...], output: Path,
) -> None:  # fmt: skip
    """Write one row per read."""
    from itertools import tee

    from titans_dna.cli.regions import place_regions, warn_unused
    from titans_dna.cli.sources import open_aligned, reads_of, report_names
    from titans_dna.genome.interval import Interval
    from titans_dna.inference.reads import read_sequences
    from titans_dna.io.tables import TsvWriter

    with open_aligned(fasta, aliases, choice) as aligned:
        placed = place_regions(aligned, bed, regions)
        with TsvWriter(output, COLUMNS) as writer:
            reads, again = tee(reads_of(aligned, placed, choice))
            for read, found in zip(reads, read_sequences(model, (r.sequence for r in again)), strict=True):
                place = Interval(read.contig, read.start, read.end, read.strand, read.name)
                writer.write(_row(read.contig, place, found.score, "scored" if found.score.bases else "reference_n"))
        report_names(aligned)
    warn_unused(placed)
    click.echo(f"{writer.rows:,} reads", err=True)
