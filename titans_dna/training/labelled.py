"""Reads labelled sequences from tables, FASTA or intervals on a genome, and splits them for training and test.

==========================  =========================================================================
file                        what it holds
==========================  =========================================================================
``.csv``, ``.tsv`` (.gz)    columns ``sequence`` and ``label``, or ``contig``, ``start``, ``end``
                            (0-based, end excluded) and ``label``; ``split`` (train, test) if given
``.bed`` (.gz)              regions of a genome; the label is the name (column 4)
``.fa``, ``.fasta`` (.gz)   the label is the last word of the header, after ``|`` or a space
==========================  =========================================================================

Rows that cannot be used have an outcome: ``contig_unknown``, ``beyond_contig``, ``empty``, ``reference_n`` (no base is
known) or ``no_label``. A letter that is no IUPAC code is an error. Rows that are to be classified, not learned from,
need no label, and their table no column of labels.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from titans_dna.errors import ConfigError, FormatError, InputMissing
from titans_dna.genome.alphabet import has_known_bases, other_letters
from titans_dna.inference.placing import PlacedRegion
from titans_dna.io.disk.text import refuse_packed
from titans_dna.io.intervals.bed import read_intervals
from titans_dna.io.sequence.fasta import Genome
from titans_dna.tokenizers import NucleotideTokenizer

logger = logging.getLogger(__name__)

USED = "used"
_READ, _PLACE = {"name", "label", "sequence"}, {"contig", "start", "end"}  # columns that become fields of an example
TABLES, FASTAS = (".csv", ".tsv"), (".fa", ".fasta", ".fna")


@dataclass(frozen=True, kw_only=True)
class Example:
    """One row of the input."""

    label: str
    name: str = ""  # column ``name`` of a table or BED, first word of a FASTA header
    sequence: bytes = b""
    contig: str = ""  # contig of an interval; "" for a row with a sequence of its own
    start: int = 0  # 0-based half-open
    end: int = 0
    split: str = ""  # "train", "test", or empty
    others: Mapping[str, str] = field(default_factory=dict)  # further columns of a table


@dataclass(frozen=True, kw_only=True)
class LabelledData:
    """Examples for training and test, as ids of bases; a label is the number of its class in ``classes``."""

    classes: tuple[str, ...]
    training: list[np.ndarray]
    training_labels: np.ndarray
    tested: list[np.ndarray]
    tested_labels: np.ndarray
    outcomes: dict[str, int]  # number of input rows by outcome, "used" included


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the input with its bases."""

    example: Example
    outcome: str  # USED, or the reason why the row cannot be used
    ids: np.ndarray  # ids of its bases; empty if it cannot be used
    placed: PlacedRegion | None = None  # where it lies on a sample's haplotype; None if it is of no haplotype


def read_rows(path: Path, genome: Genome | None, *, taught: bool = True) -> Iterator[Row]:
    """Yield the rows of a file with their bases, in the order of the file.

    Parameters
    ----------
    path
        A file of one of the kinds in the table above.
    genome
        Genome from which intervals are read; None if there are none.
    taught
        Whether the rows are to be learned from, and so need labels.

    Raises
    ------
    InputMissing, FormatError
        If the file is not there, or its columns are not those above.
    ConfigError
        If intervals come without a genome.
    """
    yield from read_examples(iterate_examples(path, taught=taught), genome, taught=taught)


def read_examples(examples: Iterable[Example], genome: Genome | None, *, taught: bool = True) -> Iterator[Row]:
    """Yield examples with their bases, in their order; parameters and errors are those of `read_rows`."""
    for example in examples:
        outcome, sequence = _sequence(example, genome) if example.label or not taught else ("no_label", b"")
        yield Row(example=example, outcome=outcome, ids=NucleotideTokenizer().encode(sequence))


def read_labelled(path: Path, genome: Genome | None, test_share: float, seed: int) -> LabelledData:
    """Read labelled sequences or intervals, and split them into training and test.

    If the file has no split, ``test_share`` of each class is drawn at random for the test. If only some rows have one,
    the others are learned from, and a warning says how many they are.

    Raises
    ------
    InputMissing, FormatError
        If the file is not there, or its columns are not those above.
    ConfigError
        If there are intervals but no genome, or a part of the split has no examples.
    """
    return split_rows(list(read_rows(path, genome)), test_share, seed, where=str(path))


def split_rows(rows: Sequence[Row], test_share: float, seed: int, *, where: str) -> LabelledData:
    """Split rows as `read_labelled` does; ``where`` is the name of their source in an error.

    Raises
    ------
    ConfigError
        If there are fewer than two labels, or a part of the split has no examples.
    """
    outcomes = Counter(row.outcome for row in rows)
    usable = [(row.example, row.ids) for row in rows if row.outcome == USED]
    classes = tuple(sorted({example.label for example, _ in usable}))
    if len(classes) < 2:
        raise ConfigError(f"{where}: the usable rows have {len(classes)} labels; give at least two")
    labels = np.array([classes.index(example.label) for example, _ in usable])
    splits = [example.split for example, _ in usable]
    if any(splits) and not all(splits):
        logger.warning(
            "%s: rows that name no split, while others do: %s. They are learned from.", where, splits.count("")
        )
    tested = _tested(splits, labels, test_share, seed)
    if not tested.any() or len({*labels[~tested].tolist()}) < len(classes):
        raise ConfigError(f"{where}: the split leaves a part without examples; give more rows, or another share")
    ids = [sequence for _, sequence in usable]
    return LabelledData(
        classes=classes,
        training=[x for x, t in zip(ids, tested, strict=True) if not t], training_labels=labels[~tested],
        tested=[x for x, t in zip(ids, tested, strict=True) if t], tested_labels=labels[tested],
        outcomes=dict(outcomes),
    )  # fmt: skip


def iterate_examples(path: Path, *, taught: bool = True) -> Iterator[Example]:
    """Yield the rows of a file without the bases of intervals; parameters and errors are those of `read_rows`."""
    if not path.is_file():
        raise InputMissing("no such file. Check the path.", path=path)
    with path.open("rb") as stream:
        refuse_packed(stream.read(8), path)
    kind = "".join(path.suffixes[-2:]).removesuffix(".gz")
    # The last suffix, "gz" left out: a name may have other dots.
    kind = "." + kind.rpartition(".")[2]
    if kind in TABLES:
        yield from _table(path, "," if kind == ".csv" else "\t", taught)
    elif kind == ".bed":
        for interval in read_intervals(path):
            name = interval.name or ""
            yield Example(label=name, name=name, contig=interval.contig, start=interval.start, end=interval.end)
    elif kind in FASTAS:
        yield from _fasta(path)
    else:
        raise ConfigError(f"{path}: no known kind of labelled data; give .csv, .tsv, .bed or .fa")


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        yield from file


def _table(path: Path, delimiter: str, taught: bool) -> Iterator[Example]:
    lines = itertools.dropwhile(lambda line: line.startswith("##"), _lines(path))
    reader = csv.DictReader(lines, delimiter=delimiter)
    columns = set(reader.fieldnames or ())
    read = _READ if "sequence" in columns else _READ | _PLACE
    passed = [column for column in dict.fromkeys(reader.fieldnames or ()) if column not in read]
    intervals = {"contig", "start", "end"} <= columns
    if (taught and "label" not in columns) or not (intervals or "sequence" in columns):
        label = "label, and " if taught else ""
        raise FormatError(f"needs a column {label}sequence or contig, start and end. Rename its columns.", path=path)
    for row in reader:
        label, name, split = ((row.get(column) or "").strip() for column in ("label", "name", "split"))
        if split not in ("", "train", "test"):
            raise FormatError(f"split is {split!r}; write train or test", path=path, line=reader.line_num)
        others = {column: row[column] or "" for column in passed}
        if "sequence" in columns:
            sequence = (row["sequence"] or "").strip().encode()
            _check_letters(sequence, path, reader.line_num)
            yield Example(label=label, name=name, split=split, sequence=sequence, others=others)
            continue
        try:
            start, end = int(row["start"]), int(row["end"])
        except (TypeError, ValueError):
            raise FormatError(
                f"start is {row['start']!r}, end {row['end']!r}: no whole numbers. Correct the line.",
                path=path, line=reader.line_num,
            ) from None  # fmt: skip
        yield Example(label=label, name=name, split=split, contig=row["contig"], start=start, end=end, others=others)


def _fasta(path: Path) -> Iterator[Example]:
    """Read records in order; unlike in a genome, names may repeat here, so this does not use the FASTA reader."""
    header: str | None = None
    parts: list[str] = []
    for number, line in enumerate(_lines(path), start=1):
        if line.startswith(">"):
            if header is not None:
                yield _record(header, parts)
            header, parts = line[1:].strip(), []
        elif header is None and line.strip():
            raise FormatError("does not begin with '>'. Is it FASTA?", path=path, line=1)
        else:
            _check_letters(line.strip().encode(), path, number)
            parts.append(line.strip())
    if header is not None:
        yield _record(header, parts)


def _record(header: str, parts: Sequence[str]) -> Example:
    words = re.split(r"[|\s]+", header)
    return Example(label=words[-1] if len(words) > 1 else "", name=words[0], sequence="".join(parts).encode())


def _check_letters(sequence: bytes, path: Path, line: int) -> None:
    """Refuse text that is not a nucleotide sequence, as a FASTA reader does."""
    if strange := other_letters(sequence):
        message = f"{strange[0]!r} is no nucleotide code. Give DNA or RNA (A C G T U N, IUPAC)."
        raise FormatError(message, path=path, line=line)


def _sequence(example: Example, fasta: Genome | None) -> tuple[str, bytes]:
    """Return the outcome of a row, and its bases."""
    outcome, sequence = _fetch(example, fasta)
    if outcome == USED and not has_known_bases(sequence):
        return "reference_n", b""
    return outcome, sequence


def _fetch(example: Example, fasta: Genome | None) -> tuple[str, bytes]:
    if not example.contig:
        return (USED, example.sequence) if example.sequence else ("empty", b"")
    if fasta is None:
        raise ConfigError("the rows are intervals; name their genome with --fasta")
    outcome, contig = locate(example, fasta)
    return outcome, fasta.fetch(contig, example.start, example.end) if outcome == USED else b""


def locate(example: Example, genome: Genome) -> tuple[str, str]:
    """Return the outcome of an interval, and the name of its contig in the genome, "" if it is unknown."""
    contig = genome.contigs.resolve(example.contig)
    if contig is None:
        return "contig_unknown", ""
    if example.end > genome.contigs.lengths[contig] or example.start < 0:
        return "beyond_contig", contig
    return ("empty" if example.end <= example.start else USED), contig


def _tested(splits: Sequence[str], labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Tell which rows are for the test: those that say so, or a share of each class drawn by the seed."""
    # If any row names its part, rows without one are for training.
    if any(splits):
        return np.array([split == "test" for split in splits])
    tested, random = np.zeros(len(labels), dtype=bool), np.random.default_rng([seed, 11])
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        # Class by class, so that the test has the same shares of classes as the training.
        tested[random.permutation(members)[: max(1, round(share * len(members)))]] = True
    return tested
