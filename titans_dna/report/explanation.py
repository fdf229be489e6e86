"""A picture of why variants score as they do: what every base adds to the score, on both strands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.errors import OutputError
from titans_dna.inference.explain import AlignedBase, Explanation
from titans_dna.io.disk.atomic import atomic_path
from titans_dna.io.formats import format_of

SHOWN_BP = 40  # bases on either side of a variant
MOST_VARIANTS, MOST_BASES = 20, 400  # in a picture, and in one part of it
LESS, MORE, FOLLOWED = "#c8372d", "#2466b0", "#2a9d4f"


def draw_explanations(path: Path, explained: Sequence[tuple[str, Explanation]]) -> None:
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
        Headings and explanations.

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
        parts = [(title, found, _shown(found)) for title, found in explained]
        longest = max(len(bases) for *_, bases in parts)
        figure = Figure(figsize=(max(7.0, 1.0 + 0.115 * longest), 0.3 + 3.3 * len(parts)), layout="constrained")
        rows = figure.subplots(2 * len(parts), 1, squeeze=False)[:, 0]
        for number, (title, found, bases) in enumerate(parts):
            pair = rows[2 * number], rows[2 * number + 1]
            for axes, strand in zip(pair, ("forward", "reverse"), strict=True):
                _draw_strand(axes, bases, strand, getattr(found, strand).score)
                axes.set_xlim(-0.8, longest - 0.2)
            pair[0].set_title(title, fontsize=9, loc="left")
            _label(pair[1], bases)
        plain = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], dpi=150, metadata=plain.get(path.suffix))


def _shown(found: Explanation) -> list[AlignedBase]:
    """Return the columns near the variant; of a long allele as many as fit."""
    low, high = found.allele.first - SHOWN_BP, found.allele.last + SHOWN_BP
    return [base for base in found.bases if low <= base.position < high][:MOST_BASES]


def _added(base: AlignedBase, strand: str) -> float:
    """Return what a base adds to the score of a strand; an allele that lacks it adds nothing."""
    if not base.counted[strand]:
        return 0.0
    alt = 0.0 if base.alt == "-" else base.log_p[strand, "alt"]
    ref = 0.0 if base.ref == "-" else base.log_p[strand, "ref"]
    return alt - ref


def _draw_strand(axes: Any, bases: Sequence[AlignedBase], strand: str, score: float) -> None:
    places = np.arange(len(bases))
    heights = np.nan_to_num([_added(base, strand) for base in bases])
    axes.bar(places, heights, width=0.85, color=np.where(heights < 0, LESS, MORE), linewidth=0)
    axes.axhline(0, color="#888888", linewidth=0.6)
    for place, base in enumerate(bases):
        if base.ref != base.alt:
            axes.axvspan(place - 0.5, place + 0.5, color="#f3e6c4", linewidth=0, zorder=0)
    followed = [(at, base.followed[strand, "ref"], base.ref) for at, base in enumerate(bases)]
    turned = str.maketrans("ACGT", "TGCA")
    right = [at for at, place, ref in followed
             if place and (place.base if strand == "forward" else place.base.translate(turned)) == ref]  # fmt: skip
    wrong = [at for at, place, _ in followed if place and at not in right]
    low = min(0.0, float(heights.min(initial=0)))
    high = max(0.0, float(heights.max(initial=0)))
    mark = low - 0.12 * ((high - low) or 1.0)
    axes.scatter(right, [mark] * len(right), s=7, color=FOLLOWED, linewidth=0)
    axes.scatter(wrong, [mark] * len(wrong), s=7, facecolors="none", edgecolors=FOLLOWED, linewidth=0.7)
    axes.set_ylabel(f"{strand}\nsum {score:+.2f}", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.set_xticks([])


def _label(axes: Any, bases: Sequence[AlignedBase]) -> None:
    """Write REF above ALT below the bases, ALT only where it differs, and the position at every tenth."""
    axes.set_xticks(
        range(len(bases)), [f"{base.ref}\n{base.alt if base.alt != base.ref else ''}" for base in bases], fontsize=6,
    )  # fmt: skip
    axes.tick_params(axis="x", length=0)
    tens = [(at, base.position + 1) for at, base in enumerate(bases) if base.offset == 0 and base.position % 10 == 9]
    under = axes.secondary_xaxis(-0.28)
    under.set_xticks([at for at, _ in tens], [f"{position}" for _, position in tens], fontsize=6)
    under.spines["bottom"].set_visible(False)
    under.tick_params(length=0)
    under.set_xlabel("REF above ALT; positions 1-based", fontsize=7)
