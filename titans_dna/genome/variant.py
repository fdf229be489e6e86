"""One ALT allele at one position, and the ways in which the same haplotype can be written.

A variant has the coordinates of VCF: `Variant.position` is 1-based; `Variant.start` and `Variant.end` are the 0-based
half-open span of REF. Inside a repeat, an insertion or deletion gives the same sequence at several positions:
`Variant.left_normalised` chooses the leftmost, and `Variant.ambiguity` returns the span of the reference over which it
can be written.

Both rest on one fact. Let X be the longer of the two haplotypes, and let L bases be inserted or deleted at p. Placing
them one base further to the right gives the same pair of haplotypes exactly if X[p] = X[p + L], and one base further to
the left if X[p - 1] = X[p + L - 1]. So the variant can be shifted as long as X repeats itself with period L.

References: Tan, Abecasis, Kang 2015, "Unified representation of genetic variants", doi:10.1093/bioinformatics/btv112.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from titans_dna.errors import FormatError
from titans_dna.genome.alphabet import is_nucleotides

#: ``fetch(start, end)``: bases of the variant's contig, 0-based half-open, clamped at the ends of the contig.
Fetch = Callable[[int, int], bytes]

_FIRST_CHUNK, _LAST_CHUNK = 256, 1 << 20  # bases compared at once while shifting; doubled from the first to the last
_STRING = re.compile(
    r"(?P<contig>\S+)[:](?P<position>[0-9][0-9,]{0,17})(?::|(?=[A-Za-z]+>))(?P<ref>[^:\s>]+)[:>](?P<alt>\S+)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Variant:
    """A reference allele and one alternative to it.

    Raises
    ------
    FormatError
        If the contig is empty, the position negative, or REF no bases. (In VCF, position 0 is the telomere.)

    Examples
    --------
    >>> variant = Variant.parse("chr1:100:CTT:CT")
    >>> variant.kind, variant.start, variant.end, str(variant.trimmed())
    ('deletion', 99, 102, 'chr1:100:CT:C')
    """

    contig: str  # sequence name
    position: int  # 1-based position of the first base of REF
    ref: str  # reference allele, IUPAC codes
    alt: str  # alternative allele; also "*", "<DEL>", a breakend or "." as in VCF
    id: str = "."  # identifier, "." for none

    def __post_init__(self) -> None:
        if not self.contig or self.position < 0:
            raise FormatError(f"a variant at {self.contig!r}:{self.position}. Name a contig and a position from 1.")
        if not self.ref.isascii() or not is_nucleotides(self.ref.encode()):
            raise FormatError(
                f"{self.contig}:{self.position}: REF is {self.ref!r}. Write the reference bases (A, C, G, T, N)."
            )
        if not self.alt:
            raise FormatError(f"{self.contig}:{self.position}: ALT is empty. Write bases, or '.' for none.")

    def __str__(self) -> str:
        return f"{self.contig}:{self.position}:{self.ref}:{self.alt}"

    @classmethod
    def parse(cls, text: str) -> Variant:
        """Read ``contig:position:ref:alt``, ``contig:position:ref>alt`` or ``contig:positionref>alt``, 1-based.

        Raises
        ------
        FormatError
            If the text has none of these forms.
        """
        match = _STRING.fullmatch(text.strip())
        if match is None:
            raise FormatError(
                f"variant {text!r} is not contig:position:ref:alt. Write it as in chr1:12345:A:G (1-based)."
            )
        return cls(match["contig"], int(match["position"].replace(",", "")), match["ref"], match["alt"])

    @property
    def start(self) -> int:
        """First base of REF, 0-based."""
        return self.position - 1

    @property
    def end(self) -> int:
        """One past the last base of REF, 0-based."""
        return self.position - 1 + len(self.ref)

    @property
    def is_sequence(self) -> bool:
        """Whether ALT is written out in bases (not ``*``, ``<...>``, a breakend or ``.``)."""
        return self.alt.isascii() and is_nucleotides(self.alt.encode())

    @property
    def kind(self) -> str:
        """``snv``, ``mnv``, ``insertion``, ``deletion`` or ``delins``; ``same`` if ALT equals REF.

        An ALT that is not written in bases is ``spanning_deletion`` (``*``), ``none`` (``.``) or ``symbolic``.
        """
        if not self.is_sequence:
            return {"*": "spanning_deletion", ".": "none"}.get(self.alt, "symbolic")
        _, ref, alt = self._core()
        if not ref or not alt:
            return "deletion" if ref else "insertion" if alt else "same"
        if len(ref) != len(alt):
            return "delins"
        return "snv" if len(ref) == 1 else "mnv"

    def trimmed(self) -> Variant:
        """Drop the bases that both alleles share, first at the end, then at the start; one base of each is kept."""
        if not self.is_sequence:
            return self
        ref, alt, position = self.ref, self.alt, self.position
        most = min(len(ref), len(alt)) - 1
        tail = _shared(ref[::-1], alt[::-1], most)
        ref, alt = ref[: len(ref) - tail], alt[: len(alt) - tail]
        head = _shared(ref, alt, most - tail)
        return replace(self, position=position + head, ref=ref[head:], alt=alt[head:])

    def left_normalised(self, fetch: Fetch) -> Variant:
        """Write the variant as short and as far left as possible, as ``bcftools norm`` does.

        Parameters
        ----------
        fetch
            Bases of the contig, clamped at its ends.

        Notes
        -----
        At the very start of a contig there is no base on the left to anchor an indel; it is then anchored on the
        right, as VCF prescribes.
        """
        if not self.is_sequence:
            return self
        start, ref, alt = self._core()
        if ref and alt:
            return replace(self, position=start + 1, ref=ref, alt=alt)
        if not ref and not alt:
            return self.trimmed()
        # Moved by one base, an indel loses its last base and gains the same one in front: its letters rotate.
        indel = ref or alt
        shift = self._shift_left(fetch, start, indel.upper().encode(), deletion=bool(ref))
        start -= shift
        turn = shift % len(indel)
        indel = indel[len(indel) - turn :] + indel[: len(indel) - turn]
        if start > 0:
            anchor = fetch(start - 1, start).decode("ascii")
            before, after, position = anchor, anchor + indel, start
        else:
            at = start + (len(indel) if ref else 0)
            anchor = fetch(at, at + 1).decode("ascii")
            before, after, position = anchor, indel + anchor, start + 1
        return replace(self, position=position, ref=after if ref else before, alt=before if ref else after)

    def ambiguity(self, fetch: Fetch) -> tuple[int, int]:
        """Return the span of the reference over which this haplotype can be written, leftmost to rightmost placement.

        Parameters
        ----------
        fetch
            Bases of the contig, clamped at its ends.

        Returns
        -------
        tuple of int
            0-based half-open start and end. A substitution has one placement: the bases that change. An insertion
            that can go to one place only has start == end. An ALT without bases gives the span of REF.
        """
        if not self.is_sequence:
            return self.start, self.end
        start, ref, alt = self._core()
        if bool(ref) == bool(alt):
            return start, start + len(ref)
        indel = (ref or alt).upper().encode()
        left = self._shift_left(fetch, start, indel, deletion=bool(ref))
        right = self._shift_right(fetch, start, indel, deletion=bool(ref))
        return start - left, start + len(ref) + right

    def _core(self) -> tuple[int, str, str]:
        """Trim both alleles completely; return the 0-based start and what is left of REF and of ALT."""
        tail = _shared(self.ref[::-1], self.alt[::-1], min(len(self.ref), len(self.alt)))
        ref, alt = self.ref[: len(self.ref) - tail], self.alt[: len(self.alt) - tail]
        head = _shared(ref, alt, min(len(ref), len(alt)))
        return self.start + head, ref[head:], alt[head:]

    @staticmethod
    def _shift_left(fetch: Fetch, start: int, indel: bytes, *, deletion: bool) -> int:
        """Return the number of bases by which the indel can be shifted to the left."""
        period, shift, chunk = len(indel), 0, max(_FIRST_CHUNK, len(indel))
        following = indel if not deletion else fetch(start, start + period).upper()
        while start - shift > 0:
            size = min(chunk, start - shift)
            block = fetch(start - shift - size, start - shift).upper()
            haplotype = np.frombuffer(block + following, np.uint8)
            differs = np.flatnonzero(haplotype[:size] != haplotype[period : period + size])
            if len(differs):
                return shift + size - 1 - int(differs[-1])
            shift += size
            following = (block + following)[:period]
            chunk = min(2 * chunk, max(_LAST_CHUNK, period))
        return shift

    @staticmethod
    def _shift_right(fetch: Fetch, start: int, indel: bytes, *, deletion: bool) -> int:
        """Return the number of bases by which the indel can be shifted to the right."""
        period, shift, chunk = len(indel), 0, max(_FIRST_CHUNK, len(indel))
        first = start + (period if deletion else 0)  # reference base that follows the indel in the longer haplotype
        leading = indel if not deletion else fetch(start, start + period).upper()
        while True:
            block = fetch(first + shift, first + shift + chunk).upper()
            if not block:
                return shift
            haplotype = np.frombuffer(leading + block, np.uint8)
            size = len(block)
            differs = np.flatnonzero(haplotype[:size] != haplotype[period : period + size])
            if len(differs):
                return shift + int(differs[0])
            shift += size
            leading = (leading + block)[-period:]
            chunk = min(2 * chunk, max(_LAST_CHUNK, period))


def _shared(one: str, other: str, most: int) -> int:
    """Count the leading letters that two alleles share, regardless of case, up to `most`."""
    count = 0
    one, other = one[:most].upper(), other[:most].upper()
    for a, b in zip(one, other, strict=True):
        if a != b:
            break
        count += 1
    return count
