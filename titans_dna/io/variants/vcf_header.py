"""The header of a VCF: its lines as they are, what they declare, and what a copy must add.

A header consists of lines ``##key=value`` and ``##key=<ID=...,...>``, and of the ``#CHROM`` line with its eight fixed
columns, FORMAT and samples (VCF 4.3, sections 1.4 and 1.5). Another line before ``#CHROM``, or other column names,
raise a `FormatError`. Nothing else is checked.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from titans_dna.errors import FormatError

COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
_STRUCTURED = re.compile(r"##([^=<]+)=<(.*)>\s*")
_NO_LENGTHS = {0, (1 << 31) - 1}  # lengths that programs write if the length is not known
_PAIR = re.compile(r'([^=,"<>]+)=("(?:[^"\\]|\\.)*"|[^,"]*)(?:,|$)')


@dataclass(frozen=True, kw_only=True)
class InfoField:
    """A typed INFO field that a writer adds.

    Raises
    ------
    FormatError
        If the type or the ID is not allowed in VCF.
    """

    id: str  # key, such as TD_LLR
    number: str  # "A" (one value for each ALT), "R", "1", "0" for a flag, "." for any
    type: str  # "Float", "Integer", "String" or "Flag"
    description: str  # one sentence

    def __post_init__(self) -> None:
        if self.type not in ("Float", "Integer", "String", "Flag"):
            raise FormatError(f"INFO field {self.id}: type is {self.type!r}. Use Float, Integer, String or Flag.")
        if not re.fullmatch(r"[A-Za-z_][0-9A-Za-z_.]*", self.id):
            raise FormatError(f"INFO field name {self.id!r} is not allowed in VCF. Use letters, digits and '_'.")

    def declaration(self) -> str:
        """Write the header line that declares the field."""
        text = self.description.replace("\\", "\\\\").replace('"', '\\"')
        return f'##INFO=<ID={self.id},Number={self.number},Type={self.type},Description="{text}">'


@dataclass(frozen=True, kw_only=True)
class VcfHeader:
    """The header lines of one VCF, and what they declare."""

    lines: tuple[str, ...]  # all lines before #CHROM, without line ends
    columns: tuple[str, ...]  # names on the #CHROM line, samples included
    contigs: Mapping[str, int | None]  # length in bases of every declared contig; None if not given
    declared: Mapping[str, frozenset[str]] = field(default_factory=dict)  # declared IDs by INFO, FORMAT, FILTER, ALT

    @property
    def samples(self) -> tuple[str, ...]:
        """Sample names."""
        return self.columns[9:]

    @property
    def lengths(self) -> dict[str, int]:
        """Lengths of contigs in bases, where known. PLINK writes the last position instead, so it gives none."""
        if any(line.upper().startswith("##SOURCE=PLINK") for line in self.lines):
            return {}
        return {name: length for name, length in self.contigs.items() if length and length not in _NO_LENGTHS}

    def without_info(self, names: Collection[str]) -> VcfHeader:
        """Return the header without the declarations of these IDs."""
        kept = tuple(line for line in self.lines if not (line.startswith("##INFO=") and _id_of(line) in names))
        return replace(self, lines=kept)

    def with_additions(
        self,
        fields: Iterable[InfoField],
        contigs: Mapping[str, int | None],
        undeclared: Mapping[str, Iterable[str]],
        extra: Iterable[str] = (),
    ) -> str:
        """Write the header again with more declarations.

        Parameters
        ----------
        fields
            INFO fields to add.
        contigs
            Contigs that records use. Those that the header lacks are declared, with their length if it is known.
        undeclared
            IDs, by INFO, FORMAT and FILTER, that records use although the header does not declare them.
        extra
            Further whole ``##`` lines.
        """
        kept = list(self.lines)
        if not kept or not kept[0].startswith("##fileformat=VCFv4"):
            # Readers refuse a file whose first line is not ##fileformat (VCF 4.3, section 1.4.1).
            kept = ["##fileformat=VCFv4.2", *(line for line in kept if not line.startswith("##fileformat"))]
        for name, length in contigs.items():
            if name not in self.contigs:
                kept.append(f"##contig=<ID={name}>" if length is None else f"##contig=<ID={name},length={length}>")
        for kind, names in undeclared.items():
            for name in names:
                number = "" if kind == "FILTER" else ",Number=.,Type=String"
                kept.append(f'##{kind}=<ID={name}{number},Description="Used by records, not declared by the source">')
        kept.extend(f.declaration() for f in fields)
        kept.extend(extra)
        return "\n".join([*kept, "\t".join(self.columns)]) + "\n"


def read_header(lines: Iterable[str], path: str) -> VcfHeader:
    """Read a header.

    Parameters
    ----------
    lines
        Lines up to the ``#CHROM`` line, which is included, without line ends.
    path
        Path of the file, for messages.

    Raises
    ------
    FormatError
        If the columns are not those of a VCF, or a line before them does not begin with ``##``.
    """
    kept: list[str] = []
    contigs: dict[str, int | None] = {}
    declared: dict[str, set[str]] = {"INFO": set(), "FORMAT": set(), "FILTER": {"PASS"}, "ALT": set()}
    for number, line in enumerate(lines, start=1):
        if "\x00" in line:
            raise FormatError("holds a zero byte in its header. Is it a text file?", path=path, line=number)
        if line.startswith("##"):
            kept.append(line)
            kind, pairs = structured(line)
            name = pairs.get("ID", "")
            if kind == "contig" and name:
                length = pairs.get("length", "")
                contigs[name] = int(length) if length.isascii() and length.isdigit() else None
            elif kind in declared and name:
                declared[kind].add(name)
            continue
        if not line.startswith("#"):
            raise FormatError(
                f"{line[:40]!r} stands before the #CHROM line. Give a VCF with its header.", path=path, line=number
            )
        columns = tuple(line.split("\t"))
        if columns[:8] != COLUMNS or (len(columns) > 8 and columns[8] != "FORMAT"):
            raise FormatError(
                f"columns are {' '.join(columns[:9])!r}. They must be {' '.join(COLUMNS)} [FORMAT sample...], "
                f"tab-separated.",
                path=path,
                line=number,
            )
        if len(columns) == 9 or len(set(columns)) < len(columns):
            what = "a FORMAT column without samples" if len(columns) == 9 else "a column or sample that is there twice"
            raise FormatError(f"the #CHROM line has {what}. Correct it.", path=path, line=number)
        frozen = {kind: frozenset(names) for kind, names in declared.items()}
        return VcfHeader(lines=tuple(kept), columns=columns, contigs=contigs, declared=frozen)
    raise FormatError("has no #CHROM line. Give a VCF with its header.", path=path)


def percent_coded(text: str) -> str:
    """Write characters that have a meaning in INFO and ID as percent codes (VCF 4.3, section 1.2)."""
    return "".join(
        c if c.isprintable() and c not in " ;=,%" else "".join(f"%{b:02X}" for b in c.encode("utf-8", "replace"))
        for c in text
    )


def structured(line: str) -> tuple[str, dict[str, str]]:
    """Divide ``##key=<a=b,...>`` into key and pairs, without quotes; another kind of line has no pairs."""
    match = _STRUCTURED.fullmatch(line)
    if match is None:
        return line[2:].partition("=")[0], {}
    return match[1], {key.strip(): value.strip('"') for key, value in _PAIR.findall(match[2])}


def _id_of(line: str) -> str:
    return structured(line)[1].get("ID", "")
