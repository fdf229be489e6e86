"""The exception tree of titans-dna.

Every error that a user can cause derives from one class, and each class is also the built-in that a caller would
expect:

    TitansDNAError (Exception)
    ├── FormatError (ValueError)              a file, line or string breaks its format
    ├── InputMissing (FileNotFoundError)      a file that was named is not there
    ├── IndexStale (ValueError)               an index does not fit the file that it indexes
    ├── ContigUnknown (KeyError)              a contig name that the sequence file does not have
    ├── ReferenceMismatch (ValueError)        REF differs from the sequence, or two references differ
    ├── ConfigError (ValueError)              options or settings that contradict each other
    ├── CheckpointError (ValueError)          a model directory that cannot be used
    └── OutputError (OSError)                 an output that cannot be written

A message is one line: where, what with its value, and the remedy. A bad record among good ones is data, not an
exception: readers report it in the record and go on.
"""

from __future__ import annotations

import os

__all__ = [
    "CheckpointError",
    "ConfigError",
    "ContigUnknown",
    "FormatError",
    "IndexStale",
    "InputMissing",
    "OutputError",
    "ReferenceMismatch",
    "TitansDNAError",
]


_LONGEST = 2000  # letters of a message: a value out of a damaged file may have megabytes


class TitansDNAError(Exception):
    """Say in one line where something is wrong, what it is, and what helps.

    Parameters
    ----------
    what
        What is wrong, with the offending value, and the remedy.
    path
        The file it concerns; printed in front as ``path: `` or ``path:line: ``.
    line
        Line of the file, counted from 1; printed only together with `path`.
    """

    def __init__(self, what: str, *, path: str | os.PathLike[str] | None = None, line: int | None = None) -> None:
        self.path = None if path is None else os.fspath(path)
        self.line = line
        self.what = _one_line(what)
        where = "" if self.path is None else _one_line(self.path) + ("" if line is None else f":{line}") + ": "
        self.message = where + self.what
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.__dict__)


class FormatError(TitansDNAError, ValueError):
    """A file, line or string breaks its format."""


class InputMissing(TitansDNAError, FileNotFoundError):  # noqa: N818
    """A file that was named is not there, or cannot be read."""


class IndexStale(TitansDNAError, ValueError):  # noqa: N818
    """An index does not fit the file that it indexes."""


class ContigUnknown(TitansDNAError, KeyError):  # noqa: N818
    """A contig name that the sequence file does not have under this name or any alias."""


class ReferenceMismatch(TitansDNAError, ValueError):  # noqa: N818
    """A REF allele differs from the sequence, or two references differ."""


class ConfigError(TitansDNAError, ValueError):
    """Options or settings that are out of range, or contradict each other."""


class CheckpointError(TitansDNAError, ValueError):
    """A model directory that is incomplete, damaged or of another version."""


class OutputError(TitansDNAError, OSError):
    """An output that cannot be written at the path that was given."""


def check_least(least: int, **numbers: int | None) -> None:
    """Refuse numbers that are too small; a number that is None was left out, and passes.

    Raises
    ------
    ConfigError
        If a number is below ``least``; the message names it.
    """
    for name, number in numbers.items():
        if number is not None and number < least:
            raise ConfigError(f"{name} is {number}; choose {least} or more")


def _one_line(text: str) -> str:
    """Escape line breaks and other control characters, so that a message stays one readable line."""
    if len(text) > _LONGEST:  # the start says what is wrong, the end what helps; between them stands a value
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _rebuild(kind: type[TitansDNAError], state: dict[str, object]) -> TitansDNAError:
    """Make the error again from its state (pickling across worker processes)."""
    error = kind.__new__(kind)
    error.__dict__.update(state)
    error.args = (state["message"],)
    return error
