"""Checks the values of a configuration that was read from a file: their kinds, and sizes that no model has.

A dataclass takes any value, so text, NaN or 64.0 in the place of 64 would only be noticed deep in the model, and a
width of 10^9 when the memory of the machine is used up.
"""

from __future__ import annotations

import math
from dataclasses import MISSING, fields
from typing import Any

from titans_dna.errors import ConfigError

_MOST_ITEMS = 4096  # of a list
_MOST = {  # of whole numbers, by key; far above every size in `SIZES`
    "layers": 1024, "width": 1 << 16, "vocabulary": 1 << 20, "stem_tokens": 1 << 14, "context_buckets": 1 << 28,
    "expansion": 64, "depth": 64, "persistent_tokens": 1 << 16, "convolution_tokens": 1 << 12,
}  # fmt: skip
_MOST_ELSE = 1 << 32
_MOST_SHARE = 1024.0  # of fractions, such as feed_forward


def check_values(form: type, values: Any) -> dict[str, Any]:
    """Return the values of a dataclass that JSON gave, if each is of the kind of its default.

    Raises
    ------
    ConfigError
        If a key is unknown, or a value is of another kind, not finite, or too large.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"the settings of {form.__name__} are {_short(values)}; give them by name")
    known = {field.name: field.default for field in fields(form)}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"unknown configuration key {_short(name)}; was it made by a newer titans-dna?")
        default = known[name]
        if default is MISSING or default is None:  # a form of its own
            continue
        if isinstance(default, tuple):
            if not isinstance(value, tuple) or len(value) > _MOST_ITEMS:
                raise ConfigError(f"{name} is {_short(value)}; give a list of at most {_MOST_ITEMS:,}")
            for item in value if name != "further_memories" else ():
                _check_value(name, item, default[0] if default else 1)
        else:
            _check_value(name, value, default)
    return values


def _check_value(name: str, value: Any, default: Any) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(default, bool | str):
        if type(value) is not type(default):
            raise ConfigError(f"{name} is {_short(value)}; give {'true or false' if default in (0, 1) else 'text'}")
    elif isinstance(default, int):
        most = _MOST.get(name, _MOST_ELSE)
        if not whole or not 0 <= value <= most:
            raise ConfigError(f"{name} is {_short(value)}; give a whole number up to {most:,}")
    elif not (whole or isinstance(value, float)) or not math.isfinite(value) or abs(value) > _MOST_SHARE:
        raise ConfigError(f"{name} is {_short(value)}; give a number up to {_MOST_SHARE:g}")


def _short(value: Any) -> str:
    """Write a value in at most 60 letters; a whole number may have too many digits to be written at all."""
    if isinstance(value, int) and abs(value) > _MOST_ELSE**2:
        return "a very large number"
    text = repr(value) if not isinstance(value, dict | tuple) else f"a {'list' if isinstance(value, tuple) else 'map'}"
    return text if len(text) <= 60 else text[:57] + "..."
