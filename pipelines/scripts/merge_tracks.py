"""Put the bigWigs of several shards together: one of each kind, contigs in the order of the table of contigs.

A rule of the workflow runs it by `script:`.
"""

import csv
import sys
from pathlib import Path

import pyBigWig

from titans_dna.io.tracks import BigWigTrack

BLOCK = 1 << 18  # bases at once


def merge_all(shards: list[Path], contigs: Path, output: Path) -> None:
    """Merge each kind of track that the folders of shards hold."""
    with contigs.open(newline="") as table:
        order = [row["contig"] for row in csv.DictReader(table, delimiter="\t")]
    output.mkdir(exist_ok=True)
    for name in sorted({path.name for folder in shards for path in folder.glob("*.bw")}):
        merge([path for folder in shards if (path := folder / name).exists()], order, output / name)


def merge(paths: list[Path], order: list[str], output: Path) -> None:
    """Write the values of all files into one; each contig stands in one of them."""
    sources = [pyBigWig.open(str(path)) for path in paths]
    holder = {contig: source for source in sources for contig in source.chroms()}
    lengths = {contig: holder[contig].chroms(contig) for contig in order if contig in holder}
    with BigWigTrack(output, lengths) as track:
        for contig, bases in lengths.items():
            for start in range(0, bases, BLOCK):
                track.add(contig, start, holder[contig].values(contig, start, min(start + BLOCK, bases), numpy=True))
    for source in sources:
        source.close()


if "snakemake" in globals():
    sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)  # noqa: SIM115, for the error that ends the process too
    merge_all(list(map(Path, snakemake.input.tracks)), Path(snakemake.input.table), Path(snakemake.output[0]))
