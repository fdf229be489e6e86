"""The .fai index of FASTA: made in one pass over the bytes, written, and read.

A line of .fai is ``name length offset linebases linewidth``, tab-separated: bases of the contig, byte of its first
base, bases of a full line, and bytes of a full line with its line end. So it can only describe contigs whose lines,
except the last, are equally long. `FastaScanner` also notices what an index cannot describe (lines of unequal length,
blanks inside a sequence); such a file is read from a regular copy.

Letters are IUPAC codes in any case, and ``- . * X``, which are read as N. Any other letter is refused, because the file
then holds protein or is damaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from titans_dna.errors import FormatError

_LETTERS = b"ACGTURYSWKMBDHVNX"
_ALLOWED = _LETTERS + _LETTERS.lower() + b"-.*\n"
_BLANKS = b" \t\r"


@dataclass(frozen=True, slots=True)
class FaiEntry:
    """The place of one contig in a file."""

    name: str  # contig name: the header up to the first blank
    length_bp: int  # bases
    offset: int  # byte of the first base
    line_bp: int  # bases in a full line; 0 for a contig without bases
    line_bytes: int  # bytes in a full line, line end included

    def byte_of(self, base: int) -> int:
        """Return the byte of the file at which a base (0-based) stands."""
        if not self.line_bp:
            return self.offset
        return self.offset + base // self.line_bp * self.line_bytes + base % self.line_bp


class FastaScanner:
    """Indexes FASTA text that arrives block by block.

    Parameters
    ----------
    path
        Path of the file, used in messages only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[FaiEntry] = []
        self.irregular: str = ""  # why a .fai cannot describe the file; empty if it can
        self._names: dict[str, int] = {}
        self._parts: list[bytes] = []  # the start of a line that has not ended yet
        self._at = 0  # byte at which this line starts
        self._line = 0  # number of lines before it
        self._name: str | None = None
        self._offset = self._length = self._line_bp = self._line_bytes = 0
        self._closed = False  # whether a short line was seen, after which no bases may follow

    def feed(self, block: bytes) -> None:
        """Take the next bytes of the file.

        Raises
        ------
        FormatError
            If they are not nucleotide FASTA.
        """
        cut = block.rfind(b"\n") + 1
        if not cut:
            self._parts.append(block)
            return
        work = b"".join([*self._parts, block[:cut]])
        self._parts = [block[cut:]]
        self._scan(work)

    def finish(self) -> list[FaiEntry]:
        """Return the index, after the last byte.

        Raises
        ------
        FormatError
            If the file holds no sequence.
        """
        rest = b"".join(self._parts)
        self._parts = []
        if rest:
            self._scan(rest + b"\n")
        self._end_contig()
        if not any(entry.length_bp for entry in self.entries):
            raise FormatError(
                "holds no sequence. A FASTA needs a line '>name' and lines of bases below it.", path=self.path
            )
        return self.entries

    def _scan(self, work: bytes) -> None:
        """Index whole lines."""
        letters = np.frombuffer(work, np.uint8)
        ends = np.flatnonzero(letters == 10)
        starts = np.concatenate([[0], ends[:-1] + 1])
        headers = np.flatnonzero(letters[starts] == ord(">")).tolist()
        done = 0
        for number in [*headers, len(starts)]:
            if number > done:
                self._scan_sequence(work, letters, starts[done:number], ends[done:number], done)
            if number < len(starts):
                self._begin_contig(work[starts[number] + 1 : ends[number]], number)
            done = number + 1
        self._at += len(work)
        self._line += len(starts)

    def _scan_sequence(
        self, work: bytes, letters: np.ndarray, starts: np.ndarray, ends: np.ndarray, first: int
    ) -> None:
        """Count the bases in lines of one contig; `first` is the number of the first of these lines in `work`."""
        begin, end = int(starts[0]), int(ends[-1]) + 1
        residue = work[begin:end].translate(None, _ALLOWED)
        blanks = b""
        if residue:
            if residue.translate(None, _BLANKS):
                self._refuse(work, starts, ends, first)
            blanks = residue
        elif len(starts) == 1 and self._name is not None and not (self._line_bp or self._closed) and end - begin > 1:
            # The first line of a contig alone: all that drafts of many contigs have, and arrays cost more than it.
            self._length = self._line_bp = end - begin - 1
            self._line_bytes, self._offset = end - begin, self._at + begin
            return
        # The usual case needs no loop over lines: their lengths follow from the places of the line ends.
        widths = ends - starts
        returns = (widths > 0) & (letters[ends - 1] == 13)
        bases = widths - returns
        # Line ends "\r\n" explain one blank per line. If there are more, some stand inside the sequence, and bases can
        # only be counted line by line.
        if len(blanks) > int(returns.sum()):
            spans = zip(starts.tolist(), ends.tolist(), strict=True)
            true_bases = np.array([len(work[start:end].translate(None, _BLANKS)) for start, end in spans])
            self._note("blanks inside the sequence", first + int(np.flatnonzero(true_bases != bases)[0]))
            bases = true_bases
        if self._name is None:
            if bases.any():
                line = self._line + first + int(np.flatnonzero(bases)[0]) + 1
                raise FormatError("bases before the first '>' line. Put '>name' above them.", path=self.path, line=line)
            return
        self._length += int(bases.sum())
        self._check_lines(starts, widths, bases, first)

    def _check_lines(self, starts: np.ndarray, widths: np.ndarray, bases: np.ndarray, first: int) -> None:
        """Note if the lines, except the last, are not equally long."""
        # The first line of a contig sets the length that all others must have.
        if not self._line_bp and not self._closed:
            if not bases[0]:
                self._closed = True
            else:
                self._line_bp, self._line_bytes = int(bases[0]), int(widths[0]) + 1
                self._offset = self._at + int(starts[0])
        full = (bases == self._line_bp) & (widths + 1 == self._line_bytes)
        if self._closed:
            if bases.any():
                self._note("bases after a short or empty line", first + int(np.flatnonzero(bases)[0]))
            return
        # One odd line may end a contig, if it is shorter and no bases follow it.
        odd = np.flatnonzero(~full)
        if len(odd):
            self._closed = True
            at = int(odd[0])
            ends_differ = bases[at] and widths[at] - bases[at] != self._line_bytes - self._line_bp - 1
            if bases[at] > self._line_bp or bases[at + 1 :].any() or (ends_differ and bases[at] == self._line_bp):
                self._note("lines of unequal length", first + at)

    def _begin_contig(self, header: bytes, number: int) -> None:
        """End the contig before, and begin the one of this header."""
        self._end_contig()
        line = self._line + number + 1
        words = header.split(None, 1)
        if not words or header[:1].isspace():
            raise FormatError("a '>' line without a name. Write the name right after '>'.", path=self.path, line=line)
        try:
            name = words[0].decode("utf-8")
        except UnicodeDecodeError:
            raise FormatError(f"contig name {words[0]!r} is not UTF-8. Rename it.", path=self.path, line=line) from None
        if name in self._names:
            raise FormatError(
                f"contig {name!r} is there twice (first on line {self._names[name]}). Rename or drop one.",
                path=self.path,
                line=line,
            )
        self._names[name] = line
        self._name = name
        self._offset = self._length = self._line_bp = self._line_bytes = 0
        self._closed = False

    def _end_contig(self) -> None:
        """Store the contig that ends here."""
        if self._name is not None:
            self.entries.append(FaiEntry(self._name, self._length, self._offset, self._line_bp, self._line_bytes))

    def _note(self, why: str, number: int) -> None:
        """Remember the first reason why a .fai cannot describe the file."""
        self.irregular = self.irregular or f"{why} (line {self._line + number + 1})"

    def _refuse(self, work: bytes, starts: np.ndarray, ends: np.ndarray, first: int) -> None:
        """Raise for the first character that is not a nucleotide code."""
        for number, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            bad = work[start:end].translate(None, _ALLOWED + _BLANKS)
            if bad:
                where = "" if self._name is None else f" in {self._name!r}"
                raise FormatError(
                    f"{chr(bad[0])!r}{where} is no nucleotide code. Give DNA or RNA as FASTA (A C G T U N, IUPAC).",
                    path=self.path,
                    line=self._line + first + number + 1,
                )


def format_fai(entries: list[FaiEntry]) -> str:
    """Write the lines of a .fai file."""
    return "".join(f"{e.name}\t{e.length_bp}\t{e.offset}\t{e.line_bp}\t{e.line_bytes}\n" for e in entries)


def read_fai(path: Path) -> list[FaiEntry]:
    """Read a .fai file.

    Raises
    ------
    FormatError
        If a line is not name, length, offset, linebases and linewidth.
    """
    entries = []
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise FormatError("is no .fai index. Delete it; it is made again.", path=path) from None
    for line, text in enumerate(lines, start=1):
        fields = text.split("\t")
        try:
            length, offset, line_bp, line_bytes = (int(field) for field in fields[1:5])
        except ValueError:
            length = -1
        if length < 0 or not fields[0] or min(offset, line_bp) < 0 or line_bytes < line_bp:
            raise FormatError(
                f"{text!r} is no line of a .fai index. Delete it; it is made again.", path=path, line=line
            )
        entries.append(FaiEntry(fields[0], length, offset, line_bp, line_bytes))
    return entries
