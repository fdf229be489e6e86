from __future__ import annotations

from titans_dna.genome import count_ambiguous, is_nucleotides, reverse_complement

IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "T", "U": "T",
    "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip


def test_complement_of_a_code_stands_for_the_complements_of_its_bases():
    partner = {"A": "T", "C": "G", "G": "C", "T": "A"}
    for code, bases in IUPAC.items():
        other = reverse_complement(code.encode()).decode()
        assert set(IUPAC[other]) == {partner[base] for base in bases}, code
        assert reverse_complement(code.lower().encode()).decode() == other.lower()


def test_reverse_complement_keeps_case_and_is_its_own_inverse_without_u():
    sequence = b"ACGTryswkmbdhvnN-*"
    assert reverse_complement(reverse_complement(sequence)) == sequence
    assert reverse_complement(b"AAcU") == b"AgTT"


def test_nucleotides_are_iupac_letters_only():
    assert is_nucleotides(b"ACGTUNacgturyswkmbdhvn")
    for bad in (b"", b"AC-T", b"*", b"<DEL>", b"ACX"):
        assert not is_nucleotides(bad)


def test_ambiguous_codes_are_counted_whatever_their_case_and_n_is_not():
    assert count_ambiguous(b"ACGTNnRrYx-") == {"R": 2, "Y": 1, "other": 2}
    assert count_ambiguous(b"acgtunN") == {}
