"""Aligned reads of BAM, CRAM and SAM: the reads of a region as sequence.

The file is read in place. If its index is missing or outdated, one is made in the cache. SAM files, and files that are
not sorted by coordinate, are sorted into a BAM in the cache, once. CRAM needs the reference with which it was made:
lengths must agree with it, and also MD5 sums (M5) if the header has them. Coordinates are 0-based half-open. Reads are
filtered as samtools does by default: unmapped, secondary, quality-failed and duplicate ones are left out.

A BAM without the block that ends it, and a CRAM without its last container, may have been cut off and are refused. So
is a SAM file with a read on a contig that it does not declare (@SQ), for htslib takes such a read for unmapped.

Broken SAM files, such as the test set of the specification, are refused or read as htslib understands them. A record
that htslib cannot read raises a `FormatError`, because what follows it in a binary file cannot be found.

Specification: SAMv1, https://samtools.github.io/hts-specs/SAMv1.pdf; CRAMv3, section 9.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from titans_dna.errors import FormatError, IndexStale, InputMissing, ReferenceMismatch
from titans_dna.genome.alphabet import reverse_complement
from titans_dna.genome.contigs import ContigTable
from titans_dna.genome.interval import Interval
from titans_dna.io.disk.bgzf import is_bgzf, quiet_htslib, require_end
from titans_dna.io.disk.cache import cache_entry, store
from titans_dna.io.disk.contexts import Closing
from titans_dna.io.disk.text import read_lines, refuse_packed
from titans_dna.io.sequence.fasta import Fasta
from titans_dna.io.sequence.fasta_source import reference_for_htslib

logger = logging.getLogger(__name__)

_BAI_LIMIT = 1 << 29  # bases that a .bai index can address
#: The container that ends a CRAM, by the first bytes of the file; the upper half of its ninth byte varies.
_CRAM_ENDS = {
    b"CRAM\x02\x01": bytes.fromhex("0b000000ffffffff0fe0454f460000000001000001000606010001000100"),
    b"CRAM\x03": bytes.fromhex("0f000000ffffffff0fe0454f4600000000010005bdd94f0001000606010001000100ee63014b"),
}
_BAM_LIMIT = (1 << 31) - 1  # bases of a contig
_UNMAPPED, _SECONDARY, _FAILED, _DUPLICATE, _SUPPLEMENTARY = 4, 256, 512, 1024, 2048
_REASONS = {
    _UNMAPPED: "unmapped",
    _SECONDARY: "secondary",
    _FAILED: "quality failed",
    _DUPLICATE: "duplicate",
    _SUPPLEMENTARY: "supplementary",
}


@dataclass(frozen=True, kw_only=True)
class ReadFilter:
    """Which reads are taken; unmapped ones never are."""

    min_mapping_quality: int = 0  # Phred, 0 to 255
    duplicates: bool = False  # take reads marked as duplicates
    secondary: bool = False  # take secondary alignments
    supplementary: bool = True  # take supplementary (split) alignments
    quality_failed: bool = False  # take reads that failed platform checks

    @property
    def excluded_flags(self) -> int:
        """Bits of the SAM flag that exclude a read."""
        chosen = (
            (_SECONDARY, self.secondary),
            (_FAILED, self.quality_failed),
            (_DUPLICATE, self.duplicates),
            (_SUPPLEMENTARY, self.supplementary),
        )
        return _UNMAPPED | sum(bit for bit, taken in chosen if not taken)

    def reason(self, flag: int, mapping_quality: int) -> str:
        """Return why a read is left out; "" if it is taken."""
        excluded = flag & self.excluded_flags
        if excluded:
            return next(reason for bit, reason in _REASONS.items() if excluded & bit)
        return "" if mapping_quality >= self.min_mapping_quality else "mapping quality"


@dataclass(frozen=True, slots=True)
class Read:
    """One aligned read."""

    name: str  # template name
    contig: str  # contig it is aligned to
    start: int  # first aligned base, 0-based
    end: int  # one past the last aligned base
    strand: str  # "-" if the read was aligned as its reverse complement
    sequence: bytes  # bases, in the direction and with the clipping that were asked for
    mapping_quality: int  # Phred


class AlignedReads(Closing):
    """The reads of one file, opened by `open_reads`; a context manager."""

    def __init__(self, path: Path, used: Path, file: Any, contigs: ContigTable, reference: Path | None) -> None:
        self.path = path  # the file as named
        self.indexed_path = used  # what htslib opens: the file, "##idx##" and its index
        self.contigs = contigs  # contigs of the header
        self.reference = reference  # FASTA for CRAM
        self.left_out: Counter[str] = Counter()  # number of reads that `reads` has left out, by reason
        self._file = file

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # reported already while reading
            self._file.close()

    def reads(
        self, interval: Interval, *, keep: ReadFilter = ReadFilter(), as_sequenced: bool = False, clipped: bool = False
    ) -> Iterator[Read]:
        """Yield the reads that overlap an interval, by position.

        Parameters
        ----------
        interval
            Where; the contig may be an alias.
        keep
            Which reads.
        as_sequenced
            Whether to return bases in the direction of the sequencer instead of that of the reference.
        clipped
            Whether to include the soft-clipped ends, which are not aligned.

        Raises
        ------
        ContigUnknown
            If the file has no such contig.
        FormatError
            If a record cannot be read.
        """
        place = self.contigs.place(interval)
        excluded = keep.excluded_flags
        if place.length_bp == 0:
            return
        try:
            for record in self._file.fetch(place.contig, place.start, place.end):
                if record.flag & excluded or record.mapping_quality < keep.min_mapping_quality:
                    self.left_out[keep.reason(record.flag, record.mapping_quality)] += 1
                    continue
                text = record.query_sequence if clipped else record.query_alignment_sequence
                sequence = (text or "").encode("ascii")
                if as_sequenced and record.is_reverse:
                    sequence = reverse_complement(sequence)
                strand = "-" if record.is_reverse else "+"
                end = record.reference_end or record.reference_start
                yield Read(
                    record.query_name,
                    place.contig,
                    record.reference_start,
                    end,
                    strand,
                    sequence,
                    record.mapping_quality,
                )
        except (OSError, ValueError) as error:
            raise FormatError(
                f"a record near {place} cannot be read ({error}). Copy the file again.", path=self.path
            ) from None

    def samtools(self, command: str, *arguments: str) -> str:
        """Run a command of samtools on the file through pysam, and return what it prints.

        Raises
        ------
        FormatError
            If samtools fails.
        """
        import pysam
        import pysam.samtools

        reference: tuple[str, ...] = ()
        if self.reference is not None:  # as an input option, because `consensus --reference` would fill gaps with it
            reference = ("--input-fmt-option", f"reference={self.reference}")
        try:
            printed: str = getattr(pysam.samtools, command)(*arguments, *reference, str(self.indexed_path))
        except pysam.SamtoolsError as error:
            reason = " ".join(str(error).split())[-200:]
            raise FormatError(
                f"samtools {command} failed ({reason}). Check the file with samtools quickcheck.", path=self.path
            ) from None
        return printed


@quiet_htslib()
def open_reads(
    path: str | os.PathLike[str], reference: Fasta | None = None, *, aliases: Iterable[Sequence[str]] = ()
) -> AlignedReads:
    """Open BAM, CRAM or SAM.

    Parameters
    ----------
    path
        The file.
    reference
        Genome to which the reads are aligned; needed for CRAM.
    aliases
        Groups of names that mean the same contig.

    Raises
    ------
    InputMissing
        If the file does not exist, or is CRAM and there is no reference.
    FormatError
        If the file is not BAM, CRAM or SAM, or is damaged.
    ReferenceMismatch
        If a CRAM was made with another reference.
    """
    import pysam

    path = Path(path)
    if not path.is_file():
        raise InputMissing("there is no such file. Check the path.", path=path)
    with path.open("rb") as stream:
        head = stream.read(18)
    refuse_packed(head, path)
    cram = head.startswith(b"CRAM")
    if is_bgzf(head):
        require_end(path)
    _require_cram_end(path, head)
    if cram and reference is None:
        raise InputMissing("is CRAM, which needs the reference it was made with. Give --fasta.", path=path)
    try:
        fasta = reference_for_htslib(reference.path) if cram and reference is not None else None
        contigs, by_position, sums = _header(path, fasta)
        table = ContigTable(contigs, aliases)
        if cram and reference is not None:
            _compare(path, table, sums, reference)
        used = _indexed(path, by_position, contigs, fasta) if contigs else str(path)
        file = pysam.AlignmentFile(str(used), reference_filename=None if fasta is None else str(fasta), check_sq=False)
    except (OSError, ValueError, pysam.SamtoolsError) as error:
        if isinstance(error, FormatError | InputMissing | ReferenceMismatch | IndexStale):
            raise
        said = " ".join(str(error).split())[-200:]
        message = f"is no readable BAM, CRAM or SAM ({said}). Copy it again, or write it anew with samtools view."
        raise FormatError(message, path=path) from None
    return AlignedReads(path, Path(used), file, table, fasta)


def _require_cram_end(path: Path, head: bytes) -> None:
    """Refuse a CRAM without the container at its end: htslib would read the part that is there as the whole file."""
    end = next((end for magic, end in _CRAM_ENDS.items() if head.startswith(magic)), b"")
    with path.open("rb") as stream:
        stream.seek(max(path.stat().st_size - len(end), 0))
        found = bytearray(stream.read() if end else b"")
    if len(found) > 8:
        found[8] &= 0x0F
    if found != end:
        raise FormatError("lacks the container that ends a CRAM: it may be cut off. Copy it again.", path=path)


def _require_declared(path: Path, contigs: dict[str, int]) -> None:
    """Refuse a SAM file with a read on a contig that no @SQ line declares."""
    for number, line in read_lines(path):
        contig = "*" if line.startswith("@") else [*line.split("\t", 3), "*", "*"][2]
        if contig != "*" and contig not in contigs:
            raise FormatError(
                f"a read lies on {contig!r}, which no @SQ line declares. Add the header with "
                f"samtools view -T genome.fa.",
                path=path,
                line=number,
            )


def _header(path: Path, fasta: Path | None) -> tuple[dict[str, int], bool, dict[str, str]]:
    """Read the lengths of contigs, whether records are sorted by position, and MD5 sums."""
    import pysam

    with pysam.AlignmentFile(
        str(path), check_sq=False, reference_filename=None if fasta is None else str(fasta)
    ) as file:
        try:
            header = file.header.to_dict()
        except (AssertionError, ValueError, KeyError) as error:  # pysam asserts that lines of the header are whole
            raise FormatError(f"its header is damaged ({error}). Copy the file again.", path=path) from None
        for line in header.get("SQ", ()):
            if int(line.get("LN", 0)) > _BAM_LIMIT:
                raise FormatError(
                    f"contig {line['SN']!r} has {int(line['LN']):,} bases, more than the {_BAM_LIMIT:,} that BAM can "
                    f"address. Split it.", path=path,
                )  # fmt: skip
        lengths = dict(zip(file.references, file.lengths, strict=True))
        by_position = header.get("HD", {}).get("SO") == "coordinate" and not file.is_sam
        if file.is_sam:
            _require_declared(path, lengths)
    if not lengths:
        logger.warning("%s has no @SQ lines: none of its reads is aligned, so no region has any", path)
    return lengths, by_position, {line["SN"]: line.get("M5", "") for line in header.get("SQ", ())}


def _compare(path: Path, contigs: ContigTable, sums: dict[str, str], reference: Fasta) -> None:
    """Refuse a FASTA that differs from the reference with which a CRAM was made."""
    for name, length in contigs.lengths.items():
        other = reference.contigs.lengths.get(name)
        if other is not None and other != length:
            message = (
                f"contig {name!r} has {length:,} bases, in {reference.path} {other:,}. Give the one it was made with."
            )
            raise ReferenceMismatch(message, path=path)
        # CRAM stores bases as differences from the reference, so another one of equal length would give wrong bases.
        if other is not None and sums.get(name) and sums[name] != reference.md5(name):
            message = f"contig {name!r} has another MD5 in {reference.path}. Give the reference it was made with."
            raise ReferenceMismatch(message, path=path)


def _indexed(path: Path, by_position: bool, lengths: dict[str, int], fasta: Path | None) -> str:
    """Return what htslib opens: the file, sorted, and an index that is not older than the file."""
    import pysam

    kind, suffix = ("-c", ".csi") if max(lengths.values()) > _BAI_LIMIT else ("-b", ".bai")
    if by_position:
        for found in (".bai", ".csi", ".crai"):
            for index in (Path(f"{path}{found}"), path.with_suffix(found)):
                if index.is_file():
                    # htslib would use an older index with a mere warning, and might then miss reads.
                    if index.stat().st_mtime >= path.stat().st_mtime:
                        return f"{path}##idx##{index}"
                    logger.warning("%s is older than %s; an index in the cache is used instead", index, path.name)
        index = cache_entry(path, suffix if fasta is None else ".crai")
        if not index.is_file():
            store(index, lambda temporary: pysam.index(kind, "-o", str(temporary), str(path)))
        return f"{path}##idx##{index}"
    # Only a file sorted by position can be indexed. Plain SAM, even if sorted, cannot be read from the middle either.
    ordered = cache_entry(path, ".sorted.bam")
    index = Path(f"{ordered}{suffix}")
    if not (ordered.is_file() and index.is_file()):
        logger.info("%s is not sorted by position; a sorted copy is kept in the cache", path)
        extra = () if fasta is None else ("--reference", str(fasta))
        store(ordered, lambda temporary: pysam.sort("-O", "bam", "-o", str(temporary), *extra, str(path)))
        store(index, lambda temporary: pysam.index(kind, "-o", str(temporary), str(ordered)))
    return f"{ordered}##idx##{index}"
