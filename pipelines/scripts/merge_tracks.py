"""Put the bigWigs of several shards together: one of each kind, contigs in the order of the table of contigs."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import pyBigWig

from titans_dna.io.tracks import BigWigTrack

BLOCK = 1 << 18  # bases at once


def main() -> None:
    """Read the command line; find the kinds by the names of the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shards", nargs="+", type=Path, help="Folders of the shards, each with NAME.KIND.bw.")
    parser.add_argument("--contigs", type=Path, required=True, help="Table (TSV) with a column contig, in order.")
    parser.add_argument("--output", type=Path, required=True, help="Folder for the merged files.")
    given = parser.parse_args()
    with given.contigs.open(newline="") as table:
        order = [row["contig"] for row in csv.DictReader(table, delimiter="\t")]
    for name in sorted({path.name for folder in given.shards for path in folder.glob("*.bw")}):
        merge([path for folder in given.shards if (path := folder / name).exists()], order, given.output / name)


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


if __name__ == "__main__":
    main()
