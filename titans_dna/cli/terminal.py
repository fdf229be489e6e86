"""What a terminal and the log of a job show: plain text, progress, and the number of rows by outcome.

Names in files may hold control characters, which must not reach a terminal as commands. Progress is a bar on a
terminal, and elsewhere, as in the log of a job, a line from time to time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TextIO

import click

BAR_SECONDS = 2.0  # shorter work has no bar
LINE_SECONDS = 30.0  # between two lines at first; in long work they come at every twentieth of the time
_LINE_SHARE = 1 / 20
Advance = Callable[..., None]  # (count, total=None, note="")


class PlainText:
    """A text stream that writes control characters as escapes, such as ``\\x1b``, and is otherwise the one given.

    Parameters
    ----------
    raw
        The stream of the terminal.
    """

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw

    def write(self, text: str) -> int:
        """Write text of which only line breaks and tabs move the cursor."""
        if not isinstance(text, str):  # click tells binary streams from others by writing bytes
            raise TypeError("a stream of text takes str")
        shown = (c if c in "\n\t" or c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
        self.raw.write("".join(shown))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write lines in the same way."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


@contextmanager
def plain_terminal() -> Iterator[None]:
    """Let everything that is printed on a terminal meanwhile be plain text; files and pipes get what they got."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (PlainText(stream) if stream and stream.isatty() else stream for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def raw_stderr() -> TextIO:
    """Return standard error for what draws on it."""
    return sys.stderr.raw if isinstance(sys.stderr, PlainText) else sys.stderr


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


def number_of(count: int, one: str, several: str = "") -> str:
    """Return a number with its noun: ``1 contig``, ``2 contigs``; the plural ends in s where it is not given."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def report_outcomes(counts: Mapping[str, int]) -> None:
    """Print the number of rows by outcome, the most frequent outcome first, and then their total."""
    for outcome, number in [*sorted(counts.items(), key=lambda item: -item[1]), ("total", sum(counts.values()))]:
        click.echo(f"{outcome:<20} {number:>10,}", err=True)
