"""The figures of the report: each function takes data and returns a drawing as inline SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from titans_dna.inference.metrics import roc_curve
from titans_dna.report.copies import Copies
from titans_dna.report.regions import EmbeddedRegions, ScoredRegion
from titans_dna.report.run import ContextBits, Evaluation, LogCurve
from titans_dna.report.svg import INK, MUTED, RULE, SERIES, SURFACE, inline_svg
from titans_dna.report.track import TrackProfile

MODEL, TRAIN, VALIDATION = SERIES[0], SERIES[0], SERIES[1]
DASHED: dict[str, Any] = {"color": MUTED, "linewidth": 0.9, "linestyle": (0, (4, 3))}  # a line to compare with
MOST_POINTS = 3000  # drawn over all strips of regions; more make the page heavy and show nothing more


def training_figure(curves: Sequence[LogCurve], reference: float | None) -> Markup:
    """Draw bits per base over optimiser steps, with the best Markov baseline as a dashed line where it is known."""

    def draw(axes: Axes) -> None:
        for curve in curves:
            known = np.isfinite(curve.bits_per_base)
            steps, values = curve.steps[known], curve.bits_per_base[known]
            if curve.split == "train":
                axes.plot(steps, values, color=TRAIN, alpha=0.3, linewidth=0.8)
                axes.plot(steps, _smoothed(values), color=TRAIN)
            else:
                axes.plot(
                    steps, values, color=VALIDATION, marker="o" if len(steps) <= 60 else None, markersize=3.5,
                    markeredgecolor=SURFACE, markeredgewidth=0.6,
                )  # fmt: skip
        if reference is not None:
            axes.axhline(reference, **DASHED)
        axes.set(xlabel="optimiser step", ylabel="bits per base", xlim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))

    text = "Training curve: bits per base of training and validation windows over optimiser steps."
    return inline_svg(draw, name="training", description=text, width_in=8.4, height_in=2.7)


def context_figure(rows: Sequence[ContextBits]) -> Markup:
    """Draw bits per base against the number of bases read before, as one stair per bin of `training.json`."""

    def draw(axes: Axes) -> None:
        edges = [*(row.start for row in rows), rows[-1].end]
        axes.stairs([row.bits_per_base for row in rows], range(len(edges)), baseline=None, color=MODEL, linewidth=1.6)
        axes.set_xticks(range(len(edges)), [f"{edge:,}" for edge in edges])
        axes.set(xlabel="bases read before, in the same window", ylabel="bits per base")
        axes.yaxis.set_major_locator(MaxNLocator(5))

    text = "Bits per base on held-out windows by the number of bases read before."
    return inline_svg(draw, name="context", description=text, width_in=8.4, height_in=2.4)


def baseline_figure(evaluation: Evaluation) -> Markup:
    """Draw bits per base of the model and of each baseline as one dot per row."""
    rows = [(baseline.name, baseline.bits_per_base, False) for baseline in evaluation.baselines]
    if np.isfinite(evaluation.reset):
        rows.append(("memory reset", evaluation.reset, True))
    rows.append(("memory carried", evaluation.carried, True))

    def draw(axes: Axes) -> None:
        values = [value for _, value, _ in rows]
        # Two bits are what guessing among four equal bases costs: the line against which every model is seen.
        low, high = min(values), max([*values, 2.0])
        margin = 0.16 * max(high - low, 0.02)
        heights = range(len(rows))
        axes.hlines(heights, low - margin, values, color=RULE, linewidth=1.0)
        axes.axvline(2.0, **DASHED)
        axes.scatter(
            values, heights, s=34, color=[MODEL if ours else MUTED for *_, ours in rows], linewidth=0, zorder=3
        )
        for height, (_, value, ours) in enumerate(rows):
            axes.annotate(
                f"{value:.4f}", (value, height), (0, 6), textcoords="offset points", ha="center", fontsize=7.5,
                weight="bold" if ours and value == min(values) else "normal",
            )  # fmt: skip
        axes.set_yticks(heights, [name for name, *_ in rows])
        axes.set(ylim=(-0.6, len(rows) - 0.3), xlim=(low - margin, high + margin))
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.grid(False)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("bits per base (lower is better; dashed: four equal bases)")

    text = "Bits per base of Markov baselines and of the model; the same values stand in the table."
    return inline_svg(draw, name="baselines", description=text, height_in=0.75 + 0.36 * len(rows))


def score_figure(groups: Sequence[tuple[str, NDArray[np.float64]]]) -> Markup:
    """Draw the distribution of scores as outlined histograms, one per group, each as shares of its group."""
    everything = np.concatenate([values for _, values in groups])
    # A few extreme alleles would squeeze all others into one bar. They are counted in the outermost bars.
    low, high = np.quantile(everything, [0.005, 0.995])
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, int(np.clip(np.sqrt(len(everything)) * 1.5, 12, 60)) + 1)

    def draw(axes: Axes) -> None:
        for number, (_, values) in enumerate(groups):
            counts, _ = np.histogram(np.clip(values, low, high), edges)
            share = 100 * counts / max(len(values), 1)
            colour = SERIES[number] if number < len(SERIES) else MUTED
            axes.stairs(share, edges, fill=True, color=colour, alpha=0.22, linewidth=0)
            axes.stairs(share, edges, color=colour, linewidth=1.4)
        axes.axvline(0, **DASHED)
        axes.set(
            xlabel="score: −TD_LLR (nats; higher: ALT less likely than REF)", ylabel="% of alleles of the class"
        )  # fmt: skip
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set_ylim(bottom=0)

    return inline_svg(draw, name="scores", description="Distributions of variant scores.", height_in=3.2)


def copies_figure(copies: Copies) -> Markup:
    """Draw the stretches of one contig against the places that they come from, as a dot plot; a panel for each source.

    A copy on the same strand rises, an inverted one falls. In the panel of the contig itself, the diagonal is the
    contig read against itself, and all copies lie below it.
    """

    def draw(*panels: Axes) -> None:
        for axes, source in zip(panels, copies.drawn, strict=True):
            lines = [
                ((one.start, one.source_end if one.inverted else one.source_start),
                 (one.end, one.source_start if one.inverted else one.source_end))
                for one in source.stretches
            ]  # fmt: skip
            colours = [SERIES[1] if one.inverted else SERIES[0] for one in source.stretches]
            # Round ends keep a stretch visible that is shorter than a point of the picture.
            axes.add_collection(LineCollection(lines, colors=colours, linewidths=1.4, capstyle="round"))
            axes.autoscale_view()
            if not source.genome:
                high = axes.get_xlim()[1]
                axes.plot([0, high], [0, high], color=MUTED, linewidth=0.7, linestyle=(0, (4, 3)), scalex=False)
            axes.set_title(source.genome or "this contig", loc="left", fontsize=8.5)
            axes.set_ylabel(f"base of {_shortened(source.name)}")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(5, integer=True))
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        panels[-1].set_xlabel(f"base of {_shortened(copies.contig)}")

    text = "Where the stretches of one contig come from: place on the contig against place of the source."
    rows = (1.0,) * len(copies.drawn)
    return inline_svg(draw, name="copies", description=text, width_in=8.4, height_in=0.5 + 2.6 * len(rows), rows=rows)


def _shortened(name: str) -> str:
    """Return a name that is no longer than an axis."""
    return name if len(name) <= 28 else name[:27] + "…"


def probability_figure(values: NDArray[np.float64], classes: int) -> Markup:
    """Draw how probable the predicted classes are, from 1 / classes, which is a guess, to 1."""
    edges = np.linspace(1 / classes, 1, 21)

    def draw(axes: Axes) -> None:
        counts, _ = np.histogram(np.clip(values, edges[0], 1), edges)
        axes.stairs(counts, edges, fill=True, color=SERIES[0], alpha=0.22, linewidth=0)
        axes.stairs(counts, edges, color=SERIES[0], linewidth=1.4)
        axes.set(xlabel="probability of the predicted class", ylabel="rows")
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set(xlim=(edges[0], 1), ylim=(0, None))

    return inline_svg(draw, name="probabilities", description="Probabilities of the predicted classes.", height_in=2.6)


def calibration_figure(values: Sequence[tuple[str, NDArray[np.float64]]]) -> Markup:
    """Draw how quantiles and p-values are distributed between 0 and 1; a uniform distribution is the dashed line."""
    edges = np.linspace(0, 1, 21)

    def draw(axes: Axes) -> None:
        for number, (_, shares) in enumerate(values):
            counts, _ = np.histogram(shares, edges)
            axes.stairs(100 * counts / len(shares), edges, color=SERIES[number], linewidth=1.4)
        # Twenty bins: a uniform distribution has 5% in each.
        axes.axhline(5, **DASHED)
        axes.set(
            xlabel="value (low: few others are as unlikely)", ylabel="% of alleles", xlim=(0, 1), ylim=(0, None)
        )  # fmt: skip

    return inline_svg(draw, name="calibration", description="Spread of quantiles and p-values.", height_in=2.4)


def roc_figure(curves: Sequence[tuple[NDArray[np.float64], NDArray[np.bool_]]]) -> Markup:
    """Draw one ROC curve per pair of scores and truth, the first one emphasised."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], **DASHED)
        for number, (scores, labels) in reversed(list(enumerate(curves))):
            false_rate, true_rate = roc_curve(scores, labels)
            axes.plot(false_rate, true_rate, color=SERIES[number + 2], linewidth=1.3 if number else 1.9)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), box_aspect=0.78)
        for place in (axes.set_xticks, axes.set_yticks):
            place([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
        axes.set(xlabel="false positive rate", ylabel="true positive rate")

    return inline_svg(draw, name="roc", description="ROC curves; their areas stand in the table.", height_in=3.2)


def region_figure(regions: Sequence[ScoredRegion], classes: Sequence[str]) -> Markup:
    """Draw bits per base of regions as one strip of dots per class that occurs, with the median as a bar."""
    groups = enumerate(_by_class([region.class_name for region in regions], classes))
    strips = [(number, members) for number, members in groups if len(members)]
    values = np.array([region.bits_per_base for region in regions])

    def draw(axes: Axes) -> None:
        for row, (number, members) in enumerate(strips):
            # Every step-th of the sorted values, so that the drawn dots have the distribution and the median of all of
            # them.
            step = max(1, len(members) * len(strips) // MOST_POINTS)
            strip = np.sort(values[members])[::step]
            # Multiples of the golden ratio spread dots evenly across the strip, and the same way in every run.
            spread = (np.arange(len(strip)) * 0.6180339887) % 1 - 0.5
            colour = _class_colour(number, classes)
            axes.scatter(strip, row + 0.5 * spread, s=11, color=colour, alpha=0.8, linewidth=0)
            axes.vlines(np.median(strip), row - 0.34, row + 0.34, color=INK, linewidth=1.6)
        axes.set_yticks(range(len(strips)), [f"{classes[number]} ({len(members):,})" for number, members in strips])
        axes.set_ylim(len(strips) - 0.5, -0.5)
        axes.grid(False)
        axes.grid(True, axis="x")
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(7))
        axes.set_xlabel("bits per base of the region (bar: median)")

    text = "Bits per base of scored regions by class of region."
    return inline_svg(draw, name="regions", description=text, width_in=8.4, height_in=0.8 + 0.42 * len(strips))


def track_figure(
    track: TrackProfile, regions: Sequence[ScoredRegion], classes: Sequence[str], name: str = "track"
) -> Markup:
    """Draw the extreme and the mean of each bin of a track, and below them one lane of regions for each class."""
    scale, unit = (
        (1e6, "Mb") if track.length_bp >= 500_000 else (1e3, "kb") if track.length_bp >= 2_000 else (1.0, "bp")
    )
    low, high = float(np.nanmin(track.mean)), float(np.nanmax(track.mean))
    high = high if high > low else low + 1.0
    # Marks of regions stand below the curve in the same axes, one lane per class, so that they share its x axis.
    lane = 0.16 * (high - low)
    here = [(region, _class_index(region, classes)) for region in regions if region.contig == track.contig]
    lanes = sorted({number for _, number in here})

    def draw(above: Axes, axes: Axes) -> None:
        edges = track.edges / scale
        above.stairs(track.extreme, edges, baseline=None, color=MUTED, linewidth=0.8)
        above.set_ylabel(track.extreme_name)
        above.yaxis.set_major_locator(MaxNLocator(2))
        axes.stairs(track.mean, edges, baseline=None, color=MODEL, linewidth=1.1)
        middles = [low - lane * (row + 1.2) for row in range(len(lanes))]
        for middle, lane_number in zip(middles, lanes, strict=True):
            spans = [
                # At least 0.15% of the width: a shorter mark could not be seen.
                (region.start / scale, max(region.end - region.start, 0.0015 * track.length_bp) / scale)
                for region, number in here
                if number == lane_number
            ]
            colour = _class_colour(lane_number, classes)
            axes.broken_barh(spans, (middle - 0.32 * lane, 0.64 * lane), facecolor=colour, linewidth=0)
        ticks = [tick for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high]
        words = [f"{tick:g}".replace("-", "−") for tick in ticks]
        axes.set_yticks([*ticks, *middles], [*words, *(classes[number] for number in lanes)])
        axes.set_ylim(low - lane * (len(lanes) + 0.7), high + 0.05 * (high - low))
        axes.set_xlim(0, track.length_bp / scale)
        axes.set_xlabel(f"position ({unit})")
        axes.set_ylabel(f"mean{track.unit}", y=1 - 0.5 / (1 + 0.16 * (len(lanes) + 0.7)))
        axes.grid(False)
        for tick in ticks:
            axes.axhline(tick, color=RULE, linewidth=0.6, zorder=0)

    extreme = track.extreme_name.capitalize()
    text = f"{extreme} and mean of {track.kind} along the longest contig, with regions marked below."
    height = 3.0 + 0.22 * len(lanes)
    rows = (0.7, height - 1.2)
    return inline_svg(draw, name=name, description=text, width_in=8.4, height_in=height, rows=rows)


def embedding_figure(embedded: EmbeddedRegions, classes: Sequence[str]) -> Markup:
    """Draw embeddings on their first two principal components, coloured by class."""
    first, second = (100 * share for share in embedded.explained)
    labels = (f"principal component 1 ({first:.1f}% of variance)", f"principal component 2 ({second:.1f}%)")
    text = "Embeddings of regions on their first two principal components, coloured by class of region."
    return _projection_figure(embedded.projection, embedded, classes, labels, "embeddings", text)


def umap_figure(embedded: EmbeddedRegions, classes: Sequence[str]) -> Markup:
    """Draw embeddings as UMAP places them, coloured by class."""
    assert embedded.umap is not None
    text = "Embeddings of regions as UMAP places them, coloured by class of region."
    return _projection_figure(embedded.umap, embedded, classes, ("UMAP 1", "UMAP 2"), "umap", text)


def _projection_figure(
    points: NDArray[np.float64],
    embedded: EmbeddedRegions,
    classes: Sequence[str],
    labels: tuple[str, str],
    name: str,
    text: str,
) -> Markup:
    """Draw one dot per region."""
    groups = _by_class(embedded.classes.tolist(), classes)

    def draw(axes: Axes) -> None:
        for row in sorted(range(len(groups)), key=lambda row: -len(groups[row])):  # rare classes on top
            x, y = points[groups[row]].T
            colour = _class_colour(row, classes)
            axes.scatter(x, y, s=15, color=colour, alpha=0.75, edgecolor=SURFACE, linewidth=0.3)
        axes.grid(True)
        axes.set_axisbelow(True)
        axes.set(xlabel=labels[0], ylabel=labels[1])
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_locator(MaxNLocator(6))

    return inline_svg(draw, name=name, description=text, width_in=6.6, height_in=4.2)


def _smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the centred running mean over a twentieth of the curve; the window is narrower at both ends."""
    half = max(1, len(values) // 40)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    first = np.maximum(np.arange(len(values)) - half, 0)
    last = np.minimum(np.arange(len(values)) + half + 1, len(values))
    return (sums[last] - sums[first]) / (last - first)


def _by_class(names: Iterable[str], classes: Sequence[str]) -> list[NDArray[np.int64]]:
    """Return the indices of the members of each class; a name that is no class counts with the last one."""
    rank = {name: number for number, name in enumerate(classes)}
    of_each = np.array([rank.get(name, len(classes) - 1) for name in names], dtype=np.int64)
    return [np.flatnonzero(of_each == number) for number in range(len(classes))]


def _class_index(region: ScoredRegion, classes: Sequence[str]) -> int:
    """Return the index of the class of a region; a class that is not listed counts as the last one."""
    return classes.index(region.class_name) if region.class_name in classes else len(classes) - 1


def _class_colour(number: int, classes: Sequence[str]) -> str:
    """Return the marker colour of a class: grey for "other", and for classes beyond the palette."""
    return MUTED if classes[number] == "other" or number >= len(SERIES) else SERIES[number]
