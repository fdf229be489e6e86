"""Labelled sets of sequences in the layouts in which benchmarks are published.

=======================  =============================================================================
layout                   what it is
=======================  =============================================================================
a file                   what `titans_dna.training.labelled` reads: CSV, TSV, FASTA, BED
``train/``, ``test/``    GenomicBenchmarks: in each a folder for every class, in it a ``.txt`` for every
                         sequence; also one FASTA (.fa) of a class, named after it
``train.csv`` and        GUE: columns ``sequence`` and ``label``; ``dev.csv`` is left out, for nothing
``test.csv``             here is chosen on it
=======================  =============================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from titans_dna.errors import ConfigError, FormatError, InputMissing
from titans_dna.genome.alphabet import other_letters
from titans_dna.io.sequence.fasta import Genome
from titans_dna.training.labelled import Example, LabelledData, Row, read_examples, read_labelled, read_rows, split_rows

SPLITS = ("train", "test")
MOST_BYTES = 1 << 24  # of a file of one sequence
LAYOUTS = (
    "give a labelled file, a folder with train/CLASS/*.txt and test/CLASS/*.txt, or one with train.csv and test.csv"
)


def read_set(path: Path, genome: Genome | None = None, *, test_share: float = 0.2, seed: int = 0) -> LabelledData:
    """Read a labelled set in one of the layouts above.

    Parameters
    ----------
    path
        File or folder.
    genome
        From which the intervals of a file are read.
    test_share, seed
        How the rows of a file that names no split are divided.

    Raises
    ------
    InputMissing, FormatError
        If nothing is there, or it is not readable.
    ConfigError
        If a folder has none of the layouts, or a part of the split has no examples.
    """
    if path.is_file():
        return read_labelled(path, genome, test_share, seed)
    if not path.exists():
        raise InputMissing("no such file or folder. Check the path.", path=path)
    if all((path / split).is_dir() for split in SPLITS):
        return split_rows(list(read_examples(_classes(path), None)), test_share, seed, where=str(path))
    if all((path / f"{split}.csv").is_file() for split in SPLITS):
        return read_parts(path / "train.csv", path / "test.csv", genome)
    raise ConfigError(f"{path} has no layout that is known; {LAYOUTS}")


def read_parts(training: Path, tested: Path, genome: Genome | None = None) -> LabelledData:
    """Read a set whose two parts are files; what they say of a split themselves does not count.

    Raises
    ------
    InputMissing, FormatError, ConfigError
        As `read_set`.
    """
    rows: list[Row] = []
    for path, split in zip((training, tested), SPLITS, strict=True):
        rows += [replace(row, example=replace(row.example, split=split)) for row in read_rows(path, genome)]
    return split_rows(rows, 0.5, 0, where=f"{training} and {tested}")


def _classes(folder: Path) -> Iterator[Example]:
    """Yield what lies in folders of classes, in the order of their names."""
    for split in SPLITS:
        for place in sorted((folder / split).iterdir()):
            if place.is_dir():
                for file in sorted(place.glob("*.txt")):
                    yield Example(label=place.name, name=file.stem, split=split, sequence=_sequence(file))
            elif place.suffix in (".fa", ".fasta"):
                for row in read_rows(place, None, taught=False):
                    yield replace(row.example, label=place.stem, split=split)


def _sequence(path: Path) -> bytes:
    if path.stat().st_size > MOST_BYTES:
        raise FormatError(f"is longer than {MOST_BYTES:,} bytes. Give one sequence a file.", path=path)
    sequence = b"".join(path.read_bytes().split())
    if strange := other_letters(sequence):
        raise FormatError(f"{strange[0]!r} is no nucleotide code. Give DNA or RNA.", path=path)
    return sequence
