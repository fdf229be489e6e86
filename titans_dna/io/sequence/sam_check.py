"""Whether a SAM text file keeps to the SAM specification: header lines, columns, CIGAR against sequence, optional
fields.

htslib reads more than the specification allows, and `titans_dna.io.sequence.bam.open_reads` reads what htslib reads;
`check_sam` names what breaks the specification, so that nothing about a file stays unsaid.

Specification: https://samtools.github.io/hts-specs/SAMv1.pdf, sections 1.3 to 1.5.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from titans_dna.io.disk.text import read_lines

__all__ = ["SamNote", "check_sam"]

_NAME = r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*"
_OTHER_NAME = r"[0-9A-Za-z][0-9A-Za-z*+.@_|-]*"
_VERSION = r"[0-9]+\.[0-9]+"
_DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-[0-3][0-9]([T ][0-9:.]*(Z|[+-][0-9:]+)?)?"
_PLATFORMS = "CAPILLARY DNBSEQ ELEMENT HELICOS ILLUMINA IONTORRENT LS454 ONT PACBIO SINGULAR SOLID ULTIMA"
_HEADER: dict[str, dict[str, str]] = {
    "HD": {
        "VN": _VERSION,
        "SO": "unknown|unsorted|queryname|coordinate",
        "GO": "none|query|reference",
        "SS": r"(coordinate|queryname|unsorted)(:[A-Za-z0-9_-]+)+",
    },
    "SQ": {
        "SN": _NAME,
        "LN": "[0-9]+",
        "AH": rf"\*|=?:?[0-9]+-[0-9]+|{_NAME}(:[0-9]+-[0-9]+)?",
        "AN": rf"{_OTHER_NAME}(,{_OTHER_NAME})*",
        "M5": "[0-9a-f]{32}",
        "TP": "linear|circular",
    },
    "RG": {"ID": ".+", "DT": _DATE, "PI": "[0-9]+", "PL": _PLATFORMS.replace(" ", "|")},
    "PG": {"ID": ".+", "PP": ".+"},
}
_NEEDED = {"HD": ("VN",), "SQ": ("SN", "LN"), "RG": ("ID",), "PG": ("ID",)}
_COLUMNS = (
    ("QNAME", re.compile(r"[!-?A-~]{1,254}")),
    ("FLAG", re.compile(r"[0-9]{1,5}")),
    ("RNAME", re.compile(rf"\*|{_NAME}")),
    ("POS", re.compile(r"[0-9]{1,10}")),
    ("MAPQ", re.compile(r"[0-9]{1,3}")),
    ("CIGAR", re.compile(r"\*|([0-9]+[MIDNSHPX=])+")),
    ("RNEXT", re.compile(rf"\*|=|{_NAME}")),
    ("PNEXT", re.compile(r"[0-9]{1,10}")),
    ("TLEN", re.compile(r"[+-]?[0-9]{1,10}")),
    ("SEQ", re.compile(r"\*|[A-Za-z=.]+")),
    ("QUAL", re.compile(r"[!-~]+")),
)
_LIMITS = {"FLAG": 65535, "POS": 2**31 - 1, "MAPQ": 255, "PNEXT": 2**31 - 1, "TLEN": 2**31 - 1}
_FLOAT = r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?"
_LARGEST, _SMALLEST = 3.4028235e38, 1.4e-45  # of the 32-bit floats
_OPTIONAL = {
    "A": re.compile(r"[!-~]"),
    "i": re.compile(r"[-+]?[0-9]+"),
    "f": re.compile(_FLOAT),
    "Z": re.compile(r"[ !-~]*"),
    "H": re.compile(r"([0-9A-F][0-9A-F])*"),
    "B": re.compile(r"[cCsSiIf](,[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?)*"),
}
_ARRAY_LIMITS = {
    "c": (-(2**7), 2**7 - 1), "C": (0, 2**8 - 1), "s": (-(2**15), 2**15 - 1), "S": (0, 2**16 - 1),
    "i": (-(2**31), 2**31 - 1), "I": (0, 2**32 - 1),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SamNote:
    """One way in which a SAM file breaks its specification."""

    line: int  # line of the file, from 1
    what: str  # what is wrong, with its value


def check_sam(path: str | os.PathLike[str], most: int = 1000) -> list[SamNote]:
    """Name what breaks the specification in a SAM text file.

    Parameters
    ----------
    path
        The file, plain or gzip-compressed.
    most
        Notes after which checking ends.

    Raises
    ------
    InputMissing, FormatError
        If it cannot be read as text.
    """
    notes: list[SamNote] = []
    header = _Header()
    in_header = True
    for number, line in read_lines(path):
        in_header = in_header and line.startswith("@") and line[1:3].isalpha() and line[3:4] in ("\t", "")
        whats = header.check(line, number) if in_header else _check_record(line, header.names)
        notes.extend(SamNote(line=number, what=what) for what in whats)
        if len(notes) >= most:
            break
    notes.extend(SamNote(line=0, what=what) for what in header.finish())
    return notes[:most]


class _Header:
    """Header lines so far."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._used: dict[str, set[str]] = {"SQ": set(), "RG": set(), "PG": set()}
        self._parents: list[str] = []

    def check(self, line: str, number: int) -> Iterator[str]:
        """Name what is wrong with one line."""
        kind, _, rest = line[1:].partition("\t")
        if kind == "CO":
            return
        if kind not in _HEADER:
            yield f"@{kind} is no kind of header line"
            return
        fields = [field.partition(":") for field in rest.split("\t")]
        tags = {tag: value for tag, _, value in fields}
        if len(tags) < len(fields):
            yield f"@{kind} has a tag twice"
        for tag, colon, value in fields:
            if (
                not re.fullmatch(r"[A-Za-z][A-Za-z0-9]", tag)
                or not colon
                or not re.fullmatch(r"[ -~\u0080-\U0010ffff]+", value)
            ):
                yield f"@{kind} holds {f'{tag}:{value}'[:60]!r}"
            elif tag in _HEADER[kind] and not re.fullmatch(_HEADER[kind][tag], value):
                yield f"@{kind} {tag} is {value[:60]!r}"
        for tag in _NEEDED[kind]:
            if tag not in tags:
                yield f"@{kind} lacks {tag}"
        if kind == "HD" and number != 1:
            yield "@HD is not the first line"
        yield from self._names(kind, tags)

    def _names(self, kind: str, tags: dict[str, str]) -> Iterator[str]:
        """Check that names are there once."""
        if kind == "HD":
            return
        if kind == "SQ":
            self.names.add(tags.get("SN", ""))
            if tags.get("LN", "1").isdigit() and not 0 < int(tags.get("LN", "1")) < 2**31:
                yield f"@SQ LN is {tags['LN']}"
        mine = [tags.get("SN" if kind == "SQ" else "ID", ""), *filter(None, tags.get("AN", "").split(","))]
        for name in mine:
            if name in self._used[kind]:
                yield f"@{kind} {name!r} is there twice"
            self._used[kind].add(name)
        if "PP" in tags:
            self._parents.append(tags["PP"])

    def finish(self) -> Iterator[str]:
        """Check what can only be checked at the end."""
        for parent in self._parents:
            if parent not in self._used["PG"]:
                yield f"@PG PP is {parent!r}, which no @PG has"


def _check_record(line: str, names: set[str]) -> Iterator[str]:
    """Name what is wrong with one record."""
    columns = line.split("\t")
    if len(columns) < 11:
        yield f"{len(columns)} columns, not 11 or more"
        return
    right = True
    for (name, pattern), value in zip(_COLUMNS, columns, strict=False):
        fits = pattern.fullmatch(value) is not None and (name not in _LIMITS or abs(int(value)) <= _LIMITS[name])
        if not fits:
            right = False
            yield f"{name} is {value[:60]!r}"
    for place, name in ((2, "RNAME"), (6, "RNEXT")):
        if columns[place] not in ("*", "=") and names and columns[place] not in names:
            yield f"{name} is {columns[place][:60]!r}, which no @SQ has"
    if right:
        yield from _check_lengths(columns[5], columns[9], columns[10])
    tags = [field[:2] for field in columns[11:]]
    if len(set(tags)) < len(tags):
        yield "an optional field is there twice"
    for field in columns[11:]:
        if not _optional_fits(field):
            yield f"optional field {field[:60]!r}"


def _check_lengths(cigar: str, sequence: str, quality: str) -> Iterator[str]:
    """Compare CIGAR, SEQ and QUAL."""
    if "*" not in (sequence, quality) and len(sequence) != len(quality):
        yield f"SEQ has {len(sequence)} bases, QUAL {len(quality)} values"
    elif sequence == "*" and quality != "*":
        yield "QUAL without SEQ"
    if cigar == "*":
        return
    parts = re.findall(r"([0-9]+)([MIDNSHPX=])", cigar)
    bases = sum(int(count) for count, operation in parts if operation in "MIS=X")
    if sequence != "*" and bases != len(sequence):
        yield f"CIGAR covers {bases} bases, SEQ has {len(sequence)}"
    if not re.fullmatch(r"H?S?[MIDNPX=]*S?H?", "".join(operation for _, operation in parts)):
        yield f"CIGAR {cigar[:60]} is clipped in the middle"


def _optional_fits(field: str) -> bool:
    """Tell whether an optional field is TAG:TYPE:VALUE with a value of its type."""
    match = re.fullmatch(r"[A-Za-z][A-Za-z0-9]:([AifZHB]):(.*)", field)
    if match is None:
        return False
    kind, value = match[1], match[2]
    if not _OPTIONAL[kind].fullmatch(value):
        return False
    if kind == "i":
        return -(2**31) <= int(value) < 2**32
    if kind == "f":
        written_zero = not re.match(r"[-+0.]*[1-9]", value)
        return written_zero or _SMALLEST <= abs(float(value)) <= _LARGEST
    if kind == "B" and value[0] != "f":
        low, high = _ARRAY_LIMITS[value[0]]
        return all(re.fullmatch(r"[-+]?[0-9]+", item) and low <= int(item) <= high for item in value.split(",")[1:])
    return True
