"""The letters of nucleic acid sequences: IUPAC codes, their complements, and their checksum, in any case.

The checksum, by which a contig is known whatever it is called, is the ``M5`` of SAM's header lines.

References: IUPAC-IUB 1984, doi:10.1093/nar/13.9.3021; SAM specification, section 1.3,
https://samtools.github.io/hts-specs/SAMv1.pdf.
"""

from __future__ import annotations

import hashlib

_LETTERS = b"ACGTURYSWKMBDHVN"
_PARTNERS = b"TGCAAYRSWMKVHDBN"
_COMPLEMENT = bytes.maketrans(_LETTERS + _LETTERS.lower(), _PARTNERS + _PARTNERS.lower())
_CODES = _LETTERS + _LETTERS.lower()
_AMBIGUOUS = "RYSWKMBDHV"
_MOST_KEPT = 1024
_kept: dict[tuple[int, int], str] = {}


def reverse_complement(sequence: bytes) -> bytes:
    """Return the other strand, read 5' to 3'.

    Examples
    --------
    >>> reverse_complement(b"AACgR")
    b'YcGTT'
    """
    return sequence.translate(_COMPLEMENT)[::-1]


def is_nucleotides(sequence: bytes) -> bool:
    """Tell whether the sequence is not empty and consists of IUPAC codes (either case, U included)."""
    return bool(sequence) and not sequence.translate(None, _CODES)


def other_letters(sequence: bytes) -> str:
    """Return the letters of a sequence that are no IUPAC codes, in their order.

    Examples
    --------
    >>> other_letters(b"ACGTXEN")
    'XE'
    """
    return sequence.translate(None, _CODES).decode("latin-1")


def has_known_bases(sequence: bytes) -> bool:
    """Tell whether any letter is A, C, G, T or U."""
    return len(sequence.translate(None, b"ACGTUacgtu")) < len(sequence)


def count_ambiguous(sequence: bytes) -> dict[str, int]:
    """Count the letters that a model reads as N: IUPAC codes other than N by letter, everything else as ``other``.

    N itself is not counted, and letters that do not occur are left out.
    """
    if not sequence.translate(None, b"ACGTUNacgtun"):
        return {}
    counts = {code: sequence.count(code.encode()) + sequence.count(code.lower().encode()) for code in _AMBIGUOUS}
    counts["other"] = len(sequence.translate(None, _CODES))
    return {code: count for code, count in counts.items() if count}


def letters_md5(*pieces: bytes) -> str:
    """Return the MD5 of letters in upper case, hexadecimal.

    It is kept for a second time, by Python's own hash of the letters, for it takes a second and more of a chromosome.

    Parameters
    ----------
    pieces
        The letters, in one piece or several.

    Examples
    --------
    >>> letters_md5(b"acgt") == letters_md5(b"AC", b"GT")
    True
    """
    key = sum(map(len, pieces)), hash(pieces)
    if key not in _kept:
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        found = hashlib.md5(usedforsecurity=False)
        for piece in pieces:
            found.update(piece.upper())
        _kept[key] = found.hexdigest()
    return _kept[key]
