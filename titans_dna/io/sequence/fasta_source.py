"""The bytes behind a FASTA file: plain text, or BGZF blocks, both with a .fai index.

Reads go through file descriptors and not through a memory map, because a file that is cut off under a map ends the
process. After each read the file's size and time are compared with those at its opening: what a changed file gives is
refused.

A contig of regular lines is a matrix of letters with its line ends as the last columns: the fastest read is one
strided copy without them.
"""

from __future__ import annotations

import codecs
import logging
import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from titans_dna.errors import FormatError, IndexStale
from titans_dna.io.disk.bgzf import BgzfStream, quiet_htslib, read_gzi, read_span
from titans_dna.io.disk.cache import cache_entry, store, try_to_store
from titans_dna.io.disk.text import BLOCK, is_packed, require_room, unpacked_blocks
from titans_dna.io.sequence.fasta_index import FaiEntry, FastaScanner, format_fai, read_fai

logger = logging.getLogger(__name__)

Letters = np.ndarray[Any, np.dtype[np.uint8]]
_WINDOW = 1 << 14  # bases up to which line ends are dropped by translate, which has the smaller start-up cost
_CHECKED = 40  # contigs whose place in a BGZF file is checked against its index; plain files are checked whole


class Source(ABC):
    """Reads bases of contigs by name and 0-based half-open span; the span must hold at least one base."""

    def __init__(self, path: Path, entries: list[FaiEntry]) -> None:
        self.path, self.entries = path, entries
        self._descriptor = os.open(path, os.O_RDONLY)
        self._closing = weakref.finalize(self, os.close, self._descriptor)
        self.identity = identify(os.fstat(self._descriptor))

    def _require_unchanged(self, now: os.stat_result | None = None) -> None:
        """Refuse what was read if the file is not what it was when it was opened."""
        if identify(now or os.fstat(self._descriptor)) != self.identity:
            raise FormatError(
                "has changed while it was read. Start again, and leave the file as it is.", path=self.path
            )

    def fetch(self, name: str, start: int, end: int) -> bytes:
        """Read a span as bytes."""
        return self.letters(name, start, end).tobytes()

    @abstractmethod
    def letters(self, name: str, start: int, end: int) -> Letters:
        """Read a span as a new array."""

    @abstractmethod
    def misfit(self) -> str:
        """Say how the index does not fit the bytes; empty if it fits."""

    def close(self) -> None:
        """Close the file."""
        self._closing()
        self._descriptor = -1  # its number may soon be that of another file


class PlainSource(Source):
    """Uncompressed FASTA, read at offsets, which is safe across threads and forks."""

    def __init__(self, path: Path, entries: list[FaiEntry]) -> None:
        super().__init__(path, entries)
        self._by_name = {entry.name: entry for entry in entries}

    def fetch(self, name: str, start: int, end: int) -> bytes:
        """Read a span as bytes."""
        if end - start > _WINDOW:
            return super().fetch(name, start, end)
        entry = self._by_name[name]
        return self._span(entry, start, end).translate(None, b"\r\n")

    def letters(self, name: str, start: int, end: int) -> Letters:
        """Read a span as a new array, by one strided copy."""
        entry = self._by_name[name]
        text = np.frombuffer(self._span(entry, start, end), np.uint8)
        return _without_line_ends(text, entry, start, end)

    def _span(self, entry: FaiEntry, start: int, end: int) -> bytes:
        """Read the bytes from one base to another."""
        first, last = entry.byte_of(start), entry.byte_of(end - 1) + 1
        if last > self.identity[1]:
            what = f"ends before base {entry.length_bp:,} of {entry.name}, which its index (.fai) names"
            raise IndexStale(f"{what}. Delete the index; it is made again.", path=self.path)
        return self._read(first, last)

    def _read(self, start: int, end: int) -> bytes:
        """Read bytes of the file; fewer only beyond its end."""
        parts, at = [], start
        while at < end and (part := os.pread(self._descriptor, end - at, at)):  # at most 2 GiB come at once
            parts.append(part)
            at += len(part)
        self._require_unchanged()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def misfit(self) -> str:
        """Say how the index does not fit the bytes; empty if it fits."""
        return _misfit(self.entries, self._read, len(self.entries) + 1)


class BgzfSource(Source):
    """BGZF-compressed FASTA read in place by htslib.

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
        super().__init__(path, entries)
        self._fai, self._gzi = fai, gzi
        self._files: dict[tuple[int, int], Any] = {}

    def letters(self, name: str, start: int, end: int) -> Letters:
        """Read a span as a new array."""
        import pysam

        # A handle has a file position, so processes and threads must not share one.
        own = os.getpid(), threading.get_ident()
        try:
            with quiet_htslib():
                if own not in self._files:
                    self._files[own] = pysam.FastaFile(str(self.path), str(self._fai), str(self._gzi))
                    self._require_unchanged(self.path.stat())  # another file may have this name by now
                text = self._files[own].fetch(name, start, end)
            self._require_unchanged()
        except FormatError:
            raise
        except (OSError, ValueError) as error:
            raise FormatError(f"is damaged or cut off ({error}). Copy the file again.", path=self.path) from None
        return np.frombuffer(bytearray(text, "ascii"), np.uint8)

    def misfit(self) -> str:
        """Say how the index does not fit the bytes (a sample of contigs); empty if it fits."""
        return _misfit(self.entries, partial(read_span, self.path, read_gzi(self._gzi)), _CHECKED)

    def close(self) -> None:
        """Close the file."""
        while self._files:
            self._files.popitem()[1].close()
        super().close()


def identify(stat: os.stat_result) -> tuple[int, int, int]:
    """Return what changes if a file is changed or replaced: its inode, size in bytes and time in nanoseconds."""
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _scan(path: Path, stream: IO[bytes] | BgzfStream) -> FastaScanner:
    """Index text from a stream; `path` is named in messages."""
    scanner = FastaScanner(path)
    while block := stream.read(BLOCK):
        scanner.feed(block)
    scanner.finish()
    return scanner


def index_plain(path: Path) -> tuple[list[FaiEntry], str]:
    """Index a plain file, or read its index from the cache; also return why it is irregular, "" if it is not."""
    cached = cache_entry(path, ".fai")
    if cached.is_file():
        return read_fai(cached), ""
    with path.open("rb") as stream:
        scanner = _scan(path, stream)
    entries = scanner.entries
    if not scanner.irregular:
        try_to_store(cached, lambda temporary: temporary.write_text(format_fai(entries), "utf-8"))
    return entries, scanner.irregular


def index_bgzf(path: Path) -> tuple[list[FaiEntry], str, Path, Path]:
    """Index a BGZF file into the cache; return entries, why it is irregular ("" if it is not), .fai and .gzi.

    Raises
    ------
    FormatError
        If the file is damaged or no nucleotide FASTA.
    OutputError
        If the cache cannot be written.
    """
    import pysam

    fai, gzi = cache_entry(path, ".fai"), cache_entry(path, ".gzi")
    if fai.is_file() and gzi.is_file():
        return read_fai(fai), "", fai, gzi
    with BgzfStream(path) as stream:
        try:
            scanner = _scan(path, stream)
        except OSError as error:
            raise FormatError(f"is damaged or cut off ({error}). Copy it again.", path=path) from None
    entries = scanner.entries

    def index(temporary: Path) -> None:
        own = temporary.with_suffix(".fai")
        try:
            pysam.faidx("--fai-idx", str(own), "--gzi-idx", str(temporary), str(path))
        finally:
            own.unlink(missing_ok=True)

    if not scanner.irregular:
        store(gzi, index)
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
        written_bytes = 0
        with temporary.open("wb") as output:
            for number, block in enumerate(unpacked_blocks(path)):
                text = block if number else block.removeprefix(codecs.BOM_UTF8)
                require_room(temporary, written_bytes)
                scanner.feed(text)
                written_bytes += output.write(text)
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
        with plain.open("rb") as stream:
            entries = _scan(path, stream).entries
        logger.info("%s has %s; its regular copy is %s", path, scanner.irregular, plain)
    store(fai, lambda temporary: temporary.write_text(format_fai(entries), "utf-8"))
    return plain, entries


def reference_for_htslib(path: Path) -> Path:
    """Return a plain FASTA of the same content with a .fai beside it: the file itself, or one in the cache."""
    if Path(f"{path}.fai").is_file():
        return path
    if not is_packed(path):
        entries, irregular = index_plain(path)
        if not irregular:
            # htslib wants the index beside the FASTA, whose folder may be read-only. So a link in the cache stands for
            # it.
            link = cache_entry(path, ".link.fa")
            store(link, lambda temporary: temporary.symlink_to(path.resolve()))
            store(Path(f"{link}.fai"), lambda temporary: temporary.write_text(format_fai(entries), "utf-8"))
            return link
    return regular_copy(path)[0]


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
    known = {entry.name for entry in entries}
    if len(known) < len(entries):
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
        # The last header before a contig is its own, if under another name; all others must be those of empty contigs.
        own = [line for line in lines if line.startswith(b">")]
        for header in own if after is None else own[:-1]:
            name = b"".join(header[1:].split(None, 1)[:1]).decode("utf-8", "replace")
            if name not in known:
                return f"it does not list contig {name!r}"
        headers = [line for line in lines if line.strip()]
        if any(not line.startswith(b">") for line in headers) or (
            after is not None and (len(gap) < end - begin or lines[-1])
        ):
            return f"contig {(after or before).name!r} does not lie where it says"  # type: ignore[union-attr]
        if after is not None and (not headers or headers[-1][1:].split(None, 1)[0] != after.name.encode()):
            return f"contig {after.name!r} has another name in the file"
        if (
            after is not None
            and after.length_bp > after.line_bp
            and read(after.offset + after.line_bp, after.offset + after.line_bytes).strip()
        ):
            return f"lines of contig {after.name!r} are not {after.line_bp} bases long"
    return ""
