"""Whether a VCF keeps to the VCF 4.2 specification, beyond what reading it needs: header lines and their declarations.

`read_variants` reads what can be read; `check_vcf` names everything that breaks the specification, so that nothing
about a file stays unsaid: undeclared or wrongly declared fields, values that do not fit their declaration,
duplicates, order. Records are checked by `titans_dna.io.variants.vcf_check_records`.

Specification: https://samtools.github.io/hts-specs/VCFv4.2.pdf, sections 1.2 to 1.4.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from titans_dna.errors import FormatError
from titans_dna.io.variants.vcf import read_variants
from titans_dna.io.variants.vcf_check_records import FORMAT_TYPES, INFO_TYPES, RecordChecker
from titans_dna.io.variants.vcf_header import VcfHeader, structured

__all__ = ["VcfNote", "check_header", "check_vcf"]

_VERSION = re.compile(r"##fileformat=VCFv4\.[0-9]+")
_BODY = re.compile(r'<(?:[^=,"<>\s]+=(?:"(?:[^"\\]|\\.)*"|[^,"<>]*)(?:,|(?=>)))+>')
_ALT = re.compile(r"(?:DEL|INS|DUP|INV|CNV|BND|NON_REF|\*)(?::[^\s,<>]+)?|[ACGTURYSWKMBDHVN]")
_URL = re.compile(r"<?(?:https?|ftps?|file|s3|gs)://(?!\d+[:/])[^\s<>]+>?", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+|[AGR.]")
_KINDS = ("INFO", "FORMAT", "FILTER", "ALT", "contig")
_TYPES = {
    "INFO": {"Integer", "Float", "Flag", "Character", "String"},
    "FORMAT": {"Integer", "Float", "Character", "String"},
}


@dataclass(frozen=True, kw_only=True)
class VcfNote:
    """One way in which a VCF breaks its specification."""

    line: int  # line of the file, from 1
    what: str  # what is wrong, with its value


def check_vcf(path: str | os.PathLike[str], most: int = 1000) -> list[VcfNote]:
    """Name what breaks the specification in a VCF.

    Parameters
    ----------
    path
        The file.
    most
        Notes after which checking ends.

    Raises
    ------
    InputMissing, FormatError
        As `titans_dna.io.variants.vcf.read_variants` does where the file cannot be read at all.
    """
    with read_variants(path) as reader:
        notes = check_header(reader.header)
        checker = RecordChecker(reader.header)
        for record in reader:
            whats = [record.problem] if record.problem else checker.check(record)
            notes.extend(VcfNote(line=record.line, what=what) for what in whats)
            if len(notes) >= most:
                break
    return notes[:most]


def check_header(header: VcfHeader) -> list[VcfNote]:
    """Name what breaks the specification in a header."""
    notes = []
    for number, line in enumerate(header.lines, start=1):
        what = _check_line(line, number)
        if what:
            notes.append(VcfNote(line=number, what=f"{what}: {line[:80]!r}"))
    return notes


def _check_line(line: str, number: int) -> str:
    """Say what is wrong with one ``##`` line; empty if nothing is."""
    if number == 1 and not _VERSION.fullmatch(line):
        return "the first line is no ##fileformat=VCFv4.x"
    key, equals, value = line[2:].partition("=")
    if not equals or not key or not value or value == "<>":
        return "a header line without key and value"
    if key in ("assembly", "pedigreeDB"):
        return "" if _URL.fullmatch(value) else f"{key} is no URL"
    if not value.startswith("<"):
        return f"{key} is no <...> list" if key in _KINDS else ""
    if not _BODY.fullmatch(value) and (key in _KINDS or re.match(r"<\w+=", value)):
        return "a <...> list that is not closed, or quotes that are not escaped"
    pairs = structured(line)[1]
    if key in ("INFO", "FORMAT"):
        return _check_field(key, value, pairs)
    if key == "ALT":
        return _check_alt(value, pairs)
    if key == "contig" and (not pairs.get("ID") or re.search(r"\s", pairs["ID"])):
        return "a contig without a usable ID"
    if key == "PEDIGREE" and not all(re.fullmatch(r"[\w.-]+", name) for name in pairs.values()):
        return "a genome name with characters that are not allowed"
    if key == "SAMPLE":
        plain = re.sub(r'Description="(?:[^"\\]|\\.)*"', "", value)
        if not {"ID", "Genomes", "Mixture", "Description"} <= pairs.keys() or '"' in plain:
            return "a SAMPLE line needs ID, Genomes, Mixture and a quoted Description"
    return ""


def _check_field(kind: str, value: str, pairs: dict[str, str]) -> str:
    """Check the declaration of an INFO or FORMAT field."""
    if list(pairs)[:4] != ["ID", "Number", "Type", "Description"]:
        return f"{kind} needs ID, Number, Type and Description in this order"
    if not _NUMBER.fullmatch(pairs["Number"]):
        return f"Number is {pairs['Number']!r}"
    if pairs["Type"] not in _TYPES[kind]:
        return f"Type is {pairs['Type']!r}"
    if 'Description="' not in value:
        return "Description is not quoted"
    reserved = (INFO_TYPES if kind == "INFO" else FORMAT_TYPES).get(pairs["ID"])
    if (
        reserved
        and reserved != (pairs["Number"], pairs["Type"])
        and not (kind == "INFO" and pairs["ID"] == "MQ" and pairs["Number"] == "1")
    ):
        return f"{kind} {pairs['ID']} must be Number={reserved[0]}, Type={reserved[1]}"
    return ""


def _check_alt(value: str, pairs: dict[str, str]) -> str:
    """Check the declaration of a symbolic allele."""
    if list(pairs)[:1] != ["ID"] or not _ALT.fullmatch(pairs["ID"]):
        return f"ALT ID is {pairs.get('ID', '')!r}"
    if 'Description="' not in value:
        return "ALT needs a quoted Description"
    if not _NUMBER.fullmatch(pairs.get("Number", ".")) or pairs.get("Type", "String") not in _TYPES["INFO"]:
        return "ALT with an impossible Number or Type"
    if "Number" in pairs and list(pairs)[:4] != ["ID", "Number", "Type", "Description"]:
        return "ALT with its keys out of order"
    return ""


def require_valid(path: str | os.PathLike[str]) -> None:
    """Raise for the first thing in a VCF that breaks the specification.

    Raises
    ------
    FormatError
        Naming the file, the line and what is wrong.
    """
    notes = check_vcf(path, most=1)
    if notes:
        raise FormatError(
            f"{notes[0].what}. Correct the line, or read without the check.", path=path, line=notes[0].line
        )
