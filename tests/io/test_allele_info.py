"""Each ALT has its own value of a key, whichever Number the key has."""

from __future__ import annotations

import pytest

from titans_dna.io.variants.allele_info import AlleleInfo

INFO = {
    "END": "90", "SVLEN": "-30,.,20", "CIPOS": "-1,2,.,.,0,0", "CIEND": "-5,5", "IMPRECISE": "", "RUC": "3.5,x,nan",
    "EMPTY": ".", "ODD": "1,2,3,4", "LONG": "9" * 19, "HALF": "-1,x",
}  # fmt: skip


@pytest.mark.parametrize(
    ("place", "length", "interval", "units"), [(0, -30, (-1, 2), 3.5), (1, None, (0, 0), None), (2, 20, (0, 0), None)]
)
def test_each_alt_has_its_own(place, length, interval, units):
    info = AlleleInfo(info=INFO, place=place, count=3)
    assert info.integer("END") == 90  # one for the record
    assert (info.integer("SVLEN"), info.pair("CIPOS"), info.number("RUC")) == (length, interval, units)
    assert info.pair("CIEND") == (-5, 5)  # one pair for the record
    assert info.has("IMPRECISE")


def test_what_does_not_fit_is_missing():
    info = AlleleInfo(info=INFO, place=0, count=3)
    assert (info.text("ODD"), info.text("EMPTY"), info.text("NONE"), info.all("EMPTY")) == ("", "", "", [])
    assert (info.integer("LONG"), info.integer("RUC"), info.pair("HALF"), info.pair("ODD")) == (None,) * 4
