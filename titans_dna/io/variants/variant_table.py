"""Reads variants from tables and strings, as records of a VCF, so that they can be used wherever a VCF can.

A table is tab- or comma-separated and has one header line. `VariantColumns` names its columns; common names are found
without (chrom, chr, contig; pos, position; ref, reference; alt, alternate; id, ...; in upper or lower case). Positions
are 1-based. A table without these columns may have one with ``chrom:pos:ref:alt`` texts, or with genomic HGVS
substitutions as in MAVE tables (``NC_000017.11:g.43045682C>T``). A bad row is a record with a problem, like a bad line
of a VCF; a missing column is a `FormatError`. All other columns become INFO. Column names that would become the same
INFO key (``a b``, ``a_b``) are numbered (``a_b``, ``a_b_2``); a name that is a key as it is comes first.

Not read: HGVS other than genomic substitutions (coding and protein HGVS need transcripts).
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from titans_dna.errors import ConfigError, FormatError, TitansDNAError
from titans_dna.genome.variant import Variant
from titans_dna.io.disk.text import read_lines
from titans_dna.io.variants.vcf import VariantReader, VcfRecord, parse_line, read_variants
from titans_dna.io.variants.vcf_header import COLUMNS, VcfHeader, percent_coded

_TABLE = re.compile(r"\.(tsv|csv|txt|tab)(\.gz|\.bgz)?$", re.IGNORECASE)
_HGVS = re.compile(r"(?P<contig>[^\s:]+):[gm]\.(?P<position>[0-9]+)(?P<ref>[ACGT])>(?P<alt>[ACGT])")
_COMMON = {
    "contig": ("chrom", "#chrom", "chr", "contig", "chromosome", "seqname", "seqid"),
    "position": ("pos", "position", "start_1based", "pos_1based"),
    "ref": ("ref", "reference", "ref_allele", "reference_allele"),
    "alt": ("alt", "alternate", "alt_allele", "alternate_allele", "alternative"),
    "id": ("id", "variant_id", "rsid", "accession", "name"),
    "variant": ("variant", "variant_string", "spdi_like", "hgvs_g", "hgvs_genomic", "hgvs_nt"),
}
_KEY = re.compile(r"[^0-9A-Za-z_.]")


@dataclass(frozen=True, kw_only=True)
class VariantColumns:
    """Names of the columns of a table of variants; for None, common names are looked for."""

    contig: str | None = None  # contig name
    position: str | None = None  # 1-based position
    ref: str | None = None  # reference allele
    alt: str | None = None  # alternative alleles, separated by commas or slashes
    id: str | None = None  # identifier
    variant: str | None = None  # the whole variant in one column
    offset: int = 0  # added to every position; 1 for tables that count from 0

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Self | None:
        """Read texts ``what=column``, such as ``position=hg19_pos`` or ``offset=1``; return None if there are none.

        Raises
        ------
        ConfigError
            If a text does not have this form.

        Examples
        --------
        >>> VariantColumns.parse(["contig=seq", "offset=1"]).contig
        'seq'
        """
        names: dict[str, Any] = {}
        for text in texts:
            what, equals, column = text.partition("=")
            known = [field.name for field in fields(cls)]
            if not (equals and column) or what not in known or (what == "offset" and column not in ("0", "1")):
                raise ConfigError(f"column is {text!r}; give {', '.join(known)}, =, and its name (offset: 0 or 1)")
            names[what] = int(column) if what == "offset" else column
        return cls(**names) if names else None


def open_variants(source: str | os.PathLike[str], columns: VariantColumns | None = None) -> VariantReader:
    """Open variants of any kind: VCF, BCF, ``-``, a table (.tsv, .csv, .txt, with .gz or without), or one
    ``chrom:pos:ref:alt`` string.

    Raises
    ------
    InputMissing
        If the file is not there.
    FormatError
        If the file is none of these.
    """
    text = os.fspath(source)
    if text == "-" or Path(text).exists():
        # A VCF may be called .txt or .tsv, so its first line decides.
        if columns is None and (not _TABLE.search(text) or _is_vcf(text)):
            return read_variants(text)
        return read_variant_table(text, columns)
    if text.count(":") >= 3 and Path(text).suffix.lower() not in (".vcf", ".gz", ".bcf", ".tsv"):
        return read_variant_strings([text])
    return read_variants(text)


def read_variant_strings(texts: Sequence[str]) -> VariantReader:
    """Read ``chrom:pos:ref:alt`` strings, numbered from 1; a bad string is a record with a problem."""
    made = (_from_text(number, text, {}) for number, text in enumerate(texts, start=1))
    return _reader("strings", [], made)


def read_variant_table(path: str | os.PathLike[str], columns: VariantColumns | None = None) -> VariantReader:
    """Read a table of variants.

    Parameters
    ----------
    path
        The table, plain or gzip-compressed, ``-`` for standard input.
    columns
        Names of its columns.

    Raises
    ------
    InputMissing
        If the file is not there.
    FormatError
        If it is empty or lacks a column.
    """
    lines = ((number, line) for number, line in read_lines(path) if line and not line.startswith("##"))
    number, head = next(lines, (0, ""))
    if not head:
        raise FormatError("is empty. A table begins with a line of column names.", path=path)
    separator = "\t" if "\t" in head else ","
    names = _cells(head, separator)
    if len(set(names)) < len(names):
        raise FormatError("a column name is there twice. Name each column once.", path=path, line=number)
    places = _places(names, columns or VariantColumns(), path)
    others = [name for number, name in enumerate(names) if number not in places.values()]
    keys = _keys(others)
    offset = columns.offset if columns else 0
    rows = (_from_row(number, _cells(line, separator), names, places, keys, offset) for number, line in lines)
    return _reader(os.fspath(path), sorted(keys.values()), rows)


def _is_vcf(path: str) -> bool:
    """Tell whether a file whose name is that of a table is a VCF."""
    return next(read_lines(path), (0, ""))[1].startswith("##fileformat=VCF")


def _reader(path: str, keys: list[str], records: Iterable[VcfRecord]) -> VariantReader:
    """Return a reader that yields records as if they came from a VCF."""
    lines = ["##fileformat=VCFv4.2"]
    lines += [f'##INFO=<ID={key},Number=.,Type=String,Description="Column of the table">' for key in keys]
    declared = {"INFO": frozenset(keys), "FORMAT": frozenset[str](), "FILTER": frozenset({"PASS"})}
    header = VcfHeader(lines=tuple(lines), columns=COLUMNS, contigs={}, declared=declared)
    return VariantReader.of_records(path, header, records)


def _places(names: list[str], columns: VariantColumns, path: str | os.PathLike[str]) -> dict[str, int]:
    """Return the place of each column that is needed, by what it holds."""
    lower = [name.lower() for name in names]
    places = {}
    for field in fields(columns):
        asked = getattr(columns, field.name)
        if field.name == "offset":
            continue
        if asked is not None:
            if asked not in names:
                shown = ", ".join(names[:8])
                raise FormatError(f"there is no column {asked!r}; the table has {shown}. Name another.", path=path)
            places[field.name] = names.index(asked)
        else:
            found = next((lower.index(name) for name in _COMMON[field.name] if name in lower), None)
            if found is not None:
                places[field.name] = found
    whole = {"contig", "position", "ref", "alt"}
    if not whole <= places.keys() and "variant" not in places:
        lacking = ", ".join(sorted(whole - places.keys()))
        raise FormatError(
            f"no column for {lacking}; the table has {', '.join(names[:8])}. Name the columns.", path=path
        )
    # Separate columns come first; the single column is read only if it is named, or if they are incomplete.
    if columns.variant is not None or not whole <= places.keys():
        return {key: places[key] for key in ("variant", "id") if key in places}
    return {key: place for key, place in places.items() if key != "variant"}


def _from_row(
    number: int, cells: list[str], names: list[str], places: dict[str, int], keys: dict[str, str], offset: int
) -> VcfRecord:
    """Make a record of one row."""
    if len(cells) != len(names):
        text = "\t".join(cells)
        return VcfRecord(
            number, text, "", 0, "", (), f"malformed: {len(cells)} columns where the header has {len(names)}"
        )
    row = dict(zip(names, cells, strict=True))
    info = {key: row[name].strip() for name, key in keys.items() if row[name].strip() not in ("", "NA", ".")}
    name = (cells[places["id"]].strip() or ".") if "id" in places else "."
    if "variant" in places:
        return _from_text(number, cells[places["variant"]], info, name)
    contig, position, ref, alt = (cells[places[key]].strip() for key in ("contig", "position", "ref", "alt"))
    if offset and position.isascii() and position.isdigit():
        position = str(int(position) + offset)
    return parse_line(number, _line(contig, position, name, ref, alt.replace("/", ","), info))


def _from_text(number: int, text: str, info: dict[str, str], name: str = ".") -> VcfRecord:
    """Make a record of a variant in one string."""
    match = _HGVS.fullmatch(text.strip())
    try:
        variant = Variant.parse(":".join(match.group("contig", "position", "ref", "alt")) if match else text)
    except TitansDNAError as error:
        return VcfRecord(number, text, "", 0, "", (), f"malformed: {error.what}")
    return parse_line(number, _line(variant.contig, str(variant.position), name, variant.ref, variant.alt, info))


def _line(contig: str, position: str, name: str, ref: str, alt: str, info: dict[str, str]) -> str:
    """Write a line of VCF."""
    values = ";".join(f"{key}={percent_coded(value)}" for key, value in info.items())
    cells = (contig, position, percent_coded(name), ref, alt, ".", ".", values or ".")
    return "\t".join(cell.replace("\t", " ") for cell in cells)


def _keys(names: Sequence[str]) -> dict[str, str]:
    """Choose a different INFO key for each column."""
    found = {name: name for name in names if _key(name) == name}
    for name in names:
        if name not in found:
            key = first = _key(name)
            number = 1
            while key in found.values():
                number += 1
                key = f"{first}_{number}"
            found[name] = key
    return {name: found[name] for name in names}


def _key(name: str) -> str:
    """Turn a column name into an INFO key."""
    key = _KEY.sub("_", name)
    return key if key[:1].isalpha() or key[:1] == "_" else f"_{key}"


def _cells(line: str, separator: str) -> list[str]:
    """Divide one line into cells, which may be quoted."""
    rows: Iterator[list[str]] = csv.reader([line], delimiter=separator)
    try:
        return [cell.strip() for cell in next(rows, [])]
    except csv.Error:
        return [cell.strip() for cell in line.split(separator)]
