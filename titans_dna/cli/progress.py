"""Progress bars on standard error, shown on a terminal only, and only for work of more than two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[..., None]  # (count, total=None)


@contextmanager
def progress_bar(label: str, total: int, unit: str = "b") -> Iterator[Advance]:
    """Yield a function that advances a bar of ``total`` units, and that may be given another total."""
    if not sys.stderr.isatty():
        yield lambda count, total=None: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(label, total=total, rate="")
    started, done, shown = time.monotonic(), 0, False

    def advance(count: int, total: int | None = None) -> None:
        nonlocal done, shown
        done += count
        elapsed = time.monotonic() - started
        if not shown and elapsed > 2.0:
            shown = True
            bar.start()
        bar.update(task, completed=done, total=total, rate=f"{done / max(elapsed, 1e-9):,.0f} {unit}/s")

    try:
        yield advance
    finally:
        bar.stop()
