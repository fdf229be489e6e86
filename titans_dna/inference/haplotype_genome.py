"""A sample's two haplotypes as a genome: contigs ``chr1/1`` and ``chr1/2``, whose regions are given on the reference.

`read_haplotypes` reads a phased VCF by the rules of `titans_dna.inference.haplotype`, with two differences. The first
haplotypes of all phase sets of a contig make one sequence, as with ``bcftools consensus -H 1``: a region has to have
some context. What is said of a region is therefore sure where it lies in one phase set. And a haploid genotype, as of a
male's X, stands on the first haplotype alone, which is what ``bcftools consensus`` does, too.

Every record is counted once: ``applied``; ``reference``, where the sample has no ALT; ``not_called``; ``unphased``, a
heterozygous one of unknown phase; ``haplotype_conflict``, which changes what another record has changed already;
``other_contig``, on a contig that was not asked for; or another `titans_dna.inference.outcomes.Outcome`, the reason why
an ALT that the sample carries could not be applied.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.genome.bases import ContigBases
from titans_dna.genome.contigs import ContigTable, some_names
from titans_dna.genome.interval import Interval
from titans_dna.genome.lift import Lift
from titans_dna.inference.alleles import AlleleTable, read_alleles
from titans_dna.inference.haplotype import (
    Site,
    called_alleles,
    genotype,
    kept_sites,
    phase_sets,
    read_sites,
    sample_column,
    sample_values,
)
from titans_dna.inference.outcomes import Outcome
from titans_dna.inference.placing import PlacedRegion
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.variants.vcf import VariantReader, VcfRecord

BOTH = (1, 2)
APPLIED, REFERENCE, NOT_CALLED, UNPHASED, OTHER_CONTIG = (
    "applied", "reference", "not_called", "unphased", "other_contig",
)  # fmt: skip
DELETED = "deleted"  # outcome of a region of which the haplotype has no base
_COLUMN = 9  # of the sample in the records that are kept, which have no other samples
_LONGEST_BP = 10_000_000  # bases of an allele; only structural variants come near


@dataclass(frozen=True, kw_only=True, eq=False)
class PhasedVariants:
    """What a sample carries on each haplotype of the contigs that were asked for."""

    sample: str
    sites: dict[str, list[Site]]  # by contig of the reference
    counts: dict[str, int] = field(default_factory=dict)  # records by what became of them; they add up to all
    haploid: int = 0  # records with a haploid genotype that were applied

    def kept(self, contig: str, number: int) -> list[Site]:
        """Return what is applied to haplotype 1 or 2 of a contig, from left to right."""
        return kept_sites(site for site in self.sites.get(contig, ()) if site.carried[number - 1])

    def phase_sets(self) -> dict[str, int]:
        """Return on how many sets of phased genotypes the haplotypes of each contig rest, where these are several."""
        sets = {
            contig: len(phase_sets(site for site in sites if not all(site.carried)))
            for contig, sites in self.sites.items()
        }
        return {contig: count for contig, count in sets.items() if count > 1}


class HaplotypeGenome(Genome):
    """The haplotypes of a sample as contigs of their own; a context manager, which leaves the reference open.

    Parameters
    ----------
    reference
        What the variants were called on.
    contigs
        Those of its contigs whose haplotypes are made.
    variants
        What the sample carries.
    which
        Haplotypes: 1, 2 or both.
    told
        What outputs say of where the haplotypes come from.
    """

    def __init__(
        self, reference: Genome, contigs: Sequence[str], variants: PhasedVariants, which: Sequence[int] = BOTH,
        told: str = "",
    ) -> None:  # fmt: skip
        self.reference, self.variants, self.which, self.told = reference, variants, tuple(which), told
        self.origins = {f"{contig}/{number}": contig for contig in contigs for number in self.which}
        self._sites: dict[str, list[Site]] = {}
        self.lifts: dict[str, Lift] = {}  # by haplotype
        for name, contig in self.origins.items():
            sites = self._sites[name] = variants.kept(contig, int(name.rpartition("/")[2]))
            changes = ((site.start, site.end, len(site.alt)) for site in sites)
            self.lifts[name] = Lift.of(reference.contigs.lengths[contig], changes)
        super().__init__(reference.path, ContigTable({name: lift.length_bp for name, lift in self.lifts.items()}))

    def close(self) -> None:
        """Let the last haplotype go; the reference stays open, for it was opened by somebody else."""
        self._last = ("", ContigBases())

    def fetch(self, contig: str, start: int, end: int) -> bytes:
        """Read bases start to end of a haplotype (0-based half-open), clamped at its ends."""
        name = self.contigs.require(contig)
        start, end = max(start, 0), min(end, self.contigs.lengths[name])
        return b"".join(self._parts(name, start, end)) if start < end else b""

    def _parts(self, name: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the bases between two places of a haplotype: stretches of the reference, and ALTs between them."""
        lift, contig = self.lifts[name], self.origins[name]
        number = bisect_left(lift.own_ends, start)
        at, own = (int(lift.ends[number - 1]), int(lift.own_ends[number - 1])) if number else (0, 0)
        within = slice(number, bisect_left(lift.own_starts, end))
        for site, own_start in zip(self._sites[name][within], lift.own_starts[within].tolist(), strict=True):
            yield self._between(contig, at - own, max(own, start), own_start)
            yield site.alt[max(0, start - own_start) : end - own_start]
            at, own = site.end, own_start + len(site.alt)
        yield self._between(contig, at - own, max(own, start), end)

    def _between(self, contig: str, shift: int, start: int, end: int) -> bytes:
        """Return bases of the reference that stand on a haplotype from start to end, moved by a shift."""
        return self.reference.fetch(contig, start + shift, end + shift) if start < end else b""

    def place(self, regions: Iterable[PlacedRegion]) -> list[PlacedRegion]:
        """Return each region of the reference on each haplotype, one behind the other.

        A region of which a haplotype has no base has the outcome `DELETED`; one that could not be placed on the
        reference stays what it is.
        """
        return [self._placed(region, number) for region in regions for number in self.which]

    def _placed(self, region: PlacedRegion, number: int) -> PlacedRegion:
        asked = replace(region.asked, contig=region.contig or region.asked.contig)
        if not region.usable:
            return replace(region, asked=asked, haplotype=number)
        name = f"{region.contig}/{number}"
        start, end = self.lifts[name].to_haplotype(region.start, region.end)
        outcome = region.outcome if start < end else DELETED
        return PlacedRegion(asked=asked, contig=name, start=start, end=end, outcome=outcome, haplotype=number)

    def place_interval(self, interval: Interval) -> list[Interval]:
        """Return a stretch of the reference on each haplotype, where these have bases of it."""
        found = []
        for number in self.which:
            name = f"{interval.contig}/{number}"
            if name in self.lifts:
                start, end = self.lifts[name].to_haplotype(interval.start, interval.end)
                found += [replace(interval, contig=name, start=start, end=end)] if start < end else []
        return found


def read_haplotypes(reader: VariantReader, sample: str, reference: Genome, contigs: Collection[str]) -> PhasedVariants:
    """Read what a sample carries on contigs of a reference.

    Parameters
    ----------
    reader
        A VCF or BCF with genotypes.
    sample
        Name of its column; "" for the only one.
    reference
        What the variants were called on.
    contigs
        Of the reference; what lies on others is only counted.

    Raises
    ------
    ConfigError
        If there is no such sample, or none of its genotypes on the contigs is phased.
    ReferenceMismatch
        If the variants belong to another genome.
    """
    samples = reader.header.samples
    if not samples:
        raise ConfigError(f"{reader.path}: has no samples, and so no genotypes. Give a phased VCF of a sample.")
    if not sample and len(samples) != 1:
        raise ConfigError(f"{reader.path}: has {len(samples):,} samples ({some_names(samples)}). Name one by --sample.")
    sample = sample or samples[0]
    try:
        column = sample_column(reader.header, sample)
    except ConfigError as error:
        raise ConfigError(f"{reader.path}: {error.what}") from None
    sorting = _Sorting(reference, contigs, column, reader.header.lengths)
    records = [slim for record in reader if (slim := sorting.kept(record)) is not None]
    if contigs and not sorting.phased:
        seen = ", ".join(f"{count:,} {what}" for what, count in sorting.counts.items()) or "no records"
        raise ConfigError(
            f"{reader.path}: no genotype of {sample} is phased on {some_names(contigs)} ({seen}"
            f"{f', {len(records):,} the same on both' if records else ''}). Phase it, or name another sample or file."
        )
    table = read_alleles(records, reference, longest_bp=_LONGEST_BP, lengths=reader.header.lengths, can_swap=False)
    sites = read_sites(records, table, _COLUMN, reference, haploid_on_both=False)
    variants = PhasedVariants(sample=sample, sites=sites, haploid=sorting.haploid)
    became = Counter(sorting.counts) + Counter(_outcomes(records, table, variants))
    return replace(variants, counts=dict(became))


class _Sorting:
    """Tells the records of which a haplotype is known to carry an ALT from all others, which it counts."""

    def __init__(self, reference: Genome, contigs: Collection[str], column: int, lengths: dict[str, int]) -> None:
        self.counts: Counter[str] = Counter()
        self.phased = self.haploid = 0
        self._reference, self._asked, self._column, self._lengths = reference, set(contigs), column, lengths
        self._names: dict[str, str | None] = {}  # contig of the reference by CHROM

    def kept(self, record: VcfRecord) -> VcfRecord | None:
        """Return a record with the column of the sample alone, or None if nothing of it is applied."""
        what = self._why_not(record)
        if what:
            self.counts[what] += 1
            return None
        cells = record.text.split("\t")
        return record._replace(text="\t".join([*cells[:_COLUMN], cells[self._column]]))

    def _why_not(self, record: VcfRecord) -> str:
        if record.problem:
            return str(Outcome.MALFORMED)
        if record.contig not in self._names:
            name = record.contig
            self._names[name] = self._reference.contigs.resolve(name, self._lengths.get(name))
        contig = self._names[record.contig]
        if contig is None:
            return str(Outcome.CONTIG_UNKNOWN)
        if contig not in self._asked:
            return OTHER_CONTIG
        written, marks = called_alleles(sample_values(record, self._column).get("GT", "."))
        known, _ = genotype(record, self._column)
        called = any(allele is not None for allele in known)
        self.phased += called and (len(marks) == 1 or "|" in marks[1:])
        if any(allele for allele in known[:2]):
            self.haploid += len(known) == 1
            return ""
        if any(allele for allele, sure in zip(written[:2], known[:2], strict=True) if sure is None):
            return UNPHASED
        return REFERENCE if known and None not in known[:2] else NOT_CALLED


def _outcomes(records: Sequence[VcfRecord], table: AlleleTable, variants: PhasedVariants) -> Iterator[str]:
    """Yield what became of each record of which a haplotype carries an ALT: the first reason against it, if any."""
    conflicts = set()
    for contig, sites in variants.sites.items():
        for number in BOTH:
            kept = {site.row for site in variants.kept(contig, number)}
            conflicts |= {site.row for site in sites if site.carried[number - 1] and site.row not in kept}
    first = np.cumsum([0, *table.rows_per_record]).tolist()
    for record, row in zip(records, first, strict=False):
        known, _ = genotype(record, _COLUMN)
        carried = [allele for allele in known[:2] if allele]
        # A genotype may name an ALT that the record does not have.
        reasons = [
            str(Outcome.MALFORMED) if allele > max(1, len(record.alts)) else
            str(Outcome.HAPLOTYPE_CONFLICT) if row + allele - 1 in conflicts else str(table.outcomes[row + allele - 1])
            for allele in carried
        ]  # fmt: skip
        yield next((reason for reason in reasons if reason != Outcome.SCORED), APPLIED)
