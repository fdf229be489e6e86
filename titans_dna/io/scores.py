"""Scores of every kind, opened by one function: variants, regions, tracks, changes of bases, classes, figures.

with_scores = open_scores("scored.vcf.gz")
with_scores.columns, with_scores.metadata      # what there is, and what made it
for row in with_scores: ...                    # row by row, at constant memory
with_scores.to_pandas()                        # all at once
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from titans_dna.errors import FormatError, TitansDNAError
from titans_dna.io.formats import HOLDS, require_package, sniff
from titans_dna.io.tables.score_table_reader import Scores


def open_scores(path: str | os.PathLike[str], *, info: Sequence[str] = ()) -> Scores:
    """Open what score-variants, score-regions, mutagenesis, predict, tokenize, evaluate or statistics has written.

    Parameters
    ----------
    path
        The file. Its bytes say what it is.
    info
        INFO fields of a VCF that are wanted too, as columns of text; a table has all its columns anyway.

    Raises
    ------
    InputMissing
        If the file is not there.
    FormatError
        If it holds no scores.
    OutputError
        If a package that reads it is not installed.
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
        raise FormatError(f"holds no scores: no column bears the name of one. It has {names}.", path=path)
    return table
