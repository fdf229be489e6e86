"""Opens scores of every kind by one function: variants, regions, tracks, changes of bases, classes, figures.

For example::

    scores = open_scores("scored.vcf.gz")
    scores.columns, scores.metadata      # what there is, and how it was made
    for row in scores: ...               # row by row, at constant memory
    scores.to_pandas()                   # all at once
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from titans_dna.errors import FormatError, TitansDNAError
from titans_dna.io.formats import HOLDS, require_package, sniff
from titans_dna.io.tables.score_table_reader import Scores


def open_scores(path: str | os.PathLike[str], *, info: Sequence[str] = ()) -> Scores:
    """Open a file of score-variants, score-regions, mutagenesis, predict, tokenize, evaluate or statistics.

    Parameters
    ----------
    path
        The file; its format is recognised by its bytes.
    info
        INFO fields of a VCF to read as further columns of text; of a table all columns are read anyway.

    Raises
    ------
    InputMissing
        If the file is not there.
    FormatError
        If the file holds no scores.
    OutputError
        If a package that is needed to read it is not installed.
    """
    found = sniff(path)
    if found is None or not found.reader or found.holds == "embeddings":
        what = f"holds {HOLDS[found.holds]}, no scores" if found else "is of no format that titans-dna writes"
        remedy = "Open it with open_embeddings" if found and found.holds == "embeddings" else "Give a file of scores"
        raise FormatError(f"{what}. {remedy}.", path=path)
    require_package(found, path)
    try:
        reader = found.load_reader()
        table: Scores = reader(path, info) if found.holds == "variants" else reader(path)
    except TitansDNAError:
        raise
    except (OSError, KeyError, ValueError) as error:
        raise FormatError(f"is no table of scores ({error}). Make it again.", path=path) from None
    scored = any(column.kind == "score" or column.name == "outcome" for column in table.columns)
    if not table.metadata and not scored:  # any text with tabs in it can be read as a table
        names = ", ".join(column.name for column in table.columns[:8])
        raise FormatError(f"holds no scores: no column has the name of a score. It has {names}.", path=path)
    return table


def open_holding(path: str | os.PathLike[str], holds: str, verb: str) -> Scores:
    """Open a file that must hold what ``verb`` writes.

    Raises
    ------
    InputMissing
        If the file is not there.
    FormatError
        If the file holds something else.
    """
    found = sniff(path)
    if found is None or found.holds != holds:
        raise FormatError(f"holds no {HOLDS[holds]}. Write it with `{verb}`.", path=path)
    return open_scores(path)
