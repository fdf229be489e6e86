"""Reads a file of embeddings into memory, as a pandas frame or as AnnData."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from titans_dna.errors import ConfigError
from titans_dna.io.embeddings.writer import COLUMNS

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd

    from titans_dna.io.embeddings.reader import Embeddings


def embeddings_frame(embeddings: Embeddings) -> pd.DataFrame:
    """Return a frame with one row per region: contig, start, end (0-based half-open), strand, name, outcome, vector.

    The numbers of the vector are columns ``e0``, ``e1``, ...; in a file with one vector per base, the column
    ``embedding`` holds an array (bases, width) for each region. The frame's ``attrs`` say how the vectors were made.

    Raises
    ------
    ConfigError
        If pandas is not installed.
    """
    pandas = _load("pandas", "pandas")
    table = pandas.DataFrame({name: embeddings.column(name) for name in COLUMNS})
    if embeddings.ragged:
        table["embedding"] = [embeddings[row] for row in range(len(embeddings))]
    else:
        names = [f"e{number}" for number in range(embeddings.width)]
        table = pandas.concat([table, pandas.DataFrame(embeddings.vectors(), columns=names)], axis=1)
    table.attrs.update(embeddings.attributes)
    return table


def embeddings_anndata(embeddings: Embeddings) -> ad.AnnData:
    """Return AnnData, as `titans-dna convert` writes it: vectors in ``X``, regions in ``obs``, attributes in ``uns``.

    Raises
    ------
    ConfigError
        If anndata is not installed, or the file has one vector per base.
    """
    if embeddings.ragged:
        raise ConfigError(f"{embeddings.path}: has one vector per base, which AnnData cannot hold. Use to_pandas.")
    parts = anndata_parts(embeddings)
    return _load("anndata", "convert").AnnData(X=embeddings.vectors(), **parts)


def anndata_parts(embeddings: Embeddings) -> dict[str, Any]:
    """Return ``obs``, ``var`` and ``uns`` of AnnData made of embeddings."""
    pandas = _load("pandas", "pandas")
    table = pandas.DataFrame({name: embeddings.column(name) for name in COLUMNS})
    table.index = table.index.astype(str)
    names = pandas.DataFrame(index=[str(number) for number in range(embeddings.width)])
    contigs = embeddings.contigs
    lengths, sums = [pair[0] for pair in contigs.values()], [pair[1] for pair in contigs.values()]
    found = pandas.DataFrame({"length": lengths, "md5": sums}, index=pandas.Index(list(contigs), dtype=object))
    return {"obs": table, "var": names, "uns": {"titans_dna": embeddings.attributes, "contigs": found}}


def _load(name: str, extra: str) -> Any:
    """Import an optional package."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"{name} is not installed. Run: pip install 'titans-dna[{extra}]'") from error
