"""Writing the demo's text files: FASTA, VCF, BED and the planted truth as JSON."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from demo.features import Contig, Feature
from demo.genes import ACCEPTOR, DONOR, PROMOTER_BOX, SECOND_BOX
from demo.reads import SampleVariant
from demo.variants import FLANK_BP, Record

LINE_BP = 60
VCF_HEADER = """\
##fileformat=VCFv4.2
##source=make_demo.py
##reference=demo.fa
{contigs}
##ALT=<ID=DEL,Description="Deletion">
##INFO=<ID=TRUTH,Number=1,Type=String,Description="Planted truth: breaking (changes an invariant base of a motif) or neutral (plain background)">
##INFO=<ID=SITE,Number=1,Type=String,Description="What the variant lies in: promoter, donor, acceptor, exon, tandem, dispersed or background">
##INFO=<ID=SVTYPE,Number=1,Type=String,Description="Type of structural variant">
##INFO=<ID=END,Number=1,Type=Integer,Description="Last base of the variant, 1-based">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
"""  # noqa: E501
BED_COUNTS = {"gene": 8, "promoter": 6, "tandem": 3, "dispersed": 3}  # regions of each kind on each contig
BED_BACKGROUND = 3  # background regions on each contig
BACKGROUND_BP = 150  # bases of a background region, at least FLANK_BP from every feature


def write_fasta(contigs: list[Contig], path: Path) -> None:
    """Write the genome with lines of 60 bases, soft-masked in lower case."""
    lines = []
    for contig in contigs:
        text = contig.text().decode()
        lines.append(f">{contig.name}")
        lines.extend(text[start : start + LINE_BP] for start in range(0, len(text), LINE_BP))
    path.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")


def write_vcf(contigs: list[Contig], records: list[Record], path: Path) -> None:
    """Write the records as VCF 4.2, with header lines for the genome's contigs alone."""
    declared = "\n".join(f"##contig=<ID={contig.name},length={len(contig.bases)}>" for contig in contigs)
    lines = []
    for number, record in enumerate(records, start=1):
        info = ";".join(f"{key}={value}" for key, value in record.info.items()) or "."
        row = (
            record.contig,
            record.position,
            f"demo{number:03d}",
            record.ref,
            ",".join(record.alts),
            ".",
            "PASS",
            info,
        )
        lines.append("\t".join(map(str, row)) + "\n")
    path.write_text(VCF_HEADER.format(contigs=declared) + "".join(lines), encoding="ascii", newline="\n")


def write_bed(rng: np.random.Generator, contigs: list[Contig], path: Path) -> None:
    """Write a sample of genes, promoters, repeats and background stretches as BED6."""
    lines = []
    for contig in contigs:
        rows = _background_rows(rng, contig)
        for kind, count in BED_COUNTS.items():
            found = [feature for feature in contig.features if feature.kind == kind]
            picked = rng.choice(len(found), size=count, replace=False).tolist()
            rows.extend(_row(found[index]) for index in picked)
        for start, end, name, strand in sorted(rows):
            lines.append(f"{contig.name}\t{start}\t{end}\t{name}\t0\t{strand}\n")
    path.write_text("".join(lines), encoding="ascii", newline="\n")


def write_truth(seed: int, contigs: list[Contig], sample: list[SampleVariant], path: Path) -> None:
    """Write what is planted where, one feature on a line; coordinates are 0-based half-open."""
    features = [
        json.dumps([contig.name, feature.start, feature.end, feature.strand, feature.kind, feature.name])
        for contig in contigs
        for feature in contig.features
    ]
    head = {
        "seed": seed,
        "contigs": {contig.name: len(contig.bases) for contig in contigs},
        "motifs": {"promoter": PROMOTER_BOX, "box": SECOND_BOX, "donor": DONOR, "acceptor_end": ACCEPTOR},
        "sample_variants": [asdict(variant) for variant in sample],
        "feature_columns": ["contig", "start", "end", "strand", "kind", "name"],
    }
    text = json.dumps(head, indent=1)[:-2] + ',\n "features": [\n' + ",\n".join(features) + "\n ]\n}\n"
    path.write_text(text, encoding="ascii", newline="\n")


def _row(feature: Feature) -> tuple[int, int, str, str]:
    name = f"{feature.name}.promoter" if feature.kind == "promoter" else feature.name
    return feature.start, feature.end, name, feature.strand


def _background_rows(rng: np.random.Generator, contig: Contig) -> list[tuple[int, int, str, str]]:
    """Pick stretches between features that have room."""
    ends = np.maximum.accumulate([feature.end for feature in contig.features])
    starts = [feature.start for feature in contig.features]
    needed_bp = BACKGROUND_BP + 2 * FLANK_BP
    roomy = [int(end) for end, start in zip(ends[:-1], starts[1:], strict=True) if start - end >= needed_bp]
    picked = rng.choice(len(roomy), size=BED_BACKGROUND, replace=False)
    rows = []
    for number, index in enumerate(picked.tolist(), start=1):
        start = roomy[index] + FLANK_BP
        rows.append((start, start + BACKGROUND_BP, f"{contig.name}.background{number}", "+"))
    return rows
