"""Intervals on a contig, 0-based and half-open, and the region strings that users type.

`Interval.parse` reads the regions that samtools reads: ``contig``, ``contig:start``, ``contig:start-``, ``contig:-end``
and ``contig:start-end``, with 1-based inclusive positions and optional thousands separators. A name that holds a colon
is recognised where contig lengths are given, or may be put in braces (``{HLA-A*01:01}:1-10``). `Interval.__str__`
writes the same form, without separators.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from titans_dna.errors import ContigUnknown, FormatError

_LAST = (1 << 63) - 1  # largest coordinate: files store them as signed 64-bit integers
_RANGE = re.compile(r"(?P<first>[0-9][0-9,]{0,24})?(?P<dash>-)?(?P<last>[0-9][0-9,]{0,24})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of one contig.

    Raises
    ------
    FormatError
        If the name is empty, start is negative, end lies before start or beyond 64 bits, or the strand is not ``+``,
        ``-`` or ``.``.

    Examples
    --------
    >>> region = Interval.parse("chrA:1,001-2,000")
    >>> region.start, region.end, region.length_bp, str(region)
    (1000, 2000, 1000, 'chrA:1001-2000')
    """

    contig: str  # sequence name
    start: int  # 0-based, inclusive
    end: int  # 0-based, exclusive; equal to start for a point between two bases
    strand: str = "+"  # "+", "-", or "." if the strand is unknown
    name: str = ""  # free text, such as a BED name or a gene

    def __post_init__(self) -> None:
        if not self.contig:
            raise FormatError(f"an interval without a contig name ({self.start}-{self.end}). Name its contig.")
        if self.start < 0 or self.end < self.start:
            raise FormatError(
                f"{self.contig}: interval {self.start}-{self.end} is not 0 <= start <= end. Swap or correct the ends."
            )
        if self.end > _LAST:
            raise FormatError(f"{self.contig}: interval {self.start}-{self.end} ends beyond 2^63. Correct the end.")
        if self.strand not in ("+", "-", "."):
            raise FormatError(f"{self.contig}: strand is {self.strand!r}. Use '+', '-' or '.'.")

    def __str__(self) -> str:
        return f"{self.contig}:{self.start + 1}-{self.end}"

    @property
    def length_bp(self) -> int:
        """Number of bases in the interval."""
        return self.end - self.start

    def overlaps(self, other: Interval) -> bool:
        """Tell whether the two share at least one base (strands are not compared)."""
        return self.contig == other.contig and max(self.start, other.start) < min(self.end, other.end)

    def clamp(self, contig_length: int) -> Interval:
        """Return the interval without what lies beyond the end of the contig.

        Parameters
        ----------
        contig_length
            Length of the contig in bases.
        """
        return replace(self, start=min(self.start, contig_length), end=min(self.end, contig_length))

    @classmethod
    def parse(cls, text: str, lengths: Mapping[str, int] | None = None) -> Interval:
        """Read a region string, 1-based and inclusive as in samtools.

        Parameters
        ----------
        text
            ``contig:start-end``, ``contig:start``, ``contig:start-``, ``contig:-end`` or ``contig``.
        lengths
            Contig lengths in bases; needed if the end is left open, and to recognise contig names that hold a colon.

        Raises
        ------
        FormatError
            If the text is not a region, or its end is open and no `lengths` are given.
        ContigUnknown
            If `lengths` are given and do not include the contig.
        """
        contig, span = _split_region(text.strip(), lengths)
        if lengths is not None and contig not in lengths:
            raise ContigUnknown(f"region {text!r}: there is no contig {contig!r}. Known are {_some(lengths)}.")
        start, end = 0, None
        if span:
            start, end = _parse_span(text, span)
        if end is None:
            if lengths is None:
                raise FormatError(f"region {text!r} has no end. Write contig:start-end (1-based, inclusive).")
            end = lengths[contig]
            if start >= end and span:
                raise FormatError(
                    f"region {text!r} starts beyond {contig}, which has {end:,} bases. Correct the start."
                )
        return cls(contig, start, end)


def iterate_tiles(interval: Interval, window_bp: int, step_bp: int | None = None) -> Iterator[Interval]:
    """Cut an interval into windows from left to right; the last window may be shorter.

    Parameters
    ----------
    interval
        Interval to cut.
    window_bp
        Length of a window in bases, at least 1.
    step_bp
        Bases from one start to the next, at least 1; by default the length of a window.
    """
    step_bp = window_bp if step_bp is None else step_bp
    if window_bp < 1 or step_bp < 1:
        raise FormatError(f"windows of {window_bp} bases every {step_bp} bases cannot tile. Both must be at least 1.")
    for start in range(interval.start, interval.end, step_bp):
        yield replace(interval, start=start, end=min(start + window_bp, interval.end))
        if start + window_bp >= interval.end:
            return


def merge_intervals(intervals: Iterable[Interval]) -> list[Interval]:
    """Join intervals that overlap or touch; contigs stay in the order of the input.

    A merged interval has the strand of its parts if they agree, else ``.``. Names are joined with commas, each once.
    """
    by_contig: dict[str, list[Interval]] = {}
    for interval in intervals:
        by_contig.setdefault(interval.contig, []).append(interval)
    merged = []
    for members in by_contig.values():
        members.sort(key=lambda interval: (interval.start, interval.end))
        group = [members[0]]
        end = members[0].end
        for interval in members[1:]:
            if interval.start > end:
                merged.append(_join(group))
                group = []
                end = interval.end
            group.append(interval)
            end = max(end, interval.end)
        merged.append(_join(group))
    return merged


def _join(group: list[Interval]) -> Interval:
    """Join intervals, sorted by start, into one that covers them all."""
    strands = {interval.strand for interval in group}
    names = dict.fromkeys(interval.name for interval in group if interval.name)
    end = max(interval.end for interval in group)
    return Interval(group[0].contig, group[0].start, end, strands.pop() if len(strands) == 1 else ".", ",".join(names))


def _split_region(text: str, lengths: Mapping[str, int] | None) -> tuple[str, str]:
    """Divide a region string into contig and span; the span is empty for a whole contig."""
    # A name of a contig comes first, because it may hold a colon, as in HLA:HLA00001.
    if lengths is not None and text in lengths:
        return text, ""
    # htslib's notation {contig}:start-end, for names that could be taken for a region.
    if text.startswith("{") and "}" in text:
        contig, _, rest = text[1:].partition("}")
        if contig and (not rest or rest.startswith(":")):
            return contig, rest[1:]
        raise FormatError(f"region {text!r} is not {{contig}}:start-end. Correct it.")
    # At the last colon, because the name may hold others.
    contig, colon, span = text.rpartition(":")
    if not colon:
        contig, span = text, ""
    if not contig or any(c.isspace() for c in text) or (colon and not span):
        raise FormatError(
            f"region {text!r} is not contig:start-end. Write it 1-based and inclusive, as in chr1:1,001-2,000."
        )
    return contig, span


def _parse_span(text: str, span: str) -> tuple[int, int | None]:
    """Turn ``start-end`` (1-based inclusive) into 0-based half-open; the end is None if it is left open."""
    match = _RANGE.fullmatch(span)
    if match is None or not (match["first"] or match["last"]) or (match["last"] and not match["dash"]):
        raise FormatError(f"region {text!r}: {span!r} is not start-end. Write two positions, 1-based and inclusive.")
    first = int(match["first"].replace(",", "")) if match["first"] else 1
    last = int(match["last"].replace(",", "")) if match["last"] else None
    if first < 1:
        raise FormatError(f"region {text!r} starts at {first}. Positions count from 1.")
    if last is not None and last < first:
        raise FormatError(f"region {text!r} ends at {last}, before its start {first}. Swap the two.")
    return first - 1, last


def _some(names: Iterable[str], most: int = 5) -> str:
    """Return the first few names as text, for a message."""
    shown = list(names)
    return (
        ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "") if shown else "none"
    )
