"""Genes and their parts from GTF or GFF3: in which gene, and in what of it, a place lies.

Of a place the parts that overlap it are looked at in this order: ``CDS``, ``UTR``, ``exon``; a place in a gene but in
none of these is ``intron`` where the gene has exons or a CDS, and ``gene`` else; a place in no gene is ``intergenic``.
A gene is a line of type gene or pseudogene, or the span of all lines that name it. Lines without a gene, such as
repeats, are not read. Specification: GFF3 v1.26 of the Sequence Ontology; GTF2.2.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np

from titans_dna.errors import FormatError
from titans_dna.genome.contigs import ContigTable
from titans_dna.io.disk.text import read_lines
from titans_dna.io.intervals.bed import attributes

CDS, UTR, EXON_PART, INTRON, GENE, INTERGENIC = "CDS", "UTR", "exon", "intron", "gene", "intergenic"
_PARTS = {
    "CDS": CDS, "stop_codon": CDS, "start_codon": CDS, "UTR": UTR, "five_prime_UTR": UTR, "three_prime_UTR": UTR,
    "5UTR": UTR, "3UTR": UTR, "exon": EXON_PART, "pseudogenic_exon": EXON_PART, "noncoding_exon": EXON_PART,
}  # fmt: skip
_ORDER = (CDS, UTR, EXON_PART)
_GENES = ("gene_name", "gene", "gene_id", "locus_tag")  # attributes that name a gene, the best first


class Place(NamedTuple):
    """Where a stretch of the genome lies."""

    gene: str  # names, joined by "|" where several overlap; the nearest where none does; "" on a contig without genes
    feature: str
    distance_bp: float  # to the nearest gene: 0 in one, 1 beside one, nan on a contig without genes


@dataclass(kw_only=True)
class _Spans:
    """Intervals of a contig, sorted by their starts."""

    starts: np.ndarray
    ends: np.ndarray
    genes: list[str]
    reach: np.ndarray  # largest end up to each interval

    @classmethod
    def of(cls, found: set[tuple[int, int, str]]) -> _Spans:
        rows = sorted(found)
        ends = np.array([end for _, end, _ in rows], np.int64)
        return cls(
            starts=np.array([start for start, _, _ in rows], np.int64), ends=ends, genes=[gene for *_, gene in rows],
            reach=np.maximum.accumulate(ends) if len(ends) else ends,
        )  # fmt: skip

    def overlapping(self, start: int, end: int) -> list[str]:
        """Return the genes of the intervals that overlap a half-open stretch, each once."""
        low = int(np.searchsorted(self.reach, start, side="right"))
        high = int(np.searchsorted(self.starts, end, side="left"))
        return list(dict.fromkeys(self.genes[at] for at in range(low, high) if self.ends[at] > start))

    def nearest(self, start: int, end: int) -> tuple[str, int]:
        """Return the gene nearest to a stretch that overlaps none, and the distance: 1 where they touch."""
        after = int(np.searchsorted(self.starts, end, side="left"))
        choices = [(int(self.starts[after]) - end, self.genes[after])] if after < len(self.starts) else []
        if after:
            before = int(np.argmax(self.ends[:after]))
            choices.append((start - int(self.ends[before]), self.genes[before]))
        distance, gene = min(choices)
        return gene, distance + 1  # as bedtools counts it: 0 would say that they overlap


@dataclass(kw_only=True)
class Annotation:
    """Genes of a genome and their parts, by contig under the genome's names."""

    genes: dict[str, _Spans] = field(default_factory=dict)
    parts: dict[str, dict[str, _Spans]] = field(default_factory=dict)
    with_parts: set[str] = field(default_factory=set)  # genes that have exons or a CDS

    def place(self, contig: str, start: int, end: int) -> Place:
        """Say where a stretch lies, 0-based half-open; one without bases is a point between two bases."""
        if contig not in self.genes:
            return Place("", INTERGENIC, float("nan"))
        # A point between two bases lies in what either of them lies in.
        low, high = (max(0, start - 1), end + 1) if start == end else (start, end)
        inside = self.genes[contig].overlapping(low, high)
        for kind in _ORDER:
            spans = self.parts.get(contig, {}).get(kind)
            if spans is not None and (found := spans.overlapping(low, high)):
                return Place("|".join(found), kind, 0.0)
        if inside:
            return Place("|".join(inside), INTRON if self.with_parts & set(inside) else GENE, 0.0)
        gene, distance = self.genes[contig].nearest(start, end)
        return Place(gene, INTERGENIC, float(distance))


def read_annotation(path: str | os.PathLike[str], contigs: ContigTable) -> Annotation:
    """Read genes and their parts; lines on contigs that the genome does not have are left out.

    Raises
    ------
    InputMissing
        If the file is not there.
    FormatError
        If a line breaks its format, or no line on a contig of the genome names a gene.
    """
    lines: list[tuple[str, int, int, str, str, str]] = []  # contig, start, end, type, gene, parent
    named: dict[str, tuple[str, str]] = {}  # gene and parent of each ID
    for number, line in read_lines(path):
        if line.startswith(("##FASTA", ">")):
            break
        if not line.strip() or line.startswith("#"):
            continue
        columns = line.split("\t")
        if len(columns) not in (8, 9) or not (columns[3].isdecimal() and columns[4].isdecimal()):
            raise FormatError("is no line of GTF or GFF3. Give an annotation.", path=path, line=number)
        start, end = int(columns[3]) - 1, int(columns[4])
        if not 0 <= start <= end:
            raise FormatError(f"start is {start + 1} and end {end}. Correct the line.", path=path, line=number)
        pairs = attributes(columns[8] if len(columns) == 9 else "")
        kind, parent = columns[2], pairs.get("Parent", "").split(",")[0]
        gene = next((pairs[key] for key in _GENES if pairs.get(key)), "")
        if kind.endswith("gene"):
            gene = pairs.get("Name") or gene or pairs.get("ID", "")
        if "ID" in pairs:
            named[pairs["ID"]] = gene, parent
        if (contig := contigs.resolve(unquote(columns[0]))) is not None:
            lines.append((contig, start, end, kind, gene, parent))
    return _annotation(path, lines, named)


def _annotation(
    path: str | os.PathLike[str], lines: list[tuple[str, int, int, str, str, str]],
    named: dict[str, tuple[str, str]],
) -> Annotation:  # fmt: skip
    genes: dict[str, set[tuple[int, int, str]]] = defaultdict(set)
    spans: dict[tuple[str, str], tuple[int, int]] = {}
    parts: dict[str, dict[str, set[tuple[int, int, str]]]] = defaultdict(lambda: defaultdict(set))
    whole, found = set(), Annotation()
    for contig, start, end, kind, own, parent in lines:
        if not (gene := own or _inherited(parent, named)):
            continue
        if kind.endswith("gene"):
            genes[contig].add((start, end, gene))
            whole.add((contig, gene))
        low, high = spans.get((contig, gene), (start, end))
        spans[contig, gene] = min(low, start), max(high, end)
        if kind in _PARTS:
            parts[contig][_PARTS[kind]].add((start, end, gene))
            found.with_parts.add(gene)
    for (contig, gene), (start, end) in spans.items():
        if (contig, gene) not in whole:
            genes[contig].add((start, end, gene))
    if not genes:
        raise FormatError("names no gene on a contig of the genome. Check the file, or give --aliases.", path=path)
    found.genes = {contig: _Spans.of(each) for contig, each in genes.items()}
    found.parts = {contig: {kind: _Spans.of(each) for kind, each in kinds.items()} for contig, kinds in parts.items()}
    return found


def _inherited(parent: str, named: dict[str, tuple[str, str]]) -> str:
    """Return the gene of a line's parents, as GFF3 has it: an exon's parent is a transcript, and its parent a gene."""
    for _ in range(8):  # a file whose parents go round in a circle ends too
        if parent not in named:
            return ""
        gene, parent = named[parent]
        if gene:
            return gene
    return ""
