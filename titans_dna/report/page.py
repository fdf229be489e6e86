"""The report as one HTML page: a jinja2 template with text and tables, figures as inline SVG, no other resources.

Coordinates can link to a genome viewer; the page itself loads nothing from there.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from functools import partial
from importlib import resources
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from titans_dna.errors import ConfigError
from titans_dna.report import figures, summaries
from titans_dna.report.explanation import explanation_figure
from titans_dna.report.gather import ReportData
from titans_dna.report.regions import OTHER, EmbeddedRegions, main_classes
from titans_dna.report.svg import series_variable
from titans_dna.report.track import describe_track
from titans_dna.version import __version__

MOST_CLASSES = 8  # columns in the table of classes
MOST_REGIONS = 8  # rows in each of the two tables of regions
IGV = "http://localhost:60151/goto?locus={contig}:{start}-{end}"  # IGV on the reader's machine listens on this port
UCSC = "https://genome.ucsc.edu/cgi-bin/hgTracks?db={database}&position={contig}:{start}-{end}"
AROUND_BP = 50  # bases shown on either side of what is linked


def render_page(data: ReportData, *, title: str = "titans-dna report", link: str = "") -> str:
    """Return the report as an HTML document that needs no other file, no network and no JavaScript.

    The same data give the same text. All text from input files is escaped.

    Parameters
    ----------
    data
        What `gather_inputs` returned.
    title
        Heading of the page.
    link
        Address of a genome viewer, as `titans_dna.report.page.link_pattern` returns it; empty for no links.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": _count,
        "signed": partial(_fixed, sign="+"),
        "fixed": _fixed,
        "visible": _visible,
        "size": _size,
    }
    environment.filters["breakable"] = _breakable
    page = environment.get_template("template.html").render(
        title=title,
        data=data,
        version=__version__,
        address=partial(link_address, link),
        outcome_words=summaries.OUTCOMES,
        variable=series_variable,
        most_classes=MOST_CLASSES,
        held_out=data.run.held_out if data.run else (),
        copies_svg=figures.copies_figure(data.copies) if data.copies and data.copies.drawn else "",
        explanations=[
            (each, explanation_figure(each.bases, f"explained{number}"))
            for number, each in enumerate(data.explained.shown if data.explained else (), 1)
        ],
        **_run_context(data),
        **_variant_context(data),
        **_region_context(data),
        probability_svg=figures.probability_figure(data.predicted.probabilities, len(data.predicted.classes))
        if data.predicted and len(data.predicted.probabilities)
        else "",
    )
    return page.rstrip() + "\n"


def _run_context(data: ReportData) -> dict[str, Any]:
    """Return what the template says about provenance, training and evaluation."""
    context: dict[str, Any] = {"provenance": [], "settings": [], "training_svg": "", "baseline_svg": ""}
    context["context_svg"] = ""
    best = data.evaluation.best_baseline if data.evaluation else None
    if data.run:
        context["provenance"] = summaries.provenance(data.run)
        context["settings"] = list(summaries.flattened(data.run.config))
        if data.run.curves:
            context["training_svg"] = figures.training_figure(data.run.curves, best.bits_per_base if best else None)
        if data.run.context:
            context["context_svg"] = figures.context_figure(data.run.context)
    if data.evaluation:
        context["baseline_svg"] = figures.baseline_figure(data.evaluation)
    return context


def _variant_context(data: ReportData) -> dict[str, Any]:
    """Return the distributions of scores and, where classes are known, the ROC curves and their areas."""
    context: dict[str, Any] = dict.fromkeys(("groups", "legend_of_groups", "legend_of_curves", "truth"), ())
    context |= {"score_svg": "", "roc_svg": "", "calibration_svg": "", "calibrations": ()}
    if data.variants is None or not len(data.variants.llr):
        return context
    context["groups"] = groups = summaries.score_groups(data.variants, data.truth_positive)
    context["legend_of_groups"] = [
        (f"{name} ({len(values):,})", series_variable(number)) for number, (name, values) in enumerate(groups)
    ]
    context["score_svg"] = figures.score_figure(groups)
    named = (("TD_QUANTILE", data.variants.quantiles), ("TD_P", data.variants.p_values))
    if given := [(name, values) for name, values in named if len(values)]:
        context["calibrations"] = [(name, len(v), summaries.low_values(name, v)) for name, v in given]
        context["legend_of_calibrations"] = [(name, series_variable(n)) for n, (name, _) in enumerate(given)]
        context["calibration_svg"] = figures.calibration_figure(given)
    holdout = data.run.held_out if data.run else ()
    context["truth"] = truth = summaries.truth_rows(data.variants, data.truth_positive, holdout)
    wanted = (summaries.HELD_OUT, summaries.TRAINED_ON)
    # Held-out contigs beside the others show whether the model only remembers; without a holdout one curve is enough.
    curves = [row for row in truth if row.group in wanted] or truth[:1]
    context["legend_of_curves"] = [
        (f"{row.group}: AUROC {row.area:.3f}", series_variable(number + 2)) for number, row in enumerate(curves)
    ]
    context["roc_svg"] = figures.roc_figure([(row.scores, row.labels) for row in curves]) if curves else ""
    return context


def _region_context(data: ReportData) -> dict[str, Any]:
    """Return scored regions, tracks and embeddings; a class has the same colour in all of them."""
    rows = data.regions.rows if data.regions else ()
    scored = data.regions.scored if data.regions else ()
    named = data.embedded.classes.tolist() if data.embedded and not data.embedded.label else []
    classes = main_classes([*(row.class_name for row in scored), *named])
    context: dict[str, Any] = {"region_svg": "", "track_svgs": [], "least": (), "most": ()}
    if scored:
        context["region_svg"] = figures.region_figure(scored, classes)
        # At most half of the regions in each table, so that none stands in both unless it is the only one.
        shown = min(MOST_REGIONS, max(1, len(scored) // 2))
        context["least"], context["most"] = scored[:shown], scored[::-1][:shown]
    for number, track in enumerate(data.tracks):
        name = f"track{number or ''}"
        words = describe_track(track.kind)
        context["track_svgs"].append((track, words, figures.track_figure(track, rows, classes, name)))
    return context | _embedding_context(data.embedded, classes)


def _embedding_context(embedded: EmbeddedRegions | None, classes: Sequence[str]) -> dict[str, Any]:
    """Return the projections of embeddings; a column of labels has classes, and so colours, of its own."""
    if embedded and embedded.label:
        classes = main_classes(embedded.classes.tolist())
    context: dict[str, Any] = {"embedding_svg": "", "umap_svg": ""}
    context["classes_of_embedded"] = len(set(embedded.classes.tolist())) if embedded else 0
    context["legend"] = [
        (name, "--muted" if name == OTHER else series_variable(number)) for number, name in enumerate(classes)
    ]
    if embedded and embedded.shown > 1:
        context["embedding_svg"] = figures.embedding_figure(embedded, classes)
        if embedded.umap is not None:
            context["umap_svg"] = figures.umap_figure(embedded, classes)
    return context


def _template(name: str) -> str:
    """Return the text of a template that lies beside this module."""
    return resources.files("titans_dna.report").joinpath(name).read_text(encoding="utf-8")


def _count(value: object) -> str:
    """Write an integer with separators of thousands, and anything else as it is."""
    return f"{value:,}" if isinstance(value, int) else str(value)


def _fixed(value: float, digits: int, sign: str = "") -> str:
    """Write a number with this many digits after the point and a real minus sign, and nan as a dash."""
    return f"{value:{sign}.{digits}f}".replace("-", "−") if math.isfinite(value) else "–"


def _size(value: int) -> str:
    """Write a file size in units of powers of 1,000 bytes."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:.1f} {unit}"
    return f"{value} bytes"


def _breakable(text: object) -> Markup:
    """Return the text escaped for HTML, with places for a line break after punctuation within long names."""
    return Markup("<wbr>").join(Markup.escape(part) for part in re.split(r"(?<=[._:;/|=])(?=\w)", _visible(text)))


def _visible(text: object) -> str:
    """Replace control and formatting characters, with which a name could change the page around it."""
    # Escaping is not enough: a right-to-left mark in a contig name, say, would turn the text around it (Unicode
    # category C holds controls, formats and unassigned characters).
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(char)[0] == "C" else char for char in str(text))


def link_pattern(text: str) -> str:
    """Return the address that ``--link`` asks for, with the fields ``{contig}``, ``{start}`` and ``{end}`` in it.

    Parameters
    ----------
    text
        ``igv``, ``ucsc:DB``, any other http address with these fields, or empty for no links.

    Raises
    ------
    ConfigError
        If the text is none of these.

    Examples
    --------
    >>> link_pattern("ucsc:hg38")
    'https://genome.ucsc.edu/cgi-bin/hgTracks?db=hg38&position={contig}:{start}-{end}'
    """
    if text in ("", "igv"):
        return IGV if text else ""
    if match := re.fullmatch(r"ucsc:(\w+)", text):
        return UCSC.replace("{database}", match[1])
    fields = re.findall(r"\{(.*?)\}", text)
    if re.match(r"https?://", text) and {"contig", "start"} <= set(fields) <= {"contig", "start", "end"}:
        return text
    raise ConfigError(f"link is {text!r}; give igv, ucsc:DB, or an http address with {{contig}}, {{start}} and {{end}}")


def link_address(pattern: str, contig: str, start: int, end: int) -> str:
    """Return the address at which a viewer shows some bases, with a margin of `AROUND_BP` on both sides.

    Parameters
    ----------
    pattern
        What `link_pattern` returned; an empty pattern gives an empty address.
    contig
        Name of the sequence.
    start, end
        The bases, 0-based half-open; the fields of the address are 1-based with the end included.

    Examples
    --------
    >>> link_address("http://x/{contig}:{start}-{end}", "HLA A*01", 999, 1000)
    'http://x/HLA%20A%2A01:950-1050'
    """
    bounds = {"{start}": str(max(1, start + 1 - AROUND_BP)), "{end}": str(end + AROUND_BP)}
    bounds["{contig}"] = quote(contig, safe="")
    return re.sub(r"\{(contig|start|end)\}", lambda match: bounds[match[0]], pattern)
