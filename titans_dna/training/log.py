"""The log of a run: ``log.csv`` with one line per step and evaluation, and TensorBoard events if asked for.

``gates.csv`` has one line per memory for each evaluation, with statistics of its gates on held-out sequence. A memory
whose column ``writes`` has fallen to 0 is never used.
"""

from __future__ import annotations

import csv
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from titans_dna.errors import ConfigError, OutputError
from titans_dna.inference.gates import GateStatistics
from titans_dna.training.loop import LogRow

LOG, GATES, EVENTS = "log.csv", "gates.csv", "events"
NAMES = [field.name for field in fields(LogRow)]
GATE_NAMES = ["step", *(field.name for field in fields(GateStatistics))]


class RunLog:
    """Writes the rows of a run as they come.

    Parameters
    ----------
    folder
        Folder of the model; it is made if it does not exist.
    after_step
        Number of steps done, if the run goes on. Lines of later steps are dropped, since these steps are taken again.
    tensorboard
        Whether to write events for TensorBoard into ``events/``.

    Raises
    ------
    ConfigError
        If TensorBoard is asked for, but not installed.
    OutputError
        If the log cannot be written.
    """

    def __init__(self, folder: Path, *, after_step: int = 0, tensorboard: bool = False) -> None:
        self._events = _events(folder / EVENTS, after_step) if tensorboard else None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._log = _Lines(folder / LOG, NAMES, after_step)
            self._gates = _Lines(folder / GATES, GATE_NAMES, after_step)
        except OSError as error:
            raise OutputError(
                f"cannot write the log: {error.strerror}. Choose another --output.", path=folder
            ) from error

    def write(self, row: LogRow) -> None:
        """Write a row."""
        values = asdict(row)
        self._log.add([list(values.values())])
        if self._events:
            for name in ("bits_per_base", "learning_rate", "gradient_norm"):
                self._events.add_scalar(f"{row.split}/{name}", values[name], row.step)

    def write_gates(self, step: int, gates: list[GateStatistics]) -> None:
        """Write the statistics of all memories' gates at the evaluation after a step."""
        self._gates.add([[step, *asdict(memory).values()] for memory in gates])

    def close(self) -> None:
        """Close the files."""
        self._log.close()
        self._gates.close()
        if self._events:
            self._events.close()


class _Lines:
    """A CSV file whose first column is the step; lines of an earlier run up to ``after_step`` are kept."""

    def __init__(self, path: Path, names: list[str], after_step: int) -> None:
        kept = _rows(path, len(names), after_step) if after_step else []
        # Under another name first, so that a kill at this moment does not lose the log.
        partial = path.with_name(f".{path.name}.partial")
        with partial.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([names, *kept])
        partial.replace(path)
        self._file = path.open("a", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")

    def add(self, rows: list[list[Any]]) -> None:
        """Write rows and flush them, so that they are not lost if the run is killed."""
        self._writer.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in row] for row in rows)
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _rows(path: Path, columns: int, last_step: int) -> list[list[str]]:
    """Return the complete lines of an earlier log, up to a step; a kill may have cut the last one."""
    if not path.is_file():
        return []
    lines = list(csv.reader(path.read_text().splitlines()))[1:]
    return [line for line in lines if len(line) == columns and int(line[0]) <= last_step]


def _events(folder: Path, after_step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("TensorBoard is not installed; run: pip install 'titans-dna[watch]'") from error
    return SummaryWriter(str(folder), purge_step=after_step + 1 if after_step else None)
