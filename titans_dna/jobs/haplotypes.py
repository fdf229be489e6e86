"""A sample's haplotypes opened from a phased VCF, and what outputs say of them and of how the two differ."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from titans_dna.errors import ConfigError
from titans_dna.genome.interval import Interval
from titans_dna.inference.haplotype_genome import BOTH, HaplotypeGenome, read_haplotypes
from titans_dna.inference.placing import PlacedRegion
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.tables.score_table import Column
from titans_dna.io.variants.vcf import read_variants

#: What outputs say of a region on a haplotype besides its place on the reference.
PLACE = ("haplotype", "haplotype_start", "haplotype_end")
BITS_DIFFERENCE = "bits_difference"  # bits per base on haplotype 2 minus those on haplotype 1


@dataclass(frozen=True, kw_only=True)
class SampleHaplotypes:
    """Whose haplotypes are read.

    Raises
    ------
    ConfigError
        If haplotypes are not 1, 2 or both.
    """

    vcf: Path  # phased; a file, for it is read and its checksum is told
    sample: str = ""  # "" for the only sample of the file
    which: tuple[int, ...] = BOTH

    def __post_init__(self) -> None:
        if not self.which or not set(self.which) <= set(BOTH) or len(set(self.which)) < len(self.which):
            raise ConfigError(f"haplotypes are {self.which}; choose 1, 2 or both")


def open_haplotypes(
    reference: Genome, asked: SampleHaplotypes, regions: Iterable[PlacedRegion]
) -> tuple[HaplotypeGenome, list[PlacedRegion]]:
    """Return a sample's haplotypes of the contigs that regions lie on, and the regions on each of them.

    Parameters
    ----------
    reference
        What the variants were called on; it stays open.
    asked
        Whose haplotypes.
    regions
        On the reference.

    Raises
    ------
    ConfigError
        If the file has no such sample, or none of its genotypes on these contigs is phased.
    ReferenceMismatch, FormatError, InputMissing
        If the file cannot be used with this reference.
    """
    if str(asked.vcf) == "-" or (asked.vcf.exists() and not (asked.vcf.is_file() or asked.vcf.is_dir())):
        raise ConfigError(f"{asked.vcf}: phased variants are read twice, so a stream will not do. Name a file.")
    placed = list(regions)
    used = {region.contig for region in placed if region.usable}
    contigs = [contig for contig in reference.contigs.names if contig in used]
    with read_variants(asked.vcf) as reader:
        variants = read_haplotypes(reader, asked.sample, reference, contigs)
    with asked.vcf.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    told = f"{asked.vcf.name} sha256={digest} sample={variants.sample} haplotypes={','.join(map(str, asked.which))}"
    genome = HaplotypeGenome(reference, contigs, variants, asked.which, told)
    return genome, genome.place(placed)


def named_by_haplotype(regions: Iterable[PlacedRegion]) -> list[PlacedRegion]:
    """Return regions on haplotypes with the names ``NAME/1`` and ``NAME/2``, or their places where they have none."""
    return [
        replace(r, asked=replace(r.asked, name=f"{r.asked.name or r.asked}/{r.haplotype}")) if r.haplotype else r
        for r in regions
    ]


def left_out(genome: Genome, stretches: Iterable[Interval]) -> tuple[Interval, ...]:
    """Return stretches of a reference as they lie on a genome: on each haplotype, or where they are.

    The contigs of stretches are not checked: those that are not read matter to no score.
    """
    if isinstance(genome, HaplotypeGenome):
        return tuple(place for stretch in stretches for place in genome.place_interval(stretch))
    return tuple(stretches)


def together(genome: Genome) -> Mapping[str, str]:
    """Return which contigs one shard reads together: the two haplotypes, whose difference is told."""
    return genome.origins if isinstance(genome, HaplotypeGenome) else {}


def place_columns(genome: Genome) -> tuple[Column, ...]:
    """Return the further columns of a table of regions on haplotypes; none for other genomes."""
    if not isinstance(genome, HaplotypeGenome):
        return ()
    difference = (Column(BITS_DIFFERENCE, "score"),) if genome.which == BOTH else ()
    return (*(Column(name, "integer") for name in PLACE), *difference)


def place_on_haplotype(region: PlacedRegion) -> dict[str, int]:
    """Return where a region lies on its haplotype; nothing for one that lies on no haplotype."""
    return dict(zip(PLACE, (region.haplotype, region.start, region.end), strict=True)) if region.haplotype else {}


def differences(values: Sequence[float]) -> list[float]:
    """Return for each row, of which two are the haplotypes of one region, the second value minus the first.

    Both rows get the same number; nan where one of the two has no value.
    """
    pairs = zip(values[::2], values[1::2], strict=True)
    return [b - a if math.isfinite(a) and math.isfinite(b) else math.nan for a, b in pairs for _ in BOTH]
