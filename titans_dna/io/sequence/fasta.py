"""FASTA: contigs with their lengths and check sums, whole sequences, and random access.

Plain, gzip and BGZF-compressed files are told apart by their bytes, never by their name. How each is read:

* plain: at offsets; the index is the .fai beside the file if it fits, else one made into the cache folder;
* BGZF: in place by htslib, with .fai and .gzi beside it or in the cache;
* gzip (no random access), files whose lines have unequal lengths, and those that begin with a byte order mark: once
copied into the cache as regular plain FASTA.

A .fai fits if the header of every contig stands right before its offset, and its last base right before a header or the
end. This is checked against the bytes, because modification times say little after a copy. An index that does not fit
is left alone, named in a warning, and replaced by one in the cache (`on_stale`). Not checked: the letters of a file
that has a fitting .fai.
"""

from __future__ import annotations

import codecs
import gzip
import logging
import os
import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from titans_dna.errors import FormatError, IndexStale, InputMissing
from titans_dna.genome.alphabet import letters_md5
from titans_dna.genome.bases import PIECE_BP, ContigBases
from titans_dna.genome.contigs import ContigTable
from titans_dna.io.disk.bgzf import GZIP_MAGIC, is_bgzf, require_end
from titans_dna.io.disk.contexts import Closing
from titans_dna.io.disk.text import refuse_packed
from titans_dna.io.sequence.fasta_index import FaiEntry, read_fai
from titans_dna.io.sequence.fasta_source import BgzfSource, PlainSource, Source, index_bgzf, index_plain, regular_copy

logger = logging.getLogger(__name__)

_BLOCK_BP = 16 * PIECE_BP  # bases of a whole contig that are read at once
_GENBANK_RELEASE = b"Genetic Sequence Data Bank"  # stands in the first line of a file of a release
_OTHER_FORMATS = {
    b"\x1a\x41\x27\x43": "a .2bit file",
    b"\x43\x27\x41\x1a": "a .2bit file",
    b"@": "FASTQ or SAM",
    b"##fileformat=VCF": "VCF",
    b"BAM\x01": "BAM",
    b"CRAM": "CRAM",
}


class Genome(Closing):
    """A source of sequence: a `Fasta`, or a sample's own genome (`consensus.SampleGenome`); a context manager.

    Coordinates are 0-based half-open, and cut off at the ends of the contig. Names may be aliases.

    Parameters
    ----------
    path
        The file that was opened.
    contigs
        Names and lengths, in file order; aliases are found too.
    """

    def __init__(self, path: Path, contigs: ContigTable) -> None:
        self.path, self.contigs = path, contigs
        self._md5: dict[str, str] = {}
        self._last = ("", ContigBases())  # the contig that was last read whole, which is often asked for again
        self._compared: set[str] = set()  # contigs whose bases had their MD5 when they were read as a whole

    @abstractmethod
    def fetch(self, contig: str, start: int, end: int) -> bytes:
        """Read bases start to end (0-based half-open), clamped at the ends of the contig.

        Raises
        ------
        ContigUnknown
            If there is no contig of this name or alias.
        """

    def letters(self, contig: str, start: int = 0, end: int | None = None) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Read bases as `fetch` does, as a new uint8 array of letters."""
        length = self.contigs.lengths[self.contigs.require(contig)]
        return np.frombuffer(bytearray(self.fetch(contig, start, length if end is None else end)), np.uint8)

    def bases(self, contig: str) -> ContigBases:
        """Read a whole contig; long runs of N take no memory.

        Raises
        ------
        ContigUnknown
            If there is no contig of this name or alias.
        FormatError
            If the bases are not those of the MD5 that was given before.
        """
        name = self.contigs.require(contig)
        if name != self._last[0]:
            self._last = ("", ContigBases())  # let go first, so that no two contigs are held at once
            starts = range(0, self.contigs.lengths[name], _BLOCK_BP)
            blocks = (self.fetch(name, start, start + _BLOCK_BP) for start in starts)
            self._last = name, self._checked(name, ContigBases(blocks))
        return self._last[1]

    def sequence(self, contig: str) -> bytes:
        """Read a whole contig as bytes, which take the contig's length; raises what `bases` does."""
        return self.bases(contig).whole()

    def _checked(self, name: str, found: ContigBases) -> ContigBases:
        """Return the bases of a whole contig, or refuse them.

        Size, time and inode do not tell a file that was changed in place and given its old time. Outputs name the MD5
        of contigs, so it is known before they are read. Each contig is checked once: the check takes longer than
        reading.
        """
        if name in self._md5 and name not in self._compared:
            if letters_md5(*found.pieces) != self._md5[name]:
                raise FormatError(
                    f"{name} has changed while it was read. Start again, and leave the file as it is.", path=self.path
                )
            self._compared.add(name)
        return found

    def md5(self, contig: str) -> str:
        """Give the MD5 of a contig as SAM's ``M5``: of its bases in upper case, without line ends (computed once)."""
        name = self.contigs.require(contig)
        if name not in self._md5:
            self._md5[name] = letters_md5(*self.bases(name).pieces)
        return self._md5[name]


class Fasta(Genome):
    """The sequences of one file, opened by `open_fasta`; a context manager.

    Bases are returned as they are in the file, with their case and all IUPAC codes.
    """

    def __init__(self, path: Path, source: Source, contigs: ContigTable, aliases: Iterable[Sequence[str]] = ()) -> None:
        super().__init__(path, contigs)
        self._source, self._aliases = source, tuple(aliases)

    def __repr__(self) -> str:
        return f"Fasta({str(self.path)!r}, {len(self.contigs)} contigs)"

    def __reduce__(self) -> tuple[Any, ...]:
        # An open file cannot be pickled, so a worker process opens it again; it must still be the same.
        return partial(_reopen, aliases=self._aliases), (self.path, self._source.identity)

    def close(self) -> None:
        """Close the file; arrays and bytes that were returned stay valid."""
        self._last = ("", ContigBases())
        self._source.close()

    def fetch(self, contig: str, start: int, end: int) -> bytes:
        """Read bases start to end (0-based half-open), clamped at the ends of the contig.

        Raises
        ------
        ContigUnknown
            If the file has no contig of this name or alias.
        """
        name = contig if contig in self.contigs else self.contigs.require(contig)
        start, end = max(start, 0), min(end, self.contigs.lengths[name])
        return self._source.fetch(name, start, end) if start < end else b""

    def letters(self, contig: str, start: int = 0, end: int | None = None) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Read bases as `fetch` does, as a new uint8 array of letters; the fastest way to a whole contig."""
        name = contig if contig in self.contigs else self.contigs.require(contig)
        length = self.contigs.lengths[name]
        start, end = max(start, 0), length if end is None else min(end, length)
        return self._source.letters(name, start, end) if start < end else np.empty(0, np.uint8)


def open_fasta(
    path: str | os.PathLike[str],
    *,
    aliases: Iterable[Sequence[str]] = (),
    on_stale: Literal["rebuild", "error"] = "rebuild",
) -> Fasta:
    """Open a sequence file: FASTA (plain, gzip, BGZF), GenBank or EMBL.

    Parameters
    ----------
    path
        The file.
    aliases
        Groups of names that mean the same contig (`titans_dna.io.sequence.aliases.read_aliases`).
    on_stale
        What to do if the index beside the file does not fit it: ``rebuild`` makes one in the cache and warns, ``error``
        raises.

    Raises
    ------
    InputMissing
        If the file does not exist or cannot be read.
    FormatError
        If the file is empty, damaged, not nucleotide sequence, or names a contig twice.
    IndexStale
        If the index does not fit and `on_stale` is ``error``.
    OutputError
        If a copy in the cache is needed, but the cache folder cannot be written.
    """
    path, aliases = Path(path), tuple(map(tuple, aliases))
    head = _head(path)
    text = _decompressed_head(path, head)
    marked = text.startswith(codecs.BOM_UTF8)
    text = text.removeprefix(codecs.BOM_UTF8)
    if text.lstrip().startswith((b"LOCUS ", b"ID   ")) or _GENBANK_RELEASE in text:
        from titans_dna.io.sequence.genbank import convert_to_fasta

        plain = convert_to_fasta(path)
        source: Source = PlainSource(plain, index_plain(plain)[0])
    elif is_bgzf(head) and not marked:
        source = _open_bgzf(path, text, on_stale)
    elif head.startswith(GZIP_MAGIC) or marked:
        _check_text(path, text)
        source = PlainSource(*regular_copy(path))
    else:
        _check_text(path, text)
        source = _open_plain(path, on_stale)
    lengths = {entry.name: entry.length_bp for entry in source.entries}
    return Fasta(path, source, ContigTable(lengths, aliases), aliases)


def _reopen(path: Path, identity: tuple[int, int, int], *, aliases: Iterable[Sequence[str]]) -> Fasta:
    """Open a file that another process has open."""
    genome = open_fasta(path, aliases=aliases)
    if genome._source.identity != identity:
        genome.close()
        raise FormatError("has changed while it was read. Start again, and leave the file as it is.", path=path)
    return genome


def _open_plain(path: Path, on_stale: str) -> Source:
    """Open uncompressed FASTA with the index beside it, or one made now."""
    beside = Path(f"{path}.fai")
    if beside.is_file():
        source = _fitting(path, beside, on_stale, lambda found: PlainSource(path, found))
        if source is not None:
            return source
    found, irregular = index_plain(path)
    return _regular(path, irregular) if irregular else PlainSource(path, found)


def _open_bgzf(path: Path, text: bytes, on_stale: str) -> Source:
    """Open BGZF-compressed FASTA with the indexes beside it, or ones made now."""
    _check_text(path, text)
    require_end(path)
    beside, blocks = Path(f"{path}.fai"), Path(f"{path}.gzi")
    if beside.is_file() and blocks.is_file():
        source = _fitting(path, beside, on_stale, lambda found: BgzfSource(path, found, beside, blocks))
        if source is not None:
            return source
    entries, irregular, beside, blocks = index_bgzf(path)
    return _regular(path, irregular) if irregular else BgzfSource(path, entries, beside, blocks)


def _regular(path: Path, why: str) -> Source:
    """Open the regular copy of a file whose lines no index can describe."""
    logger.info("%s has %s; it is read from a regular copy in the cache", path, why)
    return PlainSource(*regular_copy(path))


def _fitting(path: Path, beside: Path, on_stale: str, make: Callable[[list[FaiEntry]], Source]) -> Source | None:
    """Open with the index beside the file if it fits; otherwise raise, or warn and return None."""
    try:
        # The index beside a file may be of an earlier version of it, and would give wrong bases without any error.
        # Times do not tell: copying changes them. So the bytes are compared with the index.
        source = make(read_fai(beside))
        reason = source.misfit()
        if not reason:
            return source
        source.close()
    except FormatError as error:
        reason = error.what
    if on_stale == "error":
        raise IndexStale(
            f"does not fit {path.name}: {reason}. Delete it, or make it again with samtools faidx.", path=beside
        )
    logger.warning("%s does not fit %s (%s); an index in the cache is used instead", beside, path.name, reason)
    return None


def _head(path: Path) -> bytes:
    """Read the first bytes of an input, or say why that cannot be done."""
    if not path.exists():
        raise InputMissing("there is no such file. Check the path.", path=path)
    if not path.is_file():
        raise InputMissing("is no regular file. Give a file; a stream has no random access.", path=path)
    try:
        with path.open("rb") as stream:
            head = stream.read(64)
    except OSError as error:
        raise InputMissing(f"cannot be read ({error.strerror}). Check its permissions.", path=path) from None
    if not head:
        raise FormatError("is empty. Give a FASTA file.", path=path)
    return head


def _decompressed_head(path: Path, head: bytes) -> bytes:
    """Return the first bytes of the decompressed text."""
    if not head.startswith(GZIP_MAGIC):
        return head
    try:
        with gzip.open(path) as stream:
            return stream.read(64)
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"is damaged gzip ({error}). Copy it again.", path=path) from None


def _check_text(path: Path, text: bytes) -> None:
    """Refuse a file that is not FASTA, and say what it is."""
    refuse_packed(text, path)
    for magic, name in _OTHER_FORMATS.items():
        if text.startswith(magic):
            raise FormatError(f"is {name}, not FASTA. Give FASTA, plain or gzip-compressed.", path=path)
    if not text.strip():
        raise FormatError("is empty. Give a FASTA file.", path=path)
