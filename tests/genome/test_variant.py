from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_dna.errors import FormatError, TitansDNAError
from titans_dna.genome import Variant


def fetcher(sequence: str):
    return lambda start, end: sequence[max(start, 0) : max(end, 0)].encode()


def haplotype(sequence: str, variant: Variant) -> str:
    assert sequence[variant.start : variant.end].upper() == variant.ref.upper()
    return (sequence[: variant.start] + variant.alt + sequence[variant.end :]).upper()


def placements(sequence: str, variant: Variant) -> list[tuple[int, int]]:
    """All completely trimmed ways to write the haplotype, by trying each one."""
    target, found = haplotype(sequence, variant), []
    growth = len(variant.alt) - len(variant.ref)
    for start in range(len(sequence) + 1):
        end = start + max(-growth, 0)
        inserted = target[start : start + max(growth, 0)]
        if end <= len(sequence) and sequence[:start].upper() + inserted + sequence[end:].upper() == target:
            found.append((start, end))
    return found


@pytest.mark.parametrize(
    ("ref", "alt", "kind"),
    [
        ("A", "G", "snv"), ("a", "g", "snv"), ("AC", "GT", "mnv"), ("ACG", "ATG", "snv"), ("A", "AT", "insertion"),
        ("AT", "A", "deletion"), ("AT", "GCC", "delins"), ("TA", "CA", "snv"), ("A", "*", "spanning_deletion"),
        ("A", "<DEL>", "symbolic"), ("A", ".", "none"), ("A", "A[chr2:5[", "symbolic"), ("A", "a", "same"),
        ("G", "R", "snv"),
    ],
)  # fmt: skip
def test_kinds(ref, alt, kind):
    """Trap 9: the variant's place is not guessed from the middle or the last differing base."""
    assert Variant("c", 5, ref, alt).kind == kind


def test_coordinates_and_string():
    variant = Variant("chr1", 100, "CTT", "C", "rs1")
    assert (variant.start, variant.end, str(variant)) == (99, 102, "chr1:100:CTT:C")
    assert Variant.parse("chr1:1,000:A:G") == Variant("chr1", 1000, "A", "G")
    assert Variant.parse("HLA-A*01:01:7:A>G") == Variant("HLA-A*01:01", 7, "A", "G")
    assert Variant.parse("chr1:5:A:<DEL>").alt == "<DEL>"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "chr1",
        "chr1:5",
        "chr1:5:A",
        "chr1:x:A:G",
        "chr1:5::G",
        "chr1:5:AX:G",
        "chr1:-5:A:G",
        ":5:A:G",
        "chr1:5:A:",
        "1 :5:A:G",
    ],
)
def test_what_is_no_variant_is_refused(text):
    with pytest.raises(FormatError):
        Variant.parse(text)


def test_trimming_keeps_one_base():
    assert str(Variant("c", 10, "CTTA", "CTA").trimmed()) == "c:10:CT:C"
    assert str(Variant("c", 10, "GCAT", "GTAT").trimmed()) == "c:11:C:T"
    assert str(Variant("c", 10, "ACGT", "ATTT").trimmed()) == "c:11:CG:TT"
    assert str(Variant("c", 10, "A", "<DEL>").trimmed()) == "c:10:A:<DEL>"


def test_left_normalisation_moves_through_a_repeat_and_anchors_on_the_left():
    sequence = "GGGCACACACAGGG"
    fetch = fetcher(sequence)
    for variant in (
        Variant("c", 6, "CAC", "C"),
        Variant("c", 8, "CAC", "C"),
        Variant("c", 9, "ACA", "A"),
        Variant("c", 4, "CACA", "CA"),
    ):
        assert str(variant.left_normalised(fetch)) == "c:3:GCA:G"
        assert variant.ambiguity(fetch) == (3, 11)
    assert str(Variant("c", 5, "A", "ACA").left_normalised(fetch)) == "c:3:G:GCA"
    assert str(Variant("c", 9, "A", "ACA").left_normalised(fetch)) == "c:3:G:GCA"


def test_at_the_first_base_the_anchor_stands_on_the_right():
    fetch = fetcher("AAAT")
    assert str(Variant("c", 2, "AA", "A").left_normalised(fetch)) == "c:1:AA:A"
    assert str(Variant("c", 3, "A", "AA").left_normalised(fetch)) == "c:1:A:AA"
    assert Variant("c", 2, "AA", "A").ambiguity(fetch) == (0, 3)


def test_substitutions_have_one_placement():
    fetch = fetcher("ACGTACGT")
    assert Variant("c", 2, "CGT", "CAT").ambiguity(fetch) == (2, 3)
    assert Variant("c", 2, "CG", "TTT").ambiguity(fetch) == (1, 3)
    assert Variant("c", 2, "C", "<DEL>").ambiguity(fetch) == (1, 2)
    assert Variant("c", 2, "C", "CA").ambiguity(fetch) == (2, 2), "between two bases"


def test_soft_masked_repeats_shift_as_upper_case_ones():
    """Trap 2: case is no mismatch."""
    assert Variant("c", 6, "a", "aa").ambiguity(fetcher("GAaAaAG")) == (1, 6)


def test_a_run_longer_than_any_chunk_is_crossed_quickly():
    sequence = "C" + "N" * 3_000_000 + "G"
    assert Variant("c", 1_500_000, "NN", "N").ambiguity(fetcher(sequence)) == (1, 3_000_001)
    assert Variant("c", 1_500_000, "NN", "N").left_normalised(fetcher(sequence)).position == 1


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_ambiguity_and_left_normalisation_agree_with_trying_every_placement(data):
    sequence = data.draw(st.text("AC", min_size=2, max_size=14) | st.text("ACGTacgt", min_size=2, max_size=10))
    start = data.draw(st.integers(0, len(sequence) - 1))
    ref = sequence[start : start + data.draw(st.integers(1, 4))]
    alt = data.draw(st.text("ACac", min_size=1, max_size=5))
    variant = Variant("c", start + 1, ref, alt)
    fetch = fetcher(sequence)
    normal = variant.left_normalised(fetch)
    assert haplotype(sequence, normal) == haplotype(sequence, variant)
    assert haplotype(sequence, variant.trimmed()) == haplotype(sequence, variant)
    if variant.kind in ("insertion", "deletion"):
        every = placements(sequence, variant)
        assert variant.ambiguity(fetch) == (min(s for s, _ in every), max(e for _, e in every))
        assert normal.position == max(min(s for s, _ in every), 1)
        for s, e in every:
            alt_here = haplotype(sequence, variant)[s : s + len(alt) - len(ref) + e - s]
            if e > s and alt_here:
                assert Variant("c", s + 1, sequence[s:e], alt_here).left_normalised(fetch) == normal


def test_long_periods_agree_with_trying_every_placement():
    generator = random.Random(1)
    for _ in range(20):
        unit = "".join(generator.choices("ACGT", k=generator.randint(200, 400)))
        sequence = "T" + unit * 4 + unit[:50] + "G"
        variant = Variant(
            "c",
            2 + len(unit),
            sequence[1 + len(unit) : 2 + len(unit)],
            sequence[1 + len(unit) : 2 + len(unit)] + (unit[1:] + unit[:1]),
        )
        every = placements(sequence, variant)
        assert variant.ambiguity(fetcher(sequence)) == (every[0][0], every[-1][1])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.text(max_size=30) | st.from_regex(r"[a-z0-9]{1,3}:[0-9]{1,20}:[ACGT.*<>]{0,3}:[ACGT.*<>]{0,3}", fullmatch=True)
)
def test_any_string_is_a_variant_or_an_error_of_the_tree(text):
    try:
        variant = Variant.parse(text)
    except TitansDNAError:
        return
    assert variant.position >= 0
