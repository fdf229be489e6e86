"""A sample's own genome: the reference overwritten by the sample's reads, in the coordinates of the reference.

`SampleGenome` has the methods of `titans_dna.io.sequence.fasta.Fasta`, so it can be streamed, scored and embedded in
its place. The bases are those of ``samtools consensus``. To keep the coordinates, inserted bases are left out and
deleted bases become N, which are counted in `SampleGenome.losses`. Where no base is called, the reference's base
stands, or N if asked for.
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

    mode: Literal["bayesian", "simple"] = "bayesian"  # mode of samtools consensus
    min_depth: int = 1  # reads below which a base is not called
    min_base_quality: int = 0  # Phred; bases below it are ignored
    ambiguous: bool = False  # call heterozygous sites as IUPAC codes instead of N
    reads: ReadFilter = field(default_factory=ReadFilter)  # reads that are taken

    def arguments(self) -> tuple[str, ...]:
        """Return the options as arguments of samtools."""
        options = (
            *("-m", self.mode, "-d", str(self.min_depth), "--min-BQ", str(self.min_base_quality)),
            *("--min-MQ", str(self.reads.min_mapping_quality), "--ff", str(self.reads.excluded_flags)),
        )
        return (*options, "-A") if self.ambiguous else options


class SampleGenome(Genome):
    """The reference with the bases that the reads of a sample call; a context manager.

    Parameters
    ----------
    reference
        Genome to which the reads are aligned.
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
        self._counts: dict[tuple[str, int], tuple[int, int, int]] = {}  # losses of each tile called so far
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
        """Numbers of bases deleted, not called, and called in the tiles read so far; each tile counts once."""
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
            text = run_consensus(self._reads, place, self._options, "-a", "--show-ins", "no", "--show-del", "yes")
            called = np.frombuffer(text, np.uint8).copy()
            if len(called) != end - start:
                message = (
                    f"samtools consensus gave {len(called)} bases for {place}. Check the file with samtools quickcheck."
                )
                raise FormatError(message, path=self._reads.path)
        # Deleted bases stay N even if gaps are filled: the sample is known not to have the reference's base there.
        deleted, missing = called == ord("*"), called == ord("N")
        if self.fill == "reference":
            called[missing] = reference[missing]
        called[deleted] = ord("N")
        lost = int(deleted.sum()), int(missing.sum())
        # By tile, so that a tile that is called again, after it has left the cache, is not counted twice.
        self._counts[contig, start] = (*lost, len(called) - sum(lost))
        return called.tobytes()


def run_consensus(reads: AlignedReads, place: Interval, options: ConsensusOptions, *extra: str) -> bytes:
    """Run samtools consensus on a region, and return the bases only."""
    # Braces keep htslib from taking a colon in the contig's name for the start of coordinates.
    region = f"{{{place.contig}}}:{place.start + 1}-{place.end}"
    text = reads.samtools("consensus", "-f", "fasta", "-l", str(1 << 30), "-r", region, *options.arguments(), *extra)
    return text.partition("\n")[2].replace("\n", "").encode("ascii")
