"""Keeps regions on disk, as columns, from the reading of the input to the writing of the output: there may be many."""

from __future__ import annotations

import hashlib
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from titans_dna.inference.placing import PlacedRegion
from titans_dna.io.disk.atomic import disk_errors
from titans_dna.jobs.haplotypes import PLACE, place_on_haplotype

ROWS = 1 << 14  # regions in a block
TEXT = ("contig", "strand", "name", "outcome")

Columns = dict[str, np.ndarray[Any, np.dtype[Any]]]


class RegionSpool:
    """Regions in an unnamed temporary file, as the columns of /regions in a file of embeddings; may be read repeatedly.

    Text is UTF-8 of a fixed width. The outcome is that of `PlacedRegion`. Regions on haplotypes also have the columns
    of `titans_dna.jobs.haplotypes.PLACE`; either all regions are such or none.
    """

    def __init__(self) -> None:
        self.rows, self.text_bytes = 0, {"contig": 0, "name": 0}  # bytes of the longest text so far
        self.further: tuple[str, ...] = ()  # columns of haplotypes
        self._digest, self._blocks = hashlib.sha256(), 0
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the spool
        weakref.finalize(self, self._file.close)

    @property
    def digest(self) -> str:
        """SHA-256 over all regions so far, in their order."""
        return self._digest.hexdigest()

    def append(self, regions: Sequence[PlacedRegion]) -> None:
        """Append a block: `ROWS` regions, or fewer if it is the last one."""
        asked = [region.asked for region in regions]
        columns: Columns = {key: np.array([getattr(place, key) for place in asked], "<i8") for key in ("start", "end")}
        text = {
            "contig": [region.written_contig for region in regions],
            "strand": [place.strand for place in asked],
            "name": [place.name for place in asked],
            "outcome": [region.outcome for region in regions],
        }
        columns |= {key: np.array([value.encode() for value in values], "S") for key, values in text.items()}
        if regions and regions[0].haplotype:
            self.further = PLACE
            places = [place_on_haplotype(region) for region in regions]
            columns |= {key: np.array([place[key] for place in places], "<i8") for key in PLACE}
        with disk_errors(f"{tempfile.gettempdir()} (see TMPDIR)"):
            for key, values in columns.items():
                self._digest.update(f"{key}{values.dtype}".encode() + values.tobytes())
                np.save(self._file, values)
        for key, longest in self.text_bytes.items():
            self.text_bytes[key] = max(longest, columns[key].dtype.itemsize)
        self.rows, self._blocks = self.rows + len(regions), self._blocks + 1

    def blocks(self) -> Iterator[tuple[int, Columns]]:
        """Yield the number of the first row of each block, and its columns."""
        self._file.seek(0)
        row = 0
        for _ in range(self._blocks):
            columns = {key: np.load(self._file, allow_pickle=False) for key in ("start", "end", *TEXT, *self.further)}
            yield row, columns
            row += len(columns["start"])
