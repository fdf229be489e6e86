"""Intervals from BED (3 to 12 columns) and from features of GTF and GFF3.

BED: ``contig start end [name score strand thickStart thickEnd rgb blockCount blockSizes blockStarts]``, 0-based
half-open, separated by tabs, or by blanks if a line has no tab; the strand is ``+``, ``-``, or ``.`` or ``*`` for none,
which a line without column 6 has too.
If column 6 is a number, the line is BED3 with further columns of somebody's own: it has no strand, and column 4 is its
name. Lines that are empty or begin with ``#``, ``track`` or ``browser`` are skipped, and so is, with a warning, a first
line that names its columns (``chrom start end``). GTF and GFF3: nine tab-separated columns, start and end 1-based
inclusive. Lines of the feature types asked for (exon if none is) become intervals, named after the transcript, or else
the gene, the Name or the ID; how many lines of other types are left out is logged. In GFF3, what follows ``##FASTA``,
or the first line that begins with ``>``, is not read.

The suffix (.gtf, .gff, .gff3, with or without .gz), or else the first line, says which of these a file is. A
line that breaks its format raises a `FormatError` with its number. Not checked: score, thick ends and colour, and
whether contigs and ends exist in a sequence.

Specification: samtools.github.io/hts-specs/BEDv1.pdf; GFF3 v1.26 of the Sequence Ontology; GTF2.2.
"""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import NamedTuple
from urllib.parse import unquote

from titans_dna.errors import FormatError, TitansDNAError
from titans_dna.genome.interval import Interval
from titans_dna.io.disk.text import read_lines

logger = logging.getLogger(__name__)

EXON = "exon"  # the feature type that is read where none is named
_TYPES_SHOWN = 8
_ANNOTATION = re.compile(r"\.(gtf|gff|gff2|gff3)(\.gz|\.bgz)?$", re.IGNORECASE)
_GTF_PAIR = re.compile(r'\s*([^\s;="]+)\s+(?:"([^"]*)"|([^\s;"]+))\s*(?:;|$)')
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_STARTS, _ENDS = ({f"{before}{name}" for before in ("", "chrom", "chr", "tx")} for name in ("start", "end"))
_NAMES = ("transcript_id", "Parent", "gene_id", "gene_name", "Name", "ID")


class IntervalRecord(NamedTuple):
    """One line of a file of intervals."""

    line: int  # line of the file, from 1
    text: str  # the whole line without its line end
    intervals: tuple[Interval, ...]  # one, or the blocks of a BED12 line; empty if there is a problem
    problem: str = ""  # "malformed: ..." if the line cannot be used


def read_intervals(
    path: str | os.PathLike[str], *, feature: str | Collection[str] | None = EXON, blocks: bool = False
) -> list[Interval]:
    """Read all intervals of a file, in the order of the file.

    Parameters
    ----------
    path
        BED, GTF or GFF3, plain or gzip-compressed; ``-`` is standard input.
    feature
        Feature type to read from GTF and GFF3 (column 3), or several; None for every line.
    blocks
        Whether to return the blocks (exons) of BED12 lines one by one instead of their whole span.

    Raises
    ------
    InputMissing
        If the file is not there.
    FormatError
        If a line breaks its format, or no line is an interval of the types asked for.
    """
    found = list(iterate_intervals(path, feature=feature, blocks=blocks))
    if not found:
        raise FormatError("holds no interval. Check that it is the file you mean.", path=path)
    return found


def iterate_intervals(
    path: str | os.PathLike[str], *, feature: str | Collection[str] | None = EXON, blocks: bool = False
) -> Iterator[Interval]:
    """Yield the intervals of a file one by one; parameters and errors are those of `read_intervals`."""
    for record in iterate_records(path, feature=feature, blocks=blocks):
        if record.problem:
            raise FormatError(record.problem.removeprefix("malformed: "), path=path, line=record.line)
        yield from record.intervals


def iterate_records(
    path: str | os.PathLike[str], *, feature: str | Collection[str] | None = EXON, blocks: bool = False
) -> Iterator[IntervalRecord]:
    """Yield every line that should be an interval, good or bad; parameters are those of `read_intervals`.

    Raises
    ------
    InputMissing, FormatError
        If the file does not exist, cannot be read as text, is BED where other types than exons are asked for, or has
        lines of other types only.
    """
    wanted = {feature} if isinstance(feature, str) else None if feature is None else set(feature)
    taken, left_out = 0, Counter[str]()
    annotation: bool | None = True if _ANNOTATION.search(os.fspath(path)) else None
    for number, line in read_lines(path):
        if line.startswith("##FASTA") or (annotation and line.startswith(">")):
            break
        if not line.strip() or line.startswith("#") or line.split(None, 1)[0] in ("track", "browser"):
            continue
        if annotation is None:
            annotation = _looks_like_annotation(line)
            if not annotation and _names_columns(line):
                logger.warning("%s:%d: %r is taken for the names of columns and skipped", path, number, line[:60])
                continue
        if not annotation and wanted not in (None, {EXON}):
            raise FormatError("is BED, whose lines have no feature types. Name none, or give GTF or GFF.", path=path)
        if annotation and wanted is not None and (kind := _type_of(line)) and kind not in wanted:
            left_out[kind] += 1
            continue
        taken += 1
        try:
            yield IntervalRecord(number, line, tuple(_annotation(line) if annotation else _bed(line, blocks)))
        except TitansDNAError as error:
            yield IntervalRecord(number, line, (), f"malformed: {error.what}")
    if left_out and wanted is not None:
        _tell_left_out(path, sorted(wanted), taken, left_out)


def _type_of(line: str) -> str:
    """Return the feature type of a line of GTF or GFF3; empty if the line does not have their columns."""
    columns = line.split("\t")
    return columns[2] if len(columns) in (8, 9) else ""


def _tell_left_out(path: str | os.PathLike[str], wanted: list[str], taken: int, left_out: Counter[str]) -> None:
    """Log which lines of an annotation do not become regions; raise an error if no line does."""
    types, shown = ", ".join(wanted), [f"{kind} {number:,}" for kind, number in left_out.most_common(_TYPES_SHOWN)]
    others = ", ".join(shown) + (f" and {len(left_out) - len(shown)} more types" if len(left_out) > len(shown) else "")
    if not taken:
        raise FormatError(f"holds no line of type {types}, but {others}. Choose with --feature.", path=path)
    logger.warning(
        "%s: lines of type %s are read: %d; left out are: %s. Choose with --feature.", path, types, taken, others
    )


def _looks_like_annotation(line: str) -> bool:
    """Tell whether a line is GTF or GFF3, and not BED."""
    columns = line.split("\t")
    return len(columns) in (8, 9) and columns[3].isdigit() and columns[4].isdigit() and not columns[1].isdigit()


def _names_columns(line: str) -> bool:
    """Tell whether a first line of BED says what the columns are."""
    columns = [column.strip().lower() for column in (line.split("\t") if "\t" in line else line.split())]
    return columns[1:2] != [] and columns[1] in _STARTS and columns[2:3] != [] and columns[2] in _ENDS


def _bed(line: str, blocks: bool) -> Iterator[Interval]:
    """Read one line of BED."""
    columns = line.split("\t") if "\t" in line else line.split()
    columns = [column.strip() for column in columns]
    if len(columns) < 3:
        raise FormatError(f"{line[:60]!r} has {len(columns)} columns. BED needs contig, start and end, tab-separated.")
    start, end = _number(columns[1], "start"), _number(columns[2], "end")
    name = columns[3] if len(columns) > 3 and columns[3] != "." else ""
    strand = plain_strand(columns[5]) if len(columns) > 5 and not _NUMBER.fullmatch(columns[5]) else "."
    whole = Interval(columns[0], start, end, strand, name)
    if not blocks or len(columns) < 12:
        yield whole
        return
    count = _number(columns[9], "blockCount")
    sizes = [_number(text, "blockSizes") for text in columns[10].rstrip(",").split(",")]
    offsets = [_number(text, "blockStarts") for text in columns[11].rstrip(",").split(",")]
    if not len(sizes) == len(offsets) == count:
        raise FormatError(
            f"blockCount is {count} but there are {len(sizes)} sizes and {len(offsets)} starts. Correct the line."
        )
    for size, offset in zip(sizes, offsets, strict=True):
        if start + offset + size > end:
            raise FormatError(
                f"a block ends at {start + offset + size}, beyond the interval's end {end}. Correct the line."
            )
        yield Interval(columns[0], start + offset, start + offset + size, strand, name)


def _annotation(line: str) -> Iterator[Interval]:
    """Read one line of GTF or GFF3."""
    columns = line.split("\t")
    if len(columns) not in (8, 9):
        raise FormatError(f"{line[:60]!r} has {len(columns)} columns. GTF and GFF3 have 9, tab-separated.")
    start, end = _number(columns[3], "start"), _number(columns[4], "end")
    if start < 1:
        raise FormatError(f"start is {start}. GTF and GFF3 count from 1.")
    strand = plain_strand(columns[6]).replace("?", ".")
    if strand not in ("+", "-", "."):
        raise FormatError(f"strand is {columns[6]!r}. Use '+', '-' or '.'.")
    yield Interval(unquote(columns[0]), start - 1, end, strand, _name(columns[8] if len(columns) > 8 else ""))


def plain_strand(text: str) -> str:
    """Return a strand as `Interval` has it: R packages write ``*`` for an interval without a strand."""
    return "." if text == "*" else text


def attributes(text: str) -> dict[str, str]:
    """Return the attributes of a line: of GTF ``key "value";``, of GFF3 ``key=value;`` with percent codes."""
    # Told by the first one, for values of GFF3 can hold words apart, which look like a pair of GTF.
    if re.match(r'\s*[^\s;="]+=', text):
        split = (part.strip().partition("=") for part in text.split(";"))
        return {key: unquote(value) for key, equals, value in split if equals}
    return {match[1]: match[2] or match[3] or "" for match in _GTF_PAIR.finditer(text)}


def _name(text: str) -> str:
    """Choose the name of an interval from the attributes of GTF or GFF3."""
    pairs = attributes(text)
    return next((pairs[key] for key in _NAMES if pairs.get(key)), "")


def _number(text: str, what: str) -> int:
    """Read a coordinate."""
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise FormatError(f"{what} is {text[:40]!r}, not a number from 0. (A header line must begin with '#'.)")
    return int(text)
