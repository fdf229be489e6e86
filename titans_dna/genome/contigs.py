"""Contig names: a table of the contigs of a sequence file that also finds them by the names that other files use.

A name is looked up in these steps, and the first step that finds a contig decides:

1. the name itself;
2. the groups of an alias file, where one was given;
3. a spelling of the same name: with or without ``chr``, any case, M / MT / Mito, leading zeros, ``chrUn_KI270302v1``
   / ``KI270302.1``, an accession alone or as NCBI once wrote it (``gi|9626243|ref|NC_001416.1|``);
4. RefSeq and GenBank accessions of the human contigs of GRCh37 and GRCh38, only for a contig of exactly the
   accession's length;
5. roman against arabic numerals, only in a table that itself counts II, III, IV or 2, 3, 4 (so that X stays X in a
   human genome).

An alias counts only if exactly one contig fits it, and if the lengths agree where the caller knows the length. Every
name is looked up by itself: the style of one contig's name says nothing about the others, and no prefix is ever added
without looking.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from titans_dna.errors import ContigUnknown
from titans_dna.genome.assemblies import ACCESSIONS
from titans_dna.genome.interval import Interval

_UCSC_SCAFFOLD = re.compile(r"CHR[0-9A-Z]+_([A-Z]+_?[0-9]+)V([0-9]+)(?:_RANDOM|_ALT|_FIX)?")
_SHOWN = 5  # names in a message
_NCBI = re.compile(r"(?:gi\|[0-9]+\|)?(?:ref|gb|emb|dbj|tpg|tpe|tpd)\|([0-9A-Z_.]+)\|\S*", re.IGNORECASE)
_MITOCHONDRION = {"M", "MT", "MITO", "MTDNA", "MITOCHONDRION", "MITOCHONDRIAL"}
_NUMERALS = "I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI XVII XVIII XIX XX XXI XXII XXIII XXIV"
_ROMAN = {text: str(number) for number, text in enumerate(_NUMERALS.split(" "), start=1)}
_ARABIC = {number: text for text, number in _ROMAN.items()}


class ContigTable:
    """Contigs of one sequence file, in its order, with their lengths.

    Parameters
    ----------
    lengths
        Length of each contig in bases, in file order.
    aliases
        Groups of names that mean the same contig, as an alias file gives them. The contig of a group is the one whose
        name the table holds.

    Examples
    --------
    >>> table = ContigTable({"chrI": 230218, "chrII": 813184, "chrIII": 316620, "chrIV": 1531933, "chrM": 85779})
    >>> table.resolve("I"), table.resolve("Mito"), table.resolve("2"), table.resolve("II", length=5)
    ('chrI', 'chrM', 'chrII', None)
    """

    def __init__(self, lengths: Mapping[str, int], aliases: Iterable[Sequence[str]] = ()) -> None:
        self._lengths = dict(lengths)
        self._matches: dict[str, tuple[str, str]] = {}
        self._conflicts: dict[str, tuple[int, int]] = {}
        self._refused: dict[str, tuple[int, str]] = {}
        self._given: dict[str, list[str]] = {}
        for group in aliases:
            members = [name for name in group if name in self._lengths]
            for name in group:
                self._given.setdefault(name, []).extend(m for m in members if m not in self._given.get(name, ()))
        self._spellings: dict[str, list[str]] = {}
        for name in self._lengths:
            self._spellings.setdefault(_spelling(name), []).append(name)
        self._counts_roman = {"II", "III", "IV"} <= self._spellings.keys()
        self._counts_arabic = {"2", "3", "4"} <= self._spellings.keys()

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[str]:
        return iter(self._lengths)

    def __contains__(self, name: object) -> bool:
        return name in self._lengths

    def __repr__(self) -> str:
        return f"ContigTable({len(self)} contigs, {sum(self._lengths.values()):,} bases)"

    @property
    def names(self) -> tuple[str, ...]:
        """Contig names in file order."""
        return tuple(self._lengths)

    @property
    def lengths(self) -> Mapping[str, int]:
        """Length of each contig in bases, in file order; read-only."""
        return MappingProxyType(self._lengths)

    @property
    def aliases(self) -> dict[str, list[str]]:
        """What the alias file says: name -> contigs of this table that it may mean."""
        return {name: list(contigs) for name, contigs in self._given.items()}

    @property
    def matches(self) -> dict[str, tuple[str, str]]:
        """How each alias was found: name -> (contig, ``alias file``, ``spelling``, ``accession`` or ``numerals``)."""
        return dict(self._matches)

    @property
    def length_conflicts(self) -> dict[str, tuple[int, int]]:
        """Contigs found by their exact name although their lengths differ: name -> (length asked for, length here)."""
        return dict(self._conflicts)

    @property
    def refused(self) -> dict[str, tuple[int, str]]:
        """Names that were not found only because the lengths differ: name -> (length asked for, contig)."""
        return dict(self._refused)

    def resolve(self, name: str, length: int | None = None) -> str | None:
        """Find the contig that another file calls `name`.

        Parameters
        ----------
        name
            Contig name in the other file.
        length
            Length of that contig in bases, if the other file says it. An alias of another length is refused. An exact
            name of another length is accepted, since the sequence may be a part of the contig, and noted in
            `length_conflicts`.

        Returns
        -------
        str or None
            The name in this table, or None if no contig fits, or more than one.
        """
        if name in self._lengths:
            if length is not None and length != self._lengths[name]:
                self._conflicts[name] = (length, self._lengths[name])
            return name
        for how, candidates in self._candidates(name):
            agreeing = [contig for contig in candidates if length is None or self._lengths[contig] == length]
            if len(agreeing) == 1:
                self._matches[name] = (agreeing[0], how)
                return agreeing[0]
            # A step that found contigs decides, even against the name: a later, less sure step must not overrule it.
            if candidates:
                if not agreeing and length is not None:
                    self._refused[name] = (length, candidates[0])
                return None
        return None

    def require(self, name: str, length: int | None = None) -> str:
        """Find the contig as `resolve` does, or raise.

        Raises
        ------
        ContigUnknown
            If no contig fits the name, or more than one does.
        """
        contig = self.resolve(name, length)
        if contig is None:
            raise ContigUnknown(
                f"no contig has the name or alias {name!r}; the sequence has {some_names(self.names)}. Check the "
                f"genome build, or give an alias file."
            )
        return contig

    def place(self, interval: Interval) -> Interval:
        """Return the interval under the table's own contig name, cut off at the end of the contig.

        Raises
        ------
        ContigUnknown
            If no contig fits its name.
        """
        contig = self.require(interval.contig)
        renamed = Interval(contig, interval.start, interval.end, interval.strand, interval.name)
        return renamed.clamp(self._lengths[contig])

    def _candidates(self, name: str) -> Iterator[tuple[str, list[str]]]:
        """Yield, step by step, the kind of match and the contigs that may be meant, the surest step first."""
        yield "alias file", self._given.get(name, [])
        spelling = _spelling(name)
        yield "spelling", self._spellings.get(spelling, [])
        name = _without_wrapping(name)
        if name in ACCESSIONS:
            bare, length = ACCESSIONS[name]
            names = [contig for contig in self._spellings.get(bare, []) if self._lengths[contig] == length]
            yield "accession", names
            same = [contig for contig in self._lengths if _accession(contig) == (bare, length)]
            yield "accession", [contig for contig in same if self._lengths[contig] == length]
        else:
            known = [contig for contig in self._lengths if _accession(contig) == (spelling, self._lengths[contig])]
            yield "accession", known
        if self._counts_roman and spelling in _ARABIC:
            yield "numerals", self._spellings.get(_ARABIC[spelling], [])
        if self._counts_arabic and spelling in _ROMAN and spelling != "X":  # X is a sex chromosome, never number ten
            yield "numerals", self._spellings.get(_ROMAN[spelling], [])


def is_mitochondrion(name: str) -> bool:
    """Tell whether a contig is the mitochondrion by its name."""
    return _spelling(name) == "MT"


def some_names(names: Collection[str]) -> str:
    """Return the first few names for a message."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return (", ".join(list(names)[:_SHOWN]) or "none") + more


def _without_wrapping(name: str) -> str:
    """Return the accession alone of a name of NCBI's old form; other names as they are."""
    match = _NCBI.fullmatch(name)
    return match[1] if match else name


def _accession(contig: str) -> tuple[str, int] | None:
    """Return what contig, of what length, an accession of the human genome names."""
    return ACCESSIONS.get(_without_wrapping(contig))


def _spelling(name: str) -> str:
    """Reduce a name to a form that all its spellings have in common, such as ``1`` for ``chr01``."""
    upper = _without_wrapping(name).upper()
    scaffold = _UCSC_SCAFFOLD.fullmatch(upper)
    if scaffold:
        return f"{scaffold[1]}.{scaffold[2]}"
    bare = upper.removeprefix("CHR").removeprefix("OMOSOME").lstrip("_") or upper
    if bare in _MITOCHONDRION:
        return "MT"
    return bare.lstrip("0") or "0" if bare.isascii() and bare.isdigit() else bare
