"""``titans-dna embed``."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titans_dna.cli import options

if TYPE_CHECKING:
    from titans_dna.cli.sources import ReadsChoice
    from titans_dna.inference.model import SequenceModel


@click.command("embed", short_help="Write embeddings of regions to HDF5.")
@options.model
@options.fasta_or_reads
@options.aliases
@options.bed
@options.region
@options.reads
@click.option(
    "--strand", type=click.Choice(["forward", "reverse", "both"]), default="forward", show_default=True,
    help="Strand that is read; both averages the two.",
)  # fmt: skip
@options.device
@options.output("HDF5 file.")
def embed(
    model_folder: Path, fasta: Path | None, aliases: Path | None, bed: Path | None, regions: tuple[str, ...],
    strand: str, device: str, output: Path, **sample: Any,
) -> None:  # fmt: skip
    """Write one vector per region: the mean of the model's final features over the region's known bases.

    A region is read with the memory of its whole contig before it; contigs are streamed once. Rows are in the order of
    the input; a region that lies on no contig has a row of nan. Without --bed and --region every contig is one region.
    With --reads a sample's own genome takes the reference's place, or every read becomes a row of its own, read from a
    fresh memory in one direction; start and end are those of its alignment.

    \b
    titans-dna embed --model model/ --fasta data/demo.fa --bed data/demo.bed --output embeddings.h5
    titans-dna embed --model model/ --fasta hg38.fa --reads sample.bam --reads-as sequences --region chr2:1-9000 -o r.h5
    """
    import numpy as np

    from titans_dna.cli.progress import progress_bar
    from titans_dna.cli.regions import by_contig, place_regions, warn_unused
    from titans_dna.cli.sources import ReadsChoice, open_genome, report_names
    from titans_dna.inference.embed import embed_contig_regions
    from titans_dna.inference.model import load_model
    from titans_dna.io.hdf5 import EmbeddingWriter
    from titans_dna.version import __version__

    choice = ReadsChoice(**sample)
    model = load_model(model_folder, device)
    strands = {"forward": (False,), "reverse": (True,), "both": (False, True)}[strand]
    attributes = {
        "model": model.name, "weights_sha256": model.weights_sha256, "layer": "final", "pooling": "mean",
        "strand": strand, "tokenizer": model.tokenizer.kind, "fasta": str(fasta or ""),
        "package_version": __version__, "command": shlex.join(["titans-dna", *sys.argv[1:]]),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    if choice.reads is not None:
        attributes |= {"reads": str(choice.reads), "reads_as": choice.reads_as}
    if choice.as_sequences:
        _embed_reads(model, fasta, aliases, choice, bed, regions, output, {**attributes, "context": "read"})
        return
    width = model.backbone.config.width
    with open_genome(fasta, aliases, choice) as source:
        placed = place_regions(source, bed, regions)
        work = by_contig(placed, source)
        vectors = np.full((len(placed), width), np.nan, dtype=np.float32)
        total = len(strands) * sum(source.contigs.lengths[contig] for contig in work)
        with progress_bar("embedding", total) as advance:
            for contig, rows in work.items():
                found = [placed[row].placed for row in rows]
                vectors[rows] = embed_contig_regions(
                    model, source.sequence(contig), found, strands=strands, progress=advance
                )
        contigs = {contig: (source.contigs.lengths[contig], source.md5(contig)) for contig in work}
        with EmbeddingWriter(output, width, contigs, {**attributes, "context": "contig"}) as writer:
            writer.append([p.placed if p.contig else p.asked for p in placed], vectors)
        report_names(source)
    warn_unused(placed)
    click.echo(f"{output}: {len(placed):,} regions, {width} numbers each", err=True)


def _embed_reads(
    model: SequenceModel, fasta: Path | None, aliases: Path | None, choice: ReadsChoice, bed: Path | None,
    regions: tuple[str, ...], output: Path, attributes: dict[str, str],
) -> None:  # fmt: skip
    """Write one vector per read."""
    from itertools import tee

    import numpy as np

    from titans_dna.cli.regions import place_regions, warn_unused
    from titans_dna.cli.sources import open_aligned, reads_of, report_names
    from titans_dna.genome.interval import Interval
    from titans_dna.inference.reads import read_sequences
    from titans_dna.io.hdf5 import EmbeddingWriter

    width = model.backbone.config.width
    with open_aligned(fasta, aliases, choice) as aligned:
        placed = place_regions(aligned, bed, regions)
        contigs = {contig: (length, "") for contig, length in aligned.contigs.lengths.items()}
        with EmbeddingWriter(output, width, contigs, attributes) as writer:
            reads, again = tee(reads_of(aligned, placed, choice))
            pairs = zip(reads, read_sequences(model, (read.sequence for read in again)), strict=True)
            while block := [pair for _, pair in zip(range(1024), pairs, strict=False)]:
                places = [Interval(r.contig, r.start, r.end, r.strand, r.name) for r, _ in block]
                writer.append(places, np.stack([found.vector for _, found in block]))
        report_names(aligned)
    warn_unused(placed)
    click.echo(f"{output}: {writer.rows:,} reads, {width} numbers each", err=True)
