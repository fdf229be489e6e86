"""Explanations: what is said of every base adds up to the score, and copies are told where they lie."""

from __future__ import annotations

import numpy as np
import pytest
from inference.test_windows import KINDS
from toy import RECALL

from titans_dna.errors import ConfigError
from titans_dna.genome.alphabet import reverse_complement
from titans_dna.genome.variant import Variant
from titans_dna.inference.alleles import place_allele
from titans_dna.inference.explain import Explanation, explain_alleles
from titans_dna.inference.score_variants import score_strands
from titans_dna.inference.windows import Context
from titans_dna.recall import Relatives
from titans_dna.tokenizers import KmerTokenizer, base_ids


@pytest.fixture(scope="module", params=KINDS)
def kind(request, make_model):
    return make_model(**KINDS[request.param])


def other(base: str) -> str:
    return "ACGT"["ACGT".index(base) - 1]


def placed(sequence: bytes, *variants: tuple[int, str, str]) -> list:
    """Alleles of (position, ref or "" to take so many bases of the sequence, alt)."""
    return [
        place_allele(Variant("c", position, ref, alt), lambda a, b: sequence[max(0, a) : b], row)
        for row, (position, ref, alt) in enumerate(variants)
    ]


def of_all_kinds(sequence: bytes) -> list:
    text = sequence.decode()
    return placed(
        sequence,
        (200, text[199], other(text[199])),
        (40, text[39:46], text[39]),
        (300, text[299], text[299] + "GATTA"),
        (120, text[119:124], "GG"),
        (1, text[0], other(text[0])),
        (400, text[399], other(text[399])),
    )


def added(found: Explanation, strand: str) -> float:
    """Add up what the counted columns say of a strand."""
    total = 0.0
    for base in found.bases:
        if base.counted[strand]:
            total += 0 if base.alt == "-" else np.nan_to_num(base.log_p[strand, "alt"])
            total -= 0 if base.ref == "-" else np.nan_to_num(base.log_p[strand, "ref"])
    return total


def test_the_columns_add_up_to_the_score(kind, random_bases):
    sequence = random_bases(400, seed=1)
    alleles = of_all_kinds(sequence)
    scores = score_strands(kind, sequence, alleles, horizon_bp=30)
    for found, wanted in zip(explain_alleles(kind, sequence, alleles, horizon_bp=30), scores, strict=True):
        assert [found.forward.score, found.reverse.score] == pytest.approx(wanted, abs=1e-4)
        assert [added(found, "forward"), added(found, "reverse")] == pytest.approx(wanted, abs=1e-4)
        assert found.score == pytest.approx(wanted.mean(), abs=1e-4)


def test_windows_explain_what_windows_score(kind, random_bases):
    sequence = random_bases(400, seed=2)
    alleles = of_all_kinds(sequence)
    whole = explain_alleles(kind, sequence, alleles, horizon_bp=30)
    windows = explain_alleles(kind, sequence, alleles, horizon_bp=30, context=Context.parse("window:400"))
    for one, two in zip(whole, windows, strict=True):
        assert two.forward.score == pytest.approx(one.forward.score, abs=1e-4)
        assert two.reverse.score == pytest.approx(one.reverse.score, abs=1e-4)
        assert [base.followed for base in two.bases] == [base.followed for base in one.bases]


def test_the_alignment_spells_both_alleles(make_model, random_bases):
    sequence = random_bases(200, seed=3)
    text = sequence.decode()
    for found in explain_alleles(make_model(), sequence, placed(
        sequence, (100, text[99:104], text[99]), (100, text[99], text[99] + "TTT"), (100, text[99:102], "GGGGG"),
    ), flank_bp=10, horizon_bp=20):  # fmt: skip
        allele, bases = found.allele, found.bases
        left, right = bases[0].position, max(base.position for base in bases) + 1
        assert "".join(base.ref for base in bases).replace("-", "") == text[left:right]
        haplotype = text[left : allele.start] + allele.alt.decode() + text[allele.end : right]
        assert "".join(base.alt for base in bases).replace("-", "") == haplotype
        inserted = [base.offset for base in bases if base.ref == "-"]
        assert inserted == list(range(1, len(inserted) + 1))
        assert all(base.position == allele.end - 1 for base in bases if base.ref == "-")


def test_before_the_variant_both_alleles_are_the_same(make_model, random_bases):
    sequence = random_bases(200, seed=4)
    base = chr(sequence[99])
    changed = placed(sequence, (100, base, other(base)))
    (found,) = explain_alleles(make_model(recall=RECALL), sequence, changed, flank_bp=20)
    before = [base for base in found.bases if base.position < 99 and not np.isnan(base.log_p["forward", "ref"])]
    assert len(before) >= 20
    assert all(base.log_p["forward", "ref"] == pytest.approx(base.log_p["forward", "alt"]) for base in before)
    assert not any(base.counted["forward"] for base in before)


def test_followed_places_are_told_in_the_coordinates_of_their_contig(make_model, random_bases):
    """A unit stands twice, and inverted in a relative: forward the first copy foretells the second."""
    unit = random_bases(150, seed=5)
    sequence = random_bases(60, seed=6) + unit + random_bases(60, seed=7) + unit
    relatives = Relatives.empty(RECALL)
    relatives.read("k", "kin", [base_ids(random_bases(40, seed=8) + reverse_complement(unit))], "")
    at = 60 + 150 + 60 + 100  # base 100 of the second copy
    base = chr(sequence[at])
    model = make_model(recall=RECALL)
    (found,) = explain_alleles(model, sequence, placed(sequence, (at + 1, base, other(base))), flank_bp=40)
    place = next(each for each in found.bases if each.position == at).followed["forward", "ref"]
    assert place is not None
    assert (place.contig, place.genome, place.position, place.inverted) == ("", "", 160, False)
    assert (place.base, place.hits) == (base, 32)
    assert str(place) == f"self:161+:{base}:32/32:1"
    behind = make_model(recall=RECALL).behind(relatives)
    once, base = sequence[:210], chr(sequence[160])
    (found,) = explain_alleles(behind, once, placed(once, (161, base, other(base))))
    place = next(each for each in found.bases if each.position == 160).followed["forward", "ref"]
    assert place is not None
    assert (place.contig, place.genome, place.inverted) == ("k", "kin", True)
    assert place.position == 40 + 150 - 1 - 100
    turned = next(each for each in found.bases if each.position == 160).followed["reverse", "ref"]
    assert turned is not None
    assert (turned.position, turned.inverted) == (40 + 150 - 1 - 100, False)


def test_tokens_of_several_bases_are_refused(make_model, random_bases):
    with pytest.raises(ConfigError, match="one token per base"):
        explain_alleles(make_model(tokenizer=KmerTokenizer(3)), random_bases(90), [])
