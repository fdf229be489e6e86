"""pandas, which is optional: asked for where a frame is made, and never loaded for anything else."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from titans_dna.errors import ConfigError, FormatError
from titans_dna.io.scores import open_scores

if TYPE_CHECKING:
    from types import ModuleType

    import pandas as pd


def require_pandas() -> ModuleType:
    """Import pandas.

    Raises
    ------
    ConfigError
        If pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise ConfigError(
            "a frame needs pandas, which is not installed. Run: pip install 'titans-dna[pandas]'"
        ) from error
    return pandas


def frame_of(name: str, write: Callable[[Path], object]) -> pd.DataFrame:
    """Return as a frame what a job writes into a file of this name."""
    require_pandas()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return frame_of_file(Path(folder) / name)


def frame_of_file(path: Path) -> pd.DataFrame:
    """Return the scores in a file as a frame, without the command line among its metadata: a notebook has none."""
    require_pandas()
    frame = open_scores(path).to_pandas()
    frame.attrs.pop("command", None)
    return frame


def is_frame(given: object) -> TypeGuard[pd.DataFrame]:
    """Tell whether something is a pandas frame, without loading pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(given, pandas.DataFrame)


def find_column(frame: pd.DataFrame, names: Iterable[str], *, needed: bool = True) -> Any:
    """Return the first column with one of these names, in upper or lower case; None if an optional one is missing.

    Raises
    ------
    FormatError
        If a column that is needed is missing.
    """
    names = tuple(names)
    places = {str(column).lower(): place for place, column in reversed(list(enumerate(frame.columns)))}
    for name in names:
        if name in places:
            return frame.iloc[:, places[name]]
    if needed:
        shown = ", ".join(map(str, list(frame.columns)[:8])) or "none"
        raise FormatError(f"the frame has no column {' or '.join(names)}; it has {shown}. Rename a column.")
    return None


def is_missing(value: object) -> bool:
    """Tell whether a cell is empty: None, nan, or what pandas calls missing."""
    return value is None or value != value or type(value).__name__ in ("NAType", "NaTType")
