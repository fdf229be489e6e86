"""Reads figures in JSON, as evaluate, finetune and statistics write them, as a table of names and numbers.

A nested figure is named by all keys that lead to it, joined by dots: ``variants.outcomes.scored``. Texts are metadata.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from titans_dna.errors import FormatError
from titans_dna.io.tables.score_table import Column
from titans_dna.io.tables.score_table_reader import Scores


def open_figures(path: str | os.PathLike[str]) -> Scores:
    """Open a file of figures.

    Raises
    ------
    FormatError
        If the file holds no JSON object.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"is no JSON ({error}). Make it again.", path=path) from None
    if not isinstance(found, dict):
        raise FormatError("holds no JSON object. Make it again.", path=path)
    flat = dict(_flat(found, ""))
    rows = [{"figure": name, "value": float(v)} for name, v in flat.items() if not isinstance(v, str)]
    # JSON can hold half a character, which no terminal and no file can take.
    metadata = {
        n: text.encode("utf-8", "backslashreplace").decode() for n, text in flat.items() if isinstance(text, str)
    }
    columns = (Column("figure", "text"), Column("value", "score"))
    return Scores(path=Path(path), columns=columns, metadata=metadata, read=lambda _: rows)


def _flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield names and single values; an unknown value is nan."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value, 1) if isinstance(value, list) else None
    if pairs is None:
        yield name, float("nan") if value is None else value
        return
    for key, inner in pairs:
        yield from _flat(inner, f"{name}.{key}" if name else str(key))
