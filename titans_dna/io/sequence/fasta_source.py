"""The bytes behind a FASTA file: memory-mapped plain text, or BGZF blocks, both with a .fai index.

A contig of regular lines is a matrix of letters with its line ends as the last columns: the fastest read is one
strided copy without them.
"""

from __future__ import annotations

import gzip
import logging
import mmap
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from titans_dna.errors import FormatError, OutputError
from titans_dna.io.disk.bgzf import BgzfReader, iterate_blocks, read_gzi, write_gzi
from titans_dna.io.disk.cache import cache_entry, store, try_to_store
from titans_dna.io.sequence.fasta_index import FaiEntry, FastaScanner, format_fai, read_fai

__all__ = [
    "BgzfSource",
    "PlainSource",
    "Source",
    "index_bgzf",
    "index_plain",
    "reference_for_htslib",
    "regular_copy",
]

logger = logging.getLogger(__name__)

Letters = np.ndarray[Any, np.dtype[np.uint8]]
_BLOCK = 1 << 22  # bytes read at once
_WINDOW = 1 << 14  # bases up to which line ends are dropped by translate, which has the smaller start-up cost
_CHECKED = 40  # contigs whose place in a BGZF file is checked against its index; plain files are checked whole


class Source(Protocol):
    """Reads bases of contigs by name and 0-based half-open span; the span must hold at least one base."""

    entries: list[FaiEntry]

    def fetch(self, name: str, start: int, end: int) -> bytes:
        """Read a span as bytes."""
        ...

    def letters(self, name: str, start: int, end: int) -> Letters:
        """Read a span as a new array."""
        ...

    def misfit(self) -> str:
        """Say how the index does not fit the bytes; empty if it fits."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class PlainSource:
    """Uncompressed FASTA through a memory map: no copy of the file in memory, safe across threads and forks."""

    def __init__(self, path: Path, entries: list[FaiEntry]) -> None:
        self.entries = entries
        self._by_name = {entry.name: entry for entry in entries}
        with path.open("rb") as stream:
            self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)

    def fetch(self, name: str, start: int, end: int) -> bytes:
        """Read a span as bytes."""
        if end - start > _WINDOW:
            return self.letters(name, start, end).tobytes()
        entry = self._by_name[name]
        return self._map[entry.byte_of(start) : entry.byte_of(end - 1) + 1].translate(None, b"\r\n")

    def letters(self, name: str, start: int, end: int) -> Letters:
        """Read a span as a new array, by one strided copy."""
        entry = self._by_name[name]
        first = entry.byte_of(start)
        text = np.frombuffer(self._map, np.uint8, entry.byte_of(end - 1) + 1 - first, first)
        return _without_line_ends(text, entry, start, end)

    def misfit(self) -> str:
        """Say how the index does not fit the bytes; empty if it fits."""
        return _misfit(self.entries, lambda start, end: self._map[start:end], len(self.entries) + 1)

    def close(self) -> None:
        """Close the file."""
        self._map.close()


class BgzfSource:
    """BGZF-compressed FASTA read in place: windows by pyfaidx, long spans block by block.

    Parameters
    ----------
    path
        The compressed file.
    entries
        Its .fai index.
    fai, gzi
        Where the two indexes lie.
    """

    def __init__(self, path: Path, entries: list[FaiEntry], fai: Path, gzi: Path) -> None:
        self.entries = entries
        self._by_name = {entry.name: entry for entry in entries}
        self._path, self._fai, self._gzi = path, fai, gzi
        self._reader = BgzfReader(path, read_gzi(gzi))
        self._faidx: Any = None
        self._process = 0

    def fetch(self, name: str, start: int, end: int) -> bytes:
        """Read a span as bytes."""
        if end - start > _WINDOW or self._path.suffix.lower() not in (".gz", ".bgz"):
            return self.letters(name, start, end).tobytes()
        if self._process != os.getpid():  # a forked worker must not share a file position with its parent
            self._open_faidx()
        text: str = self._faidx.fetch(name, start + 1, end)
        return text.encode("ascii")

    def letters(self, name: str, start: int, end: int) -> Letters:
        """Read a span as a new array."""
        entry = self._by_name[name]
        data = self._reader.read(entry.byte_of(start), entry.byte_of(end - 1) + 1)
        return _without_line_ends(np.frombuffer(data, np.uint8), entry, start, end)

    def misfit(self) -> str:
        """Say how the index does not fit the bytes (a sample of contigs); empty if it fits."""
        return _misfit(self.entries, self._reader.read, _CHECKED)

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
        if self._faidx is not None:
            self._faidx.close()

    def _open_faidx(self) -> None:
        """Open pyfaidx on the indexes at hand; it must neither rebuild nor write any."""
        import warnings

        import pyfaidx

        with warnings.catch_warnings():
            # pyfaidx warns if an index is older than its FASTA; whether it fits was checked by its content.
            warnings.simplefilter("ignore", RuntimeWarning)
            self._faidx = pyfaidx.Faidx(
                self._path,
                indexname=self._fai,
                gzi_indexname=self._gzi,
                as_raw=True,
                rebuild=False,
                build_index=False,
            )
        self._process = os.getpid()


def index_plain(path: Path) -> tuple[list[FaiEntry], str]:
    """Index a plain file, or read its index from the cache; also return why it is irregular, "" if it is not."""
    cached = cache_entry(path, ".fai")
    if cached.is_file():
        return read_fai(cached), ""
    scanner = FastaScanner(path)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            scanner.feed(block)
    entries = scanner.finish()
    if not scanner.irregular:
        try_to_store(cached, lambda temporary: temporary.write_text(format_fai(entries), "utf-8"))
    return entries, scanner.irregular


def index_bgzf(path: Path) -> tuple[list[FaiEntry], str, Path, Path]:
    """Index a BGZF file into the cache; return entries, why it is irregular ("" if it is not), .fai and .gzi.

    Raises
    ------
    OutputError
        If the cache cannot be written.
    """
    fai, gzi = cache_entry(path, ".fai"), cache_entry(path, ".gzi")
    if fai.is_file() and gzi.is_file():
        return read_fai(fai), "", fai, gzi
    scanner, blocks, at = FastaScanner(path), [], 0
    with path.open("rb") as stream:
        for offset, data in iterate_blocks(stream, path):
            blocks.append((offset, at))
            at += len(data)
            scanner.feed(data)
    entries = scanner.finish()
    if not scanner.irregular:
        store(gzi, lambda temporary: write_gzi(temporary, blocks))
        store(fai, lambda temporary: temporary.write_text(format_fai(entries), "utf-8"))
    return entries, scanner.irregular, fai, gzi


def regular_copy(path: Path) -> tuple[Path, list[FaiEntry]]:
    """Make a plain copy with regular lines in the cache, if there is none yet, and index it.

    Raises
    ------
    OutputError
        If the cache cannot be written.
    FormatError
        If the file is damaged or not nucleotide FASTA.
    """
    plain, fai = cache_entry(path, ".fa"), cache_entry(path, ".fa.fai")
    if plain.is_file() and fai.is_file():
        return plain, read_fai(fai)
    scanner = FastaScanner(path)

    def copy(temporary: Path) -> None:
        with _open_text(path) as stream, temporary.open("wb") as output:
            try:
                while block := stream.read(_BLOCK):
                    scanner.feed(block)
                    output.write(block)
            except (OSError, EOFError, zlib.error) as error:
                if isinstance(error, FormatError | OutputError):
                    raise
                raise FormatError(f"is damaged or cut off ({error}). Copy it again.", path=path) from None
        scanner.finish()
        if scanner.irregular:  # other processes may look for the copy, which must never exist with irregular lines
            rough = temporary.with_name(f"{temporary.name}.rough")
            temporary.replace(rough)
            try:
                _rewrite(rough, temporary)
            finally:
                rough.unlink(missing_ok=True)

    # First the copy and then its index, so that an index in the cache always has its copy.
    store(plain, copy)
    entries = scanner.entries
    if scanner.irregular:
        again = FastaScanner(path)
        with plain.open("rb") as stream:
            while block := stream.read(_BLOCK):
                again.feed(block)
        entries = again.finish()
        logger.info("%s has %s; its regular copy is %s", path, scanner.irregular, plain)
    store(fai, lambda temporary: temporary.write_text(format_fai(entries), "utf-8"))
    return plain, entries


def reference_for_htslib(path: Path) -> Path:
    """Return a plain FASTA of the same content with a .fai beside it: the file itself, or one in the cache."""
    if Path(f"{path}.fai").is_file():
        return path
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    if not packed:
        entries, irregular = index_plain(path)
        if not irregular:
            # htslib wants the index beside the FASTA, whose folder may be read-only. So a link in the cache stands for
            # it.
            link = cache_entry(path, ".link.fa")
            store(link, lambda temporary: temporary.symlink_to(path.resolve()))
            store(Path(f"{link}.fai"), lambda temporary: temporary.write_text(format_fai(entries), "utf-8"))
            return link
    return regular_copy(path)[0]


def _open_text(path: Path) -> BinaryIO:
    """Open text that is plain or gzip-compressed, as its first bytes say."""
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")  # type: ignore[return-value]


def _rewrite(source: Path, target: Path, line_bp: int = 60) -> None:
    """Write FASTA with equally long lines and without blanks inside the sequence."""
    with source.open("rb") as stream, target.open("wb") as output:
        held = b""
        for line in stream:
            if line.startswith(b">"):
                output.write(held + b"\n" * bool(held) + line.rstrip() + b"\n")
                held = b""
                continue
            held += line.translate(None, b" \t\r\n")
            while len(held) >= line_bp:
                whole = len(held) // line_bp * line_bp
                output.write(b"".join(held[i : i + line_bp] + b"\n" for i in range(0, whole, line_bp)))
                held = held[whole:]
        output.write(held + b"\n" * bool(held))


def _without_line_ends(text: Letters, entry: FaiEntry, start: int, end: int) -> Letters:
    """Copy bases start to end from their text, which begins with the first and ends with the last of these bases."""
    letters = np.empty(end - start, np.uint8)
    line, width = entry.line_bp, entry.line_bytes
    # The span has up to three parts: the rest of a line, whole lines, which are one matrix, and the start of a line.
    head = min((-start) % line, end - start)  # bases before the first full line
    letters[:head] = text[:head]
    rest = text[head + (width - line if head and head < end - start else 0) :]
    rows = (end - start - head) // line
    if rows:
        padded = rows * width if len(rest) >= rows * width else (rows - 1) * width
        full = rest[:padded].reshape(-1, width)[:, :line]
        letters[head : head + full.size].reshape(-1, line)[:] = full
        if padded < rows * width:  # the last full line has no line end inside the text
            letters[head + full.size : head + rows * line] = rest[padded : padded + line]
    tail = end - start - head - rows * line
    if tail:
        letters[len(letters) - tail :] = rest[rows * width : rows * width + tail]
    return letters


def _misfit(entries: list[FaiEntry], read: Callable[[int, int], bytes], most: int) -> str:
    """Compare the bytes between contigs with what the index says must be there; return the first difference."""
    names = [entry.name for entry in entries]
    if len(set(names)) < len(names):
        return "it names a contig twice"
    placed = sorted((entry for entry in entries if entry.length_bp), key=lambda entry: entry.offset)
    if not placed:
        return "it lists no bases"
    pairs = list(zip([None, *placed], [*placed, None], strict=True))
    if len(pairs) > most:
        # From both ends: an index of another version of the file rarely fits at the far end.
        pairs = [*pairs[: most // 2], *pairs[-(most // 2) :]]
    for before, after in pairs:
        begin = 0 if before is None else before.byte_of(before.length_bp - 1) + 1
        # What follows the last contig is only looked at for headers, so a piece of it is enough.
        end = begin + 65536 if after is None else after.offset
        if end < begin or end - begin > 1 << 24:
            return f"contig {after.name if after else ''!r} overlaps another"
        gap = read(begin, end)
        lines = gap.split(b"\n")
        if before is not None and lines[0].strip(b"\r"):
            return f"contig {before.name!r} does not end where it says"
        headers = [line for line in lines if line.strip()]
        if any(not line.startswith(b">") for line in headers) or (
            after is not None and (len(gap) < end - begin or lines[-1])
        ):
            return f"contig {(after or before).name!r} does not lie where it says"  # type: ignore[union-attr]
        if after is not None and (not headers or headers[-1][1:].split(None, 1)[0] != after.name.encode()):
            return f"contig {after.name!r} has another name in the file"
        empty = sum(
            1
            for header in headers
            if header[1:].split(None, 1)[:1] and header[1:].split(None, 1)[0].decode("utf-8", "replace") in names
        )
        if empty != len(headers):
            return "the file has contigs that it does not list"
        if (
            after is not None
            and after.length_bp > after.line_bp
            and read(after.offset + after.line_bp, after.offset + after.line_bytes).strip()
        ):
            return f"lines of contig {after.name!r} are not {after.line_bp} bases long"
    return ""
