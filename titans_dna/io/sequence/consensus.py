"""A sample's own genome: the reference with the sample's reads written over it, in the reference's coordinates.

`SampleGenome` offers what `titans_dna.io.sequence.fasta.Fasta` offers, so that it can be streamed, scored and embedded
in its place. The bases are those of ``samtools consensus``. To keep coordinates, inserted bases are left out and
deleted ones read N; both are counted in `SampleGenome.losses`. Where reads do not cover, the reference's base
stands, or N on request. `consensus_sequence` gives the sample's sequence as it is, with its insertions and deletions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np

from titans_dna.errors import FormatError, ReferenceMismatch
from titans_dna.genome.interval import Interval
from titans_dna.io.sequence.bam import AlignedReads, ReadFilter
from titans_dna.io.sequence.fasta import Fasta, Genome

_TILE = 1 << 20  # bases called at once
_TILES_KEPT = 64


@dataclass(frozen=True, kw_only=True)
class ConsensusOptions:
    """How bases are called from reads; the defaults are those of samtools."""

    mode: Literal["bayesian", "simple"] = "bayesian"  # of samtools consensus
    min_depth: int = 1  # reads below which a base is not called
    min_base_quality: int = 0  # Phred; bases below it do not count
    ambiguous: bool = False  # call heterozygous sites as IUPAC codes, not N
    reads: ReadFilter = field(default_factory=ReadFilter)  # which reads count

    def arguments(self) -> tuple[str, ...]:
        """Write the options as samtools takes them."""
        options = (
            *("-m", self.mode, "-d", str(self.min_depth), "--min-BQ", str(self.min_base_quality)),
            *("--min-MQ", str(self.reads.min_mapping_quality), "--ff", str(self.reads.excluded_flags)),
        )
        return (*options, "-A") if self.ambiguous else options


class SampleGenome(Genome):
    """The reference as one sample has it, by its reads; a context manager.

    Parameters
    ----------
    reference
        The genome the reads are aligned to.
    reads
        The sample's reads. Their contigs must have the reference's lengths.
    options
        How bases are called.
    fill
        What stands where no base is called: the reference's base, or N.

    Raises
    ------
    ReferenceMismatch
        If a contig of the reads has another length in the reference.
    """

    def __init__(
        self,
        reference: Fasta,
        reads: AlignedReads,
        options: ConsensusOptions = ConsensusOptions(),
        *,
        fill: Literal["reference", "n"] = "reference",
    ) -> None:
        super().__init__(reads.path, reference.contigs)
        self.fill = fill
        self._reference, self._reads, self._options = reference, reads, options
        self._tile = lru_cache(_TILES_KEPT)(self._call)
        self._counts: dict[tuple[str, int], tuple[int, int, int]] = {}  # of each tile called so far
        self._names: dict[str, str] = {}
        for name, length in reads.contigs.lengths.items():
            contig = reference.contigs.resolve(name)
            if contig is not None and reference.contigs.lengths[contig] == length:
                self._names[contig] = name
            elif contig is not None:
                here = reference.contigs.lengths[contig]
                message = f"contig {name!r} has {length:,} bases, in {reference.path} {here:,}. Give its own genome."
                raise ReferenceMismatch(message, path=reads.path)
        if not self._names:
            raise ReferenceMismatch(
                f"shares no contig with {reference.path}. Give the genome it is aligned to.", path=reads.path
            )

    @property
    def losses(self) -> dict[str, int]:
        """Bases deleted, not called and called, of the tiles read so far, each tile once."""
        totals = np.array(list(self._counts.values()), np.int64).reshape(-1, 3).sum(0).tolist()
        return dict(zip(("deleted_bases", "not_called", "called"), totals, strict=True))

    def close(self) -> None:
        """Close the reads and the reference."""
        self._reads.close()
        self._reference.close()

    def fetch(self, contig: str, start: int, end: int) -> bytes:
        """Give bases start to end (0-based half-open), clamped at the ends of the contig."""
        name = self.contigs.require(contig)
        start, end = max(start, 0), min(end, self.contigs.lengths[name])
        parts = []
        for at in range(start // _TILE * _TILE, end, _TILE):
            tile = self._tile(name, at)
            parts.append(tile[max(start - at, 0) : end - at])
        return b"".join(parts)

    def _call(self, contig: str, start: int) -> bytes:
        """Call the bases of one tile, in the reference's coordinates."""
        end = min(start + _TILE, self.contigs.lengths[contig])
        reference = self._reference.letters(contig, start, end)
        if contig not in self._names:
            called = np.full(end - start, ord("N"), np.uint8)
        else:
            place = Interval(self._names[contig], start, end)
            text = _run(self._reads, place, self._options, "-a", "--show-ins", "no", "--show-del", "yes")
            called = np.frombuffer(text, np.uint8).copy()
            if len(called) != end - start:
                message = (
                    f"samtools consensus gave {len(called)} bases for {place}. Check the file with samtools quickcheck."
                )
                raise FormatError(message, path=self._reads.path)
        deleted, missing = called == ord("*"), called == ord("N")
        if self.fill == "reference":
            called[missing] = reference[missing]
        called[deleted] = ord("N")
        lost = int(deleted.sum()), int(missing.sum())
        self._counts[contig, start] = (*lost, len(called) - sum(lost))
        return called.tobytes()


def consensus_sequence(
    reads: AlignedReads, interval: Interval, options: ConsensusOptions = ConsensusOptions()
) -> bytes:
    """Give the sample's sequence of an interval with its insertions and deletions; N where no base is called.

    Its coordinates are its own: base 100 of it need not be base 100 of the interval.
    """
    place = reads.contigs.place(interval)
    return _run(reads, place, options, "-a", "--show-ins", "yes", "--show-del", "no") if place.length_bp else b""


def _run(reads: AlignedReads, place: Interval, options: ConsensusOptions, *extra: str) -> bytes:
    """Run samtools consensus on a region and give the bases alone."""
    region = f"{{{place.contig}}}:{place.start + 1}-{place.end}"
    text = reads.samtools("consensus", "-f", "fasta", "-l", str(1 << 30), "-r", region, *options.arguments(), *extra)
    return text.partition("\n")[2].replace("\n", "").encode("ascii")
