"""A sample's haplotypes are the sequences that bcftools consensus writes, and every record is counted once."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from titans_dna.errors import ConfigError, ReferenceMismatch
from titans_dna.genome.interval import Interval
from titans_dna.inference.haplotype_genome import BOTH, HaplotypeGenome, read_haplotypes
from titans_dna.inference.placing import place_interval
from titans_dna.io.sequence.fasta import open_fasta
from titans_dna.io.variants.vcf import read_variants

HEADER = (
    "##fileformat=VCFv4.4\n##contig=<ID=chrA>\n##contig=<ID=chrB>\n"
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    '##FORMAT=<ID=PS,Number=1,Type=Integer,Description="Phase set">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tME\tYOU\n"
)


def other(base: str) -> str:
    return "ACGT"["ACGT".index(base) - 1]


@pytest.fixture(scope="module")
def fasta(random_bases, make_fasta):
    with make_fasta({"chrA": random_bases(600, 3), "chrB": random_bases(300, 4), "chrC": b"ACGT"}) as opened:
        yield opened


@pytest.fixture
def make_vcf(tmp_path):
    def make(rows, name="s.vcf"):
        path = tmp_path / name
        lines = [f"{c}\t{p}\t.\t{ref}\t{alt}\t.\t.\t.\tGT:PS\t{call}\t0|0:." for c, p, ref, alt, call in rows]
        path.write_text(HEADER + "".join(line + "\n" for line in lines))
        return path

    return make


@pytest.fixture
def rows(fasta):
    """Every kind of record; those behind the first five are not applied, or not on both haplotypes."""
    a, b = (fasta.sequence(name).decode() for name in ("chrA", "chrB"))
    return [
        ("chrA", 20, a[19], other(a[19]), "0|1:."),
        ("chrA", 40, a[39], a[39] + "GATTACA", "1|1:."),
        ("chrA", 60, a[59:64], a[59], "1|0:."),
        ("chrA", 80, a[79], f"{other(a[79])},{a[79]}TT", "1|2:."),
        ("chrA", 100, a[99:103], "TG" if a[99] != "T" else "CA", "0|1:."),
        ("chrA", 62, a[61], other(a[61]), "1|0:."),  # deleted by the record at 60
        ("chrA", 120, a[119], other(a[119]), "0/1:."),
        ("chrA", 130, a[129], other(a[129]), "./.:."),
        ("chrA", 140, a[139], other(a[139]), "0|0:."),
        ("chrA", 150, other(a[149]), a[149], "1|1:."),  # REF is not what the FASTA has
        ("chrA", 160, a[159], other(a[159]), "1|.:."),
        ("chrA", 170, a[169], other(a[169]), "1:."),  # haploid
        ("chrA", 180, a[179], "<NON_REF>", "1|1:."),
        ("chrA", 190, a[189], other(a[189]), "1|3:."),  # an allele that is not there
        ("chrB", 10, b[9], other(b[9]), "1|1:."),
        ("chrZ", 10, "A", "C", "1|1:."),
        ("chrA", "ten", "A", "C", "1|1:."),
    ]


def read(fasta, path: Path, sample="ME", contigs=("chrA",), which=BOTH) -> HaplotypeGenome:
    with read_variants(path) as reader:
        return HaplotypeGenome(fasta, contigs, read_haplotypes(reader, sample, fasta, contigs), which)


def test_records_are_counted_once_each(fasta, make_vcf, rows):
    genome = read(fasta, make_vcf(rows))
    assert genome.variants.counts == {
        "applied": 7, "haplotype_conflict": 1, "unphased": 1, "not_called": 1, "reference": 1, "ref_mismatch": 1,
        "symbolic": 1, "malformed": 2, "other_contig": 1, "contig_unknown": 1,
    }  # fmt: skip
    assert sum(genome.variants.counts.values()) == len(rows)
    assert genome.variants.haploid == 1


def test_sequences_are_those_of_the_applied_changes(fasta, make_vcf, rows):
    genome, a = read(fasta, make_vcf(rows)), fasta.sequence("chrA").decode()
    for number in BOTH:
        want = a
        for _, position, ref, alt, call in reversed([*rows[:5], *rows[10:12], rows[13]]):
            alleles = call.partition(":")[0].split("|")
            chosen = alleles[number - 1] if number <= len(alleles) else "0"
            if chosen in "12":
                want = want[: position - 1] + alt.split(",")[int(chosen) - 1] + want[position - 1 + len(ref) :]
        name = f"chrA/{number}"
        assert genome.sequence(name).decode() == want
        assert genome.contigs.lengths[name] == len(want)
        for start in range(0, len(want), 7):  # pieces, which begin and end within changes too
            for size in (1, 5, 90):
                assert genome.fetch(name, start, start + size).decode() == want[start : start + size]


@pytest.mark.skipif(not shutil.which("bcftools"), reason="bcftools is not installed")
@pytest.mark.parametrize("seed", range(4))
def test_sequences_are_those_of_bcftools_consensus(fasta, make_vcf, seed):
    """Random variants that do not touch each other, of all kinds and genotypes that are phased."""
    random, a, records, at = np.random.default_rng(seed), fasta.sequence("chrA").decode(), [], 2
    while at < 560:
        size = int(random.integers(1, 6))
        ref = a[at - 1 : at - 1 + size]
        alts = [other(ref[0]) + ref[1:], ref[0], ref + "GATC", ref[0] + "CAT", other(ref[0]) + "TT"]
        alts = [alt for alt in random.permutation(alts).tolist() if alt != ref][:2]
        call = str(random.choice(["0|1", "1|0", "1|1", "2|1", "1|2", "0|2", "0|0", "1", "1|.", ".|1"]))
        records.append(("chrA", at, ref, ",".join(alts), f"{call}:."))
        at += size + int(random.integers(2, 25))
    path = make_vcf(records)
    genome = read(fasta, path)
    packed = path.with_suffix(".vcf.gz")
    with packed.open("wb") as stream:
        subprocess.run(["bgzip", "-c", path], check=True, stdout=stream)
    subprocess.run(["bcftools", "index", packed], check=True)
    for number in BOTH:
        command = ["bcftools", "consensus", "-f", fasta.path, "-s", "ME", "-H", str(number), packed]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        want = "".join(text.partition(">chrB")[0].split("\n")[1:])
        assert genome.sequence(f"chrA/{number}").decode() == want


def test_regions_hold_the_bases_of_the_haplotype(fasta, make_vcf, rows):
    genome = read(fasta, make_vcf(rows), contigs=("chrA", "chrB"))
    asked = [
        Interval("chrA", 30, 50, "-", "r"),
        Interval("chrA", 60, 64),
        Interval("chrZ", 1, 2),
        Interval("B", 5, 999),
    ]
    found = genome.place(place_interval(fasta.contigs, one) for one in asked)
    told = [(r.contig, r.start, r.end, r.outcome, r.haplotype, r.written_contig) for r in found]
    assert told == [
        ("chrA/1", 30, 57, "ok", 1, "chrA"), ("chrA/2", 30, 57, "ok", 2, "chrA"),
        ("chrA/1", 67, 67, "deleted", 1, "chrA"), ("chrA/2", 67, 71, "ok", 2, "chrA"),
        ("", 1, 2, "contig_unknown", 1, "chrZ"), ("", 1, 2, "contig_unknown", 2, "chrZ"),
        ("chrB/1", 5, 300, "clipped", 1, "chrB"), ("chrB/2", 5, 300, "clipped", 2, "chrB"),
    ]  # fmt: skip
    assert [r.asked.name for r in found[:2]] == ["r", "r"]
    assert b"GATTACA" in genome.fetch("chrA/1", 30, 57)


def test_phase_sets_are_joined_and_told(fasta, make_vcf):
    a = fasta.sequence("chrA").decode()
    calls = ["1|0:5", "0|1:5", "1|0:9", "1|1:7"]
    rows = [("chrA", p, a[p - 1], other(a[p - 1]), call) for p, call in zip((10, 20, 30, 40), calls, strict=True)]
    genome = read(fasta, make_vcf(rows))
    assert genome.variants.phase_sets() == {"chrA": 2}
    changed = [at + 1 for at, (x, y) in enumerate(zip(a, genome.sequence("chrA/1").decode(), strict=True)) if x != y]
    assert changed == [10, 30, 40]


@pytest.mark.parametrize(
    ("calls", "sample", "said"),
    [
        (["0/1:.", "1/1:."], "ME", "no genotype of ME is phased on chrA (1 unphased, 1 the same on both). Phase it"),
        ([], "ME", "no genotype of ME is phased on chrA (no records). Phase it"),
        (["0|1:."], "HER", "s.vcf: there is no sample 'HER'; the variants have ME, YOU."),
        (["0|1:."], "", "s.vcf: has 2 samples (ME, YOU). Name one by --sample."),
    ],
)
def test_a_file_without_the_haplotypes_is_refused(fasta, make_vcf, calls, sample, said):
    a = fasta.sequence("chrA").decode()
    rows = [("chrA", 10 + n, a[9 + n], other(a[9 + n]), call) for n, call in enumerate(calls)]
    with pytest.raises(ConfigError) as error:
        read(fasta, make_vcf(rows), sample)
    assert said in str(error.value)


def test_variants_of_another_build_are_refused(fasta, make_vcf):
    a = fasta.sequence("chrA").decode()
    rows = [("chrA", p, other(a[p - 1]), a[p - 1], "0|1:.") for p in range(10, 60)]
    with pytest.raises(ReferenceMismatch, match="50 of 50 records do not fit"):
        read(fasta, make_vcf(rows))


REAL = Path(__file__).parents[3] / "shared" / "data" / "human"


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the real genomes are not beside the project")
@pytest.mark.skipif(not shutil.which("bcftools"), reason="bcftools is not installed")
def test_a_thousand_genomes_sites_as_one_sample(tmp_path):
    """Real records of human chr20, in random phase, of those that do not overlap and name their bases."""
    random, packed = np.random.default_rng(0), tmp_path / "s.vcf.gz"
    lines, reach = [], 0
    with read_variants(REAL / "hg19_chr20_1Mb.1000G.vcf.gz") as reader:
        for record in reader:
            if record.position <= reach or not all(alt.isalpha() for alt in record.alts):
                continue
            reach = record.position + len(record.ref)
            call = random.choice(["0|1", "1|0", "1|1", "0|0"], p=[0.05, 0.05, 0.05, 0.85])
            cells = record.text.split("\t")[:7]
            lines.append("\t".join([*cells, ".", "GT:PS", f"{call}:.", "0|0:."]))
    plain = tmp_path / "s.vcf"
    plain.write_text(HEADER.replace("chrA", "z") + "".join(line + "\n" for line in lines))
    with packed.open("wb") as stream:
        subprocess.run(["bgzip", "-c", plain], check=True, stdout=stream)
    subprocess.run(["bcftools", "index", packed], check=True)
    with open_fasta(REAL / "hg19_chr20_1Mb.fa.gz") as fasta:
        genome = read(fasta, plain, contigs=("z",))
        for number in BOTH:
            command = ["bcftools", "consensus", "-f", fasta._source.path, "-s", "ME", "-H", str(number), packed]
            text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            assert genome.sequence(f"z/{number}").upper().decode() == "".join(text.split("\n")[1:]).upper()
