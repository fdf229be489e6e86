"""Sequences as people have them in a notebook: text, bytes, lists, columns, Biopython objects, FASTA files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from titans_dna.api.frames import find_column, is_frame
from titans_dna.errors import ConfigError, FormatError
from titans_dna.genome.alphabet import is_nucleotides
from titans_dna.io.sequence.fasta import Genome, open_fasta


@contextmanager
def opened(fasta: Any) -> Iterator[Genome]:
    """Open a FASTA by its path, and close it again; one that is open already is passed on and stays open.

    Raises
    ------
    ConfigError
        If ``fasta`` is neither a path nor an open FASTA.
    InputMissing, FormatError
        If the file cannot be read.
    """
    if isinstance(fasta, str | os.PathLike):
        with open_fasta(fasta) as genome:
            yield genome
    elif isinstance(fasta, Genome):
        yield fasta
    else:
        raise ConfigError(f"fasta is {type(fasta).__name__}; give a path, or what open_fasta returned")


def read_sequences(given: Any) -> tuple[list[bytes], bool]:
    """Return sequences in their order, and whether a single one was given rather than several.

    Parameters
    ----------
    given
        Bases as str or bytes; a list, array or Series of them; a frame with a column ``sequence``; Biopython's ``Seq``
        or ``SeqRecord``; or the path of a FASTA, whose contigs are taken. Text that is not all bases is taken for a
        path. An empty string is a sequence without bases.

    Raises
    ------
    FormatError
        If a letter is no nucleotide (IUPAC codes, either case, U for T).
    InputMissing
        If a path leads nowhere.
    """
    if isinstance(given, Path) or (isinstance(given, str) and _looks_like_path(given)):
        with open_fasta(given) as fasta:
            return [fasta.sequence(contig) for contig in fasta.contigs.names], False
    if isinstance(given, str | bytes | bytearray) or _is_biopython(given):
        return [_bases(given, "the sequence")], True
    if is_frame(given):
        given = find_column(given, ["sequence", "seq"])
    if not isinstance(given, Iterable):
        raise FormatError(f"{given!r:.60} is no sequence. Give text or bytes of bases, a list of them, or a FASTA.")
    return [_bases(one, f"sequence {number}") for number, one in enumerate(given)], False


def names_file(text: str) -> bool:
    """Tell whether a file of this name is there; text that can be no name, for it is too long, names none."""
    return os.path.isfile(text)  # noqa: PTH113 - Path.is_file raises where a name is too long


def _looks_like_path(text: str) -> bool:
    """Tell a file name from bases: it has a dot, a slash or a backslash, or a file bears it."""
    return any(mark in text for mark in "./\\") or (not _plain(text) and names_file(text))


def _plain(text: str) -> bool:
    return not text or (text.isascii() and is_nucleotides(text.encode()))


def _is_biopython(given: object) -> bool:
    return type(given).__module__.startswith("Bio.")


def _bases(given: Any, which: str) -> bytes:
    """Return one sequence as bytes.

    Raises
    ------
    FormatError
        If it holds letters that are no nucleotides.
    """
    if _is_biopython(given):
        given = bytes(getattr(given, "seq", given))
    if isinstance(given, str):
        given = given.strip().encode()
    if not isinstance(given, bytes | bytearray):
        raise FormatError(f"{which} is {given!r:.40}, no text or bytes. Give its bases, such as 'ACGT'.")
    bases = bytes(given)
    if bases and not is_nucleotides(bases):
        place = next(at for at in range(len(bases)) if not is_nucleotides(bases[at : at + 1]))
        letter = bases[place : place + 1].decode("latin-1")
        raise FormatError(
            f"{which} has {letter!r} at base {place + 1:,}, which is no nucleotide. Write N for an unknown base."
        )
    return bases
