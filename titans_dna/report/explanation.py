"""Pictures of why variants score as they do: base by base, on both strands, with what the copy memory followed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from titans_dna.errors import OutputError
from titans_dna.io.disk.atomic import atomic_path
from titans_dna.io.formats import format_of
from titans_dna.io.tables.explanation import STRANDS, AlignedBase
from titans_dna.report.explained import MOST_INLINE, MOST_VARIANTS, is_right, score_of, shown_bases
from titans_dna.report.svg import MUTED, RULE, SERIES, inline_svg

MOST_BASES = 400  # in one part of a picture
LESS, MORE, FOLLOWED = "#c8372d", "#2466b0", "#2a9d4f"


def draw_explanations(path: Path, explained: Sequence[tuple[str, Sequence[AlignedBase]]]) -> None:
    """Draw what every base adds to the scores of variants, one below the other.

    A bar is ln P with ALT less ln P with REF of one base, which adds to the score; of a base that one allele lacks it
    is ln P of the other alone. What lies before the variant in the direction of reading is the same with both, and adds
    nothing. A mark below a base says that the copy memory followed a place there and was right about REF; a ring, that
    it foretold another base.

    Parameters
    ----------
    path
        ``.png``, ``.svg`` or ``.pdf``.
    explained
        Headings and bases.

    Raises
    ------
    OutputError
        If the suffix is unknown, there are more than 20 variants, or the file cannot be written.
    """
    format_of(path, verb="explain --picture")
    if len(explained) > MOST_VARIANTS:
        raise OutputError(f"cannot show {len(explained):,} variants. Draw at most {MOST_VARIANTS}.", path=path)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # A fixed salt and no date below: the same scores give the same bytes.
    with mpl.rc_context({"svg.hashsalt": "titans-dna", "svg.fonttype": "path", "text.parse_math": False}):
        parts = [(title, bases, shown_bases(bases, MOST_BASES)) for title, bases in explained]
        longest = max(len(shown) for *_, shown in parts)
        figure = Figure(figsize=(max(7.0, 1.0 + 0.115 * longest), 0.3 + 3.3 * len(parts)), layout="constrained")
        rows = figure.subplots(2 * len(parts), 1, squeeze=False)[:, 0]
        for number, (title, bases, shown) in enumerate(parts):
            pair = rows[2 * number], rows[2 * number + 1]
            for axes, strand in zip(pair, STRANDS, strict=True):
                _draw_added(axes, shown, strand)
                axes.set_ylabel(f"{strand}\nsum {score_of(bases, strand):+.2f}", fontsize=8)
                axes.set_xlim(-0.8, longest - 0.2)
            pair[0].set_title(title, fontsize=9, loc="left")
            _label(pair[1], shown, -0.28)
        plain = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], dpi=150, metadata=plain.get(path.suffix))


def explanation_figure(bases: Sequence[AlignedBase], name: str) -> Markup:
    """Draw ln P of every base near a variant with REF beside that with ALT, a panel for each strand.

    Bars are pale where the score of the strand does not sum over the base. Marks below are those of the copy memory:
    filled where it foretold the base of the allele, a ring where it foretold another one.
    """
    shown = shown_bases(bases, MOST_INLINE)
    low = float(np.nanmin([-1.0, *(value for base in shown for value in base.log_p.values())]))  # of both strands

    def draw(*panels: Axes) -> None:
        for axes, strand in zip(panels, STRANDS, strict=True):
            _draw_both(axes, shown, strand, low)
            axes.set_title(f"{strand}: {score_of(bases, strand):+.2f}".replace("-", "−"), loc="left", fontsize=8.5)
        panels[-1].set_xlim(-0.8, len(shown) - 0.2)
        _label(panels[-1], shown, -0.2)

    text = "ln P of every base around a variant, read with REF and with ALT, on both strands."
    return inline_svg(draw, name=name, description=text, width_in=8.4, height_in=3.9, rows=(1.0, 1.0))


def _draw_added(axes: Any, bases: Sequence[AlignedBase], strand: str) -> None:
    heights = np.array([base.added(strand) for base in bases])
    axes.bar(range(len(bases)), heights, width=0.85, color=np.where(heights < 0, LESS, MORE), linewidth=0)
    axes.axhline(0, color="#888888", linewidth=0.6)
    _shade(axes, bases, "#f3e6c4")
    low, high = min(0.0, heights.min()), max(0.0, heights.max())
    _mark(axes, bases, (strand, "ref"), low - 0.12 * ((high - low) or 1.0), FOLLOWED)
    axes.tick_params(labelsize=7)
    axes.set_xticks([])


def _draw_both(axes: Axes, bases: Sequence[AlignedBase], strand: str, low: float) -> None:
    _shade(axes, bases, RULE)
    places = np.arange(len(bases))
    counted = np.array([base.counted[strand] for base in bases])
    for number, allele in enumerate(("ref", "alt")):
        heights = np.nan_to_num([base.log_p[strand, allele] for base in bases])
        for which, alpha in ((counted, 1.0), (~counted, 0.35)):
            axes.bar(
                places[which] + 0.42 * (number - 0.5), heights[which], width=0.42, color=SERIES[number], alpha=alpha,
                linewidth=0,
            )  # fmt: skip
        _mark(axes, bases, (strand, allele), low * (1.09 + 0.1 * number), SERIES[number])
    axes.axhline(0, color=MUTED, linewidth=0.6)
    axes.set_ylim(1.28 * low, 0.03 * abs(low))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_ylabel("ln P (nats)")
    axes.tick_params(axis="x", length=0)


def _shade(axes: Any, bases: Sequence[AlignedBase], colour: str) -> None:
    """Shade the columns in which the alleles differ."""
    for place, base in enumerate(bases):
        if base.ref != base.alt:
            axes.axvspan(place - 0.5, place + 0.5, color=colour, linewidth=0, zorder=0)


def _mark(axes: Any, bases: Sequence[AlignedBase], reading: tuple[str, str], height: float, colour: str) -> None:
    """Mark the bases at which the copy memory followed a place: filled where it was right, else a ring."""
    followed = [at for at, base in enumerate(bases) if base.followed[reading]]
    right = [at for at in followed if is_right(bases[at], reading)]
    wrong = [at for at in followed if at not in right]
    axes.scatter(right, [height] * len(right), s=7, color=colour, linewidth=0)
    axes.scatter(wrong, [height] * len(wrong), s=7, facecolors="none", edgecolors=colour, linewidth=0.7)


def _label(axes: Any, bases: Sequence[AlignedBase], below: float) -> None:
    """Write REF above ALT below the bases, ALT only where it differs, and the position at every tenth."""
    size = min(6.0, 540 / len(bases))
    axes.set_xticks(
        range(len(bases)), [f"{base.ref}\n{base.alt if base.alt != base.ref else ''}" for base in bases],
        fontsize=size,
    )  # fmt: skip
    axes.tick_params(axis="x", length=0)
    tens = [(at, base.position + 1) for at, base in enumerate(bases) if base.offset == 0 and base.position % 10 == 9]
    under = axes.secondary_xaxis(below)
    under.set_xticks([at for at, _ in tens], [f"{position:,}" for _, position in tens], fontsize=6)
    under.spines["bottom"].set_visible(False)
    under.tick_params(length=0)
    under.set_xlabel("REF above ALT; positions 1-based", fontsize=7)
