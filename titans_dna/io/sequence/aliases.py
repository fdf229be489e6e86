"""Alias files: which contig names mean the same contig.

Each line has the names of one contig, at least two, separated by tabs (or by blanks if the line has no tab). ``#``
begins a comment. UCSC's ``chromAlias.txt`` and plain two-column tables have this form. Empty columns are skipped.
"""

from __future__ import annotations

import os

from titans_dna.errors import FormatError
from titans_dna.io.disk.text import read_lines


def read_aliases(path: str | os.PathLike[str]) -> list[tuple[str, ...]]:
    """Read the groups of names, for `titans_dna.genome.contigs.ContigTable`.

    Raises
    ------
    InputMissing
        If the file is not there.
    FormatError
        If a line has a single name, or the file has no group.
    """
    groups = []
    for number, line in read_lines(path):
        if not line.strip() or line.startswith("#"):
            continue
        names = [name.strip() for name in (line.split("\t") if "\t" in line else line.split())]
        group = tuple(dict.fromkeys(name for name in names if name))
        if len(group) < 2 and len(names) < 2:
            raise FormatError(
                f"{line[:60]!r} is a single name. Write its other names beside it.", path=path, line=number
            )
        groups.append(group)
    if not groups:
        raise FormatError("holds no names. Write the names of one contig on each line.", path=path)
    return groups
