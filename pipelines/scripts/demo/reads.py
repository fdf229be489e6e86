"""Paired reads of a made-up sample over one stretch of the held-out contig, as a sorted and indexed BAM."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pysam

from demo.features import COMPLEMENT, Contig

REGION = (100_000, 120_000)  # 0-based half-open
SNV_COUNT = 14
PAIRS = 1_200
READ_BP = 100
FRAGMENT_BP = (320.0, 30.0)  # mean, standard deviation
ERROR_RATE = 0.003
QUALITIES = (37, 30, 20, 11)
QUALITY_WEIGHTS = (0.86, 0.08, 0.04, 0.02)
SAMPLE = "sample1"


@dataclass(frozen=True, kw_only=True)
class SampleVariant:
    """An SNV that the sample bears."""

    contig: str
    position: int  # 1-based
    ref: str
    alt: str
    copies: int  # 1 heterozygous, 2 homozygous


class _Sample:
    """Two haplotypes of the stretch."""

    def __init__(self, rng: np.random.Generator, contig: Contig) -> None:
        start, end = REGION
        self.contig = contig
        self.haplotypes = [contig.bases[start:end].copy(), contig.bases[start:end].copy()]
        self.variants = []
        for offset in sorted(rng.choice(end - start, size=SNV_COUNT, replace=False).tolist()):
            ref = int(contig.bases[start + offset])
            alt = (ref + int(rng.integers(1, 4))) % 4
            copies = int(rng.integers(1, 3))
            for haplotype in self.haplotypes[:copies]:
                haplotype[offset] = alt
            self.variants.append(
                SampleVariant(
                    contig=contig.name, position=start + offset + 1, ref="ACGT"[ref], alt="ACGT"[alt], copies=copies
                )
            )


def write_bam(rng: np.random.Generator, contigs: list[Contig], path: Path) -> list[SampleVariant]:
    """Write the BAM and its index; return the SNVs of the sample."""
    contig = contigs[-1]
    sample = _Sample(rng, contig)
    header = {
        "HD": {"VN": "1.6", "SO": "coordinate"},
        "SQ": [{"SN": each.name, "LN": len(each.bases)} for each in contigs],
        "RG": [{"ID": SAMPLE, "SM": SAMPLE}],
    }
    with pysam.AlignmentFile(str(path), "wb", header=header) as output:
        reads = [read for number in range(PAIRS) for read in _pair(rng, sample, number, output.header)]
        reads.sort(key=lambda read: (read.reference_start, read.query_name, read.is_read2))
        for read in reads:
            output.write(read)
    pysam.index(str(path))
    return sample.variants


def _pair(
    rng: np.random.Generator, sample: _Sample, number: int, header: pysam.AlignmentHeader
) -> list[pysam.AlignedSegment]:
    stretch_bp = REGION[1] - REGION[0]
    fragment_bp = int(np.clip(rng.normal(*FRAGMENT_BP), READ_BP, 500))
    left = int(rng.integers(stretch_bp - fragment_bp))
    right = left + fragment_bp - READ_BP
    haplotype = sample.haplotypes[int(rng.integers(2))]
    first_is_left = bool(rng.integers(2))
    pair = []
    for offset, mate_offset, is_left in ((left, right, True), (right, left, False)):
        read = pysam.AlignedSegment(header)
        read.query_name = f"pair{number + 1:05d}"
        read.flag = 0x3 | (0x20 if is_left else 0x10) | (0x40 if is_left == first_is_left else 0x80)
        read.reference_id = len(header.references) - 1
        read.reference_start = REGION[0] + offset
        read.next_reference_id = read.reference_id
        read.next_reference_start = REGION[0] + mate_offset
        read.template_length = fragment_bp if is_left else -fragment_bp
        read.mapping_quality = 60
        read.cigarstring = f"{READ_BP}M"
        bases = _with_errors(rng, haplotype[offset : offset + READ_BP])
        read.query_sequence = "".join("ACGT"[base] for base in bases)
        read.query_qualities = pysam.qualitystring_to_array(_qualities(rng))
        truth = sample.contig.bases[REGION[0] + offset : REGION[0] + offset + READ_BP]
        read.set_tags([("NM", int((bases != truth).sum()), "i"), ("RG", SAMPLE, "Z")])
        pair.append(read)
    return pair


def _with_errors(rng: np.random.Generator, bases: np.ndarray) -> np.ndarray:
    wrong = rng.random(len(bases)) < ERROR_RATE
    return np.where(wrong, COMPLEMENT[bases], bases)


def _qualities(rng: np.random.Generator) -> str:
    drawn = rng.choice(len(QUALITIES), size=READ_BP, p=QUALITY_WEIGHTS)
    return "".join(chr(33 + QUALITIES[index]) for index in drawn)
