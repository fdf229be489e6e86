"""``titans-dna score-regions``."""

from __future__ import annotations

from pathlib import Path

import click

from titans_dna.cli import options
from titans_dna.genome.shard import Shard


@click.command("score-regions", short_help="Score regions or whole contigs, with tracks along them.")
@options.model
@options.fasta
@options.bed
@options.region
@click.option(
    "--track", type=options.FILE, callback=options.check_folder,
    help="bigWig of the memory's surprise at every base of the contigs read.",
)  # fmt: skip
@click.option(
    "--tracks", type=options.FILE, callback=options.check_folder,
    help="Log-likelihood, entropy, surprise and forgetting of each layer, at every base: NAME.bw for a bigWig of each "
    "kind, or one .tsv.gz, .parquet or .h5 (start 0-based).",
)  # fmt: skip
@options.shard
@options.resume
@options.device
@options.output("Table (.tsv, .tsv.gz, .parquet, .h5, .h5ad, - for standard output); start 0-based, end excluded.")
def score_regions(
    model_folder: Path,
    fasta: Path,
    bed: Path | None,
    regions: tuple[str, ...],
    track: Path | None,
    tracks: Path | None,
    shard: Shard,
    resume: bool,
    device: str,
    output: Path,
) -> None:
    """Score regions: log-likelihood (nats), bits per base, the memory's surprise, and the entropy of the predictions.

    A region is read with the memory of its whole contig before it; contigs are streamed once, at constant memory.
    Without --bed and --region every contig is one region. --shard divides whole contigs; tracks hold a shard's own.

    \b
    titans-dna score-regions --model model/ --fasta data/demo.fa --bed data/demo.bed --output regions.tsv
    titans-dna score-regions --model model/ --fasta data/demo.fa --tracks tracks.bw --output contigs.parquet
    """
    from titans_dna.cli.progress import progress_bar
    from titans_dna.cli.regions import place_regions, warn_unused
    from titans_dna.inference.model import load_model
    from titans_dna.inference.region_file import RegionOutputs, RegionRow, score_region_file
    from titans_dna.io.fasta import open_fasta

    model = load_model(model_folder, device)
    with open_fasta(fasta) as source:
        placed = place_regions(source, bed, regions)
        rows = [
            RegionRow(asked=p.asked, placed=p.placed if p.outcome == "ok" else None, outcome=p.outcome, contig=p.contig)
            for p in placed
        ]
        outputs = RegionOutputs(table=output, surprise=track, tracks=tracks)
        with progress_bar("scoring", 0) as advance:
            score_region_file(model, source, rows, outputs, shard=shard, resume=resume, advance=advance)
    warn_unused(placed)
