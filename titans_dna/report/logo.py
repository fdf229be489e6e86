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
LONGEST = 2000  # most bases in a picture; letters of more could not be told apart


def draw_effects(path: Path, title: str, first_position: int, reference: bytes, effects: np.ndarray) -> None:
    """Draw the effects of all changes of one region.

    A letter is as high as the mean loss of ln P over its three changes: letters that point up are those that the
    model prefers, letters that hang down are those that it would rather see changed.

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
        figure = Figure(figsize=(min(60.0, max(6.0, 0.16 * len(reference))), 4.2), layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.3))
        # The reference's own column is 0, so the sum over four columns is that of the three changes.
        heights = -np.nan_to_num(effects).sum(1) / 3
        _draw_letters(top, reference, heights, first_position)
        top.set_title(title, fontsize=10, loc="left")
        top.set_ylabel("mean loss of ln P\nwhen changed")
        top.axhline(0, color="#888888", linewidth=0.6)
        limit = float(np.nanmax(np.abs(effects))) if np.isfinite(effects).any() else 1.0
        image = bottom.imshow(
            effects.T, aspect="auto", cmap="RdBu", vmin=-limit or -1, vmax=limit or 1, interpolation="nearest",
            extent=(first_position - 0.5, first_position + len(reference) - 0.5, 3.5, -0.5),
        )  # fmt: skip
        bottom.set_yticks(range(4), LETTERS)
        bottom.set_xlabel("position (1-based)")
        bottom.ticklabel_format(axis="x", useOffset=False, style="plain")
        figure.colorbar(image, ax=bottom, label="ln P change")
        plain = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], dpi=150, metadata=plain.get(path.suffix))


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
    low, high = min(0.0, float(np.min(heights))), max(0.0, float(np.max(heights)))
    margin = 0.05 * ((high - low) or 1.0)
    axes.set_ylim(low - margin, high + margin)
    axes.set_xlim(first_position - 0.5, first_position + len(reference) - 0.5)
