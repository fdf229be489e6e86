"""A structural variant is the same allele as its twin, the same change written out in bases, and has its score."""

from __future__ import annotations

import random

import numpy as np
import pytest

from titans_dna.genome.alphabet import reverse_complement
from titans_dna.inference import branches
from titans_dna.inference.alleles import read_alleles
from titans_dna.inference.outcomes import Outcome
from titans_dna.inference.score_variants import WindowedAlleles, score_strands

FLANK, REPEAT = 150, b"CAG" * 10  # a repeat of the reference at 151 to 180 (1-based), as in VCF 4.5, section 5.7
LENGTH = 600


@pytest.fixture(scope="module")
def contig(random_bases) -> bytes:
    """Random bases with CAG ten times, and a palindrome at 301 to 312."""
    made = random_bases(FLANK, 5)[:-1] + b"T" + REPEAT + b"T" + random_bases(LENGTH, 6)
    return made[:300] + b"ACGTTGCAACGT" + made[312:LENGTH]


@pytest.fixture(scope="module")
def fasta(make_fasta, contig):
    with make_fasta({"chrA": contig, "chrB": contig[::-1]}) as opened:
        yield opened


def base(contig: bytes, position: int) -> str:
    """The base at a 1-based position."""
    return contig[position - 1 : position].decode()


def twins(s: bytes) -> dict[str, tuple[tuple, tuple]]:
    """Symbolic records, as (POS, REF, ALT, INFO), and what they are in bases."""
    p, e = 60, 95
    mid, b, c = s[p:e], base(s, p), base(s, e + 1)
    deleted, doubled = (p, b + mid.decode(), b), (p, b, b + mid.decode())
    inverted = (p, b + mid.decode(), b + reverse_complement(mid).decode())
    moved = (p, b + mid.decode(), b + "GG" + reverse_complement(s[p + 2 : e - 3]).decode() + "T")
    expanded = (150, "T", "T" + "CAG" * 20)
    return {
        "deletion by END": ((p, b, "<DEL>", f"SVTYPE=DEL;END={e}"), deleted),
        "deletion by negative SVLEN": ((p, b, "<DEL>", "SVLEN=-35"), deleted),
        "deletion of VCF 4.4": ((p, b, "<DEL>", f"SVLEN=35;END={e};SVCLAIM=DJ"), deleted),
        "deletion of an element": ((p, b, "<DEL:ME:ALU>", f"END={e}"), deleted),
        "deletion of unknown base before": ((p, "N", "<DEL>", f"END={e}"), deleted),
        "no copies": ((p, b, "<CN0>", f"END={e}"), deleted),
        "deletion by breakend": ((p, b, f"{b}[chrA:{e + 1}[", "."), deleted),
        "deletion by its mate": ((e + 1, c, f"]chrA:{p}]{c}", "."), deleted),
        "breakend with N": ((e + 1, "N", f"]chrA:{p}]N", "."), deleted),
        "deletion with insertion": (
            (p, b, f"{b}GAT[chrA:{e + 1}[", "."), (p, b + mid.decode(), b + "GAT"),
        ),
        "homology": ((p, b, "<DEL>", f"END={e};CIPOS=0,2;CIEND=0,2;HOMLEN=2"), deleted),
        "exact interval": ((p, b, "<DEL>", f"END={e};CIPOS=0,0;CIEND=0,0"), deleted),
        "duplication": ((p, b, "<DUP>", f"SVLEN=35;END={e}"), doubled),
        "tandem duplication": ((p, b, "<DUP:TANDEM>", "SVLEN=35"), doubled),
        "duplication by breakend": ((e, base(s, e), f"{base(s, e)}[chrA:{p + 1}[", "."), doubled),
        "duplication by its mate": ((p + 1, base(s, p + 1), f"]chrA:{e}]{base(s, p + 1)}", "."), doubled),
        "duplication of one base": ((p, b, "<DUP>", f"END={p + 1}"), (p, b, b + base(s, p + 1))),
        "inversion": ((p, b, "<INV>", f"SVTYPE=INV;END={e}"), inverted),
        "inversion of length 0": ((p, b, "<INV>", f"END={e};SVLEN=0"), inverted),
        "inversion with losses": ((p, b, f"{b}GG]chrA:{e - 3}]", "EVENT=1"), moved),
        "insertion": ((p, b, "<INS>", "SEQ=gattaca;SVLEN=7"), (p, b, b + "GATTACA")),
        "insertion of Manta": ((p, b, "<INS>", f"END={p};SVINSSEQ=GATTACA;SVLEN=7"), (p, b, b + "GATTACA")),
        "repeat by units": ((150, "T", "<CNV:TR>", "SVLEN=30;RUS=CAG;RUC=30"), expanded),
        "repeat by bases": ((150, "T", "<CNV:TR>", "SVLEN=30;END=180;RN=1;RUS=CAG;RB=90"), expanded),
        "repeat of ExpansionHunter": ((150, "T", "<STR30>", "END=180;REF=10;RL=30;RU=CAG;REPID=X"), expanded),
        "repeat cut off": (
            (150, "T", "<CNV:TR>", "SVLEN=30;RUS=CAG;RUC=3.33;RB=10"), (150, "T" + "CAG" * 10, "T" + "CAG" * 3 + "C"),
        ),
        "repeat lost": ((150, "T", "<STR0>", "END=180;RU=CAG"), (150, "T" + "CAG" * 10, "T")),
    }  # fmt: skip


NAMES = list(twins(b"A" * LENGTH))


def records_of(make_record, contig, name):
    (position, ref, alt, info), explicit = twins(contig)[name]
    given = [make_record(position, ref, alt, info=info), make_record(*explicit)]
    if name == "inversion with losses":  # its other end, seen from either side
        far = base(contig, 96)
        given += [make_record(96, far, f"[chrA:63[T{far}", info="EVENT=1")]
        near = base(contig, 63)
        given += [make_record(63, near, f"[chrA:96[A{near}", info="EVENT=1")]
    return given


def key(allele):
    return allele.start, allele.end, allele.alt, allele.first, allele.last, allele.sign


@pytest.mark.parametrize("name", NAMES)
def test_a_symbolic_allele_is_the_allele_of_its_twin(fasta, make_record, contig, name):
    given = records_of(make_record, contig, name)
    table = read_alleles(given, fasta, longest_bp=100)
    assert table.outcomes == ["scored"] * len(given)
    assert len({key(allele) for allele in table.alleles["chrA"]}) == 1
    assert sorted(allele.row for allele in table.alleles["chrA"]) == list(range(len(given)))


@pytest.mark.parametrize("context", ["contig", "windows"])
def test_twins_have_one_score_to_the_last_bit_on_both_strands(model, fasta, make_record, contig, context):
    given = [record for name in NAMES for record in records_of(make_record, contig, name)]
    table = read_alleles(given, fasta, longest_bp=100)
    alleles = table.alleles["chrA"]
    if context == "contig":
        scores = score_strands(model, contig, alleles, horizon_bp=30, junctions=True)
        assert score_strands(model, contig, alleles, horizon_bp=30).tolist() == scores[..., 0].tolist()
    else:
        windowed = WindowedAlleles.of(model, contig, alleles, horizon_bp=30, window_bp=64, junctions=True)
        scores = np.full((len(alleles), 2, 2), np.nan)
        for number, (lane, _) in enumerate(windowed.units):
            scores[list(windowed.rows[number]), lane] = windowed.score(number)
    assert np.isfinite(scores).all()
    found: dict[tuple, set] = {}
    for allele, values in zip(alleles, scores.reshape(len(alleles), -1).tolist(), strict=True):
        found.setdefault(key(allele), set()).add(tuple(values))
    assert all(len(values) == 1 for values in found.values())
    assert len(found) == 10


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_the_junctions_are_the_bases_behind_the_variant(model, log_probabilities, fasta, make_record, contig, reverse):
    """Against a plain reading of both haplotypes, whole."""
    given = [make_record(60, "N", alt, info="SVLEN=200;SEQ=ACGT") for alt in ("<DEL>", "<DUP>", "<INV>")]
    alleles = read_alleles(given, fasta, longest_bp=300).alleles["chrA"]
    found = score_strands(model, contig, alleles, horizon_bp=40, strands=(reverse,), junctions=True)[:, 0, 1]
    for allele, value in zip(alleles, found, strict=True):
        changed, old = contig[: allele.start] + allele.alt + contig[allele.end :], contig
        behind = len(contig) - allele.last  # bases after the variant, to the right
        if reverse:
            changed, old, behind = reverse_complement(changed), reverse_complement(old), allele.first
        new, ref = (log_probabilities(model, text)[-behind:][:40].sum() for text in (changed, old))
        assert value == pytest.approx(new - ref, abs=1e-4)


def test_the_example_of_the_specification(fasta, make_record, contig):
    """VCF 4.5, section 5.7: (CAG)10 becomes (CAG)30, and (CAG)5(CA)1(CAG)4, which is a deletion of one base."""
    info = "SVLEN=30,30;CN=3,0.9666;RUS=CAG,CAG,CA,CAG;RN=1,3;RB=90,15,2,12"
    given = [
        make_record(150, "T", "<CNV:TR>", "<CNV:TR>", info=info),
        make_record(180, "G", "G" + "CAG" * 20),
        make_record(167, "AG", "A"),
    ]
    table = read_alleles(given, fasta, longest_bp=100)
    more, less, twin_more, twin_less = table.alleles["chrA"]
    assert key(more) == key(twin_more)
    assert key(less) == key(twin_less)


def test_an_inversion_of_four_breakends_has_one_score(fasta, make_record, contig):
    p, e = 60, 95
    b = {at: base(contig, at) for at in (p, p + 1, e, e + 1)}
    given = [
        make_record(p, b[p], f"{b[p]}]chrA:{e}]", info="EVENT=INV0;MATEID=U"),
        make_record(p + 1, b[p + 1], f"[chrA:{e + 1}[{b[p + 1]}", info="EVENT=INV0;MATEID=X"),
        make_record(e, b[e], f"{b[e]}]chrA:{p}]", info="EVENT=INV0;MATEID=W"),
        make_record(e + 1, b[e + 1], f"[chrA:{p + 1}[{b[e + 1]}", info="EVENT=INV0;MATEID=V"),
        make_record(p, b[p], "<INV>", info=f"END={e}"),
        make_record(p, b[p], f"{b[p]}]chrA:{e}]", info="EVENT=INV1"),
        make_record(p, b[p], f"{b[p]}]chrA:{e}]"),
    ]
    table = read_alleles(given, fasta, longest_bp=100)
    assert table.outcomes == ["scored"] * 5 + ["breakend"] * 2
    assert len({key(allele) for allele in table.alleles["chrA"]}) == 1


def test_a_tandem_duplication_and_a_deletion_have_one_allele_wherever_they_are_placed(make_fasta, make_record):
    with make_fasta({"chrA": b"TACGACGACGACGTTTTTGCA"}) as repeats:
        for alt in ("<DUP>", "<DEL>"):
            given = [make_record(p, "N", alt, info="SVLEN=6") for p in range(1, 8)]
            table = read_alleles(given, repeats, longest_bp=50)
            assert table.outcomes == ["scored"] * 7
            assert len({key(allele) for allele in table.alleles["chrA"]}) == 1


def test_an_inversion_has_one_allele_wherever_inverted_repeats_let_it_be_placed(make_fasta, make_record):
    with make_fasta({"chrA": b"TTGACGATTACAGTCAAGG"}) as inverted:  # TTGAC ... GTCAA
        given = [make_record(p, "N", "<INV>", info=f"END={17 - p}") for p in (1, 3, 4, 5)]
        table = read_alleles(given, inverted, longest_bp=50)
        assert len({key(allele)[:3] for allele in table.alleles["chrA"]}) == 1


WITHOUT_SCORE = {
    "symbolic": [("<NON_REF>", "END=90"), ("<*>", "."), ("<CNV>", "END=90"), ("<DUP:DISPERSED>", "END=90"),
                 ("<INV:X>", "END=90"), ("<BND>", "."), ("<CN12345>", "END=90"), ("<CNV>", "END=90;CN=0.5")],
    "imprecise": [("<DEL>", "END=90;IMPRECISE"), ("<DEL>", "END=90;CIPOS=-5,5"), ("<DEL>", "END=90;CIEND=0,1"),
                  ("<DEL>", "END=90;CIPOS=0,3;HOMLEN=2"), ("<DEL>", "SVLEN=9;CILEN=-2,2"),
                  ("<DUP>", "END=90;SVCLAIM=D"), ("<DEL>", "END=90;CIPOS=x,y"), ("<DEL>", "END=90;CIPOS=3"),
                  ("<INS>", "SEQ=ACGT;IMPRECISE"), ("<CNV>", "SVLEN=9;CN=2"), ("<CN2>", "END=90"),
                  ("<CNV:TR>", "SVLEN=30;RUS=CAG;RUC=20;CIRUC=-1,1"), ("<STR12>", "END=180;RU=CAG;IMPRECISE"),
                  ("N[chrA:90[", "IMPRECISE"), ("<DEL>", "END=90;CIPOS=5,-5")],
    "unclear_length": [("<DEL>", "."), ("<DEL>", "END=150"), ("<DEL>", "END=9"), ("<DEL>", "END=160;SVLEN=9"),
                       ("<DEL>", "END=x"), ("<DEL>", "SVLEN=0"), ("<DUP>", "SVLEN=1e3"), ("<INV>", "SVLEN=0"),
                       ("<INS>", "SEQ=ACGT;SVLEN=5"), ("<DEL>", "END=99999999999999999999"),
                       ("<STR12>", "RU=CAG"), ("<STR12>", "END=180;RL=27;RU=CAG"), ("<CNV:TR>", "RUS=CAG;RUC=3"),
                       ("<CNV:TR>", "SVLEN=1;RUS=CAG;RUC=3")],
    "no_sequence": [("<INS>", "SVLEN=300"), ("<INS:ME:ALU>", "SVLEN=300"), ("<INS>", "SEQ=ACNT"), ("<INS>", "SEQ"),
                    ("<CNV:TR>", "SVLEN=30"), ("<CNV:TR>", "SVLEN=30;RUL=3;RUC=20"),
                    ("<CNV:TR>", "SVLEN=30;RUS=CAN;RUC=20"), ("<CNV:TR>", "SVLEN=30;RUS=CAG;RUC=20;RB=90"),
                    ("<CNV:TR>", "SVLEN=30;RUS=CAG;RUC=3.5"), ("<CNV:TR>", "SVLEN=30;RUS=CAG;RUC=nan"),
                    ("<CNV:TR>", "SVLEN=30;RN=2;RUS=CAG;RUC=3"), ("<CNV:TR>", "SVLEN=30;RN=99999999999;RUS=CAG;RUC=3"),
                    ("<CNV:TR>", "SVLEN=30;RUS=CAG;RUC=2;RUB=3,2"), ("<CNV:TR>", "SVLEN=30;RUS=CAG;RUC=-2"),
                    ("<STR12>", "END=180"), ("<STR12>", "END=183;RU=CAG"), ("<STR12>", "END=180;RU=CAN")],
    "breakend": [("N[chrB:20[", "."), ("N.", "."), (".N", "."), ("N]chrA:200]", "."), ("[chrA:200[N", "EVENT=E"),
                 ("N[<ctg1>:3[", "."), ("]<ctg1>:7]N", "."), ("N]chrA:200]", "EVENT=F;MATEID=x")],
    "beyond_contig": [("<DEL>", "END=601"), ("<DEL>", "SVLEN=9999999"), ("N[chrA:601[", "."), ("]chrA:0]N", ".")],
    "no_change": [("<CN1>", "END=90"), ("<CNV>", "END=90;CN=1"), ("N[chrA:151[", "."),
                  ("<STR10>", "END=180;RU=CAG"), ("<CNV:TR>", "SVLEN=30;RUS=CAG;RB=30")],
    "too_long": [("<DEL>", "END=560"), ("<DUP>", "SVLEN=300"), ("<INV>", "END=560"), ("<STR9999>", "END=180;RU=CAG"),
                 ("<CNV:TR>", "SVLEN=30;RUS=CAG;RUC=1e9"), ("N[chrA:590[", ".")],
}  # fmt: skip


@pytest.mark.parametrize("outcome", list(WITHOUT_SCORE))
def test_what_cannot_be_built_says_why(fasta, make_record, outcome):
    given = [make_record(150, "N", alt, info=info) for alt, info in WITHOUT_SCORE[outcome]]
    table = read_alleles(given, fasta, longest_bp=200)
    assert table.outcomes == [outcome] * len(given)
    assert not table.alleles
    assert not table.changes


def test_reference_and_letters_are_checked_as_for_other_alleles(make_fasta, make_record):
    with make_fasta({"chrA": b"ACGTNNACGTACGTACGTTT"}) as fasta:
        given = [
            make_record(1, "C", "<DEL>", info="END=3"),
            make_record(2, "C", "<DEL>", info="END=7"),
            make_record(2, "C", "<DUP>", info="END=7"),
            make_record(10, "T", "<INV>", info="END=14"),
            make_record(10, "T", "<INV>", info="END=15"),
            make_record(0, "N", "<DEL>", info="END=3"),
            make_record(1, "A", "<DEL>", info="END=3", contig="chrZ"),
        ]
        found = read_alleles(given, fasta, longest_bp=50).outcomes
        assert found == [
            "ref_mismatch", "reference_n", "reference_n", "no_change", "scored", "beyond_contig", "contig_unknown",
        ]  # fmt: skip
        for how in ("swap", "force"):
            assert read_alleles(given[:1], fasta, longest_bp=50, on_mismatch=how).outcomes == ["ref_mismatch"]


def test_letters_that_are_no_bases_are_read_as_n(make_fasta, make_record):
    with make_fasta({"chrA": b"ACGTAXAAACGT*CGTTT"}) as fasta:
        given = [make_record(4, "T", alt, info="END=9") for alt in ("<DEL>", "<DUP>", "<INV>")]
        given += [make_record(10, "C", "<INV>", info="END=14"), make_record(8, "AA", "A"), make_record(8, "N", "<DUP>")]
        given += [make_record(8, "N", "<DUP>", info="END=9")]
        found = read_alleles(given, fasta, longest_bp=50).outcomes
        assert found == ["reference_n"] * 4 + ["scored", "unclear_length", "scored"]


@pytest.mark.parametrize(
    ("alt", "info", "twin"),
    [
        ("<DEL>", "END=90;IMPRECISE;CIPOS=-5,5", "<DEL>"),
        ("<DUP>", "END=90;SVCLAIM=D", "<DUP>"),
        ("<CN2>", "END=90", "<DUP>"),
        ("<CNV>", "END=90;CN=0", "<DEL>"),
        ("<CNV>", "SVLEN=30;CN=2", "<DUP>"),
        ("<CN0>", "END=90;SVLEN=-28;CIPOS=-9,0;CIEND=0,9", "<DEL>"),  # as in 1000 Genomes: both are estimates
    ],
)
def test_imprecise_alleles_are_scored_as_exact_where_asked_for(fasta, make_record, alt, info, twin):
    given = [make_record(60, "N", alt, info=info), make_record(60, "N", twin, info="END=90")]
    table = read_alleles(given, fasta, longest_bp=100, imprecise=True)
    one, other = table.alleles["chrA"]
    assert key(one) == key(other)


def test_of_several_alts_each_has_its_own_length_and_interval(fasta, make_record):
    info = "SVLEN=-30,.,20;CIPOS=0,0,.,.,-9,9;IMPRECISE;END=90"
    record = make_record(60, "N", "<DEL>", "<NON_REF>", "<DEL>", info=info)
    assert read_alleles([record], fasta, longest_bp=100).outcomes == ["scored", "symbolic", "imprecise"]
    (allele,) = read_alleles([record], fasta, longest_bp=100).alleles["chrA"]
    assert allele.end - allele.start == 30
    # END is that of the longest, so it does not tell the length of either.
    record = make_record(60, "N", "<DEL>", "<DUP>", info="END=90")
    assert read_alleles([record], fasta, longest_bp=100).outcomes == ["unclear_length"] * 2


@pytest.mark.parametrize("piece_tokens", [32, 96])
def test_a_long_haplotype_is_read_piece_by_piece_with_the_same_score(
    monkeypatch, model, fasta, make_record, contig, piece_tokens
):
    given = [
        make_record(100, "N", "<DUP>", info="END=500"),
        make_record(100, "N", "<INV>", info="END=500"),
        make_record(100, base(contig, 100), "A" if base(contig, 100) == "C" else "C"),
        make_record(300, "N", "<DUP>", info="END=350"),
    ]
    alleles = read_alleles(given, fasta, longest_bp=1000).alleles["chrA"]
    whole = score_strands(model, contig, alleles, horizon_bp=50)
    monkeypatch.setattr(branches, "PIECE_TOKENS", piece_tokens)
    monkeypatch.setattr(branches, "LONG_BATCH_TOKENS", 600)
    pieces = score_strands(model, contig, alleles, horizon_bp=50)
    np.testing.assert_allclose(pieces, whole, atol=2e-4)


def test_random_alts_and_info_never_raise(fasta, make_record):
    draw = random.Random(7)
    numbers = ["", ".", "0", "1", "-1", "30", "-30", "181", "600", "601", "1e9", "nan", "inf", "x", "9" * 30, "3.5"]
    alts = ["<DEL>", "<DUP>", "<INV>", "<INS>", "<CNV>", "<CNV:TR>", "<CN0>", "<CN3>", "<STR7>", "<STR0>", "<X>", "<*>",
            "<DEL:ME>", "N[chrA:{}[", "]chrA:{}]N", "N]chrA:{}]", "[chrA:{}[N", "NACG[chrA:{}[", "[chrB:{}[N", "N.",
            "[<c>:{}[N", "A[chrA:{}[", "acg]chrA:{}]", "C", "*", "."]  # fmt: skip
    keys = ["END", "SVLEN", "CIPOS", "CIEND", "CILEN", "HOMLEN", "HOMSEQ", "SEQ", "SVINSSEQ", "CN", "RN", "RUS", "RUL",
            "RUC", "RB", "RUB", "CIRUC", "CIRB", "RU", "RL", "REF", "EVENT", "SVCLAIM", "IMPRECISE",
            "", "="]  # fmt: skip
    texts = [*numbers, "CAG", "CAN", "a", "D", "J", "E1", "CAG,CA", ",", ";", "=", "\u00e9", "%3D", "A" * 50]
    records = []
    for _ in range(6000):
        own = [draw.choice(alts).format(draw.choice(["0", "1", "150", "151", "180", "600", "601", "9" * 18]))
               for _ in range(draw.choice([1, 1, 1, 2, 3]))]  # fmt: skip
        parts = []
        for name in draw.choices(keys, k=draw.randrange(7)):
            values = ",".join(draw.choices(texts, k=draw.choice([1, 1, 2, 4])))
            parts.append(draw.choice([name, f"{name}={values}", f"{name}={values}"]))
        records.append(make_record(draw.choice([1, 150, 151, 300, 600]), "N", *own, info=";".join(parts) or "."))
    for imprecise in (False, True):
        table = read_alleles(records, fasta, longest_bp=200, imprecise=imprecise)
        assert len(table.outcomes) == sum(len(record.alts) for record in records)
        scored = [row for row, outcome in enumerate(table.outcomes) if outcome is Outcome.SCORED]
        assert scored == sorted(allele.row for allele in table.alleles["chrA"])
        assert len(set(table.outcomes)) > 8
