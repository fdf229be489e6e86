"""The log of a run: ``log.csv``, one line per step and evaluation, and TensorBoard events if asked for."""

from __future__ import annotations

import csv
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from titans_dna.errors import ConfigError, OutputError
from titans_dna.training.loop import LogRow

LOG, EVENTS = "log.csv", "events"
NAMES = [field.name for field in fields(LogRow)]


class RunLog:
    """Write the rows of a run as they come.

    Parameters
    ----------
    folder
        Of the model; made if need be.
    after_step
        Steps done when the run goes on: later lines, of steps that will be taken again, are dropped.
    tensorboard
        Whether to write events for TensorBoard into ``events/``.

    Raises
    ------
    ConfigError
        If TensorBoard is asked for and not installed.
    OutputError
        If the log cannot be written.
    """

    def __init__(self, folder: Path, *, after_step: int = 0, tensorboard: bool = False) -> None:
        self._events = _events(folder / EVENTS, after_step) if tensorboard else None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            kept = _rows(folder / LOG, after_step) if after_step else []
            self._file = (folder / LOG).open("w", newline="")
        except OSError as error:
            raise OutputError(
                f"cannot write the log: {error.strerror}. Choose another --output.", path=folder
            ) from error
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerows([NAMES, *kept])
        self._file.flush()

    def write(self, row: LogRow) -> None:
        """Add a row."""
        values = asdict(row)
        self._writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in values.values()])
        self._file.flush()
        if self._events:
            for name in ("bits_per_base", "learning_rate", "gradient_norm"):
                self._events.add_scalar(f"{row.split}/{name}", values[name], row.step)

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._events:
            self._events.close()


def _rows(path: Path, last_step: int) -> list[list[str]]:
    """Return the whole lines of an earlier log, up to a step."""
    if not path.is_file():
        return []
    lines = list(csv.reader(path.read_text().splitlines()))[1:]
    return [line for line in lines if len(line) == len(NAMES) and int(line[0]) <= last_step]


def _events(folder: Path, after_step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("TensorBoard is not installed; run: pip install 'titans-dna[watch]'") from error
    return SummaryWriter(str(folder), purge_step=after_step + 1 if after_step else None)
