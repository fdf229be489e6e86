"""``titans-dna statistics``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from titans_dna.cli import options


@click.command("statistics")
@click.option("--sample", required=True, help="Name of the sample.")
@options.results
@click.option(
    "--holdout",
    multiple=True,
    metavar="CONTIG",
    help="Contig that training never saw, rated apart from the others. Repeatable.",
)
@options.output("JSON file.")
def statistics(sample: str, holdout: tuple[str, ...], output: Path, **given: Any) -> None:
    """Count the results of one sample: outcomes, quantiles of scores, and how well scores separate known classes.

    Parts whose input is not given are left out. `titans-dna report --sample` puts such files into one table. A name
    that ends in _mqc.json makes a file that MultiQC finds by itself, and puts into its general table.

    \b
    titans-dna statistics --sample NA12878 --variants scored.vcf.gz --regions regions.tsv --output NA12878.json
    titans-dna statistics --sample NA12878 --variants scored.vcf.gz --output NA12878_mqc.json && multiqc .
    titans-dna report --sample NA12878.json --sample NA12891.json --output report.html
    """
    from titans_dna.cli.terminal import report_outcomes
    from titans_dna.io.disk.atomic import write_text
    from titans_dna.jobs.provenance import command_line
    from titans_dna.report.gather import ReportInputs, gather_inputs
    from titans_dna.report.multiqc import ENDING, multiqc_content
    from titans_dna.report.statistics import sample_statistics

    found = sample_statistics(sample, gather_inputs(ReportInputs(**given)), holdout)
    found["command"] = command_line()
    written = multiqc_content(found) if output.name.endswith(ENDING) else found
    write_text(output, json.dumps(written, indent=2, allow_nan=False) + "\n")
    for part in ("variants", "regions"):
        if part in found:
            click.echo(f"{part} of {sample}", err=True)
            report_outcomes(found[part]["outcomes"])
