"""Text by key in an HDF5 file: as attributes or, if it is too long for one, as datasets in the group `LONG`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from titans_dna.io.disk.hdf5_reader import dataset, find

LONG = "titans_dna_metadata"  # group of the texts that are too long for an attribute
ATTRIBUTE_BYTES = 60_000  # an attribute holds at most 64 kB, its name included


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
