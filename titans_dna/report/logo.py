"""A picture of single-base changes: a sequence logo scaled by effect, above a map of the effect of every change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.errors import OutputError
from titans_dna.io.disk.atomic import atomic_path
from titans_dna.io.formats import format_of

LETTERS = "ACGT"
COLOURS = {"A": "#2a9d4f", "C": "#2466b0", "G": "#e09b1b", "T": "#c8372d"}
LONGEST = 2000  # most bases in a picture
LINE, WIDTH_OF_BASE = 80, 0.12  # bases in a line, and inches of each: a line fits on a landscape page


def draw_effects(path: Path, title: str, first_position: int, reference: bytes, effects: np.ndarray) -> None:
    """Draw the effects of all changes of one region.

    A letter is as high as the mean loss of ln P over its three changes: letters that point up are those that the
    model prefers, letters that hang down are those that it would rather see changed. Below stands the effect of every
    change, with a dot on the reference's own base. Regions of more than 80 bases take several lines.

    Parameters
    ----------
    path
        ``.png``, ``.svg`` or ``.pdf``.
    title
        Heading.
    first_position
        Position of the first base, 1-based.
    reference
        Bases of the region.
    effects
        (bases, 4) ln P(change) - ln P(reference) for A, C, G, T; 0 for the reference's own base, nan where unknown.

    Raises
    ------
    OutputError
        If the suffix is unknown, the region is longer than 2,000 bases, or the file cannot be written.
    """
    format_of(path, verb="mutagenesis --picture")
    if len(reference) > LONGEST:
        raise OutputError(f"cannot show {len(reference):,} bases. Draw at most {LONGEST:,}.", path=path)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # A fixed salt and no date below: the same effects give the same bytes.
    with mpl.rc_context({"svg.hashsalt": "titans-dna", "svg.fonttype": "path"}):
        lines = -(-len(reference) // LINE)
        width = max(6.0, 1.2 + WIDTH_OF_BASE * min(len(reference), LINE))
        figure = Figure(figsize=(width, 0.5 + 3.7 * lines), layout="constrained")
        axes = figure.subplots(2 * lines, 1, height_ratios=(3, 1.3) * lines, squeeze=False)[:, 0]
        # The reference's own column is 0, so the sum over four columns is that of the three changes.
        heights = -np.nan_to_num(effects).sum(1) / 3
        low, high = min(0.0, float(heights.min(initial=0))), max(0.0, float(heights.max(initial=0)))
        limit = float(np.nanmax(np.abs(effects))) if np.isfinite(effects).any() else 1.0
        for line in range(lines):
            here = slice(line * LINE, (line + 1) * LINE)
            top, bottom = axes[2 * line], axes[2 * line + 1]
            first = first_position + line * LINE
            _draw_letters(top, reference[here], heights[here], first)
            margin = 0.05 * ((high - low) or 1.0)  # all lines have one scale
            top.set_ylim(low - margin, high + margin)
            image = _draw_map(bottom, reference[here], effects[here], first, limit)
            for part in (top, bottom):
                # A last line that is shorter keeps the width of a base.
                part.set_xlim(first - 0.5, first + (LINE if lines > 1 else len(reference)) - 0.5)
                part.ticklabel_format(axis="x", useOffset=False, style="plain")
        axes[0].set_title(title, fontsize=10, loc="left")
        axes[-1].set_xlabel("position (1-based)")
        figure.colorbar(image, ax=list(axes[1::2]), label="ln P change", aspect=12 * lines)
        plain = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], dpi=150, metadata=plain.get(path.suffix))


def _draw_map(axes: Any, reference: bytes, effects: np.ndarray, first_position: int, limit: float) -> Any:
    """Draw the effect of every change as a square; a dot marks the reference's own base."""
    image = axes.imshow(
        effects.T, aspect="auto", cmap="RdBu", vmin=-limit or -1, vmax=limit or 1, interpolation="nearest",
        extent=(first_position - 0.5, first_position + len(reference) - 0.5, 3.5, -0.5),
    )  # fmt: skip
    own = [(place, LETTERS.index(chr(base))) for place, base in enumerate(reference, first_position)
           if chr(base) in LETTERS]  # fmt: skip
    if own:
        axes.scatter(*zip(*own, strict=True), s=5, color="#555555", linewidth=0)
    axes.set_yticks(range(4), LETTERS)
    return image


def _draw_letters(axes: Any, reference: bytes, heights: Sequence[float] | np.ndarray, first_position: int) -> None:
    """Draw each base as a letter that fills its column."""
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    glyphs = {}
    for letter in LETTERS:
        glyph = TextPath((0, 0), letter, size=1)
        box = glyph.get_extents()
        glyphs[letter] = glyph.transformed(Affine2D().translate(-box.x0, -box.y0).scale(1 / box.width, 1 / box.height))
    for place, (letter, height) in enumerate(zip(reference.decode(), heights, strict=True), start=first_position):
        if letter in glyphs and height:
            shape = Affine2D().scale(0.9, float(height)).translate(place - 0.45, 0)
            axes.add_patch(PathPatch(glyphs[letter].transformed(shape), color=COLOURS[letter], linewidth=0))
    axes.axhline(0, color="#888888", linewidth=0.6)
    axes.set_ylabel("mean loss of ln P\nwhen changed")
