"""What became of the rows of a run, on standard error."""

from __future__ import annotations

from collections.abc import Mapping

import click


def report_outcomes(counts: Mapping[str, int]) -> None:
    """Say how many rows have which outcome, the most frequent first, and how many there are."""
    for outcome, number in [*sorted(counts.items(), key=lambda item: -item[1]), ("total", sum(counts.values()))]:
        click.echo(f"{outcome:<20} {number:>10,}", err=True)
