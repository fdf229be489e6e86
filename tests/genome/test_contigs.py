from __future__ import annotations

import pytest

from titans_dna.errors import ContigUnknown
from titans_dna.genome import ContigTable, Interval
from titans_dna.genome.assemblies import ACCESSIONS, BUILD_LENGTHS

YEAST = {"I": 230218, "II": 813184, "III": 316620, "IV": 1531933, "X": 745751, "Mito": 85779}
HUMAN38 = {"chr" + n: length for n, length in BUILD_LENGTHS["GRCh38"].items()} | {
    "chrM": 16569,
    "chrUn_KI270302v1": 2274,
}


def test_prefix_case_and_mitochondrion_resolve_both_ways():
    for have, ask in [
        ("chr1", "1"),
        ("1", "chr1"),
        ("1", "Chr1"),
        ("chrM", "MT"),
        ("MT", "M"),
        ("Mito", "chrM"),
        ("chr01", "1"),
        ("Chr1", "chr1"),
    ]:
        table = ContigTable({have: 100, "other": 5})
        assert table.resolve(ask) == have, (have, ask)
        assert table.matches[ask][0] == have


def test_old_headers_of_ncbi_answer_to_their_accession_and_to_what_it_names():
    old = "gi|9626243|ref|NC_001416.1|"
    for have, ask in [(old, "NC_001416.1"), ("NC_001416.1", old), ("gb|J02459.1|LAMCG", "J02459.1")]:
        table = ContigTable({have: 48502, "other": 5})
        assert table.resolve(ask) == have
        assert table.matches[ask] == (have, "spelling")
    human = ContigTable({"gi|568815597|ref|NC_000001.11|": 248956422})
    assert human.resolve("chr1") == human.resolve("CM000663.2") == human.names[0]
    assert ContigTable(HUMAN38).resolve("gi|568815597|ref|NC_000001.11|") == "chr1"


def test_exact_name_wins_and_is_no_alias():
    table = ContigTable({"1": 10, "chr1": 20})
    assert table.resolve("chr1") == "chr1"
    assert table.resolve("Chr1") is None, "two contigs answer"
    assert table.resolve("Chr1", length=20) == "chr1"
    assert table.matches.keys() == {"Chr1"}


def test_alias_of_another_length_is_refused():
    """The build is wrong where lengths differ (peers.md 2.5)."""
    table = ContigTable({"chr1": 248956422})
    assert table.resolve("1", length=249250621) is None
    assert table.resolve("1", length=248956422) == "chr1"
    assert table.resolve("chr1", length=249250621) == "chr1"
    assert table.length_conflicts == {"chr1": (249250621, 248956422)}


def test_prefix_is_not_decided_by_the_first_contig():
    """Trap 8: SpliceAI looks at the first contig only, baskerville always prepends chr."""
    table = ContigTable({"decoy": 7, "2": 10, "chr3": 11})
    assert [table.resolve(n) for n in ("chr2", "3", "chrdecoy", "4")] == ["2", "chr3", "decoy", None]


def test_accessions_need_the_length_of_their_build():
    table = ContigTable(HUMAN38)
    assert table.resolve("NC_000001.11") == "chr1"
    assert table.resolve("CM000663.2") == "chr1"
    assert table.resolve("NC_000023.11") == "chrX"
    assert table.resolve("NC_012920.1") == "chrM"
    assert table.resolve("NC_000001.10") is None, "GRCh37 on a GRCh38 sequence"
    assert ContigTable({"NC_000007.13": 159138663}).resolve("chr7") == "NC_000007.13"
    assert ContigTable({"NC_000007.13": 159138663}).resolve("CM000669.1") == "NC_000007.13"
    assert ContigTable({"NC_000007.13": 5}).resolve("chr7") is None
    assert len(ACCESSIONS) == 2 * 2 * 24 + 2
    assert table.resolve("KI270302.1") == "chrUn_KI270302v1"


def test_roman_numerals_only_where_the_table_counts_in_them():
    yeast = ContigTable(YEAST)
    assert [yeast.resolve(n) for n in ("chrI", "chrII", "4", "10", "chrX", "chrM")] == [
        "I",
        "II",
        "IV",
        "X",
        "X",
        "Mito",
    ]
    human = ContigTable(HUMAN38)
    assert human.resolve("X") == "chrX"
    assert human.resolve("II") == "chr2"
    assert ContigTable({"1": 5, "X": 6}).resolve("10") is None
    autosomes = ContigTable({f"chr{number}": 5 for number in (1, 2, 3, 4, 10)})
    assert [autosomes.resolve(n) for n in ("chrX", "II")] == [None, "chr2"]


def test_alias_groups_come_before_spellings():
    table = ContigTable({"scaffold_7": 40, "1": 50}, aliases=[("chr7", "scaffold_7", "seven"), ("chr1", "scaffold_7")])
    assert table.resolve("seven") == "scaffold_7"
    assert table.resolve("chr1") == "scaffold_7"
    assert table.resolve("seven", length=41) is None


def test_unknown_names_raise_with_what_there_is():
    table = ContigTable(YEAST)
    with pytest.raises(ContigUnknown, match=r"'chr99'.*I, II, III, IV, X and 1 more"):
        table.require("chr99")
    assert table.place(Interval("chrI", 230000, 999999, "-", "n")) == Interval("I", 230000, 230218, "-", "n")


def test_order_and_lengths_are_the_files():
    table = ContigTable(YEAST)
    assert table.names == tuple(YEAST)
    assert dict(table.lengths) == YEAST
    assert (len(table), "I" in table, list(table)) == (6, True, list(YEAST))
    with pytest.raises(TypeError):
        table.lengths["I"] = 3


def test_how_each_name_was_matched_is_told():
    table = ContigTable({**HUMAN38, "odd": 5}, aliases=[("strange", "odd")])
    for name in ("chr1", "1", "NC_000002.12", "strange", "III", "nothing"):
        table.resolve(name)
    assert table.matches == {
        "1": ("chr1", "spelling"),
        "NC_000002.12": ("chr2", "accession"),
        "strange": ("odd", "alias file"),
        "III": ("chr3", "numerals"),
    }
