"""`titans-dna report`: one self-contained HTML page about a run."""

from __future__ import annotations

from pathlib import Path

import click

from titans_dna.cli import options

__all__ = ["report"]


@click.command("report", short_help="Write one self-contained HTML page about a run.")
@click.option(
    "--model",
    type=options.FILE,
    callback=options.find_model,
    help="Model directory written by `pretrain`, or 'default'.",
)
@click.option("--evaluation", type=options.FILE, help="JSON written by `evaluate`.")
@click.option("--variants", type=options.FILE, help="VCF or BCF written by `score-variants`.")
@click.option("--truth-field", default="", metavar="ID", help="INFO field of the variants that holds their true class.")
@click.option(
    "--truth-positive", default="breaking", show_default=True, metavar="VALUE", help="The class to score high."
)
@click.option("--regions", type=options.FILE, help="Table written by `score-regions`.")
@click.option("--track", type=options.FILE, help="bigWig written by `score-regions --track`.")
@click.option("--embeddings", type=options.FILE, help="HDF5 file written by `embed`.")
@click.option("--title", default="titans-dna report", show_default=True, help="Heading of the page.")
@options.output("HTML file.")
def report(output: Path, title: str, truth_field: str, truth_positive: str, **paths: Path | None) -> None:
    """Write one self-contained HTML page about a run.

    The page needs no other file, no network and no JavaScript. Parts whose input is not given are left out.

    \b
    titans-dna report --model model/ --evaluation evaluation.json --regions regions.tsv --output report.html
    """
    from titans_dna.io.atomic import atomic_path
    from titans_dna.report.gather import ReportInputs, gather_inputs
    from titans_dna.report.page import render_page

    inputs = ReportInputs(truth_field=truth_field, truth_positive=truth_positive, **paths)
    page = render_page(gather_inputs(inputs), title=title)
    with atomic_path(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
