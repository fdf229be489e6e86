"""Inline SVG: colours of the page, text that stays text, identifiers of its own."""

from __future__ import annotations

import re

import matplotlib
from matplotlib.axes import Axes

from titans_dna.report.svg import INK, MUTED, RULE, SERIES, SURFACE, inline_svg, series_variable


def draw(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=SERIES[0])
    axes.scatter([0.5], [0.5], color=SERIES[5], edgecolor=SURFACE)
    axes.axhline(0.2, color=RULE)
    axes.text(0.1, 0.9, "1.23456 <b>$x_1$</b> & #010101x", color=INK)
    axes.text(0.1, 0.8, "second", color=MUTED)


def test_every_colour_is_a_variable_of_the_page():
    svg = inline_svg(draw, name="one", description="A line.")
    assert set(re.findall(r"(?:fill|stroke): ([^;\"]+)", svg)) <= {
        "none",
        *(f"var(--{name})" for name in ("ink", "muted", "rule", "surface", "series-1", "series-6")),
    }
    assert re.search(r"stroke: var\(--series-1\)", svg)


def test_text_stays_as_it_is_written():
    svg = inline_svg(draw, name="one", description="A line.")
    assert "1.23456 &lt;b&gt;$x_1$&lt;/b&gt; &amp; #010101x" in svg
    assert max(map(len, re.findall(r"[\d]\.(\d+)", re.sub(r">[^<]*<", "><", svg)))) <= 2
    assert "font-family" not in svg


def test_figures_of_one_page_share_no_identifier():
    first, second = (inline_svg(draw, name=name, description="") for name in ("one", "two"))
    own = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (first, second)]
    assert own[0]
    assert not own[0] & own[1]
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', first)) <= own[0]


def test_settings_of_the_caller_neither_matter_nor_change():
    before = inline_svg(draw, name="one", description="")
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "text.usetex": True}):
        assert inline_svg(draw, name="one", description="") == before
        assert matplotlib.rcParams["font.size"] == 30


def test_the_description_is_escaped():
    assert 'aria-label="&lt;&#34;&gt;"' in inline_svg(draw, name="one", description='<">')


def test_rows_share_the_x_axis():
    seen = []
    inline_svg(lambda above, below: seen.append((above, below)), name="one", description="", rows=(1, 2))
    above, below = seen[0]
    below.set_xlim(0, 7)
    assert above.get_xlim() == (0, 7)


def test_classes_beyond_the_palette_share_a_colour():
    assert [series_variable(number) for number in (0, 5, 6)] == ["--series-1", "--series-6", "--muted"]
