"""REF alleles that the sequence does not have: the four policies, and the reasons that are found."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from titans_dna.errors import ReferenceMismatch
from titans_dna.genome.alphabet import reverse_complement
from titans_dna.inference.alleles import Allele, read_alleles
from titans_dna.inference.score_variants import score_strands

SEQUENCE = b"GATTACAGATTACCATGCCGATAGCTAAGTCCGTTAGACCAGTTACAGGAT"


@pytest.fixture(scope="module")
def fasta(make_fasta):
    with make_fasta({"chrA": SEQUENCE}) as opened:
        yield opened


def read(fasta, records, how, **more):
    return read_alleles(records, fasta, longest_bp=20, on_mismatch=how, **more)


def test_swap_scores_the_reference_base_against_the_other(model, fasta, make_record):
    at = 20
    base = chr(SEQUENCE[at])
    other = "ACGT"["ACGT".index(base) - 1]
    right = read(fasta, [make_record(at + 1, base, other)], "skip")
    swapped = read(fasta, [make_record(at + 1, other, f"{base}", "N"), make_record(3, "A", "C")], "swap")
    assert [str(o) for o in swapped.outcomes] == ["swapped", "reference_n", "ref_mismatch"]
    (one,), (two,) = right.alleles["chrA"], swapped.alleles["chrA"]
    assert (two.alt, two.sign, one.sign) == (one.alt, -1, 1)
    assert score_strands(model, SEQUENCE, [one])[0] == pytest.approx(score_strands(model, SEQUENCE, [two])[0])


def test_swap_of_an_indel(fasta, make_record):
    """The sequence has GATTA: a record whose ALT is GATTA and REF is G deletes when it is exchanged."""
    table = read(fasta, [make_record(1, "GC", "GATTA")], "swap")
    assert [str(o) for o in table.outcomes] == ["swapped"]
    assert table.alleles["chrA"] == [Allele(row=0, start=1, end=5, alt=b"C", first=1, last=5, sign=-1)]


def test_force_compares_the_alleles_as_they_are_written(model, fasta, make_record):
    """The score is that of one made haplotype against the other, on both strands."""
    table = read(fasta, [make_record(10, "GG", "CAC")], "force")
    assert [str(o) for o in table.outcomes] == ["forced"]
    alt, ref = table.alleles["chrA"]
    assert (alt.alt, alt.sign, ref.alt, ref.sign) == (b"CAC", 1, b"GG", -1)
    scores = score_strands(model, SEQUENCE, [alt, ref], horizon_bp=20)
    forced = scores[0] - scores[1]
    changed = SEQUENCE[:9] + b"GG" + SEQUENCE[11:]
    direct = score_strands(model, changed, [Allele(0, 9, 11, b"CAC", 9, 11)], horizon_bp=20)[0]
    assert forced == pytest.approx(direct, abs=1e-4)


def wrong(make_record, change, count=30):
    records = []
    for at in range(count):
        ref, position, alts = change(at)
        records.append(make_record(position, ref, *alts))
    return records


def test_the_other_strand_is_named(fasta, make_record):
    def flip(at):
        return reverse_complement(SEQUENCE[at : at + 1]).decode(), at + 1, ("N",)

    with pytest.raises(ReferenceMismatch, match="100% of them match after reverse complement"):
        read(fasta, wrong(make_record, flip), "skip")


def test_exchanged_alleles_are_named(fasta, make_record):
    def exchange(at):
        base = chr(SEQUENCE[at])
        return "ACGT"["ACGT".index(base) - 1], at + 1, (base,)

    with pytest.raises(ReferenceMismatch, match=r"have toy\.fa's base as ALT: .*--on-mismatch swap"):
        read(fasta, wrong(make_record, exchange), "skip")


def test_positions_off_by_one_are_named(make_fasta, make_record, random_bases):
    text = random_bases(400, 77)
    with make_fasta({"chrA": text}) as fasta:
        records = [make_record(at, text[at : at + 3].decode(), "N") for at in range(1, 100)]
        with pytest.raises(ReferenceMismatch, match="one base further right: positions count from 0"):
            read(fasta, records, "skip")


def test_the_right_build_is_named(make_fasta, make_record, random_bases):
    here, there = random_bases(300, 1), random_bases(300, 2)
    records = [make_record(at + 1, there[at : at + 2].decode(), "N") for at in range(100)]
    with make_fasta({"chrA": here}) as fasta, make_fasta({"A": there}) as other:
        with pytest.raises(ReferenceMismatch, match=r"100% of them match toy\.fa, not toy\.fa: give"):
            read(fasta, records, "skip", other=other)
        with pytest.raises(ReferenceMismatch, match="Give the FASTA of the build"):
            read(fasta, records, "skip")  # without it there is no reason to name


@pytest.mark.parametrize("how", ["swap", "force"])
def test_a_policy_goes_on_with_a_warning(fasta, make_record, caplog, how):
    def flip(at):
        return reverse_complement(SEQUENCE[at : at + 1]).decode(), at + 1, (chr(SEQUENCE[at]),)

    with caplog.at_level(logging.WARNING):
        table = read(fasta, wrong(make_record, flip), how)
    assert "30 of 30 records do not fit" in caplog.text
    assert {str(o) for o in table.outcomes} == {"swap": {"swapped"}, "force": {"forced"}}[how]


def test_no_sign_is_lost_on_the_way(model, make_fasta, make_record):
    """A swapped record on the reverse complement of the contig scores what it scores here."""
    base = chr(SEQUENCE[30])
    other = "ACGT"["ACGT".index(base) - 1]
    flipped = reverse_complement(SEQUENCE)
    with make_fasta({"chrA": flipped}) as fasta:
        ref, alt = (reverse_complement(x.encode()).decode() for x in (other, base))
        table = read(fasta, [make_record(len(SEQUENCE) - 30, ref, alt)], "swap")
    (allele,) = table.alleles["chrA"]
    there = score_strands(model, flipped, [allele])[0]
    here = score_strands(model, SEQUENCE, [Allele(0, 30, 31, other.encode(), 30, 31)])[0]
    assert np.abs(there - here[::-1]).max() < 1e-4
