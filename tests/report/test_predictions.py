"""Predicted classes and copies: counted in the page and in the statistics of a sample."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner

from titans_dna.cli import main
from titans_dna.errors import ConfigError, FormatError
from titans_dna.report.copies import read_copies
from titans_dna.report.gather import ReportInputs, gather_inputs
from titans_dna.report.page import render_page
from titans_dna.report.predictions import read_predictions

CLASSES = """##version=0
name	contig	start	end	label	outcome	predicted	p_a<b>	p_c
r1	NA	NA	NA	a<b>	used	a<b>	0.9	0.1
r2	NA	NA	NA	a<b>	used	c	0.4	0.6
r3	NA	NA	NA	c	used	c	0.25	0.75
r4	NA	NA	NA	NA	used	c	0.01	0.99
r5	NA	NA	NA	c	no known base	NA	NA	NA
"""
COPIES = """##version=0
#chrom1	start1	end1	chrom2	start2	end2	name	score	strand1	strand2	identity	genome2
c1	100	200	c1	0	100	copy1	980	+	+	0.98	NA
c1	1000	1300	k1	5	305	copy2	900	+	-	0.9	kin.fa
c2	0	50	c1	0	50	copy3	1000	+	+	1	NA
"""


@pytest.fixture
def tables(tmp_path):
    (tmp_path / "classes.tsv").write_text(CLASSES)
    (tmp_path / "copies.bedpe").write_text(COPIES)
    return tmp_path / "classes.tsv", tmp_path / "copies.bedpe"


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.replace("<wbr>", "")))


def test_classes_are_counted_by_label(tables):
    found = read_predictions(tables[0])
    assert found.classes == ("a<b>", "c")
    assert found.outcomes == {"used": 4, "no known base": 1}
    assert found.predicted == {"a<b>": 1, "c": 3}
    assert found.confusion == {"a<b>": {"a<b>": 1, "c": 1}, "c": {"c": 1}}
    assert (found.labelled, found.right) == (3, 2)
    assert found.probabilities.tolist() == [0.9, 0.6, 0.75, 0.99]


def test_copies_are_counted_by_source(tables):
    found = read_copies(tables[1])
    assert (found.count, found.stretches_bp, found.inverted) == (3, 450, 1)
    assert found.sources == {"the same contig": 1, "kin.fa": 1, "another contig": 1}
    first = found.longest[0]
    assert (first.contig, first.start, first.end, first.source, first.inverted) == ("c1", 1000, 1300, "k1", True)


def test_the_page_shows_both(tables):
    page = render_page(gather_inputs(ReportInputs(classes=tables[0], copies=tables[1])))
    told = words(page)
    assert "4 of 5 rows have a class: 1 no known base. Of 3 with a label, 2 (66.7%) have the class" in told
    assert "label a&lt;b&gt; c a&lt;b&gt; 1 1 c 0 1 all rows 1 3" in told
    assert "3 stretches from an earlier place, 450 bases together; 1 are reverse complements" in told
    assert "c1:1,001-1,300 k1:6-305 − kin.fa 300 0.900" in told
    assert "<svg" in page
    assert "<b>b" not in page


def test_the_verbs_take_both_by_their_content(tables, tmp_path):
    given = [str(path) for path in tables]
    said = CliRunner().invoke(main, ["report", *given, "-o", str(tmp_path / "x.html")])
    assert said.exit_code == 0, said.output
    said = CliRunner().invoke(
        main, ["statistics", "--sample", "s", "--classes", given[0], "--copies", given[1],
               "-o", str(tmp_path / "s.json")]
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    found = json.loads((tmp_path / "s.json").read_text())
    outcomes = {"used": 4, "no known base": 1}
    assert found["classes"] == {
        "rows": 5, "outcomes": outcomes, "predicted": {"a<b>": 1, "c": 3}, "labelled": 3, "accuracy": 2 / 3,
    }  # fmt: skip
    assert found["copies"]["sources"] == {"the same contig": 1, "kin.fa": 1, "another contig": 1}


def test_no_rows_and_other_files(tables, tmp_path):
    (tmp_path / "none.tsv").write_text("".join(CLASSES.splitlines(keepends=True)[:2]))
    (tmp_path / "none.bedpe").write_text("".join(COPIES.splitlines(keepends=True)[:2]))
    page = render_page(gather_inputs(ReportInputs(classes=tmp_path / "none.tsv", copies=tmp_path / "none.bedpe")))
    assert "0 of 0 rows have a class" in words(page)
    with pytest.raises(FormatError, match=r"holds no predicted classes\. Write it with `titans-dna predict`"):
        read_predictions(tables[1])
    with pytest.raises(FormatError, match=r"holds no stretches and .*\. Write it with `titans-dna copies`"):
        read_copies(tables[0])


def test_figures_that_a_report_does_not_show_are_named(tmp_path):
    from titans_dna.report.gather import part_of

    (tmp_path / "training.json").write_text('{"steps": 3}')
    with pytest.raises(ConfigError, match="holds figures of an evaluation, a classifier or a sample, which a report"):
        part_of(tmp_path / "training.json")


def test_the_picture_has_a_panel_for_each_source_of_the_contig_with_most_copies(tmp_path):
    from titans_dna.report.figures import copies_figure

    head = COPIES.splitlines(keepends=True)[:2]
    rows = [
        ("c", 1000, 1600, "c", 100, 700, "+", ""), ("c", 2000, 2300, "c", 500, 800, "-", ""),
        ("c", 3000, 3900, "k", 0, 900, "+", "kin.fa"), ("d", 50, 90, "d", 0, 40, "+", ""),
    ]  # fmt: skip
    names = head[1].lstrip("#").rstrip().split("\t")
    lines = []
    for n, (c, s, e, c2, s2, e2, strand, genome) in enumerate(rows):
        told = dict(zip(("chrom1", "start1", "end1", "chrom2", "start2", "end2"), (c, s, e, c2, s2, e2), strict=True))
        told |= {
            "name": f"copy{n}",
            "score": 900,
            "strand1": "+",
            "strand2": strand,
            "identity": 0.9,
            "genome2": genome,
        }
        lines.append("\t".join(str(told.get(name, "")) for name in names) + "\n")
    (tmp_path / "c.bedpe").write_text("".join([*head, *lines]))
    found = read_copies(tmp_path / "c.bedpe")
    assert found.contig == "c"
    assert [(each.genome, each.name, len(each.stretches)) for each in found.drawn] == [("", "c", 2), ("kin.fa", "k", 1)]
    svg = str(copies_figure(found))
    assert svg.count("this contig") == 1
    assert "kin.fa" in svg
    assert svg.count("var(--series-1)") >= 2  # copies on the same strand, in both panels
    assert svg.count("var(--series-2)") >= 1  # the inverted one
