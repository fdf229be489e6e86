"""How many rows of a run have which outcome, told on standard error."""

from __future__ import annotations

from collections.abc import Mapping

import click


def report_outcomes(counts: Mapping[str, int]) -> None:
    """Print the number of rows by outcome, the most frequent outcome first, and then their total."""
    for outcome, number in [*sorted(counts.items(), key=lambda item: -item[1]), ("total", sum(counts.values()))]:
        click.echo(f"{outcome:<20} {number:>10,}", err=True)
