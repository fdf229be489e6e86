"""Explained variants on the page: known numbers, places that are put together, and tables that are damaged."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from titans_dna.cli import main
from titans_dna.errors import FormatError
from titans_dna.io.scores import open_scores
from titans_dna.io.tables.explanation import COLUMNS, AlignedBase, FollowedPlace, base_rows, read_variants
from titans_dna.io.tables.tsv import write_tsv
from titans_dna.report.explained import MOST_VARIANTS, read_explained, shown_bases
from titans_dna.report.gather import ReportInputs, gather_inputs, part_of
from titans_dna.report.page import render_page

#: ln P of REF and ALT on the forward and on the reverse strand, by column of `columns`.
FORWARD = {"ref": [-1.0, -1.0, float("nan"), float("nan"), -0.5], "alt": [-1.0, -1.0, -2.0, -3.0, -0.25]}
REVERSE = {"ref": [-0.5, -0.25, float("nan"), float("nan"), -1.0], "alt": [-0.75, -0.5, -1.0, -1.5, -1.0]}


def place(position: int, base: str, *, inverted: bool = False, genome: str = "kin.fa") -> FollowedPlace:
    contig = "k|1" if genome else ""
    return FollowedPlace(
        contig=contig, genome=genome, position=position, inverted=inverted, base=base, hits=30, places=1
    )


def columns() -> list[AlignedBase]:
    """``c:101:A:ACG`` between G and T; a relative that runs against the contig has REF, the contig itself has ALT."""
    found = []
    for at, (ref, alt, position, offset) in enumerate(
        [("G", "G", 99, 0), ("A", "A", 100, 0), ("-", "C", 100, 1), ("-", "G", 100, 2), ("T", "T", 101, 0)]
    ):
        kin = None if ref == "-" else place(400 - position, {"G": "G", "A": "A", "T": "C"}[ref], inverted=True)
        own = place(20 + at, alt, genome="") if at in (1, 2, 3) else None
        turned = None if at != 4 else place(7, "A", inverted=True, genome="")
        found.append(
            AlignedBase(
                position=position, offset=offset, ref=ref, alt=alt,
                log_p={("forward", name): values[at] for name, values in FORWARD.items()}
                | {("reverse", name): values[at] for name, values in REVERSE.items()},
                followed={("forward", "ref"): kin, ("forward", "alt"): own, ("reverse", "ref"): turned,
                          ("reverse", "alt"): None},
                counted={"forward": at >= 2, "reverse": at <= 3},
            )
        )  # fmt: skip
    return found


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "explained.tsv"
    write_tsv(path, COLUMNS, base_rows("c:101:A:ACG", "c", columns()), {"options": "kind=explanation"})
    return path


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.replace("<wbr>", "")))


def test_a_table_is_read_as_it_was_written(table):
    ((variant, bases),) = read_variants(open_scores(table))
    assert str(variant) == "c:101:A:ACG"
    assert repr(bases) == repr(columns())  # nan is not itself


@pytest.mark.parametrize("text", ["self:161+:A:32/32:1", "kin.fa|gi|7:12-:C:3/32:9", "HLA:A*01:5+:T:0/32:1"])
def test_places_are_read_as_they_are_written(text):
    found = FollowedPlace.parse(text)
    assert str(found) == text
    assert found.source == text.rsplit(":", 4)[0]


def test_scores_and_followed_places(table):
    found = read_explained([table])
    (one,) = found.shown
    # Forward: -2 - 3 - 0.25 + 0.5. Reverse: (-0.75 + 0.5) + (-0.5 + 0.25) - 1 - 1.5.
    assert (one.forward, one.reverse, one.score) == (-4.75, -3.0, -3.875)
    # The relative foretold C in place of the T of REF; the contig itself runs on through the inserted bases.
    runs = [(r.strand, r.source, r.start, r.end, r.inverted, r.beside, r.ref, r.alt) for r in one.places]
    assert runs == [
        ("forward", "kin.fa|k|1", 299, 302, True, (99, 102), (2, 3), (0, 0)),
        ("forward", "self", 21, 24, False, (100, 101), (0, 0), (3, 3)),
        ("reverse", "self", 7, 8, True, (101, 102), (1, 1), (0, 0)),
    ]


def test_the_page_shows_them(table):
    page = render_page(gather_inputs(ReportInputs(explained=(table,))), link="https://x.org/{contig}/{start}")
    told = words(page)
    assert "c :101 A→ACG : ln P(ALT) − ln P(REF) is −3.88 nats" in told
    assert "forward: −4.75" in page
    assert "reverse: −3.00" in page
    assert "forward 100-102 kin.fa|k|1:300-302 − 2 of 3 –" in told
    assert "forward 101-101 c:22-24 + – 3 of 3" in told
    assert page.count("var(--series-1)") > 3
    assert 'href="https://x.org/c/51"' in page


def test_files_are_recognised_and_may_be_several(table, tmp_path):
    assert part_of(table) == "explained"
    output = tmp_path / "x.html"
    said = CliRunner().invoke(main, ["report", str(table), "--explained", str(table), "-o", str(output)])
    assert said.exit_code == 0, said.output
    assert output.read_text().count("<figure>") == 2
    assert "explained" in words(output.read_text())


def test_only_the_first_are_shown_and_a_table_may_be_empty(table, tmp_path):
    rows = [row for number in range(MOST_VARIANTS + 3) for row in base_rows(f"c:{number + 101}:A:ACG", "c", columns())]
    write_tsv(tmp_path / "many.tsv", COLUMNS, rows)
    page = render_page(gather_inputs(ReportInputs(explained=(tmp_path / "many.tsv",))))
    assert "The first 20 of 23 explained variants." in words(page)
    write_tsv(tmp_path / "none.tsv", COLUMNS, [])
    assert "Why variants score" not in render_page(gather_inputs(ReportInputs(explained=(tmp_path / "none.tsv",))))


def test_of_a_long_allele_the_first_columns_are_shown():
    bases = columns()
    assert len(shown_bases(bases, 3)) == 3
    assert len(shown_bases(bases * 10, 20)) == 20


BAD = {
    "no place": ("self:22+", "self:22", r"c:101:A:ACG: 'self:22:.*is no place as CONTIG:POSITION"),
    "counted": ("\tboth\t", "\tsome\t", "counted is 'some', none of both, forward, reverse, none"),
    "infinite": ("-0.25", "-inf", "ln P of a base is infinite"),
    "no number": ("-0.25", "low", "is 'low', no number"),
    "two bases": ("\tG\tG\t", "\tGA\tG\t", "not one base each for REF and ALT"),
    "no position": ("\t100\t", "\tNA\t", "a row has no position"),
    "no variant": ("c:101:A:ACG", "c:A:ACG", "is not contig:position:ref:alt"),
    "a column": ("counted", "summed", "has no column 'counted'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_damage_is_one_line(table, tmp_path, case):
    old, new, message = BAD[case]
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new))
    said = CliRunner().invoke(main, ["report", str(table), "-o", str(tmp_path / "x.html")])
    assert said.exit_code == 1
    assert re.search(message, said.output), said.output
    assert len(said.output.splitlines()) == 1


def test_other_tables_are_refused(tmp_path):
    (tmp_path / "x.tsv").write_text("contig\tstart\tend\tname\tbits_per_base\n")
    with pytest.raises(
        FormatError, match=r"holds no explanations of variants, base by base\. Write it with `titans-dna explain`"
    ):
        read_explained([tmp_path / "x.tsv"])
