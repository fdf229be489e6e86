"""The values of INFO that belong to one ALT of a record.

A key with one value for each ALT (Number=A), two for each (Number=. of ``CIPOS``), or one for the record (Number=1) is
read alike: if there are as many values as ALTs, each has its own; if there is one (or one pair), all have it. Values
that do not fit are taken as missing, and so are ``.`` and numbers that cannot be read.

Specification: VCFv4.4, section 3; in 4.2 and 4.3 the same keys have one value or pair for each record.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}", re.ASCII)  # fits into 64 bits


@dataclass(frozen=True, kw_only=True, slots=True)
class AlleleInfo:
    """INFO as one ALT has it."""

    info: Mapping[str, str]  # the text of each key
    place: int = 0  # number of the ALT, from 0
    count: int = 1  # ALTs of the record

    def has(self, key: str) -> bool:
        """Tell whether a flag or a key is there."""
        return key in self.info

    def all(self, key: str) -> list[str]:
        """Return all values of a key, for whichever ALT."""
        return self.info[key].split(",") if self.info.get(key, "") not in ("", ".") else []

    def text(self, key: str) -> str:
        """Return this ALT's value; ``""`` if it is missing."""
        values = self.all(key)
        at = self.place if len(values) == self.count else 0 if len(values) == 1 else None
        return "" if at is None or values[at] == "." else values[at]

    def integer(self, key: str) -> int | None:
        """Return this ALT's value as an integer; None if it is missing or no integer."""
        return as_integer(self.text(key))

    def number(self, key: str) -> float | None:
        """Return this ALT's value as a number; None if it is missing or not finite."""
        return as_number(self.text(key))

    def pair(self, key: str) -> tuple[int, int] | None:
        """Return this ALT's pair, such as an interval of confidence; None if it is missing, 0 for a missing half."""
        values = self.all(key)
        at = 2 * self.place if len(values) == 2 * self.count else 0 if len(values) == 2 else None
        if at is None:
            return None
        low, high = (0 if value == "." else as_integer(value) for value in values[at : at + 2])
        return None if low is None or high is None else (low, high)


def as_integer(text: str) -> int | None:
    """Return the integer that a text is; None if it is none, or has more than 18 digits."""
    return int(text) if _INTEGER.fullmatch(text) else None


def as_number(text: str) -> float | None:
    """Return the finite number that a text is; None if it is none."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None
