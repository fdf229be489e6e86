"""Whether the records of a VCF keep to the VCF 4.2 specification: columns, INFO and FORMAT against their
declarations, order, duplicates.

Reserved fields are checked even where the header does not declare them. Specification: VCFv4.2, sections 1.4.1, 1.4.2
and 5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import comb

from titans_dna.genome.variant import Variant
from titans_dna.io.variants.vcf import VcfRecord
from titans_dna.io.variants.vcf_header import VcfHeader, structured

__all__ = ["FORMAT_TYPES", "INFO_TYPES", "RecordChecker"]

#: Reserved INFO fields: (Number, Type).
INFO_TYPES: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("AN", "DP", "END", "MQ0", "NS"), ("1", "Integer")),
    **dict.fromkeys(("DB", "H2", "H3", "SOMATIC", "VALIDATED", "1000G"), ("0", "Flag")),
    "AA": ("1", "String"), "AC": ("A", "Integer"), "AF": ("A", "Float"), "BQ": ("1", "Float"), "CIGAR": ("A", "String"),
    "MQ": ("1", "Float"),
}  # fmt: skip
#: Reserved FORMAT fields: (Number, Type).
FORMAT_TYPES: dict[str, tuple[str, str]] = {
    "DP": ("1", "Integer"), "EC": ("A", "Integer"), "FT": ("1", "String"), "GL": ("G", "Float"), "GLE": ("G", "String"),
    "GP": ("G", "Float"), "GQ": ("1", "Integer"), "GT": ("1", "String"), "HQ": ("2", "Integer"), "MQ": ("1", "Integer"),
    "PL": ("G", "Integer"), "PQ": ("1", "Integer"), "PS": ("1", "Integer"),
}  # fmt: skip

_TEXT = {
    "Integer": re.compile(r"[+-]?[0-9]+|\."),
    "Float": re.compile(
        r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf(?:inity)?|nan)|\.", re.IGNORECASE
    ),
    "Character": re.compile(r"[^\s]"),
    "String": re.compile(r"[^\s]*"),
    "Flag": re.compile(r"[01]?"),
}
_NOT_NEGATIVE = {"AC", "AF", "AN", "DP", "END", "MQ0", "NS", "BQ", "MQ"}
_GENOTYPE = re.compile(r"(?:[0-9]+|\.)(?:[/|](?:[0-9]+|\.))*")
_CIGAR = re.compile(r"(?:[0-9]+[MIDNSHP=X])+|\.")
_CHROM = re.compile(r"[^\s:,<>]+|<[^\s:,<>]+>")
_BASES = re.compile(r"[ACGTNacgtn]+")
_OTHER_BASES = re.compile(r"[RYSWKMBDHVUryswkmbdhvu]+")


class RecordChecker:
    """Check records one after the other; what came before is remembered for order and duplicates.

    Parameters
    ----------
    header
        The header of their file.
    """

    def __init__(self, header: VcfHeader) -> None:
        self._info, self._format = dict(INFO_TYPES), dict(FORMAT_TYPES)
        for line in header.lines:
            kind, pairs = structured(line)
            if kind in ("INFO", "FORMAT") and {"ID", "Number", "Type"} <= pairs.keys():
                (self._info if kind == "INFO" else self._format)[pairs["ID"]] = (pairs["Number"], pairs["Type"])
        self._seen_contigs: set[str] = set()
        self._contig, self._position = "", 0
        self._near: dict[tuple[int, str, str], int] = {}  # trimmed alleles near the current position

    def check(self, record: VcfRecord) -> list[str]:
        """Name what breaks the specification in one record that has no problem."""
        columns = record.text.split("\t")
        return [
            *self._fixed(record, columns),
            *self._place(record),
            *self._check_info(record, columns[7]),
            *(self._samples(record, columns) if len(columns) > 8 else ()),
        ]

    def _fixed(self, record: VcfRecord, columns: list[str]) -> Iterator[str]:
        """Check CHROM to FILTER."""
        if not _CHROM.fullmatch(record.contig):
            yield f"CHROM is {record.contig!r}"
        if columns[2] != "." and not all(re.fullmatch(r"[^\s;]+", part) for part in columns[2].split(";")):
            yield f"ID is {columns[2]!r}"
        if not _BASES.fullmatch(record.ref):
            yield f"REF is {record.ref!r}, not A, C, G, T or N"
        for alt in record.alts:
            if _OTHER_BASES.search(alt) and not alt.startswith("<") and not set("[]") & set(alt):
                yield f"ALT is {alt!r}, not A, C, G, T or N"
        if columns[5].startswith("-"):
            yield f"QUAL is {columns[5]}, below 0"
        parts = columns[6].split(";")
        if any(not part or part == "0" or re.search(r"\s", part) for part in parts) or (
            "." in parts and len(parts) > 1
        ):
            yield f"FILTER is {columns[6]!r}"

    def _place(self, record: VcfRecord) -> Iterator[str]:
        """Check the order of records, and that no variant is there twice."""
        contig = record.contig.strip("<>")  # <1> is contig 1 of an assembly file
        if contig != self._contig:
            if contig in self._seen_contigs:
                yield f"records of {contig} are not together"
            self._seen_contigs.add(contig)
            self._contig, self._near = contig, {}
        elif record.position < self._position:
            yield f"POS {record.position} comes after {self._position}"
        self._position = record.position
        for alt in record.alts:
            variant = Variant(record.contig, record.position, record.ref, alt)
            short = variant.trimmed()
            key = (short.position, short.ref.upper(), short.alt.upper())
            if variant.is_sequence and key in self._near:
                yield f"{short} is also on line {self._near[key]}"
            self._near[key] = record.line
        if len(self._near) > 10_000:
            self._near = {key: line for key, line in self._near.items() if key[0] >= record.position - 1000}

    def _check_info(self, record: VcfRecord, text: str) -> Iterator[str]:
        """Check INFO against its declarations."""
        if text == ".":
            return
        for part in text.split(";"):
            key, equals, value = part.partition("=")
            if not key or re.search(r"\s", part):
                yield f"INFO holds {part!r}"
                continue
            number, kind = self._info.get(key, (".", "String"))
            values = [] if not equals else [value] if value.startswith('"') else value.split(",")
            if key == "CIGAR" and not all(_CIGAR.fullmatch(item) for item in values):
                yield f"INFO {part} is no CIGAR"
            elif kind == "Flag":
                if not _TEXT["Flag"].fullmatch(value):
                    yield f"INFO {part} is a flag with a value"
            elif not all(_TEXT.get(kind, _TEXT["String"]).fullmatch(item) for item in values):
                yield f"INFO {part} is not of type {kind}"
            elif key in _NOT_NEGATIVE and any(item.startswith("-") for item in values):
                yield f"INFO {part} is below 0"
            elif value != "." and not _counts(number, len(values), len(record.alts), None):
                yield f"INFO {part} has {len(values)} values, not Number={number}"

    def _samples(self, record: VcfRecord, columns: list[str]) -> Iterator[str]:
        """Check FORMAT and the samples."""
        keys = columns[8].split(":")
        if not all(re.fullmatch(r"[0-9A-Za-z.]+", key) for key in keys) or "GT" in keys[1:]:
            yield f"FORMAT is {columns[8]!r}"
            return
        for number, sample in enumerate(columns[9:], start=1):
            values = sample.split(":")
            if len(values) > len(keys):
                yield f"sample {number} has {len(values)} values where FORMAT has {len(keys)}"
                continue
            ploidy = None
            for key, value in zip(keys, values, strict=False):
                if key == "GT":
                    alleles = re.split(r"[/|]", value)
                    ploidy = len(alleles)
                    if not _GENOTYPE.fullmatch(value) or any(
                        a.isdigit() and int(a) > max(len(record.alts), 1) for a in alleles
                    ):
                        yield f"sample {number}: GT is {value!r}"
                    continue
                yield from self._value(record, number, key, value, ploidy)

    def _value(self, record: VcfRecord, sample: int, key: str, text: str, ploidy: int | None) -> Iterator[str]:
        """Check one value of one sample."""
        count, kind = self._format.get(key, (".", "String"))
        items = text.split(",")
        if not all(_TEXT.get(kind, _TEXT["String"]).fullmatch(item) for item in items):
            yield f"sample {sample}: {key} is {text!r}, not of type {kind}"
        elif text not in (".", "") and not _counts(count, len(items), len(record.alts), ploidy or 2):
            yield f"sample {sample}: {key} has {len(items)} values, not Number={count}"


def _counts(number: str, found: int, alts: int, ploidy: int | None) -> bool:
    """Tell whether a number of values fits its declaration; without any ALT, values for one are let pass."""
    alts = max(alts, 1)
    if number == "A":
        return found == alts
    if number == "R":
        return found == alts + 1
    if number == "G":
        return ploidy is None or found == comb(alts + ploidy, ploidy)
    return number == "." or not number.isdigit() or found == int(number)
