"""``titans-dna score-regions``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from titans_dna.cli import options

COLUMNS = (
    "contig", "start", "end", "name", "strand", "bases", "log_likelihood", "bits_per_base", "memory_surprise", "outcome"
)  # fmt: skip


@click.command("score-regions", short_help="Score regions or whole contigs, with a track of surprise.")
@options.model
@options.fasta
@options.bed
@options.region
@click.option(
    "--track", type=options.FILE, callback=options.check_folder,
    help="bigWig of the memory's surprise at every base of the contigs read.",
)  # fmt: skip
@options.device
@options.output("Table (.tsv, .tsv.gz, - for standard output); start 0-based, end excluded.")
def score_regions(
    model_folder: Path,
    fasta: Path,
    bed: Path | None,
    regions: tuple[str, ...],
    track: Path | None,
    device: str,
    output: Path,
) -> None:
    """Score regions: log-likelihood (nats), bits per base and the memory's surprise.

    A region is read with the memory of its whole contig before it; contigs are streamed once, at constant memory.
    Without --bed and --region every contig is one region.

    \b
    titans-dna score-regions --model model/ --fasta data/demo.fa --bed data/demo.bed --output regions.tsv
    titans-dna score-regions --model model/ --fasta data/demo.fa --track surprise.bw --output contigs.tsv
    """
    from titans_dna.cli.progress import progress_bar
    from titans_dna.cli.regions import by_contig, place_regions, warn_unused
    from titans_dna.inference.model import load_model
    from titans_dna.inference.score_regions import RegionScore, score_contig_regions
    from titans_dna.io.fasta import open_fasta
    from titans_dna.io.tables import write_tsv
    from titans_dna.io.tracks import BigWigTrack

    model = load_model(model_folder, device)
    with open_fasta(fasta) as source, ExitStack() as stack:
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
            score, asked = scores.get(row), region.asked
            numbers = (
                (score.bases, score.log_likelihood, score.bits_per_base, score.memory_surprise)
                if score
                else (0, *[None] * 3)
            )
            outcome = "scored" if score and score.bases else "reference_n" if score else region.outcome
            values = (
                region.contig or asked.contig,
                asked.start,
                asked.end,
                asked.name,
                asked.strand,
                *numbers,
                outcome,
            )
            table.append(dict(zip(COLUMNS, values, strict=True)))
        write_tsv(output, COLUMNS, table)
    warn_unused(placed)
