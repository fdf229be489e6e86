"""The records of followed places, taken apart (see ``titans_dna/recall/record.py``)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from titans_dna.recall.record import AGE_AT, HELD_AT, HITS_AT, INVERTED_AT, LAST_AT, RUN_AT


class Records(NamedTuple):
    """Records taken apart; arrays of one shape."""

    base: np.ndarray  # 0 to 3
    hits: np.ndarray  # of the last 32
    last: np.ndarray  # the last 8 outcomes as bits
    run: np.ndarray  # code of the bases since the last miss
    age: np.ndarray  # log2 of the distance
    inverted: np.ndarray  # bool
    held: np.ndarray  # bool


def unpack(codes: np.ndarray) -> Records:
    """Return the parts of records."""
    c = codes.astype(np.int64)
    return Records(
        base=c & 3, hits=c >> HITS_AT & 63, last=c >> LAST_AT & 255, run=c >> RUN_AT & 63, age=c >> AGE_AT & 31,
        inverted=(c >> INVERTED_AT & 1) == 1, held=(c >> HELD_AT & 1) == 1,
    )  # fmt: skip
