"""matplotlib figures as inline SVG that follows the page's colours.

A figure is drawn in marker colours that stand for roles (`INK`, `MUTED`, `SERIES[0]`, ...). `inline_svg` then replaces
each marker by a CSS variable of the page, so one drawing serves light mode, dark mode and paper. Text stays text. The
bytes depend on the figure alone: no time, no creator, no random identifiers.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Markers, not colours: no figure would choose these near-blacks by itself, so each can be found and replaced in the
# SVG.
INK = "#010101"  # text and axes
MUTED = "#020202"  # secondary text, classes beyond the palette
RULE = "#030303"  # grid lines
SURFACE = "#040404"  # the page behind the figure
SERIES = ("#110101", "#110102", "#110103", "#110104", "#110105", "#110106")  # one per class, in order

_VARIABLES = {INK: "--ink", MUTED: "--muted", RULE: "--rule", SURFACE: "--surface"}
_VARIABLES |= {marker: f"--series-{number}" for number, marker in enumerate(SERIES, 1)}

_STYLE = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",  # ships with matplotlib and is wide: what fits in it fits in the reader's font
    "text.parse_math": False,  # names are data, never mathematics
    "axes.unicode_minus": True,
    "font.size": 8.5,
    "axes.labelsize": 8.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "text.color": INK,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.solid_capstyle": "round",
    "path.simplify": True,
}


def series_variable(index: int) -> str:
    """Return the CSS variable for the colour of the class with this 0-based index; classes beyond the palette are grey.

    Examples
    --------
    >>> series_variable(0), series_variable(99)
    ('--series-1', '--muted')
    """
    return _VARIABLES[SERIES[index]] if index < len(SERIES) else _VARIABLES[MUTED]


def inline_svg(
    draw: Callable[..., None],
    *,
    name: str,
    description: str,
    width_in: float = 4.0,
    height_in: float = 2.7,
    rows: Sequence[float] = (1.0,),
) -> Markup:
    """Draw one or more axes, one above the other, and return the figure as an `<svg>` element for HTML.

    The colours of the element are CSS variables of the page.

    Parameters
    ----------
    draw
        Function that draws on the axes in the marker colours of this module; it is called with one axes per row.
    name
        Prefix of all identifiers in the element; unique on the page.
    description
        One sentence for readers who cannot see the figure.
    width_in, height_in
        Size in inches of 72 SVG units; the page scales the element to its column.
    rows
        Relative heights of the axes, from top to bottom; they share the x axis.

    Returns
    -------
    Markup
        The element, without any reference to another resource.
    """
    stream = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    # after_reset: the user's own matplotlibrc must not change the page. The salt fixes the identifiers that matplotlib
    # would draw at random.
    with style.context({**_STYLE, "svg.hashsalt": name}, after_reset=True):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        column: list[Axes] = figure.subplots(len(rows), sharex=True, squeeze=False, height_ratios=rows)[:, 0].tolist()
        for axes in column:
            axes.grid(True, axis="y")
            axes.tick_params(axis="y", length=0)
        draw(*column)
        figure.align_ylabels()
        figure.savefig(stream, format="svg", metadata=nothing, transparent=True)
    element = re.search(r'<svg[^>]*viewBox="([^"]+)"[^>]*>(.*)</svg>', stream.getvalue(), re.DOTALL)
    assert element  # matplotlib always writes both
    label = Markup.escape(description)
    return Markup(f'<svg viewBox="{element[1]}" role="img" aria-label="{label}">{_themed(element[2], name)}</svg>')


def _themed(drawing: str, name: str) -> str:
    """Return a drawing with the page's colours and font, identifiers that begin with `name`, and short numbers."""
    drawing = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'<g id="[^"]*">', "<g>", drawing)
    # matplotlib's identifiers repeat from figure to figure, but must be unique on the page.
    identifiers = dict.fromkeys(re.findall(r'<[^>]* id="([^"]*)"', drawing))
    own = {identifier: f"{name}-{number}" for number, identifier in enumerate(identifiers, 1)}
    # Tags only: the text between them is data, such as the name of a contig, and must stay as it is.
    drawing = re.sub(r"<[^>]*>", lambda tag: _themed_tag(tag[0], own), drawing)
    return re.sub(r"\s*\n\s*", "\n", drawing)


def _themed_tag(tag: str, identifiers: Mapping[str, str]) -> str:
    """Return one tag of the drawing with all these replacements."""
    tag = re.sub(r'(?<=["#])(\w+)(?=[")])', lambda match: identifiers.get(match[1], match[1]), tag)
    # Inside HTML the xlink namespace is not declared.
    tag = tag.replace("xlink:href=", "href=")
    tag = re.sub(r"font: ([\d.]+px) 'DejaVu Sans'[^;\"]*", r"font-size: \1", tag)  # before matplotlib 3.10
    tag = re.sub(r"font-family: [^;\"]*;?\s*", "", tag)
    tag = re.sub(r' transform="rotate\(-0 [^"]*\)"', "", tag)
    # Two decimals are finer than any screen, and halve the page.
    tag = re.sub(r"(\.\d\d)\d+", r"\1", tag)
    for marker, variable in _VARIABLES.items():
        tag = tag.replace(marker, f"var({variable})")
    return tag
