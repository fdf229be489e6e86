"""``titans-dna embed``."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from titans_dna.cli import options


@click.command("embed", short_help="Write embeddings of regions to HDF5.")
@options.model
@options.fasta
@options.bed
@options.region
@click.option(
    "--strand", type=click.Choice(["forward", "reverse", "both"]), default="forward", show_default=True,
    help="Strand that is read; both averages the two.",
)  # fmt: skip
@options.device
@options.output("HDF5 file.")
def embed(
    model_folder: Path, fasta: Path, bed: Path | None, regions: tuple[str, ...], strand: str, device: str, output: Path
) -> None:
    """Write one vector per region: the mean of the model's final features over the region's known bases.

    A region is read with the memory of its whole contig before it; contigs are streamed once. Rows are in the order of
    the input; a region that lies on no contig has a row of nan. Without --bed and --region every contig is one region.

    \b
    titans-dna embed --model model/ --fasta data/demo.fa --bed data/demo.bed --output embeddings.h5
    """
    import numpy as np

    from titans_dna.cli.progress import progress_bar
    from titans_dna.cli.regions import by_contig, place_regions, warn_unused
    from titans_dna.inference.embed import embed_contig_regions
    from titans_dna.inference.model import load_model
    from titans_dna.io.fasta import open_fasta
    from titans_dna.io.hdf5 import EmbeddingWriter
    from titans_dna.version import __version__

    model = load_model(model_folder, device)
    strands = {"forward": (False,), "reverse": (True,), "both": (False, True)}[strand]
    width = model.backbone.config.width
    with open_fasta(fasta) as source:
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
        attributes = {
            "model": model.name, "weights_sha256": model.weights_sha256, "layer": "final", "pooling": "mean",
            "context": "contig", "strand": strand, "tokenizer": model.tokenizer.kind, "fasta": str(fasta),
            "package_version": __version__, "command": shlex.join(["titans-dna", *sys.argv[1:]]),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        with EmbeddingWriter(output, width, contigs, attributes) as writer:
            writer.append([p.placed if p.contig else p.asked for p in placed], vectors)
    warn_unused(placed)
    click.echo(f"{output}: {len(placed):,} regions, {width} numbers each", err=True)
