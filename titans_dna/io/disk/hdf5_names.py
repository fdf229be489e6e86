"""Names of contigs as names of HDF5 groups, which cannot have a ``/`` and give ``.`` a meaning of its own.

Such a name is written with percent signs (``a/b`` as ``a%2Fb``, and ``%`` as ``%25``), and the group has the true name
as the attribute ``contig``. All other names stay as they are, and so do those of files that were made before.
"""

from __future__ import annotations

from typing import Any

from titans_dna.io.disk.hdf5_metadata import LONG
from titans_dna.io.disk.hdf5_reader import dataset, find

NAME = "contig"  # attribute of the true name


def group_name(contig: str) -> str:
    """Return the name of a contig's group.

    Examples
    --------
    >>> group_name("chr1"), group_name("a/b%"), group_name("..")
    ('chr1', 'a%2Fb%25', '%2E%2E')
    """
    text = contig.replace("%", "%25").replace("/", "%2F")
    if not contig.strip(".") or contig == LONG:
        return "".join(f"%{ord(letter):02X}" for letter in text)
    return text


def new_group(file: Any, contig: str) -> Any:
    """Make the group of a contig."""
    name = group_name(contig)
    group = file.create_group(name)
    if name != contig:
        group.attrs[NAME] = contig
    return group


def dataset_of(file: Any, contig: str, kind: str) -> Any:
    """Return a dataset of numbers in the group of a contig.

    Raises
    ------
    FormatError
        If there is none.
    """
    name = group_name(contig)
    return dataset(file, f"{contig if find(file, name) is None else name}/{kind}", "f")


def contig_of(name: str, group: Any) -> str:
    """Return the contig of a group of this name."""
    return str(group.attrs.get(NAME, name))
