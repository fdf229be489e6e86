"""The record of a followed place at a token, as one number of 32 bits.

=======  ====  =====================================================================================
bits     size  meaning
=======  ====  =====================================================================================
0-1      2     base that the place foretells
2-7      6     hits: of the last 32 bases, those that the place foretold (0 to 32)
8-15     8     the last 8 outcomes, the newest in the highest bit
16-21    6     bases foretold since the last miss: exact to 31, then 32 + (log2 - 5), at most 63
22-26    5     log2 of the distance to the place, rounded down
27       1     whether it is an inverted copy
28       1     1: the slot holds a place
=======  ====  =====================================================================================
"""

from __future__ import annotations

HITS_AT, LAST_AT, RUN_AT, AGE_AT, INVERTED_AT, HELD_AT = 2, 8, 16, 22, 27, 28
HITS, LAST, RUN, AGE = 33, 256, 64, 32  # values that each part can have
