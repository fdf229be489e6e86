"""Refuses numbers that are too small, before any work is done."""

from __future__ import annotations

from titans_dna.errors import ConfigError


def check_least(least: int, **numbers: int | None) -> None:
    """Refuse numbers below the least; None is one that was left out.

    Raises
    ------
    ConfigError
        If there is one; it is named.
    """
    for name, number in numbers.items():
        if number is not None and number < least:
            raise ConfigError(f"{name} is {number}; choose {least} or more")
