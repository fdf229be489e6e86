"""Real files end to end: sizes, published check sums, and REF alleles that fit the sequence."""

from __future__ import annotations

import pysam
import pysam.bcftools
import pytest

from titans_dna.io import open_fasta, read_intervals, read_variants
from titans_dna.io.sequence.fasta_source import reference_for_htslib

pytestmark = pytest.mark.real

BASES = {
    "yeast_R64-1-1.fa.gz": 12_157_105,
    "pombe_ASM294v2.fa.gz": 12_631_379,
    "ecoli_k12_NC_000913.3.fna.gz": 4_641_652,
    "lambda_NC_001416.1.fa": 48_502,
    "phix174_NC_001422.1.fa": 5_386,
    "human_mito_rCRS.fa": 16_569,
}
#: MD5 of whole sequences as the refget compliance suite of GA4GH publishes them.
REFGET = {
    ("yeast_R64-1-1.fa.gz", "I"): "6681ac2f62509cfc220d78751b8dc524",
    ("yeast_R64-1-1.fa.gz", "VI"): "b7ebc601f9a7df2e1ec5863deeae88a3",
    ("phix174_NC_001422.1.fa", "NC_001422.1"): "3332ed720ac7eaa9b3655c06f6b9e196",
}


@pytest.mark.parametrize("name", BASES)
def test_every_base_is_read(shared_data, name):
    with open_fasta(shared_data / "genomes" / name) as fasta:
        assert sum(fasta.contigs.lengths.values()) == BASES[name]
        for (file, contig), md5 in REFGET.items():
            if file == name:
                assert fasta.md5(contig) == md5


@pytest.mark.parametrize(
    ("sequence", "variants", "records"),
    [
        ("hg19_chr22_1-22000000.fa.gz", "hg19_chr22.1000G_sites.vcf.gz", 2185),
        ("hg19_chr20_1Mb.fa.gz", "hg19_chr20_1Mb.1000G.vcf.gz", 28_998),
        ("hg19_brca1_region.fa", "hg19_brca1_sge.vcf", 3893),
    ],
)
def test_every_ref_fits_and_left_normalisation_is_that_of_bcftools(shared_data, sequence, variants, records, tmp_path):
    ours = set()
    source = shared_data / "human" / variants
    with open_fasta(shared_data / "human" / sequence) as fasta, read_variants(source) as reader:
        count = 0
        for count, record in enumerate(reader, start=1):  # noqa: B007
            contig = fasta.contigs.require(record.contig)
            start = record.position - 1
            assert fasta.fetch(contig, start, start + len(record.ref)).upper() == record.ref.upper().encode()
            for variant in record.variants():
                normal = variant.left_normalised(lambda a, b, contig=contig: fasta.fetch(contig, a, b))
                if variant.is_sequence:
                    ours.add((normal.position, normal.ref.upper(), normal.alt.upper()))
        assert count == records
        assert reader.malformed == 0
    plain = reference_for_htslib(shared_data / "human" / sequence)
    normal_file = tmp_path / "norm.vcf"
    pysam.bcftools.norm("-m", "-any", "-f", str(plain), "-o", str(normal_file), str(source), catch_stdout=False)
    theirs = set()
    for record in read_variants(normal_file):
        theirs.update((v.position, v.ref.upper(), v.alt.upper()) for v in record.variants() if v.is_sequence)
    assert ours == theirs


def test_start_codons_of_e_coli_stand_where_its_annotation_says(shared_data):
    from titans_dna.genome import reverse_complement

    genes = read_intervals(shared_data / "genomes" / "ecoli_k12_NC_000913.3.gff.gz", feature="CDS")
    with open_fasta(shared_data / "genomes" / "ecoli_k12_NC_000913.3.fna.gz") as fasta:
        starts = 0
        for gene in genes:
            place = fasta.contigs.place(gene)
            sequence = fasta.fetch(place.contig, place.start, place.end)
            starts += (sequence if gene.strand == "+" else reverse_complement(sequence))[:3] in (b"ATG", b"GTG", b"TTG")
    assert starts > 0.98 * len(genes) > 4000
