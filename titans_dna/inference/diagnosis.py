"""Finds out why so many REF alleles differ from the sequence: another strand, another build, positions off by one, ...

Up to ``KEPT`` mismatching records are kept. Each explanation is tried on them, and reported with the share of them that
it explains.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from titans_dna.errors import FormatError, ReferenceMismatch
from titans_dna.genome.alphabet import reverse_complement
from titans_dna.genome.contigs import some_names
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.variants.vcf import VcfRecord

MANY_CHECKED = 20  # fewest compared REF alleles for which a majority of mismatches means a wrong reference
KEPT = 1000  # most mismatching records that are kept
TELLING = 0.8  # smallest share of them that an explanation must explain to be reported

logger = logging.getLogger(__name__)


class MismatchLog:
    """Counts REF alleles that differ from a sequence, and looks for the reason.

    Parameters
    ----------
    fasta
        The sequence.
    other
        Another sequence on which the records may have been called; None for none.
    can_swap
        Whether the verb can exchange REF and ALT, so that this may be advised.
    """

    def __init__(self, fasta: Genome, other: Genome | None = None, *, can_swap: bool = True) -> None:
        self._fasta, self._other = fasta, other
        self._mend = "use --on-mismatch swap" if can_swap else "mend the file with bcftools norm --check-ref s"
        self.checked = self.mismatched = self.unknown = 0
        self.malformed = 0
        self.first = ""  # the first mismatch in words
        self._first_malformed: VcfRecord | None = None
        self._strangers: dict[str, None] = {}  # names of unknown contigs
        self._kept: list[tuple[str, VcfRecord]] = []

    def note(self, record: VcfRecord, contig: str | None, mismatch: bool) -> None:
        """Count one record; ``contig`` is the contig's name in the sequence, None if it is unknown."""
        self.checked += contig is not None
        if record.problem:
            self.malformed += 1
            self._first_malformed = self._first_malformed or record
        elif contig is None:
            self.unknown += 1
            self._strangers[record.contig] = None
        if not mismatch or contig is None:
            return
        self.mismatched += 1
        if not self.first:
            have = self._fasta.fetch(contig, record.position - 1, record.position - 1 + len(record.ref)).decode()
            self.first = (
                f"line {record.line}: REF is {record.ref[:20]} but {self._fasta.path.name} has {have[:20]} "
                f"at {record.contig}:{record.position:,}"
            )
        if len(self._kept) < KEPT:
            self._kept.append((contig, record))

    def judge(self, *, stop: bool) -> None:
        """Raise or warn, with the reasons found, if most records mismatch; raise if no record can be used at all.

        Raises
        ------
        FormatError
            If none of the records can be read.
        ReferenceMismatch
            If none of the records lies on a contig of the sequence; or, if ``stop``, if most REF alleles differ.
        """
        contigs = self._fasta.contigs
        if self.unknown and not self.checked:
            of_other_lengths = [
                f"; {name} has {asked:,} bases, {contig} {contigs.lengths[contig]:,}"
                for name, (asked, contig) in list(contigs.refused.items())[:1]
            ]
            raise ReferenceMismatch(
                f"none of the {self.unknown:,} records lies on a contig of {self._fasta.path}: they name "
                f"{some_names(self._strangers)}, and it has {some_names(contigs)}{''.join(of_other_lengths)}. Give the "
                f"FASTA that the VCF was called on, or name the contigs with --aliases."
            )
        if self._first_malformed and not self.checked:
            first = self._first_malformed
            raise FormatError(
                f"none of the {self.malformed:,} records can be read; the first, line {first.line}, is {first.problem}"
            )
        # Single mismatches are common in public files. Only a majority points to another build, strand or count of
        # positions.
        if not self.mismatched * 2 > self.checked >= MANY_CHECKED:
            return
        reasons = self.reasons()
        said = "; ".join(reasons) if reasons else "Give the FASTA of the build that the VCF was called on"
        text = f"{self.mismatched:,} of {self.checked:,} records do not fit the sequence ({self.first}). {said}."
        if stop:
            raise ReferenceMismatch(text)
        logger.warning("%s", text)

    def reasons(self) -> list[str]:
        """Return in words the explanations that hold for at least 80% of the mismatching records that were kept."""
        name = self._fasta.path.name
        tries: list[tuple[Callable[[str, VcfRecord], bool], str]] = [
            (self._on_the_other_strand, "of them match after reverse complement: the alleles are of the other strand"),
            (self._swapped, f"of them have {name}'s base as ALT: REF and ALT are exchanged, {self._mend}"),
            (lambda c, r: self._shifted(c, r, 1), "of them match one base further right: positions count from 0"),
            (lambda c, r: self._shifted(c, r, -1), "of them match one base further left: positions are one too high"),
        ]
        if self._other is not None:
            tries.append((self._in_the_other, f"of them match {self._other.path.name}, not {name}: give that FASTA"))
        said = []
        for holds, words in tries:
            share = sum(holds(contig, record) for contig, record in self._kept) / max(1, len(self._kept))
            if share >= TELLING:
                said.append(f"{share:.0%} {words}")
        return said

    def _same(self, fasta: Genome, contig: str, start: int, bases: str) -> bool:
        have = fasta.fetch(contig, start, start + len(bases)).upper()
        return bool(have) and have == bases.upper().encode()

    def _on_the_other_strand(self, contig: str, record: VcfRecord) -> bool:
        flipped = reverse_complement(record.ref.encode()).decode()
        return self._same(self._fasta, contig, record.position - 1, flipped)

    def _swapped(self, contig: str, record: VcfRecord) -> bool:
        return any(self._same(self._fasta, contig, record.position - 1, alt) for alt in record.alts if alt.isalpha())

    def _shifted(self, contig: str, record: VcfRecord, by: int) -> bool:
        return self._same(self._fasta, contig, record.position - 1 + by, record.ref)

    def _in_the_other(self, contig: str, record: VcfRecord) -> bool:
        assert self._other is not None
        there = self._other.contigs.resolve(record.contig)
        return there is not None and self._same(self._other, there, record.position - 1, record.ref)
