"""Scores on a sample's haplotypes equal a rerun of both whole haplotypes."""

from __future__ import annotations

import numpy as np
import pytest

from titans_dna.errors import ConfigError
from titans_dna.inference.alleles import read_alleles
from titans_dna.inference.haplotype import genotype, place_on_haplotypes, read_sites, sample_column
from titans_dna.inference.score_variants import score_strands
from titans_dna.io.variants.vcf import parse_line, read_variants


@pytest.fixture(scope="module")
def sequence(random_bases):
    return random_bases(220, 91)


def record(position, ref, alt, call):
    return parse_line(1, f"chrA\t{position}\t.\t{ref}\t{alt}\t.\t.\t.\tGT:DP\t{call}:9", tabs=9)


def other(base: int) -> str:
    return "ACGT"["ACGT".index(chr(base)) - 1]


@pytest.fixture(scope="module")
def records(sequence):
    text = sequence.decode()
    return [
        record(20, text[19], other(sequence[19]), "0|1"),
        record(60, text[59], text[59] + "GATC", "1|1"),
        record(90, text[89:93], text[89], "1|0"),
        record(91, text[90], other(sequence[90]), "1|0"),  # inside the deletion of the same haplotype
        record(120, text[119], other(sequence[119]), "0/1"),  # not phased
        record(150, text[149], f"{other(sequence[149])},{text[149]}TT", "2|1"),
    ]


def whole(log_probabilities, model, haplotype: bytes) -> float:
    return float(np.nansum(log_probabilities(model, haplotype)))


def apply(sequence: bytes, changes) -> bytes:
    for position, ref, alt in sorted(changes, reverse=True):
        sequence = sequence[: position - 1] + alt.encode() + sequence[position - 1 + len(ref) :]
    return sequence


def test_each_allele_is_read_on_the_haplotype_that_carries_it(log_probabilities, model, make_fasta, sequence, records):
    with make_fasta({"chrA": sequence}) as fasta:
        table = read_alleles(records, fasta, longest_bp=50)
    sites = read_sites(records, table, column=9)["chrA"]
    pairs = place_on_haplotypes(sequence, sites, table.outcomes)
    assert [str(o) for o in table.outcomes] == [
        "scored", "scored", "scored", "haplotype_conflict", "scored", "scored", "scored",
    ]  # fmt: skip
    called = [(r.position, r.ref, alt) for r in records for alt in r.alts]
    snv, insertion, deletion, _, unphased, first, second = called
    on = ([insertion, deletion, second], [snv, insertion, first])
    assert [pair[0].sequence for pair in pairs] == [apply(sequence, changes) for changes in on]
    found = {}
    for haplotype, alleles in pairs:
        scores = score_strands(model, haplotype.sequence, alleles, horizon_bp=10_000, strands=(False,))[:, 0]
        found |= {allele.row: allele.sign * score for allele, score in zip(alleles, scores, strict=True)}
    assert sorted(found) == [0, 1, 2, 4, 5, 6]
    for row, change, carried in [(0, snv, 1), (1, insertion, 0), (2, deletion, 0), (5, first, 1), (6, second, 0)]:
        without = [c for c in on[carried] if c != change]
        wanted = whole(log_probabilities, model, apply(sequence, on[carried])) - whole(
            log_probabilities, model, apply(sequence, without)
        )
        assert found[row] == pytest.approx(wanted, abs=2e-4), change
    wanted = whole(log_probabilities, model, apply(sequence, [*on[0], unphased])) - whole(
        log_probabilities, model, apply(sequence, on[0])
    )
    assert found[4] == pytest.approx(wanted, abs=2e-4)


@pytest.mark.parametrize(
    ("call", "alleles"),
    [("0|1", (0, 1)), ("1/1", (1, 1)), ("0/1", None), (".|1", None), ("./.", None), ("1", (1,)), ("2|0", (2, 0))],
)
def test_only_phased_or_homozygous_calls_count(call, alleles):
    assert genotype(record(5, "A", "C,G", call), 9) == alleles


def test_an_unknown_sample_is_refused_by_name(tmp_path):
    path = tmp_path / "x.vcf"
    path.write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tann\tbob\n")
    with read_variants(path) as reader:
        assert sample_column(reader.header, "bob") == 10
        with pytest.raises(ConfigError, match="no sample 'eve'; the variants have ann, bob"):
            sample_column(reader.header, "eve")
