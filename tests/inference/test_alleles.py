"""Nothing is dropped: every ALT has a row, every row an outcome, and the rows add up."""

from __future__ import annotations

import pytest

from titans_dna.errors import ReferenceMismatch
from titans_dna.inference.alleles import Allele, Outcome, read_alleles

SEQUENCE = b"ACGTACGTACNNNNACGTRACGTacgtACGT"  # 31 bases; N at 11-14, R at 19, soft-masked 24-27 (1-based)


@pytest.fixture(scope="module")
def fasta(make_fasta):
    with make_fasta({"chrA": SEQUENCE, "chr2": b"ACGTACGT"}) as opened:
        yield opened


def outcomes(fasta, *records, longest_bp: int = 10) -> list[str]:
    return [str(outcome) for outcome in read_alleles(records, fasta, longest_bp=longest_bp).outcomes]


EACH = {
    "scored": [(1, "A", ("G",))],
    "ref_mismatch": [(1, "C", ("G",))],
    "contig_unknown": [(1, "A", ("G",), {"contig": "chrZ"})],
    "beyond_contig": [(31, "TA", ("T",)), (32, "A", ("G",)), (0, "A", ("G",)), (12345678901, "A", ("G",))],
    "no_change": [(1, "A", ("A",)), (1, "A", ("a",)), (1, "AC", ("AC",))],
    "symbolic": [(1, "A", ("<NON_REF>",)), (1, "A", ("<CNV>",))],
    "imprecise": [(1, "A", ("<DEL>",), {"info": "END=3;IMPRECISE"})],
    "unclear_length": [(1, "A", ("<DEL>",)), (1, "A", ("<DUP>",), {"info": "END=3;SVLEN=3"})],
    "no_sequence": [(1, "A", ("<INS>",), {"info": "SVLEN=3"})],
    "breakend": [(1, "A", ("A[chr2:3[",)), (1, "A", ("A.",))],
    "spanning_deletion": [(1, "A", ("*",))],
    "no_alt": [(1, "A", ())],
    "too_long": [(1, "A", ("ACGTACGTACG",))],
    "reference_n": [
        (11, "N", ("A",)),
        (10, "CN", ("C",)),
        (1, "A", ("N",)),
        (19, "R", ("C",)),
        (19, "A", ("C",)),
        (1, "N", ("G",)),
        (1, "R", ("G",)),
        (2, "CN", ("C",)),
    ],
    "malformed": [(0, "", (), {"problem": "malformed: POS is 'x'"})],
}


OTHERS = {"swapped", "forced", "haplotype_conflict"}  # only where asked for: test_mismatch.py, test_haplotype.py


def test_the_table_names_every_outcome() -> None:
    assert set(EACH) | OTHERS == {str(outcome) for outcome in Outcome}


@pytest.mark.parametrize("outcome", list(EACH))
def test_each_outcome(fasta, make_record, outcome):
    good = make_record(2, "C", "T")
    for position, ref, alts, *more in EACH[outcome]:
        record = make_record(position, ref, *alts, **(more[0] if more else {}))
        assert outcomes(fasta, good, record, good) == ["scored", outcome, "scored"], (position, ref, alts)


def test_every_alt_of_a_record_has_a_row(fasta, make_record):
    record = make_record(1, "A", "G", "*", "<NON_REF>", "AT", "ACGTACGTACGTA", "N")
    table = read_alleles([record, make_record(1, "A"), make_record(2, "C", "T")], fasta, longest_bp=10)
    wanted = ["scored", "spanning_deletion", "symbolic", "scored", "too_long", "reference_n", "no_alt", "scored"]
    assert [str(o) for o in table.outcomes] == wanted
    assert table.rows_per_record == [6, 1, 1]
    assert [allele.row for allele in table.alleles["chrA"]] == [0, 3, 7]


def test_a_mismatch_is_that_of_all_alts(fasta, make_record):
    table = read_alleles([make_record(1, "C", "G", "*", "<DEL>")], fasta, longest_bp=10)
    assert [str(o) for o in table.outcomes] == ["ref_mismatch"] * 3


def test_counts_add_up(fasta, make_record):
    rows = [row for group in EACH.values() for row in group]
    records = [make_record(p, r, *a, **(more[0] if more else {})) for p, r, a, *more in rows]
    table = read_alleles(records, fasta, longest_bp=10)
    assert len(table.outcomes) == sum(table.rows_per_record) == len(records)
    scored = sum(outcome is Outcome.SCORED for outcome in table.outcomes)
    assert scored == sum(len(alleles) for alleles in table.alleles.values()) == 1


def test_aliases_and_case(fasta, make_record):
    table = read_alleles([make_record(1, "a", "g", contig="2"), make_record(24, "A", "c")], fasta, longest_bp=10)
    assert table.alleles["chr2"] == [Allele(row=0, start=0, end=1, alt=b"G", first=0, last=1)]
    assert table.alleles["chrA"] == [Allele(row=1, start=23, end=24, alt=b"C", first=23, last=24)]


def test_soft_masked_reference_is_no_mismatch(fasta, make_record):
    assert SEQUENCE[24:27] == b"cgt"
    assert outcomes(fasta, make_record(25, "CGT", "C")) == ["scored"]


def test_a_mismatch_stops_the_run_only_if_asked_to(fasta, make_record):
    records = [make_record(2, "C", "T"), make_record(1, "G", "T", line=7)]
    assert outcomes(fasta, *records) == ["scored", "ref_mismatch"]
    with pytest.raises(ReferenceMismatch, match=r"line 7: REF is G but toy.fa has A at chrA:1\. Is this") as caught:
        read_alleles(records, fasta, longest_bp=10, on_mismatch="error")
    assert "\n" not in str(caught.value)


def test_mostly_mismatches_are_another_build(fasta, make_record):
    wrong = [make_record(1, "C", "T") for _ in range(15)]
    right = [make_record(2, "C", "T") for _ in range(5)]
    with pytest.raises(ReferenceMismatch, match="15 of 20 records do not fit the sequence"):
        read_alleles(wrong + right, fasta, longest_bp=10)
    few = read_alleles(wrong, fasta, longest_bp=10)  # too few to tell
    assert [str(o) for o in few.outcomes] == ["ref_mismatch"] * 15


def test_no_contig_in_common_is_another_fasta(fasta, make_record):
    with pytest.raises(ReferenceMismatch, match=r"none of the 2 records lies on a contig of .*chrA, chr2"):
        read_alleles([make_record(1, "A", "T", contig="chrZ")] * 2, fasta, longest_bp=10)


def test_nothing_in_nothing_out(fasta):
    table = read_alleles([], fasta, longest_bp=10)
    assert (table.outcomes, table.rows_per_record, table.alleles) == ([], [], {})


def test_a_deletion_in_a_run_spans_the_run(make_fasta, make_record):
    with make_fasta({"chrA": b"GCTTTTTTAG"}) as fasta:
        table = read_alleles([make_record(5, "TT", "T"), make_record(2, "C", "CTT")], fasta, longest_bp=10)
    assert table.alleles["chrA"] == [
        Allele(row=0, start=2, end=3, alt=b"", first=2, last=8),
        Allele(row=1, start=2, end=2, alt=b"TT", first=2, last=8),
    ]


@pytest.fixture
def mitochondrion(make_fasta):
    with make_fasta({"chr1": b"ACGTTGCA", "chrM": b"ACGTACGTAC"}) as fasta:
        yield fasta


def test_a_contig_of_another_name_and_length_is_another(mitochondrion, make_record):
    """MT of GRCh37 is not the chrM of hg19, two bases longer: its positions are others."""
    records = [make_record(1, "A", "C", contig="MT"), make_record(1, "A", "C", contig="1")]
    table = read_alleles(records, mitochondrion, longest_bp=10, lengths={"MT": 8, "1": 8})
    assert table.outcomes == ["contig_unknown", "scored"]
    assert mitochondrion.contigs.refused == {"MT": (8, "chrM")}
    assert read_alleles(records, mitochondrion, longest_bp=10).outcomes == ["scored", "scored"]
    assert read_alleles(records[:1], mitochondrion, longest_bp=10, lengths={"MT": 10}).outcomes == ["scored"]


def test_a_contig_of_the_same_name_and_another_length_is_told_of(mitochondrion, make_record):
    records = [make_record(1, "A", "C", contig="chrM")]
    assert read_alleles(records, mitochondrion, longest_bp=10, lengths={"chrM": 8}).outcomes == ["scored"]
    assert mitochondrion.contigs.length_conflicts == {"chrM": (8, 10)}


def test_a_file_without_any_contig_of_the_right_length_is_refused(mitochondrion, make_record):
    with pytest.raises(ReferenceMismatch, match=r"MT has 8 bases, chrM 10\. Give the FASTA"):
        read_alleles([make_record(1, "A", "C", contig="MT")], mitochondrion, longest_bp=10, lengths={"MT": 8})
