"""Progress on standard error: a bar on a terminal, and elsewhere, as in the log of a job, a line from time to time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import click

from titans_dna.cli.terminal import raw_stderr

BAR_SECONDS = 2.0  # shorter work has no bar
LINE_SECONDS = 30.0  # between two lines at first; in long work they come at every twentieth of the time
_LINE_SHARE = 1 / 20

Advance = Callable[..., None]  # (count, total=None, note="")


@contextmanager
def progress_bar(label: str, total: int, unit: str = "b") -> Iterator[Advance]:
    """Yield a function that advances by so many of ``total`` units; it takes another total, and a note for lines."""
    if not sys.stderr.isatty():
        yield _lines(label, total, unit)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(file=raw_stderr()), transient=True)
    task = bar.add_task(label, total=total, rate="")
    started, done, shown = time.monotonic(), 0, False

    def advance(count: int, total: int | None = None, note: str = "") -> None:
        nonlocal done, shown
        done += count
        elapsed = time.monotonic() - started
        if not shown and elapsed > BAR_SECONDS:
            shown = True
            bar.start()
        bar.update(task, completed=done, total=total, rate=f"{done / max(elapsed, 1e-9):,.0f} {unit}/s")

    try:
        yield advance
    finally:
        bar.stop()


def _lines(label: str, whole: int, unit: str) -> Advance:
    """Return a function that advances, and that writes a line if the last one was long ago."""
    started = last = time.monotonic()
    done = told = 0

    def advance(count: int, total: int | None = None, note: str = "") -> None:
        nonlocal done, told, last, whole
        done, whole, now = done + count, total or whole, time.monotonic()
        if now - last < max(LINE_SECONDS, (now - started) * _LINE_SHARE):
            return
        # Since the last line, for a run that goes on begins with a leap over what an earlier one has done.
        rate = (done - told) / (now - last)
        last, told = now, done
        words = [f"{done:,} {unit}", f"{rate:,.0f} {unit}/s"]
        if rate and done <= whole:
            words[0] += f" of {whole:,} ({done / whole:.0%})"
            words.append(f"{timedelta(seconds=round((whole - done) / rate))} left")
        line = ", ".join([*words, *filter(None, [note])])
        click.echo(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {label}: {line}", err=True)

    return advance
