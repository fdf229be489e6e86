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
    sites = read_sites(records, table, 9, fasta)["chrA"]
    pairs = list(place_on_haplotypes(sequence, sites, table.outcomes))
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


def placed(make_fasta, sequence, *calls):
    """Place records (position, ref, alt, sample, FORMAT) on haplotypes."""
    rows = [
        parse_line(n, f"chrA\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\t{keys}\t{call}", tabs=9)
        for n, (pos, ref, alt, call, keys) in enumerate(calls, start=1)
    ]
    with make_fasta({"chrA": sequence}) as fasta:
        table = read_alleles(rows, fasta, longest_bp=50)
    pairs = list(place_on_haplotypes(sequence, read_sites(rows, table, 9, fasta)["chrA"], table.outcomes))
    return pairs, [str(outcome) for outcome in table.outcomes]


def branch(haplotype, allele) -> bytes:
    return haplotype.sequence[: allele.start] + allele.alt + haplotype.sequence[allele.end :]


def test_variants_of_different_phase_sets_are_not_applied_to_each_other(make_fasta, sequence):
    text = sequence.decode()
    snvs = {position: (position, text[position - 1], other(sequence[position - 1])) for position in (20, 50, 80, 110)}
    pairs, outcomes = placed(
        make_fasta, sequence,
        (*snvs[20], "1|0:7", "GT:PS"), (*snvs[50], "1|0:8", "GT:PS"), (*snvs[80], "1/1:.", "GT:PS"),
        (*snvs[110], "0|1:7", "GT:PS"),
    )  # fmt: skip
    assert outcomes == ["scored"] * 4
    on = [(20, 80), (80, 110), (50, 80), (80,), (80,), (80,)]  # two haplotypes of sets 7, 8 and none
    assert [pair.sequence for pair, _ in pairs] == [apply(sequence, [snvs[at] for at in carried]) for carried in on]
    assert [[allele.row for allele in alleles] for _, alleles in pairs] == [[0], [3], [1], [], [2], []]
    haplotype, (allele,) = pairs[2]
    assert branch(haplotype, allele) == apply(sequence, [snvs[80]])


def test_a_substitution_and_an_insertion_at_one_position_stand_beside_each_other(make_fasta, sequence):
    text, at = sequence.decode(), 60
    snv, insertion = (at, text[at - 1], other(sequence[at - 1])), (at, text[at - 1], text[at - 1] + "GATC")
    behind = (at + 1, text[at], other(sequence[at]))
    both = sequence[: at - 1] + snv[2].encode() + b"GATC" + behind[2].encode() + sequence[at + 1 :]
    expected = {  # what is compared with both: the haplotype without the one
        0: sequence[:at] + b"GATC" + behind[2].encode() + sequence[at + 1 :],
        1: sequence[: at - 1] + snv[2].encode() + behind[2].encode() + sequence[at + 1 :],
        2: sequence[: at - 1] + snv[2].encode() + b"GATC" + sequence[at:],
    }
    for order in ([0, 1, 2], [2, 1, 0]):
        rows = [(*(snv, insertion, behind)[row], "1|0", "GT") for row in order]
        ((haplotype, alleles), (other_one, none)), outcomes = placed(make_fasta, sequence, *rows)
        assert outcomes == ["scored"] * 3
        assert haplotype.sequence == both
        assert {order[a.row]: branch(haplotype, a) for a in alleles} == expected
        assert {a.sign for a in alleles} == {-1}
        assert (other_one.sequence, len(none)) == (sequence, 0)
    for carried in (0, 1):  # one is carried, the other is applied to it
        rows = [(*(snv, insertion)[row], "1|0" if row == carried else "0/1", "GT") for row in (0, 1)]
        ((haplotype, alleles), _), outcomes = placed(make_fasta, sequence, *rows)
        assert outcomes == ["scored"] * 2
        assert haplotype.sequence == apply(sequence, [(snv, insertion)[carried]])
        (found,) = [branch(haplotype, a) for a in alleles if a.row != carried]
        assert found == sequence[: at - 1] + snv[2].encode() + b"GATC" + sequence[at:]


def test_two_insertions_at_one_place_and_an_insertion_inside_a_deletion_are_conflicts(make_fasta, sequence):
    text = sequence.decode()
    first, second = ((60, text[59], text[59] + bases) for bases in ("GA", "CC"))
    for call in ("1|0", "0/1"):
        pairs, outcomes = placed(make_fasta, sequence, (*first, "1|0", "GT"), (*second, call, "GT"))
        assert outcomes == ["scored", "haplotype_conflict"]
        assert pairs[0][0].sequence == apply(sequence, [first])
    deletion = (58, text[57:62], text[57])
    assert placed(make_fasta, sequence, (*deletion, "1|1", "GT"), (*first, "1|1", "GT"))[1] == [
        "scored", "haplotype_conflict",
    ]  # fmt: skip
    edge = (1, text[:3], text[2])  # a deletion of the contig's first two bases, carried and not
    for call, bases in (("1|0", sequence), ("0|0", sequence[2:])):
        ((haplotype, (allele,)), _), _ = placed(make_fasta, sequence, (*edge, call, "GT"))
        assert branch(haplotype, allele) == bases


@pytest.mark.parametrize(
    ("call", "alleles"),
    [
        ("0|1", (0, 1)), ("1/1", (1, 1)), ("0/1", (None, None)), ("./.", (None, None)), ("1", (1,)), ("2|0", (2, 0)),
        ("1|.", (1, None)), (".|1", (None, 1)), ("1/.", (None, None)), (".", (None,)),
        ("|1|1", (1, 1)), ("/1|1", (1, 1)), ("|0|1", (0, 1)), ("/0|1", (None, 1)), ("|1/0", (1, None)), ("|1", (1,)),
        ("/1", (1,)), ("x|1", ()), ("", ()),
    ],
)  # fmt: skip
def test_it_is_known_which_haplotype_carries_what_is_phased_or_homozygous(call, alleles):
    assert genotype(record(5, "A", "C,G", call), 9) == (alleles, "")


def test_the_phase_set_of_a_genotype():
    for keys, call, phase_set in [("GT:PS", "0|1:77", "77"), ("PS:GT", ".:0|1", ""), ("GT:PS", "0|1", "")]:
        row = parse_line(1, f"c\t5\t.\tA\tC\t.\t.\t.\t{keys}\t{call}", tabs=9)
        assert genotype(row, 9) == ((0, 1), phase_set)


def test_an_unknown_sample_is_refused_by_name(tmp_path):
    path = tmp_path / "x.vcf"
    path.write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tann\tbob\n")
    with read_variants(path) as reader:
        assert sample_column(reader.header, "bob") == 10
        with pytest.raises(ConfigError, match="no sample 'eve'; the variants have ann, bob"):
            sample_column(reader.header, "eve")
