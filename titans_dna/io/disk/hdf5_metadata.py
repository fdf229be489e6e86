"""What HDF5 files hold beside numbers: text by key, and the names of contigs.

A text is an attribute or, if it is too long for one, a dataset in the group `LONG`.

Names of contigs are names of groups, which cannot have a ``/`` and give ``.`` a meaning of its own. Such a name is
written with percent signs (``a/b`` as ``a%2Fb``, and ``%`` as ``%25``), and the group has the true name as the
attribute ``contig``. All other names stay as they are, and so do those of files that were made before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from titans_dna.io.disk.hdf5_reader import dataset, find

LONG = "titans_dna_metadata"  # group of the texts that are too long for an attribute
ATTRIBUTE_BYTES = 60_000  # an attribute holds at most 64 kB, its name included
NAME = "contig"  # attribute of the true name


def write_metadata(file: Any, metadata: Mapping[str, str]) -> None:
    """Write text by key to an open HDF5 file."""
    for key, text in metadata.items():
        if len(text.encode()) <= ATTRIBUTE_BYTES:
            file.attrs[key] = text
        else:
            # Without times, equal contents give equal bytes.
            file.create_dataset(f"{LONG}/{key}", data=text, track_times=False)


def read_metadata(file: Any) -> dict[str, str]:
    """Return what ``write_metadata`` wrote, and every other attribute as text."""
    found = {key: str(value) for key, value in file.attrs.items()}
    return found | {key: dataset(file, f"{LONG}/{key}", "O", ndim=0).asstr()[()] for key in find(file, LONG) or ()}


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
        If the contig has no such dataset.
    """
    name = group_name(contig)
    return dataset(file, f"{contig if find(file, name) is None else name}/{kind}", "f")


def contig_of(name: str, group: Any) -> str:
    """Return the contig of a group of this name."""
    return str(group.attrs.get(NAME, name))
