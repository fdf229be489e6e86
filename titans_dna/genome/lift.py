"""Coordinates of a reference turned into those of a haplotype that differs from it, and back.

Both are 0-based half-open. A place is a border between two bases, so an interval is lifted by its two borders. Three
rules make neighbouring intervals of the reference neighbours on the haplotype, with no base lost or read twice:

* inserted bases belong to the base before them, as in VCF; those before the first base of a contig to that first base;
* a border inside a deletion, or at one of its ends, is the one place that is left of it, so an interval whose bases are
  all deleted becomes empty;
* where REF and ALT have different lengths and no base in common, their bases are paired from the left, and what is left
  of the longer one is deleted or inserted at the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

Places = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True, eq=False)
class Lift:
    """What a haplotype has in place of stretches of one contig; arrays (changes,) int64, sorted, without overlap.

    Examples
    --------
    >>> lift = Lift.of(10, [(3, 5, 0), (8, 8, 2)])  # two bases deleted, and two inserted before base 8
    >>> lift.length_bp, lift.to_haplotype(0, 8), lift.to_haplotype(3, 5), lift.to_reference(3, 8)
    (10, (0, 8), (3, 3), (5, 8))
    """

    reference_bp: int  # bases of the contig
    starts: Places  # on the reference
    ends: Places
    own_starts: Places  # on the haplotype
    own_ends: Places

    @classmethod
    def of(cls, reference_bp: int, changes: Iterable[tuple[int, int, int]]) -> Lift:
        """Make a lift of changes from left to right: start, end, and how many bases stand in their place."""
        table = np.array(list(changes), np.int64).reshape(-1, 3)
        starts, ends, bases = table.T
        # Each change shifts what lies behind it, so its own start is moved by those before it.
        shifts = np.cumsum(bases - (ends - starts))
        own_ends = ends + shifts
        return cls(reference_bp, starts, ends, own_ends - bases, own_ends)

    @property
    def length_bp(self) -> int:
        """Bases of the haplotype."""
        shift = int(self.own_ends[-1] - self.ends[-1]) if len(self.ends) else 0
        return self.reference_bp + shift

    def to_haplotype(self, start: int, end: int) -> tuple[int, int]:
        """Return where an interval of the reference lies on the haplotype; empty if all its bases are deleted."""
        places = _moved(np.array([start, end]), self.starts, self.ends, self.own_starts, self.own_ends)
        return int(places[0]), int(places[1])

    def to_reference(self, start: int, end: int) -> tuple[int, int]:
        """Return where an interval of the haplotype lies on the reference; empty if all its bases are inserted."""
        places = _moved(np.array([start, end]), self.own_starts, self.own_ends, self.starts, self.ends)
        return int(places[0]), int(places[1])

    def on_reference(self, values: np.ndarray, start: int = 0, end: int | None = None) -> np.ndarray:
        """Return the values of a haplotype's bases at the bases of the reference that they are paired with.

        Parameters
        ----------
        values
            float32, one for each base of the haplotype that belongs to the interval (`to_haplotype`).
        start, end
            Interval of the reference, 0-based half-open; all of it if ``end`` is None.

        Returns
        -------
        numpy.ndarray
            (bases of the interval,) float32; nan where a base is deleted. The values of inserted bases are left out:
            a mean of entropies and a sum of log-likelihoods have no rule in common, and each would make a peak that no
            base of the reference has.
        """
        end = self.reference_bp if end is None else end
        own_start, _ = self.to_haplotype(start, end)
        found = np.full(end - start, np.nan, np.float32)
        # Paired are the bases between two changes, and the first ones of what was replaced.
        at = np.concatenate([[0], self.ends, self.starts])
        own = np.concatenate([[0], self.own_ends, self.own_starts])
        replaced = np.minimum(self.ends - self.starts, self.own_ends - self.own_starts)
        last = np.concatenate([self.starts, [self.reference_bp], self.starts + replaced])
        first, last = np.maximum(at, start), np.minimum(last, end)
        for stretch in np.flatnonzero(first < last).tolist():
            here = slice(int(first[stretch]) - start, int(last[stretch]) - start)
            there = int(own[stretch] - at[stretch]) + start - own_start
            found[here] = values[here.start + there : here.stop + there]
        return found


def _moved(places: Places, starts: Places, ends: Places, new_starts: Places, new_ends: Places) -> Places:
    """Return borders in the other coordinates."""
    if not len(starts):
        return places
    number = np.searchsorted(starts, places, side="right") - 1  # last change that begins at a border or before it
    at = np.maximum(number, 0)
    inside = new_starts[at] + np.minimum(places - starts[at], new_ends[at] - new_starts[at])
    behind = new_ends[at] + places - ends[at]
    moved = np.where(places >= ends[at], behind, inside)
    # The start of a contig stays its start: what is inserted there has no base before it.
    return np.where((number < 0) | (places == 0), places, moved)
