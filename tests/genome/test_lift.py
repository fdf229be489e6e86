"""Places on a reference and on a haplotype that differs from it, against a letter-by-letter reading."""

from __future__ import annotations

import numpy as np
import pytest

from titans_dna.genome.lift import Lift

REFERENCE = 20
#: A base changed, three deleted, two inserted before base 10, three replaced by two and two by three, one deleted last.
CHANGES = [(2, 3, 1), (5, 8, 0), (10, 10, 2), (12, 15, 2), (16, 18, 3), (19, 20, 0)]


def owners(length: int, changes) -> list[int]:
    """The base of the reference to which each base of the haplotype belongs, one by one."""
    found, at = [], 0
    for start, end, bases in changes:
        found += range(at, start)
        paired = min(bases, end - start)
        found += range(start, start + paired)
        found += [max(start + paired - 1, 0) if paired or start == end else end - 1] * (bases - paired)
        at = end
    return found + list(range(at, length))


def test_every_interval_holds_the_bases_that_belong_to_it():
    lift, owner = Lift.of(REFERENCE, CHANGES), np.array(owners(REFERENCE, CHANGES))
    assert lift.length_bp == len(owner) == 18
    for start in range(REFERENCE + 1):
        for end in range(start, REFERENCE + 1):
            low, high = lift.to_haplotype(start, end)
            assert list(range(low, high)) == np.flatnonzero((owner >= start) & (owner < end)).tolist(), (start, end)


def test_neighbours_stay_neighbours():
    lift = Lift.of(REFERENCE, CHANGES)
    borders = [lift.to_haplotype(place, place)[0] for place in range(REFERENCE + 1)]
    assert borders[0] == 0
    assert borders[-1] == lift.length_bp
    assert borders == sorted(borders)


def test_the_way_back_holds_outside_of_indels():
    lift = Lift.of(REFERENCE, CHANGES)
    for place in (0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, REFERENCE):
        assert lift.to_reference(*lift.to_haplotype(place, place)) == (place, place)
    assert lift.to_haplotype(5, 8) == (5, 5)
    assert lift.to_reference(5, 5) == (8, 8)
    assert lift.to_reference(7, 8) == (10, 10)  # within the two inserted bases


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ([], (0, 4)),
        ([(0, 0, 3)], (0, 7)),  # inserted before the first base, to which they belong
        ([(0, 2, 0)], (0, 2)),
        ([(4, 4, 3)], (0, 7)),  # and behind the last
        ([(1, 1, 2), (1, 2, 0)], (0, 5)),
    ],
)
def test_the_ends_of_a_contig(changes, places):
    lift = Lift.of(4, changes)
    assert lift.to_haplotype(0, 4) == places
    assert lift.length_bp == places[1]


def test_values_come_back_to_the_bases_that_they_are_paired_with():
    lift = Lift.of(REFERENCE, CHANGES)
    values = lift.on_reference(np.arange(lift.length_bp, dtype=np.float32))
    nan = np.nan
    wanted = [0, 1, 2, 3, 4, nan, nan, nan, 5, 6, 9, 10, 11, 12, nan, 13, 14, 15, 17, nan]
    np.testing.assert_array_equal(values, np.array(wanted, np.float32))


def test_values_of_a_part_are_a_part_of_the_values():
    lift = Lift.of(REFERENCE, CHANGES)
    values = np.arange(lift.length_bp, dtype=np.float32)
    whole = lift.on_reference(values)
    for start in range(REFERENCE):
        for end in range(start + 1, REFERENCE + 1):
            own_start, own_end = lift.to_haplotype(start, end)
            part = lift.on_reference(values[own_start:own_end], start, end)
            np.testing.assert_array_equal(part, whole[start:end])
