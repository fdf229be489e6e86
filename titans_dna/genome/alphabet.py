"""The letters of nucleic acid sequences: IUPAC codes and their complements, in upper and lower case.

Reference: IUPAC-IUB 1984, doi:10.1093/nar/13.9.3021.
"""

from __future__ import annotations

_LETTERS = b"ACGTURYSWKMBDHVN"
_PARTNERS = b"TGCAAYRSWMKVHDBN"
_COMPLEMENT = bytes.maketrans(_LETTERS + _LETTERS.lower(), _PARTNERS + _PARTNERS.lower())
_CODES = _LETTERS + _LETTERS.lower()
_AMBIGUOUS = "RYSWKMBDHV"


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
