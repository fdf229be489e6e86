"""VCF and BCF: every record as text with its alleles, good or bad, from .vcf, .vcf.gz, .bcf or standard input.

Records are kept as text, so that a copy loses nothing; alleles are read from the text. A line that cannot be read
becomes a record with a `VcfRecord.problem` and never raises: columns are missing, POS or QUAL is not a number, REF is
not bases, or an ALT is neither bases nor ``*``, ``<...>``, a breakend or ``.``. The bytes of a file, not its name,
say its format. A byte order mark is dropped. BCF is turned into text by htslib.

Not checked here: whether INFO and FORMAT fit their declarations, and REF against a sequence.

Specification: VCFv4.2 to v4.5, https://samtools.github.io/hts-specs.
"""

from __future__ import annotations

import gzip
import io
import itertools
import os
import re
import sys
import tempfile
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple, Self

from titans_dna.errors import FormatError, InputMissing, TitansDNAError
from titans_dna.genome.variant import Variant
from titans_dna.io.disk.bgzf import GZIP_MAGIC, BgzfStream, is_bgzf, require_end
from titans_dna.io.disk.contexts import Closing
from titans_dna.io.disk.text import refuse_packed
from titans_dna.io.variants.vcf_header import VcfHeader, read_header

_IUPAC = r"[ACGTURYSWKMBDHVNacgturyswkmbdhvn]"
_ALT = re.compile(
    rf"{_IUPAC}+|\*|<[^<>\s,]+>|\.{_IUPAC}+|{_IUPAC}+\."
    rf"|{_IUPAC}+(?P<b>[\[\]])[^\[\]\s,]+:[0-9]+(?P=b)|(?P<c>[\[\]])[^\[\]\s,]+:[0-9]+(?P=c){_IUPAC}+"
    r"|(?P<d>[\[\]])<[^<>\s,]+>:?[0-9]*(?P=d)\S+|\S+(?P<e>[\[\]])<[^<>\s,]+>:?[0-9]*(?P=e)"
)
_CHROM = re.compile(r"""[^\s"',<>\\(){}\[\]`*=][^\s"',<>\\(){}\[\]`]*|<[^\s"',<>\\(){}\[\]`]+>""")
_REF = re.compile(rf"{_IUPAC}+")
_QUAL = re.compile(r"\.|-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:inf|nan)", re.IGNORECASE)
_POSITION_DIGITS = 19  # what has fewer digits fits into 64 bits
_READ = 1 << 18  # bytes decompressed at once
_REMEMBERED = 1 << 14  # alleles
_new = tuple.__new__


class VcfRecord(NamedTuple):
    """One line of a VCF.

    A record with a `problem` has the alleles and the position if these could be read, otherwise empty ones and 0.
    """

    line: int  # line of the file, from 1; of BCF, the number of the record
    text: str  # the whole line without its end
    contig: str  # CHROM as written
    position: int  # POS, 1-based; 0 is a telomere
    ref: str  # REF as written
    alts: tuple[str, ...]  # every ALT as written; empty where ALT is "."
    problem: str = ""  # "malformed: ..." if the line cannot be used

    @property
    def id(self) -> str:
        """The ID column."""
        return [*self.text.split("\t", 3), "", "", "."][2]

    def info(self) -> dict[str, str]:
        """Return the INFO column as text by key; a flag has the text ``""``."""
        columns = self.text.split("\t", 8)
        if len(columns) < 8 or columns[7] == ".":
            return {}
        pairs = (part.partition("=") for part in columns[7].split(";") if part)
        return {key: value for key, _, value in pairs}

    def variants(self) -> list[Variant]:
        """Return a `Variant` for every ALT, in order, symbolic ones included.

        Raises
        ------
        FormatError
            If the record has a problem.
        """
        if self.problem:
            raise FormatError(f"record on line {self.line} is {self.problem}")
        return [Variant(self.contig, self.position, self.ref, alt, self.id) for alt in self.alts]


class VariantReader(Closing):
    """Iterates over the records of one VCF or BCF, opened by `read_variants`; a context manager.

    Attributes
    ----------
    path
        Path that was opened; ``-`` for standard input.
    header
        The header.
    malformed
        Number of records with a problem so far.
    """

    def __init__(
        self, path: str, header: VcfHeader, lines: Iterator[str], first_line: int, resources: ExitStack
    ) -> None:
        self.path = path
        self.header = header
        self.malformed = 0
        self._lines, self._line, self._resources = lines, first_line, resources
        self._records = self._iterate()

    @classmethod
    def of_records(cls, path: str, header: VcfHeader, records: Iterable[VcfRecord]) -> Self:
        """Make a reader from records that do not come from a VCF."""
        reader = cls(path, header, iter(()), 1, ExitStack())
        reader._records = reader._count(records)
        return reader

    def __iter__(self) -> Iterator[VcfRecord]:
        return self._records

    def __next__(self) -> VcfRecord:
        return next(self._records)

    def close(self) -> None:
        """Close the file."""
        self._records.close()
        self._resources.close()

    def _count(self, records: Iterable[VcfRecord]) -> Generator[VcfRecord, None, None]:
        """Pass records on and count those with a problem."""
        for record in records:
            self.malformed += bool(record.problem)
            yield record

    def _iterate(self) -> Generator[VcfRecord, None, None]:
        """Read records until the end, then close.

        Contigs and alleles that were found valid are remembered, so that most lines cost only a few look-ups.
        """
        tabs, number = len(self.header.columns) - 1, self._line
        sites_only = tabs == 7
        most = -1 if sites_only else 7  # splits that tell the columns needed from the rest
        contigs: set[str] = set()
        refs: set[str] = set()
        quals = {"."}
        alts: dict[str, tuple[str, ...]] = {}
        try:
            for number, line in enumerate(self._lines, start=self._line):
                text = line.rstrip("\r\n")
                # The fast path: a line whose contig and alleles were found valid before. All others go through
                # `parse_line`, which says what is wrong.
                columns = text.split("\t", most)
                if len(columns) == 8 and (sites_only or text.count("\t") == tabs) and "\0" not in text:
                    contig, pos, _, ref, alt, qual, _, _ = columns
                    found = alts.get(alt)
                    known = found is not None and ref in refs and contig in contigs
                    number_like = pos.isdigit() and pos.isascii() and len(pos) < 11
                    if known and number_like and (qual in quals or _QUAL.fullmatch(qual)):
                        yield _new(VcfRecord, (number, text, contig, int(pos), ref, found, ""))
                        continue
                if text:
                    record = parse_line(number, text, tabs)
                    if record.problem:
                        self.malformed += 1
                    elif len(refs) + len(alts) < _REMEMBERED:
                        contigs.add(record.contig)
                        refs.add(record.ref)
                        quals.add(columns[5])
                        alts[columns[4]] = record.alts
                    yield record
        except (EOFError, zlib.error, OSError) as error:
            self._resources.close()
            message = f"is damaged or cut off ({error}). Copy it again."
            raise FormatError(message, path=self.path, line=number + 1) from None
        self._resources.close()


def read_variants(path: str | os.PathLike[str]) -> VariantReader:
    """Open a VCF or BCF and read its header.

    Parameters
    ----------
    path
        .vcf, .vcf.gz (gzip or BGZF), .bcf, or ``-`` for standard input.

    Raises
    ------
    InputMissing
        If the file does not exist or cannot be read.
    FormatError
        If the file is empty, damaged, or has no VCF header.
    """
    name = os.fspath(path)
    try:
        with ExitStack() as resources:
            stream = _open(name, resources)
            if stream.peek(5)[:5] == b"BCF\x02\x02":
                return _open_bcf(name, stream, resources)
            # Bytes that are not UTF-8 are kept as surrogates and written again as they were. Only "\n" ends a line,
            # because a lone "\r" may stand inside a column.
            text = io.TextIOWrapper(stream, "utf-8", errors="surrogateescape", newline="\n")
            resources.enter_context(text)
            head: list[str] = []
            for line in text:
                head.append((line if head else line.removeprefix("\ufeff")).rstrip("\r\n"))
                if not head[-1].startswith("##"):
                    break
            if not head:
                raise FormatError("is empty. Give a VCF with its header.", path=name)
            return VariantReader(name, read_header(head, name), text, len(head) + 1, resources.pop_all())
    except TitansDNAError:
        raise
    except (EOFError, zlib.error, OSError) as error:
        raise FormatError(f"is damaged or cut off ({error}). Copy it again.", path=name) from None


def _open(name: str, resources: ExitStack) -> io.BufferedReader:
    """Open a file or standard input, decompressed."""
    if name == "-":
        raw: Any = io.BufferedReader(_NotClosing(sys.stdin.buffer), _READ)
    else:
        path = Path(name)
        if not path.exists():
            raise InputMissing("there is no such file. Check the path.", path=name)
        if path.is_dir():
            raise InputMissing("is a folder. Name a VCF file.", path=name)
        try:
            raw = path.open("rb", buffering=_READ)
        except OSError as error:
            raise InputMissing(f"cannot be read ({error.strerror}). Check its permissions.", path=name) from None
        resources.enter_context(raw)
    head = raw.peek(18)[:18]
    refuse_packed(head, name)
    if head[:2] != GZIP_MAGIC:
        return raw
    if is_bgzf(head) and name != "-":
        require_end(Path(name))
        blocks = BgzfStream(Path(name))
        resources.enter_context(blocks)
        return io.BufferedReader(blocks, _READ)
    unpacked = gzip.GzipFile(fileobj=raw)
    resources.enter_context(unpacked)
    return io.BufferedReader(unpacked, _READ)


class _NotClosing(io.RawIOBase):
    """Standard input, which stays open when its reader is closed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read1(len(buffer))  # type: ignore[attr-defined]
        buffer[: len(data)] = data
        return len(data)


def _open_bcf(name: str, stream: BinaryIO, resources: ExitStack) -> VariantReader:
    """Read BCF through htslib, which needs a file: standard input is spooled into one."""
    import pysam

    source = name
    if name == "-":
        # It is deleted when it is closed, with the reader.
        spool: IO[bytes] = tempfile.NamedTemporaryFile(suffix=".bcf")  # noqa: SIM115
        resources.enter_context(spool)
        while block := stream.read(_READ):
            spool.write(block)
        spool.flush()
        source = spool.name
    try:
        variants = pysam.VariantFile(source)
    except (ValueError, OSError) as error:
        raise FormatError(f"is no readable BCF ({error}). Copy it again.", path=name) from None
    resources.enter_context(variants)
    try:
        header = read_header(str(variants.header).splitlines(), name)
    except UnicodeDecodeError:
        head = itertools.takewhile(lambda line: line.startswith("#"), _bcf_as_text(source))
        header = read_header((line.rstrip("\n") for line in head), name)
    return VariantReader(name, header, _bcf_records(variants, source), 1, resources.pop_all())


def _bcf_records(variants: Iterable[Any], source: str) -> Iterator[str]:
    """Yield records as text; from the first one that is not UTF-8 on, they are read from a copy in text."""
    done = 0
    try:
        for done, record in enumerate(variants):  # noqa: B007
            yield str(record)
    except UnicodeDecodeError:
        records = (line for line in _bcf_as_text(source) if not line.startswith("#"))
        yield from itertools.islice(records, done, None)


def _bcf_as_text(source: str) -> Iterator[str]:
    """Yield the lines of a BCF, with bytes that are not UTF-8 as surrogates, which pysam itself refuses."""
    from pysam import SamtoolsError, bcftools

    with tempfile.NamedTemporaryFile(suffix=".vcf") as copy:
        try:
            bcftools.view("--no-version", "-Ov", "-o", copy.name, source, catch_stdout=False)
        except SamtoolsError as error:
            raise OSError(str(error)) from None
        with Path(copy.name).open(encoding="utf-8", errors="surrogateescape", newline="\n") as text:
            yield from text


def parse_line(number: int, text: str, tabs: int = 7) -> VcfRecord:
    """Read one line of a VCF; what is wrong with it becomes the record's `problem`.

    Parameters
    ----------
    number
        Number of the line in the file, from 1.
    text
        The line without its end.
    tabs
        Number of tabs that the line must have: 7, or 8 plus one for each sample.
    """
    columns = text.split("\t")
    contig, pos, _, ref, alt, qual, *_ = [*columns, *[""] * 6]
    position = int(pos) if pos.isascii() and pos.isdigit() and len(pos) < _POSITION_DIGITS else 0
    alts = () if alt == "." else tuple(alt.split(","))
    problem = ""
    if text.startswith("#"):
        problem = "a header line among records"
    elif "\0" in text:
        problem = "a zero byte in the line"
    elif len(columns) != tabs + 1:
        problem = f"{len(columns)} columns where the header has {tabs + 1}"
    elif not _CHROM.fullmatch(contig):
        problem = f"CHROM is {contig[:40]!r}, not a contig name"
    elif not position and pos != "0":
        problem = f"POS is {pos[:40]!r}, not a number"
    elif not _REF.fullmatch(ref):
        problem = f"REF is {ref[:40]!r}, not bases"
    elif bad := [a for a in alts if not _ALT.fullmatch(a)]:
        problem = f"ALT is {bad[0][:40]!r}, not an allele"
    elif not _QUAL.fullmatch(qual):
        problem = f"QUAL is {qual[:40]!r}, not a number"
    return VcfRecord(number, text, contig, position, ref, alts, f"malformed: {problem}" if problem else "")
