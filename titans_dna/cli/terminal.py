"""What a terminal shows: names in files may hold control characters, which must not reach it as commands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO


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
