"""`titans-dna report`: one self-contained HTML page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from titans_dna.cli import options
from titans_dna.errors import ConfigError


@click.command("report")
@click.argument("files", nargs=-1, type=options.FILE)
@click.option(
    "--model",
    type=options.FILE,
    callback=options.find_model,
    help="Model directory written by `pretrain`, or 'default'.",
)
@click.option("--evaluation", type=options.FILE, help="JSON written by `evaluate`.")
@click.option("--classifier", type=options.FILE, help="finetune.json written by `finetune`.")
@options.results
@click.option("--generated", type=options.FILE, help="Take the table that `generate --table` wrote.")
@click.option("--explained", type=options.FILE, multiple=True, help="Take the table that `explain` wrote. Repeatable.")
@click.option(
    "--sample", "samples", type=options.FILE, multiple=True,
    help="JSON written by `statistics`; each is one row of a table over samples. Repeatable.",
)  # fmt: skip
@click.option(
    "--tracks", type=options.FILE, multiple=True, help="Tracks written by `score-regions --tracks`. Repeatable."
)
@click.option(
    "--label", default="", metavar="COLUMN",
    help="Colour embeddings by this column of their regions (contig, strand, outcome, ...) instead of by name.",
)  # fmt: skip
@click.option(
    "--labels", type=options.FILE, help="Table (TSV) with the columns name and COLUMN, from which --label is taken."
)
@click.option(
    "--link", default="", metavar="igv|ucsc:DB|URL",
    help="Genome viewer that coordinates link to; a URL holds {contig}, {start}, {end} (1-based). No links by default.",
)  # fmt: skip
@click.option("--title", default="titans-dna report", show_default=True, help="Heading of the page.")
@options.output("HTML file.")
def report(files: tuple[Path, ...], output: Path, title: str, link: str, **given: Any) -> None:
    """Write one self-contained HTML page about a run.

    The page needs no other file, no network and no JavaScript. Parts whose input is not given are left out.
    FILES are recognised by what they hold: variants, regions, tracks, embeddings, classes, copies,
    generated sequences, explained variants, figures, or the folder of a model.

    \b
    titans-dna report embeddings.h5 --label strand --output report.html
    titans-dna report --model model/ --evaluation evaluation.json --regions regions.tsv --output report.html
    """
    from titans_dna.io.disk.atomic import write_text
    from titans_dna.report.gather import ReportInputs, gather_inputs, part_of
    from titans_dna.report.page import link_pattern, render_page

    several = {part: list(given[part]) for part in ("tracks", "samples", "explained")}
    for path in files:
        part = part_of(path)
        # --track takes one file; further tracks among FILES go where --tracks puts them.
        if part == "track" and given[part]:
            part = "tracks"
        if part in several:
            several[part].append(path)
        elif given[part]:
            raise ConfigError(f"{path}: is a second file for {part}; give only one")
        else:
            given[part] = path
    given |= {part: tuple(paths) for part, paths in several.items()}
    inputs = ReportInputs(**given, folder=output.resolve().parent)
    page = render_page(gather_inputs(inputs), title=title, link=link_pattern(link))
    write_text(output, page)
