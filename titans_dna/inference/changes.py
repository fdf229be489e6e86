"""A change of a contig: a stretch of it, and what stands in its place, described without the bases.

Coordinates are 0-based and half-open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from titans_dna.genome.alphabet import reverse_complement
from titans_dna.genome.variant import Fetch, Variant


class Stretch(NamedTuple):
    """Bases of the contig, 0-based half-open, or their reverse complement."""

    start: int
    end: int
    reverse: bool = False


class Repeated(NamedTuple):
    """A unit, repeated and cut off after so many bases."""

    unit: bytes
    bases: int


@dataclass(frozen=True, slots=True)
class Change:
    """A stretch of a contig and what stands in its place, as a description that takes no room however long it is."""

    start: int  # first base that is replaced, 0-based
    end: int  # one past the last; equal to start for an insertion
    parts: tuple[Stretch | Repeated, ...] = ()  # what stands there, in order; empty for a deletion

    @property
    def lengths(self) -> tuple[int, int]:
        """Numbers of bases of REF and ALT, written as VCF does: with one more base where either would be empty."""
        ref = self.end - self.start
        alt = sum(part.bases if isinstance(part, Repeated) else part.end - part.start for part in self.parts)
        return (ref, alt) if ref and alt else (ref + 1, alt + 1)

    @property
    def reach(self) -> int:
        """One past the last base of the contig that it names."""
        return max(self.end, *(part.end for part in self.parts if isinstance(part, Stretch)), 0)

    def written(self, contig: str, fetch: Fetch) -> Variant:
        """Write the change out in bases, with one more base if REF or ALT would be empty.

        Parameters
        ----------
        contig
            Name of the contig.
        fetch
            Its bases.
        """
        ref, alt = fetch(self.start, self.end), b"".join(_bases(part, fetch) for part in self.parts)
        start, before, behind = self.start, b"", b""
        if not (ref and alt):
            # At the start of a contig no base comes before, and VCF takes the one behind (section 1.4.1, REF).
            if start:
                start -= 1
                before = fetch(start, start + 1)
            else:
                behind = fetch(self.end, self.end + 1)
        texts = ((before + bases + behind).decode("ascii") for bases in (ref, alt))
        return Variant(contig, start + 1, *texts)


def _bases(part: Stretch | Repeated, fetch: Fetch) -> bytes:
    if isinstance(part, Repeated):
        return (part.unit * -(-part.bases // len(part.unit)))[: part.bases] if part.bases else b""
    bases = fetch(part.start, part.end)
    return reverse_complement(bases) if part.reverse else bases
