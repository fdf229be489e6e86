"""The checksum by which a contig is known, whatever it is called: the ``M5`` of SAM's header lines.

Reference: SAM specification, section 1.3, https://samtools.github.io/hts-specs/SAMv1.pdf.
"""

from __future__ import annotations

import hashlib

_MOST_KEPT = 1024
_kept: dict[tuple[int, int], str] = {}


def letters_md5(sequence: bytes) -> str:
    """Return the MD5 of letters in upper case, hexadecimal.

    It is kept for a second time, by Python's own hash of the letters, for it takes a second and more of a chromosome.

    Examples
    --------
    >>> letters_md5(b"acgt") == letters_md5(b"ACGT")
    True
    """
    key = len(sequence), hash(sequence)
    if key not in _kept:
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[key] = hashlib.md5(sequence.upper(), usedforsecurity=False).hexdigest()
    return _kept[key]
